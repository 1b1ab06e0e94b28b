"""What our portal router promises beyond the original: who is told what, when, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.error import ConnectionRefusedError as Refused

from relay.settings.model import Limits
from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import CONNECTED, END_S, Portal, bearer
from tests.rawpeer import (
    PERFECT_HANDSHAKE,
    Frame,
    Late,
    Op,
    RawPeer,
    request_head,
    the_reactor,
    together,
)

MiB = 1024 * 1024
CONTROL = "/connect/host_control"
CLIENT = "/connect/client/ssh"
SHORT_S = 0.3
PING_S = 0.5
HOLD_S = 1.0
GOING_AWAY = (1012, "going-away")

pytest_plugins = ["tests.integration.portal_fixtures"]


def limits(**changes: Any) -> Limits:
    """:returns: limits with these changes, and any number of failed logins"""
    return Limits(**{"failed_logins_per_min": 0, **changes})


async def told(peer: RawPeer, deadline_s: float = END_S) -> tuple[int | None, str]:
    """:returns: code and text of the Close with which the router ends ``peer``"""
    close = (await peer.ending(deadline_s)).close
    assert close is not None, "the router said nothing"
    return close.code, close.reason


async def pending(portal: Portal, control: RawPeer, service: str = "ssh") -> tuple[RawPeer, int]:
    """:returns: a call that its host was told of, and its nexus"""
    client = await portal.call(service)
    call = await portal.incoming(control)
    assert call.service_name == service
    return client, call.nexus


# -- hosts that replace each other ---------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_replaced_host_is_told(start_router: RouterMaker) -> None:
    """The first of two hosts ends with 1001 ``replaced``; calls that wait may still be accepted."""
    router, _ = await start_router.start()
    portal = router.portal()
    first = await portal.control()
    client, nexus = await pending(portal, first)
    second = await portal.control()
    assert await told(first) == (1001, "replaced")
    await portal.accept(nexus)
    assert await client.receive() == CONNECTED
    await pending(portal, second)


@pytest_twisted.ensureDeferred
async def test_hosts_that_flap_are_slowed(start_router: RouterMaker) -> None:
    """The fourth replacement of a live host within 10 s waits for 1 s, and wins all the same."""
    router, _ = await start_router.start()
    portal = router.portal()
    clock = the_reactor()
    hosts = [await portal.control()]
    waits = []
    for _ in range(4):
        started = clock.seconds()
        hosts.append(await portal.control())
        waits.append(clock.seconds() - started)
        assert await told(hosts[-2]) == (1001, "replaced")
    assert max(waits[:3]) < HOLD_S / 2
    assert HOLD_S * 0.9 < waits[3] < HOLD_S * 1.5
    await pending(portal, hosts[-1])


@pytest_twisted.ensureDeferred
async def test_a_host_that_left_is_no_rival(start_router: RouterMaker) -> None:
    """A host that comes back after it has gone is never slowed."""
    router, _ = await start_router.start()
    portal = router.portal()
    clock = the_reactor()
    started = clock.seconds()
    for _ in range(8):
        control = await portal.control()
        control.send_close(1000)
        assert await told(control) == (1000, "")
    assert clock.seconds() - started < HOLD_S


# -- calls that wait -----------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_silent_host(start_router: RouterMaker) -> None:
    """A call that is not answered within pending-s ends with ``host-silent``; its host stays."""
    router, _ = await start_router.start(limits(pending_s=SHORT_S))
    portal = router.portal()
    control = await portal.control()
    client, nexus = await pending(portal, control)
    code, text = await told(client, SHORT_S + END_S)
    assert text == "host-silent"
    assert code is not None
    assert code != 1000
    assert await router.status(f"/connect/host_accept/{nexus}", portal.host_token) == 404
    await pending(portal, control)


@pytest_twisted.ensureDeferred
async def test_a_call_that_waited_in_vain_for_its_turn(start_router: RouterMaker) -> None:
    """What the host was not told of in time ends with ``limit``: the host is not to blame."""
    router, _ = await start_router.start(limits(pending_calls=1, pending_s=0.5))
    portal = router.portal()
    control = await portal.control()
    first, _ = await pending(portal, control)
    second = await portal.call()
    assert await together(told(first), told(second)) == [(1011, "host-silent"), (1013, "limit")]
    assert await router.status(CLIENT, portal.client_token) == 101


@pytest_twisted.ensureDeferred
async def test_an_accepted_call_has_no_deadline(start_router: RouterMaker) -> None:
    """Once it is accepted, a call may last longer than pending-s."""
    router, _ = await start_router.start(limits(pending_s=SHORT_S))
    circuit = await router.portal().circuit()
    with pytest.raises(Late):
        await circuit.client.receive(2 * SHORT_S)
    circuit.client.send(Op.BINARY, b"still here")
    assert await circuit.host.receive() == Frame(Op.BINARY, b"still here")


@pytest_twisted.ensureDeferred
async def test_calls_wait_in_order(start_router: RouterMaker) -> None:
    """A host is told of no more calls than it may leave unanswered; the others come in order."""
    router, _ = await start_router.start(limits(pending_calls=2))
    portal = router.portal()
    control = await portal.control()
    clients = [await portal.call(f"s{number}") for number in range(6)]
    calls = [await portal.incoming(control) for _ in range(2)]
    control.send(Op.PING, b"no third")
    assert await control.receive() == Frame(Op.PONG, b"no third")
    await portal.accept(calls[0].nexus)
    assert await clients[0].receive() == CONNECTED
    calls.append(await portal.incoming(control))
    clients[3].drop()  # still in the queue
    clients[1].drop()  # announced
    calls.append(await portal.incoming(control))
    assert [call.service_name for call in calls] == ["s0", "s1", "s2", "s4"]
    await portal.accept(calls[2].nexus)
    assert (await portal.incoming(control)).service_name == "s5"


@pytest_twisted.ensureDeferred
async def test_a_new_host_is_told_of_the_calls_in_the_queue(start_router: RouterMaker) -> None:
    """Calls that wait for their turn are announced to the host that replaces the busy one."""
    router, _ = await start_router.start(limits(pending_calls=1))
    portal = router.portal()
    first = await portal.control()
    client, nexus = await pending(portal, first, "s0")
    await portal.call("s1")
    second = await portal.control()
    assert await told(first) == (1001, "replaced")
    await portal.accept(nexus)
    assert await client.receive() == CONNECTED
    assert (await portal.incoming(second)).service_name == "s1"


# -- the end of the router -----------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_drain_sends_idle_links_away(start_router: RouterMaker) -> None:
    """A router that stops tells hosts and waiting clients 1012 ``going-away``."""
    router, ours = await start_router.start(drain_s=30.0)
    portal = router.portal()
    control = await portal.control()
    client, _ = await pending(portal, control)
    stopped = ours.stop()
    assert await together(told(control), told(client)) == [GOING_AWAY, GOING_AWAY]
    await stopped
    with pytest.raises(Refused):
        await router.dial()


@pytest_twisted.ensureDeferred
async def test_drain_waits_for_circuits(start_router: RouterMaker) -> None:
    """A circuit may go on until its own end, which is the router's end too."""
    router, ours = await start_router.start(drain_s=30.0)
    circuit = await router.portal().circuit()
    stopped = ours.stop()
    assert await told(circuit.control) == GOING_AWAY
    for sender, receiver in (circuit.sides("client"), circuit.sides("host")):
        sender.send(Op.BINARY, b"still here")
        assert await receiver.receive() == Frame(Op.BINARY, b"still here")
    assert not stopped.called
    circuit.client.send_close(1000)
    endings = await together(circuit.client.ending(), circuit.host.ending())
    assert [ending.close and ending.close.code for ending in endings] == [1000, 1000]
    await stopped


