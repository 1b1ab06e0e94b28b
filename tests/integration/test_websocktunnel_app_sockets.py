"""A real application's WebSockets behind the tunnel: messages, choices, codes and ends."""

from __future__ import annotations

import json

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from tests.integration.websocktunnel_app_tunnels import Tunnel
from tests.rawpeer import PERFECT_HANDSHAKE, Frame, Head, Op, RawPeer, connect, noise

pytest_plugins = ["tests.integration.websocktunnel_app_fixtures"]

LONG_BYTES = 1024 * 1024
ABNORMAL = 1006
VIEWERS = 50


async def opened(tunnel: Tunnel, query: str = "", **headers: str) -> tuple[RawPeer, Head]:
    """:returns: a viewer, and what it was answered"""
    viewer = await connect(tunnel.port)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    head = await viewer.upgrade(f"{tunnel.prefix}/ws{query}", fields)
    return viewer, head


async def how_it_ended(tunnel: Tunnel, room: str) -> dict[str, object]:
    """:returns: what the application saw at the end of a viewer in that room"""
    answer = await deferToThread(tunnel.ask, f"board?name=closed-{room}")
    seen: dict[str, object] = json.loads(answer.body)
    return seen


@pytest_twisted.ensureDeferred
async def test_messages(tunnel: Tunnel) -> None:
    """Text stays text, binary stays binary, long messages and fragments come whole."""
    viewer, head = await opened(tunnel)
    assert head.status == 101
    viewer.send(Op.TEXT, "grüß Gott".encode())
    assert await viewer.receive_message() == Frame(Op.TEXT, "grüß Gott".encode())
    payload = noise(LONG_BYTES)
    viewer.send(Op.BINARY, payload)
    assert await viewer.receive_message() == Frame(Op.BINARY, payload)
    viewer.send(Op.TEXT, b"in ", fin=False)
    viewer.send(Op.CONTINUATION, b"pieces")
    assert await viewer.receive_message() == Frame(Op.TEXT, b"in pieces")
    viewer.drop()


@pytest_twisted.ensureDeferred
async def test_pings(tunnel: Tunnel) -> None:
    """The application answers a viewer's Ping, once."""
    viewer, _ = await opened(tunnel)
    viewer.send(Op.PING, b"are you there")
    assert await viewer.receive() == Frame(Op.PONG, b"are you there")
    viewer.send(Op.TEXT, b"next")
    assert await viewer.receive_message() == Frame(Op.TEXT, b"next")
    viewer.drop()


@pytest_twisted.ensureDeferred
async def test_what_the_application_chooses(tunnel: Tunnel) -> None:
    """Its subprotocol and its headers are told; the original tells the first offer, and no more."""
    offer = "other, echo.v1, echo.v2"
    viewer, head = await opened(tunnel, Sec_WebSocket_Protocol=offer)
    assert head.status == 101
    chosen = head.header("Sec-WebSocket-Protocol")
    if tunnel.has_our_router:
        assert chosen == "echo.v2"
        assert head.header("X-Seen-Path") == "/ws"
        assert head.header("Set-Cookie") == "socket=opened"
    else:
        assert chosen == "other"
    viewer.drop()


def test_a_refusal_of_the_application(tunnel: Tunnel) -> None:
    """Its 403 is the viewer's; the original answers an empty 200."""
    answer = tunnel.ask("ws?refuse=yes", "GET", None, **PERFECT_HANDSHAKE)
    assert answer.status == (403 if tunnel.has_our_router else 200)


@pytest_twisted.ensureDeferred
async def test_the_application_closes(tunnel: Tunnel) -> None:
    """Its code and reason reach the viewer; the original drops the connection."""
    viewer, _ = await opened(tunnel)
    viewer.send(Op.TEXT, b"close 4321 enough of it")
    ending = await viewer.ending()
    if tunnel.has_our_router:
        assert ending.close is not None
        assert (ending.close.code, ending.close.reason) == (4321, "enough of it")
    else:
        assert ending.close is None


@pytest_twisted.ensureDeferred
async def test_the_viewer_closes(tunnel: Tunnel) -> None:
    """Its code and reason reach the application; the original only ends the connection."""
    room = f"closes-{tunnel.name}"
    viewer, _ = await opened(tunnel, f"?room={room}")
    viewer.send_close(4002, "closed by the viewer")
    ending = await viewer.ending()
    seen = await how_it_ended(tunnel, room)
    if tunnel.has_our_router:
        assert ending.close is not None
        assert ending.close.code == 4002
        assert seen == {"clean": True, "code": 4002, "reason": "closed by the viewer"}
    else:
        assert (seen["clean"], seen["code"]) == (False, ABNORMAL)


@pytest.mark.parametrize("how", ["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_the_viewer_vanishes(tunnel: Tunnel, how: str) -> None:
    """The application is told of a connection that is gone, as it would be without a tunnel."""
    room = f"{how}-{tunnel.name}"
    viewer, _ = await opened(tunnel, f"?room={room}")
    viewer.send(Op.TEXT, b"here")
    await viewer.receive_message()
    getattr(viewer, how)()
    seen = await how_it_ended(tunnel, room)
    assert (seen["clean"], seen["code"]) == (False, ABNORMAL)


@pytest_twisted.ensureDeferred
async def test_many_viewers(tunnel: Tunnel) -> None:
    """Many WebSockets stand at the same time, and each has its own echo."""
    viewers = [(await opened(tunnel))[0] for _ in range(VIEWERS)]
    for number, viewer in enumerate(viewers):
        viewer.send(Op.TEXT, b"viewer %d" % number)
    for number, viewer in enumerate(viewers):
        assert await viewer.receive_message() == Frame(Op.TEXT, b"viewer %d" % number)
    for viewer in viewers:
        viewer.drop()
