"""Bytes through routers, hosts and callers of taas, ours and the original's in every mix.

``RELAY_MIX_MIB=100`` lets each mix carry so many MiB each way; hosts of the original slow down with
the size of an upload (taas.md §11), hence the long waits.
"""

from __future__ import annotations

import hashlib

import pytest
import pytest_twisted

from tests.integration.network_relay_trio import bulk_bytes
from tests.integration.taas_company import KINDS, MIXES, OURS, RAW, Company
from tests.integration.taas_peers import MiB
from tests.rawpeer import RawPeer, noise, together

ODD_BYTES = 300_001
OPENING_S = 20.0
SLOWEST_BYTES_S = MiB / 2
"""What hosts of the original surely carry; their uploads slow down with their size."""

MANY = 30
MIX = pytest.mark.parametrize("mix", MIXES)
PAIRS = pytest.mark.parametrize("pair", [f"{router}-{host}" for router in KINDS for host in KINDS])

pytest_plugins = ["tests.integration.taas_fixtures"]


def digest(payload: bytes) -> str:
    """:returns: what is compared of much payload, since a difference would be printed"""
    return hashlib.sha256(payload).hexdigest()


async def started(company: Company, mix: str) -> str:
    """Start router and host. :returns: who calls"""
    router, host, caller = mix.split("-")
    await company.start_router(router)
    await company.start_host(host)
    return caller


async def carry(sender: RawPeer, receiver: RawPeer, payload: bytes) -> None:
    """Send much, and compare what comes."""
    deadline_s = OPENING_S + len(payload) / SLOWEST_BYTES_S

    async def send() -> bytes:
        for start in range(0, len(payload), MiB):
            await sender.writable(deadline_s)
            sender.write(payload[start : start + MiB])
        return b""

    came, _ = await together(receiver.exactly(len(payload), deadline_s), send())
    assert digest(came) == digest(payload)


@MIX
@pytest_twisted.ensureDeferred
async def test_bulk_both_ways(taas_company: Company, mix: str) -> None:
    """Megabytes each way at the same time arrive bit by bit; then each way ends for itself."""
    caller = await started(taas_company, mix)
    circuit = await taas_company.circuit(caller)
    size = bulk_bytes()
    await together(
        carry(circuit.mobile, circuit.hidden, noise(size)),
        carry(circuit.hidden, circuit.mobile, noise(size)),
    )
    last = noise(ODD_BYTES)
    circuit.mobile.write(last)
    circuit.mobile.half_close()
    assert digest(await circuit.hidden.half_ended(OPENING_S)) == digest(last)
    circuit.hidden.write(last[::-1])
    circuit.hidden.half_close()
    assert digest(await circuit.mobile.half_ended(OPENING_S)) == digest(last[::-1])


@MIX
@pytest_twisted.ensureDeferred
async def test_several_at_once(taas_company: Company, mix: str) -> None:
    """Callers of one label do not mix, and one's end is no other's."""
    caller = await started(taas_company, mix)
    circuits = [await taas_company.circuit(caller) for _ in range(3)]
    for circuit in circuits:
        await circuit.passes(noise(1000), noise(1000))
    gone, *others = circuits
    gone.mobile.half_close()
    await gone.hidden.half_ended()
    for circuit in others:
        await circuit.passes()


@MIX
@pytest_twisted.ensureDeferred
async def test_one_after_another(taas_company: Company, mix: str) -> None:
    """Far more callers than wait at a time are served: hosts replace what was taken."""
    caller = await started(taas_company, mix)
    port = None if caller == RAW else await taas_company.start_client()
    for _ in range(MANY):
        if port is None:
            peer = await taas_company.call(RAW)
        else:
            peer = await taas_company.router.dial(port)
        peer.write(b"question")
        remote = await taas_company.service.accept(OPENING_S)
        remote.stays_half_open = True
        assert await remote.exactly(8) == b"question"
        remote.write(b"answer")
        remote.half_close()
        assert await peer.half_ended(OPENING_S) == b"answer"
        peer.half_close()
        await remote.half_ended()
        await taas_company.router.left([peer, remote])


@PAIRS
@pytest_twisted.ensureDeferred
async def test_library(taas_company: Company, pair: str) -> None:
    """The original's client library opens its two WebSockets through each router and host."""
    router, host = pair.split("-")
    await taas_company.start_router(router)
    await taas_company.start_host(host, port=await taas_company.start_console())
    library = taas_company.start_library()
    await library.tells(event="open", args=["console", False])
    await library.tells(event="open", args=["management", True])
    library.program.type("console over the relay")
    await library.tells(event="message", channel="console", data="over the relay")


@pytest_twisted.ensureDeferred
async def test_library_survives_our_refusal(taas_company: Company) -> None:
    """The library, which ends at a 503 without Location, tries again behind one of ours (§12)."""
    await taas_company.start_router(OURS)
    library = taas_company.start_library()
    props = {"event": "response", "code": 503, "retry": "15 seconds"}
    await library.tells(event="log", message="register", props=props)
    assert library.program.process.poll() is None
