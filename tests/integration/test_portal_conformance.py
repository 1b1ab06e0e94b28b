"""The portal router, seen from the wire: the conformance checks of portal.md §14.

Each runs against our router, and against the original's demo router where that is at hand; what
demo is known to fail is marked with the reason.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable

import pytest
import pytest_twisted

from tests.integration.portal_peers import (
    BOTH,
    CONNECTED,
    END_S,
    Portal,
    Router,
    TunnelMaker,
    bearer,
    demo_differs,
    forge,
    mint,
)
from tests.integration.portal_programs import Programs, at_hand
from tests.rawpeer import (
    SAMPLE_KEY,
    Ended,
    Frame,
    Late,
    Op,
    RawPeer,
    accept_key,
    connect,
    noise,
    request_head,
    together,
)

MiB = 1024 * 1024
ENDPOINTS = ["/connect/host_control", "/connect/host_accept/7", "/connect/client/ssh"]
ROLES = ["host", "host", "client"]
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


async def passes(sender: RawPeer, receiver: RawPeer, payload: bytes = b"passes") -> None:
    """Check that payload sent here is what comes next there."""
    sender.send(Op.BINARY, payload)
    assert await receiver.receive_message() == Frame(Op.BINARY, payload)


# -- 1-8: who gets in ----------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_01_valid_tokens_are_upgraded(router: Router) -> None:
    """A valid token gets a 101 that the strictest client takes, on each of the endpoints."""
    portal = router.portal()
    offers = {
        "Sec-WebSocket-Protocol": "portal",
        "Sec-WebSocket-Extensions": "permessage-deflate",
    }
    control, head = await router.ask("/connect/host_control", portal.host_token, offers)
    client = await portal.call()
    nexus = (await portal.incoming(control)).nexus
    host = await portal.accept(nexus)
    assert head.first_line.startswith("HTTP/1.1 101 ")
    assert (head.header("Upgrade") or "").lower() == "websocket"
    assert (head.header("Connection") or "").lower() == "upgrade"
    assert head.header("Sec-WebSocket-Accept") == accept_key(SAMPLE_KEY)
    assert head.header("Sec-WebSocket-Protocol") is None
    assert head.header("Sec-WebSocket-Extensions") is None
    assert await client.receive() == CONNECTED
    assert host.end is None


@BOTH
@pytest.mark.parametrize("fault", ["missing", "garbage", "wrong-secret", "hs512", "none"])
@pytest_twisted.ensureDeferred
async def test_check_02_bad_tokens_are_refused(router: Router, fault: str) -> None:
    """No token, garbage, another secret or another algorithm: 401 on all endpoints."""
    portal = router.portal()
    for target, role in zip(ENDPOINTS, ROLES, strict=True):
        claims = portal.claims(role)
        payload = json.dumps(claims).encode()
        token = {
            "missing": None,
            "garbage": "a.b.c",
            "wrong-secret": mint(claims, "another-secret-0123456789abcdefghijk"),
            "hs512": forge(payload, {"alg": "HS512", "typ": "JWT"}, "sha512"),
            "none": forge(payload, {"alg": "none", "typ": "JWT"}).rpartition(".")[0] + ".",
        }[fault]
        assert await router.status(target, token) == 401, target


@BOTH
@pytest.mark.parametrize("scheme", ["Basic {}", "{}", "Bearer", "Bearer\t{}", "Token {}"])
@pytest_twisted.ensureDeferred
async def test_check_02_other_schemes_are_refused(router: Router, scheme: str) -> None:
    """A valid token under another scheme than Bearer is no token."""
    headers = {"Authorization": scheme.format(router.portal().host_token)}
    assert await router.status("/connect/host_control", headers=headers) == 401


@BOTH
@pytest.mark.parametrize("scheme", ["bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "])
@pytest_twisted.ensureDeferred
async def test_check_02_the_scheme_may_be_sloppy(router: Router, scheme: str) -> None:
    """The scheme's case and additional spaces do not matter."""
    headers = {"Authorization": scheme.format(router.portal().host_token)}
    assert await router.status("/connect/host_control", headers=headers) == 101


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_03_wrong_roles_are_refused(router: Router) -> None:
    """A host's token is no client's and the other way round: 401, never 403."""
    portal = router.portal()
    await portal.control()
    assert await router.status("/connect/client/ssh", portal.host_token) == 401
    assert await router.status("/connect/host_control", portal.client_token) == 401
    assert await router.status("/connect/host_accept/7", portal.client_token) == 401


