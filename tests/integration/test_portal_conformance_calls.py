"""The portal router, seen from the wire: checks 9-13 and 19-24 of portal.md §14, calls.

Each runs against our router, and against the original's demo router where that is at hand; what
demo is known to fail is marked with the reason.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import pytest_twisted

from tests.integration.portal_ours import TunnelMaker
from tests.integration.portal_peers import (
    BOTH,
    CONNECTED,
    END_S,
    Portal,
    Router,
    bearer,
    demo_differs,
    mint,
    passes,
)
from tests.integration.portal_programs import Programs, at_hand
from tests.rawpeer import (
    SAMPLE_KEY,
    Frame,
    Late,
    Op,
    RawPeer,
    connect,
    noise,
    request_head,
    together,
)

UNANSWERED_S = 11.0
CLIENT_PATIENCE_S = 10.0

pytest_plugins = ["tests.integration.portal_fixtures"]


def no_host(router: Router) -> tuple[int, ...]:
    """:returns: the statuses that tell a client that there is no host"""
    return (502,) if router.is_ours else (502, 503)


async def host_is_gone(portal: Portal) -> None:
    """Wait until the router knows that the portal has no control link any more."""
    expiry = time.monotonic() + END_S
    while await portal.router.status("/connect/client/ssh", portal.client_token) == 101:
        assert time.monotonic() < expiry, "the router still believes in a host that has gone"


# -- 9-13: a call --------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_09_client_without_host(router: Router) -> None:
    """A client whose portal has no host is told so by the status."""
    status = await router.status("/connect/client/ssh", router.portal().client_token)
    assert status in no_host(router)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_10_incoming(router: Router) -> None:
    """Incoming is one T of compact JSON, whose nexus is accepted exactly as it was written."""
    portal = router.portal()
    largest = 0
    # demo draws 64 random bits: one above 2**63 comes soon; ours may confine itself to small ones
    for _ in range(1 if router.is_ours else 64):
        control = await portal.control()
        subject = 'Zo\u00eb "q" \\ \u65e5'
        client = await portal.call("A-Z_09", mint(portal.claims("client", sub=subject)))
        frame = await control.receive()
        incoming = json.loads(frame.payload)["Incoming"]
        nexus = incoming["nexus"]
        assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (Op.TEXT, True, 0, False)
        assert type(nexus) is int
        assert 0 <= nexus < 2**64
        name = json.dumps(subject, ensure_ascii=False)
        assert frame.payload.decode() == (
            f'{{"Incoming":{{"client_name":{name},"service_name":"A-Z_09","nexus":{nexus}}}}}'
        )
        await portal.accept(nexus)
        assert await client.receive() == CONNECTED
        largest = max(largest, nexus)
        if largest >= 2**63:
            break
        control.drop()
        await host_is_gone(portal)
    assert router.is_ours or largest >= 2**63


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_11_connected(router: Router) -> None:
    """``Connected`` is exactly one T of 11 bytes, comes with the accept and before any payload."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    call = await portal.incoming(control)
    client.send(Op.PING, b"still waiting")
    assert await client.receive() == Frame(Op.PONG, b"still waiting")
    host = await portal.accept(call.nexus)
    host.send(Op.BINARY, b"first")
    assert await client.exactly(13) == bytes.fromhex("810b22436f6e6e656374656422")
    assert await client.receive() == Frame(Op.BINARY, b"first")
    await passes(host, client)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_11_nothing_before_connected_passes(router: Router) -> None:
    """What a client sends before ``Connected`` never reaches the host."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    call = await portal.incoming(control)
    client.send(Op.BINARY, b"too early")
    client.send(Op.PING, b"read")
    if (await client.receive()).opcode == Op.CLOSE:
        client.drop()
        target = f"/connect/host_accept/{call.nexus}"
        assert await router.status(target, portal.host_token) == 404
        return
    host = await portal.accept(call.nexus)
    assert await client.receive() == CONNECTED
    await passes(client, host)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_12_client_may_be_faster_than_the_hosts_101(router: Router) -> None:
    """What a client sends right after ``Connected`` waits for a host that reads its 101 late."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    call = await portal.incoming(control)
    if not router.is_ours:
        # demo knows a call only a moment after the client's 101
        client.send(Op.PING)
        await client.receive()
    host = await router.dial()
    host.pause()
    host.write(
        request_head(
            f"/connect/host_accept/{call.nexus}",
            {
                **bearer(portal.host_token),
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": SAMPLE_KEY,
            },
        )
    )
    assert await client.receive() == CONNECTED
    payload = noise(192 * 1024)
    await client.send_all(payload)
    client.send(Op.PING, b"taken")
    assert await client.receive() == Frame(Op.PONG, b"taken")
    host.resume()
    assert (await host.response()).status == 101
    assert await host.receive_bytes(len(payload)) == payload


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_13_host_may_send_at_once(router: Router) -> None:
    """What a host sends right after its 101 comes whole, and behind ``Connected``."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    host = await portal.accept((await portal.incoming(control)).nexus)
    payload = noise(256 * 1024)
    await host.send_all(payload)
    assert await client.receive() == CONNECTED
    assert await client.receive_bytes(len(payload)) == payload


# -- 19-24: hosts and calls that come and go -----------------------------------------------------


@demo_differs("each accept drops the control link")
@pytest_twisted.ensureDeferred
async def test_check_19_control_survives_an_accept(router: Router) -> None:
    """Behind an accepted call the same control link announces the next."""
    portal = router.portal()
    control = await portal.control()
    for number in range(3):
        circuit = await portal.circuit(f"s{number}", control)
        await passes(circuit.client, circuit.host)


@demo_differs("each pending call that leaves drops the control link")
@pytest_twisted.ensureDeferred
async def test_check_19_control_survives_a_leaving_client(router: Router) -> None:
    """Behind a client that gave up the same control link announces the next."""
    portal = router.portal()
    control = await portal.control()
    for leave in (RawPeer.drop, RawPeer.reset, RawPeer.send_close):
        client = await portal.call("leaves")
        await portal.incoming(control)
        leave(client)
        await client.gone()
    await portal.call("next")
    assert (await portal.incoming(control)).service_name == "next"


@demo_differs("both hosts are dropped")
@pytest_twisted.ensureDeferred
async def test_check_20_the_newest_host_wins(router: Router) -> None:
    """A second host ends the first with 1001, and gets all further calls."""
    portal = router.portal()
    first = await portal.control()
    second = await portal.control()
    ending = await first.ending(END_S)
    assert ending.close is None or ending.close.code == 1001
    for _ in range(2):
        circuit = await portal.circuit(control=second)
        await passes(circuit.host, circuit.client)
    assert ending.frames == []


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_21_circuits_survive_the_control_link(router: Router) -> None:
    """Without control link circuits go on and old calls can be accepted, new ones are refused."""
    portal = router.portal()
    circuit = await portal.circuit()
    circuit.control.drop()
    await host_is_gone(portal)
    assert await router.status("/connect/client/ssh", portal.client_token) in no_host(router)
    await passes(circuit.client, circuit.host)
    control = await portal.control()
    client = await portal.call("old")
    call = await portal.incoming(control)
    control.drop()
    await host_is_gone(portal)
    host = await portal.accept(call.nexus)
    assert await client.receive() == CONNECTED
    await passes(host, client)
    await passes(circuit.host, circuit.client)


@BOTH
@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.reset])
@pytest_twisted.ensureDeferred
async def test_check_22_a_call_that_left_is_unknown(
    router: Router, leave: Callable[[RawPeer], None]
) -> None:
    """A client that has gone cannot be accepted any more."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    call = await portal.incoming(control)
    leave(client)
    await client.gone()
    status = await router.status(f"/connect/host_accept/{call.nexus}", portal.host_token)
    assert status in ((404,) if router.is_ours else (404, 503))


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_22_a_call_is_accepted_once(router: Router) -> None:
    """The second accept of one nexus is refused, and the first does not notice."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    call = await portal.incoming(control)
    host = await portal.accept(call.nexus)
    assert await router.status(f"/connect/host_accept/{call.nexus}", portal.host_token) == 404
    assert await client.receive() == CONNECTED
    await passes(client, host)


@demo_differs("it keeps the descriptor of a client that left until somebody accepts it")
@pytest_twisted.ensureDeferred
async def test_check_22_nothing_is_kept_of_a_call_that_left(router: Router) -> None:
    """A client that has gone leaves no descriptor behind, though nobody accepts it."""
    portal = router.portal()
    control = await portal.control()
    for leave in (RawPeer.drop, RawPeer.send_close):
        leave(await portal.call())
    await portal.incoming(control)
    await router.comes_to_rest(END_S)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_23_portals_are_apart(router: Router) -> None:
    """A portal's host neither gets nor can accept the calls of another."""
    first, second = router.portal(), router.portal()
    control = await second.control()
    status = await router.status("/connect/client/ssh", first.client_token)
    assert status in no_host(router)
    client = await second.call("mine")
    call = await second.incoming(control)
    assert call.service_name == "mine"
    first_control = await first.control()
    assert await router.status(f"/connect/host_accept/{call.nexus}", first.host_token) == 404
    host = await second.accept(call.nexus)
    assert await client.receive() == CONNECTED
    await passes(client, host)
    first_control.send(Op.PING, b"nothing else came")
    assert await first_control.receive() == Frame(Op.PONG, b"nothing else came")


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_24_a_silent_host(
    router: Router,
    programs: Programs,
    request: pytest.FixtureRequest,
    expected_log_errors: Callable[[], object],
) -> None:
    """A call waits 11 s without a word; the original's client and ours give up at 10 s."""
    portal = router.portal()
    control = await portal.control()

    async def raw() -> float:
        client = await portal.call("raw")
        with pytest.raises(Late):
            await client.receive(UNANSWERED_S)
        client.send(Op.PING, b"still there")
        assert await client.receive() == Frame(Op.PONG, b"still there")
        return CLIENT_PATIENCE_S

    async def original() -> float:
        program = programs.start(
            "tcp-forward",
            *("--server", router.url, "--auth-token", portal.client_token, "--service", "rust"),
            *("client", "--interface", "127.0.0.1", "--port", "0"),
        )
        user = await connect(await program.listens())
        started = time.monotonic()
        await program.has_printed("portal connection timeout", UNANSWERED_S)
        await user.gone()
        return time.monotonic() - started

    async def ours() -> float:
        tunnels: TunnelMaker = request.getfixturevalue("tunnels")
        user = await connect(await tunnels.client(router.url, portal.client_token, "ours"))
        started = time.monotonic()
        await user.gone(UNANSWERED_S)
        return time.monotonic() - started

    waits = [raw()]
    if at_hand("tcp-forward"):
        waits.append(original())
    if router.is_ours:
        waits.append(ours())
    patience = await together(*waits)
    assert control.end is None or not router.is_ours
    expected_log_errors()  # our client says that the host was silent
    assert patience == [pytest.approx(CLIENT_PATIENCE_S, abs=0.5)] * len(waits)
