"""A network-relay access client, seen from its router: checks 26-29 of network-relay.md §16.

Each runs against ``relay connect``, and against the original's access-client where that is at hand;
that OpenSSH works through them is shown elsewhere.
"""

from __future__ import annotations

import base64
import json

import pytest
import pytest_twisted

from relay.outside import RETRY_CALL_S
from relay.vocabulary import Role
from tests.dialects.network_relay_vectors import V6, V11
from tests.integration.connect_lab import unused_port
from tests.integration.network_relay_ours import TunnelMaker
from tests.integration.network_relay_peers import MiB
from tests.integration.network_relay_program import (
    AGENT,
    BOTH_CLIENTS,
    OUR_CLIENT,
    SECRET,
    ClientProgram,
)
from tests.integration.network_relay_wire import (
    CLIENT_PATH,
    NO_AGENT,
    OPENING_FAILED,
    START_OK,
    WRONG_SECRET,
    compact,
)
from tests.integration.portal_ours import first_port
from tests.rawpeer import Late, connect, noise

QUIET_S = 0.3
LARGEST_ENCODED_BYTES = 16 * MiB
CALLS = 1 + len(RETRY_CALL_S)
PART_BYTES = 700_000
"""Of which base64 makes a little less than 1 MiB."""

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


# -- 26: what it says ----------------------------------------------------------------------------


@BOTH_CLIENTS
@pytest_twisted.ensureDeferred
async def test_check_26_start(nr_client: ClientProgram) -> None:
    """The first message is V6; what was typed waits for ``start_ok`` and then comes as V11."""
    await nr_client.start()
    talk, request, text = await nr_client.login()
    assert text == V6
    assert request.target == CLIENT_PATH
    assert request.header("Sec-WebSocket-Protocol") is None
    nr_client.type(b"ping\n")
    with pytest.raises(Late):
        await talk.text(QUIET_S)
    talk.send(START_OK)
    assert await talk.text() == V11


@BOTH_CLIENTS
@pytest_twisted.ensureDeferred
async def test_check_26_order_and_sizes(nr_client: ClientProgram) -> None:
    """Standard input arrives in order, no message above 16 MiB."""
    talk = await nr_client.begin()
    sent = noise(MiB)
    assert nr_client.process.stdin is not None
    writing = talk.peer.clock.callInThread  # type: ignore[attr-defined]  # a reactor's
    writing(nr_client.type, sent)
    got = bytearray()
    while len(got) < len(sent):
        text = await talk.text()
        assert len(text) <= LARGEST_ENCODED_BYTES
        got += base64.b64decode(json.loads(text)["inner"]["data_base64"], validate=True)
    assert got == sent


# -- 27: refusals --------------------------------------------------------------------------------


@BOTH_CLIENTS
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (WRONG_SECRET, "secret"),
        (NO_AGENT, "registered"),
        (compact("error", message=OPENING_FAILED + "Unsupported protocol: udp"), "udp"),
        (compact("error", message=OPENING_FAILED + "target-forbidden: not in its list"), "list"),
    ],
    ids=["V8", "V9", "V10", "forbidden"],
)
@pytest.mark.parametrize("leave", ["send_close", "drop"])
@pytest_twisted.ensureDeferred
async def test_check_27_and_29_refusals(
    nr_client: ClientProgram, text: bytes, shown: str, leave: str
) -> None:
    """An ``error`` ends the program, with a Close or without, and is shown on standard error."""
    await nr_client.start()
    # an agent may be back in a moment: ours asks again
    for _ in range(CALLS if nr_client.is_ours and text == NO_AGENT else 1):
        talk, _, _ = await nr_client.login()
        talk.send(text)
        getattr(talk.peer, leave)()
        await talk.ending()
    status, out, err = await nr_client.exited()
    assert out == b""
    assert shown in err
    assert status == (1 if nr_client.is_ours else 0)
    if nr_client.is_ours:
        assert SECRET not in err
        assert err.count("\n") == 1


# -- 28, 29: what comes --------------------------------------------------------------------------


