"""The router's front door: who waits in front of it, who is turned away, and with what words."""

from __future__ import annotations

import socket
import struct
from typing import Any, cast

import pytest
import pytest_twisted

from relay.links import turns
from relay.settings.model import Limits
from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import END_S, bearer
from tests.rawpeer import PERFECT_HANDSHAKE, Ended, Head, RawPeer, request_head, together, until

CONTROL = "/connect/host_control"
CLIENT = "/connect/client/ssh"
SHORT_S = 0.3
VISITOR = "192.0.2.7"

pytest_plugins = ["tests.integration.portal_fixtures"]


def limits(**changes: Any) -> Limits:
    """:returns: limits with these changes, and any number of failed logins"""
    return Limits(**{"failed_logins_per_min": 0, **changes})


def handshake(token: str, **headers: str) -> bytes:
    """:returns: a perfect request for a control link"""
    return request_head(CONTROL, {**PERFECT_HANDSHAKE, **bearer(token), **headers})


def what_is_wrong(head: Head) -> tuple[int, str | None]:
    """:returns: status and reason of a refusal"""
    return head.status, head.header("X-Relay-Reason")


# -- requests ------------------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_peer_that_sends_no_more_is_answered(start_router: RouterMaker) -> None:
    """A FIN right behind the request says nothing about the answer (``nc -N``)."""
    router, _ = await start_router.start()
    for _ in range(10):
        peer = await router.dial()
        peer.stays_half_open = True
        peer.write(request_head(CONTROL, PERFECT_HANDSHAKE))
        peer.half_close()
        assert what_is_wrong(await peer.response()) == (401, "token-missing")
        await peer.half_ended()
        peer.drop()
    await router.comes_to_rest()