@pytest_twisted.ensureDeferred
async def test_drain_has_a_deadline(start_router: RouterMaker) -> None:
    """At the deadline circuits end with 1012 ``going-away``, both ends."""
    router, ours = await start_router.start(drain_s=SHORT_S)
    circuit = await router.portal().circuit()
    stopped = ours.stop()
    assert await told(circuit.control) == GOING_AWAY
    ends = [told(side, SHORT_S + END_S) for side in (circuit.client, circuit.host)]
    assert await together(*ends) == [GOING_AWAY, GOING_AWAY]
    await stopped


@pytest_twisted.ensureDeferred
async def test_a_router_comes_back(start_router: RouterMaker) -> None:
    """Behind a router that has stopped its port is free, and nothing of it is left."""
    router, ours = await start_router.start()
    circuit = await router.portal().circuit()
    stopped = ours.stop()
    await together(*(told(peer) for peer in (circuit.control, circuit.client, circuit.host)))
    await stopped
    again, _ = await start_router.start(port=router.port)
    await again.works()
    await again.comes_to_rest()


# -- liveness ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_liveness(start_router: RouterMaker) -> None:
    """Control links are pinged, and dead when silent; data links are never given up."""
    router, _ = await start_router.start(limits(ping_s=PING_S, dead_s=3 * PING_S))
    lively, deaf, busy = router.portal(), router.portal(), router.portal()
    control, deaf_control = await lively.control(), await deaf.control()
    circuit = await busy.circuit()
    clock = the_reactor()
    started = clock.seconds()

    async def answers_pings() -> float:
        while clock.seconds() < started + 5 * PING_S:
            ping = await control.receive()
            assert ping.opcode == Op.PING
            control.send(Op.PONG, ping.payload)
        return 0

    async def says_nothing() -> float:
        ending = await deaf_control.ending()
        assert {frame.opcode for frame in ending.frames} == {Op.PING}
        return clock.seconds() - started

    _, died = await together(answers_pings(), says_nothing())
    assert 3 * PING_S <= died < 5 * PING_S
    assert await router.status(CLIENT, deaf.client_token) == 502
    await pending(lively, control)
    for sender, receiver in (circuit.sides("client"), circuit.sides("host")):
        sender.send(Op.BINARY, b"still here")
        frame = await receiver.receive()
        while frame.opcode == Op.PING:
            frame = await receiver.receive()
        assert frame == Frame(Op.BINARY, b"still here")