@BOTH_CLIENTS
@pytest_twisted.ensureDeferred
async def test_check_28_output_is_exact_and_not_held_back(nr_client: ClientProgram) -> None:
    """Bytes of every value appear at once, and nothing else does."""
    talk = await nr_client.begin()
    for part in (b"a", bytes(range(256)), b"\r\n", noise(PART_BYTES)):
        talk.data(part)
        await nr_client.prints(part)
    talk.data(b"")
    talk.send(b'{"inner":{"data_base64":"aGk=","note":0,"kind":"tcp_data"}}')
    await nr_client.prints(b"hi")


@BOTH_CLIENTS
@pytest.mark.parametrize("leave", ["send_close", "drop"])
@pytest_twisted.ensureDeferred
async def test_check_29_end_behind_data(nr_client: ClientProgram, leave: str) -> None:
    """An end behind data, with a Close or without, ends the program, with all that came."""
    talk = await nr_client.begin()
    talk.data(b"all of it")
    getattr(talk.peer, leave)()
    await talk.ending()
    status, out, err = await nr_client.exited()
    assert out == b"all of it"
    if not nr_client.is_ours:
        assert status == 0
    elif status != 0:
        assert err.count("\n") == 1


@BOTH_CLIENTS
@pytest.mark.parametrize(
    "text",
    [b"hello", compact("later"), compact("tcp_data", data_base64="a"), compact("keep_alive")],
    ids=["word", "unknown", "base64", "keep-alive"],
)
@pytest_twisted.ensureDeferred
async def test_router_breaks_the_rules(nr_client: ClientProgram, text: bytes) -> None:
    """A router that sends nonsense ends the program with status 1."""
    talk = await nr_client.begin()
    talk.send(text)
    await talk.ending()
    status, out, err = await nr_client.exited()
    assert (status, out) == (1, b"")
    assert err


@BOTH_CLIENTS
@pytest_twisted.ensureDeferred
async def test_nobody_there(nr_client: ClientProgram) -> None:
    """A router that is not there, or goes before it answers, is status 1."""
    await nr_client.start(unused_port())
    status, out, _ = await nr_client.exited()
    assert (status, out) == (1, b"")
    await nr_client.start()
    talk, _, _ = await nr_client.login()
    talk.peer.drop()
    status, out, _ = await nr_client.exited()
    assert (status, out) == (1, b"")


@BOTH_CLIENTS
@pytest_twisted.ensureDeferred
async def test_end_of_input(nr_client: ClientProgram) -> None:
    """Behind the end of standard input answers still arrive, until the router ends the link."""
    talk = await nr_client.begin()
    nr_client.type(b"ping\n")
    assert nr_client.process.stdin is not None
    nr_client.process.stdin.close()
    assert await talk.text() == V11
    talk.data(b"pong")
    await nr_client.prints(b"pong")
    talk.data(b"more")
    talk.peer.send_close()
    await talk.ending()
    status, out, _ = await nr_client.exited()
    assert (status, out) == (0, b"more")


@OUR_CLIENT
@pytest_twisted.ensureDeferred
async def test_listening_client(nr_client: ClientProgram, nr_tunnels: TunnelMaker) -> None:
    """Our client as a daemon makes one link for each local connection."""
    router = nr_client.router
    url = f"ws://127.0.0.1:{await router.listen()}"
    own = {"agent": AGENT, "target": "127.0.0.1:22", "listen": "tcp:0:interface=127.0.0.1"}
    service = await nr_tunnels.start(Role.CLIENT, url, SECRET, **own)
    for _ in range(2):
        user = await connect(first_port(service.addresses))
        talk, request, text = await nr_client.login()
        assert (request.target, text) == (CLIENT_PATH, V6)
        user.write(b"ping\n")
        talk.send(START_OK)
        assert await talk.text() == V11
        talk.data(b"pong\n")
        assert await user.exactly(5) == b"pong\n"
        user.drop()
        assert await talk.over() is not None
    user = await connect(first_port(service.addresses))
    talk, _, _ = await nr_client.login()
    talk.send(WRONG_SECRET)
    talk.peer.send_close()
    await talk.ending()
    await user.gone()