@pytest_twisted.ensureDeferred
async def test_a_peer_that_left_behind_its_request_registers_nothing(
    start_router: RouterMaker,
) -> None:
    """A handshake whose sender is gone leaves neither an offer nor a descriptor."""
    router, _ = await start_router.start()
    portal = router.portal()
    peer = await router.dial()
    peer.stays_half_open = True
    peer.write(handshake(portal.host_token))
    peer.half_close()
    await peer.half_ended()
    peer.drop()
    await router.comes_to_rest()
    assert await router.status(CLIENT, portal.client_token) == 502


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Origin", "null"),
        ("Origin", "::::"),
        ("Origin", "file:///index.html"),
        ("Sec-WebSocket-Protocol", "chat, chat"),
        ("Sec-WebSocket-Protocol", ",;"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Extensions", ";;=,"),
        ("Cookie", "a=b"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_headers_that_mean_nothing_here(
    start_router: RouterMaker, name: str, value: str
) -> None:
    """The original looks at none of them; nothing is agreed on in the answer."""
    router, _ = await start_router.start()
    portal = router.portal()
    peer = await router.dial()
    peer.write(handshake(portal.host_token, **{name: value}))
    head = await peer.response()
    assert head.status == 101
    assert head.header("Sec-WebSocket-Protocol") is None
    assert head.header("Sec-WebSocket-Extensions") is None
    assert await router.status(CLIENT, portal.client_token) == 101


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "more than once"),
        ("Sec-WebSocket-Version: 13", "more than once"),
        ("Content-Length: 5", "no body"),
        ("Transfer-Encoding: chunked", "no body"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_handshakes_that_cannot_be(start_router: RouterMaker, lines: str, word: str) -> None:
    """What RFC 6455 forbids is refused in our words, and what looks like a body is no frame."""
    router, _ = await start_router.start()
    portal = router.portal()
    peer = await router.dial()
    head = handshake(portal.host_token)
    peer.write(head[:-2] + lines.encode() + b"\r\n\r\nhello")
    answer = await peer.response()
    assert what_is_wrong(answer) == (400, "protocol-error")
    assert word in answer.body.decode()
    assert await router.status(CLIENT, portal.client_token) == 502


# -- queues and limits ---------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_full_queue_is_told_of(
    start_router: RouterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited 5 s for its turn gets 503 ``limit`` with Retry-After; who left is forgotten."""
    assert turns.QUEUE_TIMEOUT_S == 5
    monkeypatch.setattr(turns, "QUEUE_TIMEOUT_S", SHORT_S)
    router, _ = await start_router.start(limits(handshakes=1))
    portal = router.portal()
    busy = await router.dial()
    leaving, waiting, silent = [await router.dial() for _ in range(3)]
    waiting.write(handshake(portal.host_token))
    leaving.reset()
    head = await waiting.response(SHORT_S + END_S)
    assert what_is_wrong(head) == (503, "limit")
    assert head.header("Retry-After") == "2"
    await waiting.gone(END_S)
    assert (await silent.response(END_S)).status == 503
    busy.drop()
    assert await router.status(CONTROL, portal.host_token) == 101


@pytest_twisted.ensureDeferred
async def test_visitors_of_one_address_are_bounded(start_router: RouterMaker) -> None:
    """Connections without a grant are; those with one, and those that left, are not counted."""
    router, ours = await start_router.start(limits(links_per_address=3))
    portal = router.portal()
    control = await portal.control()
    calls = [await portal.call() for _ in range(5)]
    visitors = [await router.dial() for _ in range(3)]
    one_more = await router.dial()
    head = await one_more.response()
    assert what_is_wrong(head) == (503, "limit")
    assert head.header("Retry-After") == "1"
    await one_more.gone(END_S)
    visitors[0].drop()
    await visitors[0].gone()

    # whoever was turned away counts until it has heard so
    hall = ours.service._hall
    await until(lambda: True if hall.turns.visitors.total() < 3 else None, "room")
    assert await router.status(CLIENT, portal.client_token) == 101
    assert (await portal.incoming(control)).service_name == "ssh"
    assert len(calls) == 5


# -- the PROXY protocol --------------------------------------------------------------------------

V1 = f"PROXY TCP4 {VISITOR} 198.51.100.1 51234 443\r\n".encode()
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11"
    + struct.pack("!H", 12)
    + socket.inet_aton(VISITOR)
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 51234, 443)
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
BEHIND_A_PROXY: dict[str, Any] = {"proxy_protocol": True, "trusted_proxies": ("127.0.0.0/8",)}


@pytest.mark.parametrize(
    ("header", "peer"),
    [(V1, VISITOR), (V2, VISITOR), (LOCAL, "127.0.0.1"), (b"PROXY UNKNOWN\r\n", "127.0.0.1")],
    ids=["v1", "v2", "local", "unknown"],
)
@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest_twisted.ensureDeferred
async def test_a_proxy_names_the_visitor(
    start_router: RouterMaker, header: bytes, peer: str, pieces: str
) -> None:
    """The link carries the address that the header names, however the header is cut."""
    router, ours = await start_router.start(limits(), **BEHIND_A_PROXY)
    portal = router.portal()
    visitor = await router.dial()
    opening = header + handshake(portal.host_token)
    if pieces == "whole":
        visitor.write(opening)
    else:
        for byte in opening:
            visitor.write(bytes([byte]))
            await visitor.writable()
    assert (await visitor.response()).status == 101
    (session,) = ours.service.broker.sessions
    assert session.label.startswith(f"{peer}:")


@pytest.mark.parametrize(
    "opening",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 a b\r\n",
        b"PROXY TCP4 \xff\x1b[31m 198.51.100.1 1 2\r\n",
        b"PROXY " + b"x" * 200,
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x13\x00\x00" + b"x\r\n\r\n",
        V2[:12] + b"\x99" + V2[13:],
    ],
    ids=repr,
)
@pytest_twisted.ensureDeferred
async def test_garbage_instead_of_a_proxy_header(start_router: RouterMaker, opening: bytes) -> None:
    """Whoever does not begin with a proper header gets no answer, and leaves nothing behind."""
    router, _ = await start_router.start(limits(), **BEHIND_A_PROXY)
    peer = await router.dial()
    peer.write(opening)
    if b"\x21\x13" in opening:
        # a transport that is no TCP: the header is passed over, and what follows is no request
        assert what_is_wrong(await peer.response()) == (400, "protocol-error")
    else:
        with pytest.raises(Ended):
            await peer.response()
    await router.comes_to_rest()


@pytest_twisted.ensureDeferred
async def test_a_proxy_header_that_never_comes(start_router: RouterMaker) -> None:
    """It has as long as a head; who left before is forgotten."""
    router, _ = await start_router.start(limits(head_s=SHORT_S), **BEHIND_A_PROXY)
    silent, half, leaving = [await router.dial() for _ in range(3)]
    half.write(V1[:10])
    leaving.write(V1[:10])
    leaving.reset()
    await together(silent.gone(SHORT_S + END_S), half.gone(SHORT_S + END_S))
    await router.comes_to_rest()


@pytest_twisted.ensureDeferred
async def test_only_listed_proxies_are_believed(start_router: RouterMaker) -> None:
    """Where the PROXY protocol is spoken, everybody but the listed proxies is turned away."""
    router, _ = await start_router.start(
        limits(), proxy_protocol=True, trusted_proxies=("198.51.100.1",)
    )
    for opening in (V1, V2, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
        peer = await router.dial()
        peer.write(opening)
        with pytest.raises(Ended):
            await peer.response()
    await router.comes_to_rest()


@pytest_twisted.ensureDeferred
async def test_visitors_behind_a_proxy_are_told_apart(start_router: RouterMaker) -> None:
    """``links-per-address`` counts the addresses that the proxy names, not the proxy's own."""
    router, _ = await start_router.start(limits(links_per_address=1), **BEHIND_A_PROXY)

    async def visitor(address: str) -> RawPeer:
        peer = await router.dial()
        peer.write(f"PROXY TCP4 {address} 198.51.100.1 51234 443\r\n".encode())
        return peer

    first = await visitor("192.0.2.1")
    again = await visitor("192.0.2.1")
    assert (await again.response()).status == 503
    other = await visitor("192.0.2.2")
    other.write(request_head(CONTROL, PERFECT_HANDSHAKE))
    assert (await other.response()).status == 401
    first.write(request_head(CONTROL, PERFECT_HANDSHAKE))
    assert (await first.response()).status == 401


@pytest_twisted.ensureDeferred
async def test_the_admin_address_is_behind_no_proxy(start_router: RouterMaker) -> None:
    """``relay status`` and Prometheus speak plain HTTP, whatever the public listeners expect."""
    router, ours = await start_router.start(
        limits(), admin="tcp:0:interface=127.0.0.1", **BEHIND_A_PROXY
    )
    port = await until(lambda: ours.service.addresses[-1][1].port, "admin address")
    assert port != router.port
    admin = type(router)("ours", cast(int, port), router.descriptors)
    peer = await admin.dial()
    peer.write(request_head("/livez"))
    assert (await peer.response()).status == 200
    peer.drop()


@pytest_twisted.ensureDeferred
async def test_visitors_behind_a_proxy_wait_for_their_turn(start_router: RouterMaker) -> None:
    """A request that came with the header waits like any other, and is counted off in the end."""
    router, ours = await start_router.start(limits(handshakes=1), **BEHIND_A_PROXY)
    portal = router.portal()
    hall = ours.service._hall
    busy = await router.dial()
    busy.write(V1)
    await until(lambda: hall.turns.handshakes or None, "handshake")
    waiting = await router.dial()
    waiting.write(V1 + handshake(portal.host_token))
    await until(lambda: hall.turns.queue or None, "queue")
    assert waiting.nothing_came()
    assert not ours.service.broker.sessions
    busy.drop()
    assert (await waiting.response()).status == 101
    assert (hall.turns.handshakes, len(hall.turns.queue)) == (0, 0)


@pytest_twisted.ensureDeferred
async def test_a_full_queue_behind_a_proxy(
    start_router: RouterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is turned away is told why, and no reset follows for what was not read."""
    monkeypatch.setattr(turns, "QUEUE_TIMEOUT_S", SHORT_S)
    router, ours = await start_router.start(limits(handshakes=1), **BEHIND_A_PROXY)
    busy = await router.dial()
    busy.write(V1)
    await until(lambda: ours.service._hall.turns.handshakes or None, "handshake")
    waiting = await router.dial()
    waiting.write(V1)
    await until(lambda: ours.service._hall.turns.queue or None, "queue")
    waiting.write(handshake(router.portal().host_token))
    assert (await waiting.response(SHORT_S + END_S)).status == 503
    await waiting.everything(END_S)
