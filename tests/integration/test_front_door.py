"""The router's front door: who waits in front of it, who is turned away, and with what words."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted

from relay.links import front
from relay.settings.model import Limits
from tests.integration.portal_peers import END_S, RouterMaker, bearer
from tests.rawpeer import PERFECT_HANDSHAKE, Head, request_head, until

CONTROL = "/connect/host_control"
CLIENT = "/connect/client/ssh"
SHORT_S = 0.3

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
    assert front.QUEUE_TIMEOUT_S == 5
    monkeypatch.setattr(front, "QUEUE_TIMEOUT_S", SHORT_S)
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
    await until(lambda: True if hall.visitors.total() < 3 else None, "room")
    assert await router.status(CLIENT, portal.client_token) == 101
    assert (await portal.incoming(control)).service_name == "ssh"
    assert len(calls) == 5