# -- limits --------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_failed_logins_are_slowed(start_router: RouterMaker) -> None:
    """From the eleventh failure on an answer waits 1 s; a good token never does."""
    router, _ = await start_router.start(Limits())
    portal = router.portal()
    clock = the_reactor()
    started = clock.seconds()
    for _ in range(10):
        assert await router.status(CONTROL, "a.b.c") == 401
    assert clock.seconds() - started < HOLD_S / 2

    async def failing() -> float:
        started = clock.seconds()
        assert await router.status(CONTROL, "a.b.c") == 401
        return clock.seconds() - started

    async def good() -> float:
        started = clock.seconds()
        assert await router.status(CONTROL, portal.host_token) == 101
        return clock.seconds() - started

    slow, quick = await together(failing(), good())
    assert HOLD_S * 0.9 < slow < HOLD_S * 1.5
    assert quick < HOLD_S / 2


@pytest_twisted.ensureDeferred
async def test_handshakes_wait_their_turn(start_router: RouterMaker) -> None:
    """Beyond the limit a handshake waits unread until one of the others is over."""
    router, _ = await start_router.start(limits(handshakes=2))
    portal = router.portal()
    idle = [await router.dial() for _ in range(2)]
    waiting = await router.dial()
    waiting.write(request_head(CONTROL, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)}))
    with pytest.raises(Late):
        await waiting.response(SHORT_S)
    idle[0].drop()
    assert (await waiting.response()).status == 101
    assert await router.status(CLIENT, portal.client_token) == 101


@pytest_twisted.ensureDeferred
async def test_frames_behind_the_head_are_kept(start_router: RouterMaker) -> None:
    """What a peer sends in the same segment as its request is read as its first frames."""
    router, _ = await start_router.start()
    portal = router.portal()
    control = await portal.control()
    _, nexus = await pending(portal, control)
    host = await router.dial()
    target = f"/connect/host_accept/{nexus}"
    head = request_head(target, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)})
    host.write(head + bytes.fromhex("898037fa213d"))
    assert (await host.response()).status == 101
    assert await host.receive() == Frame(Op.PONG)


@pytest_twisted.ensureDeferred
async def test_half_close_is_for_those_who_asked(start_router: RouterMaker) -> None:
    """A client's agreed ``"Finish"`` never comes out as text at a host that knows nothing of it."""
    router, _ = await start_router.start()
    portal = router.portal()
    control = await portal.control()
    asks = {"X-Relay-Half-Close": "yes"}
    client, head = await router.ask(CLIENT, portal.client_token, asks)
    assert head.header("X-Relay-Half-Close") == "yes"
    nexus = (await portal.incoming(control)).nexus
    target = f"/connect/host_accept/{nexus}"
    host, head = await router.ask(target, portal.host_token)
    assert head.header("X-Relay-Half-Close") is None
    assert await client.receive() == CONNECTED
    client.send(Op.BINARY, b"request")
    client.send(Op.TEXT, b'"Finish"')
    assert await host.receive() == Frame(Op.BINARY, b"request")
    host.send(Op.PING, b"nothing else")
    assert await host.receive() == Frame(Op.PONG, b"nothing else")
    host.send(Op.BINARY, b"answer")
    host.drop()
    assert (await client.ending(END_S)).data == b"answer"