@BOTH
@pytest.mark.parametrize("role", ["host", "client"])
@pytest_twisted.ensureDeferred
async def test_check_04_expired_tokens_are_refused(router: Router, role: str) -> None:
    """A token is over two minutes after ``exp`` at the latest; ``iat`` and ``nbf`` say nothing."""
    portal = router.portal()
    await portal.control()
    target = {"host": "/connect/host_control", "client": "/connect/client/ssh"}[role]
    now = int(time.time())
    for exp in (now - 86400, now - 120):
        assert await router.status(target, mint(portal.claims(role, exp=exp))) == 401
    future = portal.claims(role, iat=now + 86400, nbf=now + 86400)
    assert await router.status(target, mint(future)) in ((101,) if role == "host" else (101, 502))


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        {"portal_id": "1234"},
        {"portal_id": True},
        {"portal_id": 1234.0},
        {"portal_id": -1},
        {"portal_id": 2**64},
        {"portal_id": None},
        {"sub": None},
        {"sub": 7},
        {"role": "Host"},
        {"role": ["host"]},
        {"role": None},
        {"exp": None},
        {"exp": "4102444800"},
        {"exp": 4102444800.5},
        {"exp": True},
        {"exp": -1},
    ],
    ids=str,
)
@pytest_twisted.ensureDeferred
async def test_check_05_mistyped_claims_are_refused(
    router: Router, fault: dict[str, object]
) -> None:
    """A claim of another type, out of range or missing: 401."""
    claims = router.portal().claims("host", **fault)
    token = forge(json.dumps(claims).encode())
    assert await router.status("/connect/host_control", token) == 401


@BOTH
@pytest.mark.parametrize("name", ["sub", "exp", "role", "portal_id"])
@pytest_twisted.ensureDeferred
async def test_check_05_a_claim_may_come_once_only(router: Router, name: str) -> None:
    """One claim twice in the JSON: 401, whichever of the two is meant."""
    claims = router.portal().claims("host")
    doubled = json.dumps(claims)[:-1] + f", {json.dumps(name)}: {json.dumps(claims[name])}}}"
    assert await router.status("/connect/host_control", forge(doubled.encode())) == 401


@BOTH
@pytest.mark.parametrize("payload", [b"[]", b"7", b"null", b"{", b"", b"\xff"], ids=repr)
@pytest_twisted.ensureDeferred
async def test_check_05_claims_are_an_object(router: Router, payload: bytes) -> None:
    """A rightly signed token whose payload is no JSON object: 401."""
    assert await router.status("/connect/host_control", forge(payload)) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_06_service_names(router: Router) -> None:
    """ASCII letters, digits, ``-`` and ``_`` make a service of any length; all else is 400."""
    for service in ("a", "A-Z_09", "x" * 200):
        portal = router.portal()
        control = await portal.control()
        await portal.call(service)
        assert (await portal.incoming(control)).service_name == service
    portal = router.portal()
    for service in ("a.b", "a%20b", "%C3%A9", "a%2Fb", "%"):
        assert await router.status(f"/connect/client/{service}", portal.client_token) == 400
    for service in ("", "a/", "a/b", "/a"):
        assert await router.status(f"/connect/client/{service}", portal.client_token) == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_06_the_query_is_no_part_of_the_name(router: Router) -> None:
    """Queries are ignored where they mean nothing."""
    portal = router.portal()
    control = await portal.control("?a=b")
    await portal.call("ssh?name=web")
    assert (await portal.incoming(control)).service_name == "ssh"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_07_nexus(router: Router) -> None:
    """A nexus is a decimal number of 64 bits; an unknown one is 404, and none of these is 101."""
    token = router.portal().host_token
    for nexus in ("abc", "-1", str(2**64), "0x7", "7.0", "%2D7", "++7"):
        assert await router.status(f"/connect/host_accept/{nexus}", token) == 400, nexus
    for nexus in ("0", "7", str(2**64 - 1), "+7", "007"):
        assert await router.status(f"/connect/host_accept/{nexus}", token) == 404, nexus
    assert await router.status("/connect/host_accept/", token) == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_07_a_nexus_may_be_padded(router: Router) -> None:
    """Leading zeros and a plus sign change nothing about a number."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    nexus = (await portal.incoming(control)).nexus
    await portal.accept(f"+00{nexus}")
    assert await client.receive() == CONNECTED


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_08_plain_get_has_no_effect(router: Router) -> None:
    """A GET without upgrade is 400 on each endpoint, and disturbs neither host nor pending call."""
    portal = router.portal()
    control = await portal.control()
    for target, role in zip(ENDPOINTS, ROLES, strict=True):
        token = portal.host_token if role == "host" else portal.client_token
        peer = await router.dial()
        peer.write(request_head(target, bearer(token)))
        assert (await peer.response()).status == 400, target
    await portal.call("after")
    assert (await portal.incoming(control)).service_name == "after"


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


# -- 14-18: a circuit ----------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_14_bulk_both_ways(router: Router) -> None:
    """10 MiB each way at the same time arrive bit by bit."""
    circuit = await router.portal().circuit()

    async def send(sender: RawPeer) -> bytes:
        payload = noise(10 * MiB)
        await sender.send_all(payload)
        return hashlib.sha256(payload).digest()

    async def take(receiver: RawPeer) -> bytes:
        return hashlib.sha256(await receiver.receive_bytes(10 * MiB)).digest()

    up, down, at_host, at_client = await together(
        send(circuit.client), send(circuit.host), take(circuit.host), take(circuit.client)
    )
    assert (at_host, at_client) == (up, down)


@BOTH
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_14_boundaries(router: Router, side: str) -> None:
    """Messages of any length keep their boundaries, and so does a message in fragments."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    messages = [noise(size) for size in (1, 65536, 1, 125, 126, 65535, 65537, 1, 300_000, 2)]
    for message in messages:
        sender.send(Op.BINARY, message)
    for message in messages:
        assert await receiver.receive_message() == Frame(Op.BINARY, message)
    sender.send(Op.BINARY, b"in ", fin=False)
    if router.is_ours:  # demo relays it
        sender.send(Op.PING, b"between")
    sender.send(Op.CONTINUATION, b"", fin=False)
    sender.send(Op.CONTINUATION, b"pieces")
    assert await receiver.receive_message() == Frame(Op.BINARY, b"in pieces")


@demo_differs("T is relayed")
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_15_text_does_not_pass(router: Router, side: str) -> None:
    """A T from either end never reaches the other."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    sender.send(Op.TEXT, b'"Connected"')
    sender.send(Op.BINARY, b"behind it")
    frames: list[Frame] = []
    try:
        while not frames or frames[-1].opcode not in (Op.BINARY, Op.CLOSE):
            frames.append(await receiver.receive())
    except Ended:
        pass
    assert [frame for frame in frames if frame.opcode == Op.TEXT] == []


@demo_differs("64 KiB are lost in a third of the cases", always=False)
@pytest.mark.parametrize("how", ["drop", "half-close"])
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_16_a_drop_loses_nothing(router: Router, side: str, how: str) -> None:
    """A FIN right behind 64 KiB: the other end gets them all, then the end, within 2 s."""
    for _ in range(10):
        circuit = await router.portal().circuit()
        sender, receiver = circuit.sides(side)
        payload = noise(64 * 1024)
        sender.send(Op.BINARY, payload)
        if how == "drop":
            sender.drop()
        else:
            sender.half_close()
        ending = await receiver.ending(END_S)
        assert ending.data == payload
        assert ending.orderly
        await sender.gone(END_S)


@BOTH
@pytest.mark.parametrize(
    ("code", "reason", "replies"),
    [
        (1000, "", True),
        (None, "", True),
        (4321, "bye", True),
        (1011, "", True),
        (1000, "", False),
    ],
    ids=["1000", "none", "4321", "1011", "1000-unanswered"],
)
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_17_a_close_ends_both(
    router: Router, side: str, code: int | None, reason: str, replies: bool
) -> None:
    """A Close comes out at the other end with its code and reason, behind all payload."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    sender.send(Op.BINARY, b"tail")
    sender.send_close(code, reason)
    answer, ending = await together(
        sender.ending(END_S, reply=False), receiver.ending(END_S, reply=replies)
    )
    assert ending.data == b"tail"
    assert ending.close is not None
    assert (ending.close.code, ending.close.reason) == (code, reason)
    assert answer.close is not None
    assert answer.close.code == code


@BOTH
@pytest.mark.parametrize("payload", [b"", b"x" * 125], ids=len)
@pytest_twisted.ensureDeferred
async def test_check_18_pings_while_waiting(router: Router, payload: bytes) -> None:
    """A Ping on a control link or a pending call is answered once, with its payload."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    await portal.incoming(control)
    for peer in (control, client):
        peer.send(Op.PING, payload)
        peer.send(Op.PING, b"second")
        assert await peer.receive() == Frame(Op.PONG, payload)
        assert await peer.receive() == Frame(Op.PONG, b"second")


@demo_differs("it answers a Ping and relays it too")
@pytest.mark.parametrize("side", ["client", "host"])
@pytest_twisted.ensureDeferred
async def test_check_18_pings_in_a_circuit(router: Router, side: str) -> None:
    """A Ping on a data link is answered once, with its payload, and the other end hears nothing."""
    circuit = await router.portal().circuit()
    sender, receiver = circuit.sides(side)
    sender.send(Op.PING, b"are you there")
    sender.send(Op.BINARY, b"behind it")
    assert await sender.receive() == Frame(Op.PONG, b"are you there")
    assert await receiver.receive() == Frame(Op.BINARY, b"behind it")
    receiver.send(Op.PONG, b"unasked")
    await passes(receiver, sender)


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
