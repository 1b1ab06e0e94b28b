"""The websocktunnel router: checks 25-27 and section 6, WebSockets of viewers.

The raw host answers as the application would. Ours splices where the original bridges, so each
test lets frames be cut, masked and answered as either does.
"""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest
import pytest_twisted

from tests.integration.websocktunnel_peers import BOTH, OURS, Host, KiB, MiB, Router, go_differs
from tests.rawpeer import (
    Frame,
    Head,
    MuxStream,
    Op,
    RawPeer,
    accept_key,
    encode_frame,
    noise,
    together,
)
from tests.rawpeer.wire import take_frame

GONE_S = 4.0
BRIDGES = "ends both sides instead of passing the Close on"

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


class Application:
    """The far end of a viewer's WebSocket: frames on a stream."""

    def __init__(self, stream: MuxStream) -> None:
        self.stream = stream

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame, unmasked as a server's are."""
        self.stream.send(encode_frame(opcode, payload, fin=fin))

    async def receive(self) -> Frame:
        """:returns: the next frame, which must be masked"""
        buffer = self.stream.received
        frame = await self.stream.link.until(lambda: take_frame(buffer), "frame")
        assert frame.masked
        return frame

    async def receive_message(self) -> Frame:
        """:returns: the next message, its fragments joined"""
        first = last = await self.receive()
        parts = [first.payload]
        while not last.fin:
            last = await self.receive()
            assert last.opcode == Op.CONTINUATION
            parts.append(last.payload)
        return first._replace(payload=b"".join(parts), fin=True)


class Socket(NamedTuple):
    """A viewer's WebSocket that stands.

    :ivar request: what the application was asked
    :ivar answer: what the viewer was answered
    """

    viewer: RawPeer
    app: Application
    request: Head
    answer: Head


async def ask(host: Host, path: str, **headers: str) -> tuple[RawPeer, MuxStream, Head]:
    """:returns: a viewer that asks for a WebSocket, its stream, and the application's request"""
    viewer = await host.router.dial()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    asking = together(viewer.upgrade(f"/{host.tunnel}{path}", names))
    asking.addErrback(lambda _: None)  # the test says what it waits for
    stream = await host.link.accept()
    return viewer, stream, await stream.head()


async def connect(host: Host, path: str = "/ws", more: str = "", **headers: str) -> Socket:
    """:param more: header lines of the application's 101
    :returns: a WebSocket between a viewer and the application
    """
    viewer = await host.router.dial()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    asking = together(viewer.upgrade(f"/{host.tunnel}{path}", names))
    stream = await host.link.accept()
    request = await stream.head()
    stream.send(switching(request, more))
    (answer,) = await asking
    assert answer.status == 101, answer
    return Socket(viewer, Application(stream), request, answer)


def switching(request: Head, more: str = "") -> bytes:
    """:returns: the 101 that answers ``request``"""
    key = accept_key(request.header("Sec-WebSocket-Key") or "")
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {key}\r\n{more}\r\n"
    ).encode()


@BOTH
@pytest_twisted.ensureDeferred
async def test_the_handshake(wst: Router) -> None:
    """The application is asked for a WebSocket with the viewer's headers and the path behind it."""
    host = await wst.host()
    socket = await connect(
        host, "/ws?a=b%20c", Cookie="k=v", Origin="https://other.example", X_Own="1"
    )
    asked = socket.request
    assert asked.first_line == "GET /ws?a=b%20c HTTP/1.1"
    assert (asked.header("Upgrade") or "").lower() == "websocket"
    assert "upgrade" in (asked.header("Connection") or "").lower()
    assert asked.header("Sec-WebSocket-Version") == "13"
    assert len(base64.b64decode(asked.header("Sec-WebSocket-Key") or "")) == 16
    assert asked.header("Cookie") == "k=v"
    assert asked.header("Origin") == "https://other.example"
    assert asked.header("X-Own") == "1"
    assert asked.header("Host") == "router.example"
    assert asked.header("x-websocktunnel-original-path") == f"/{host.tunnel}/ws"


@BOTH
@pytest.mark.parametrize("opcode", [Op.TEXT, Op.BINARY])
@pytest_twisted.ensureDeferred
async def test_check_25_messages(wst: Router, opcode: Op) -> None:
    """Messages of any size keep their kind and their bytes, both ways, empty ones too."""
    socket = await connect(await wst.host())
    for payload in (b"", b"hi", b"x" * 125, b"y" * 70_000):
        socket.viewer.send(opcode, payload)
        got = await socket.app.receive_message()
        assert (got.opcode, got.payload) == (opcode, payload)
        socket.app.send(opcode, payload)
        got = await socket.viewer.receive_message()
        assert (got.opcode, got.payload, got.masked) == (opcode, payload, False)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_25_a_mebibyte(wst: Router) -> None:
    """A binary message of 1 MiB comes back as it was."""
    socket = await connect(await wst.host())
    payload = noise(MiB)
    socket.viewer.send(Op.BINARY, payload)
    assert (await socket.app.receive_message()).payload == payload
    socket.app.send(Op.BINARY, payload)
    assert (await socket.viewer.receive_message()).payload == payload


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_25_fragments(wst: Router) -> None:
    """A message in fragments arrives as one message, from either side."""
    socket = await connect(await wst.host())
    for sender, receiver in ((socket.viewer, socket.app), (socket.app, socket.viewer)):
        sender.send(Op.TEXT, b"one ", fin=False)
        sender.send(Op.CONTINUATION, b"two ", fin=False)
        sender.send(Op.CONTINUATION, b"three")
        got = await receiver.receive_message()
        assert (got.opcode, got.payload) == (Op.TEXT, b"one two three")


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_26_pings(wst: Router) -> None:
    """A Ping passes with its payload, and is answered by the other end alone, exactly once."""
    socket = await connect(await wst.host())
    for sender, receiver in ((socket.viewer, socket.app), (socket.app, socket.viewer)):
        sender.send(Op.PING, b"payload")
        ping = await receiver.receive()
        assert (ping.opcode, ping.payload) == (Op.PING, b"payload")
        receiver.send(Op.PONG, b"payload")
        pong = await sender.receive()
        assert (pong.opcode, pong.payload) == (Op.PONG, b"payload")
        # nothing else came, and nothing else comes before the next message
        receiver.send(Op.TEXT, b"behind")
        assert (await sender.receive_message()).payload == b"behind"


@BOTH
@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest_twisted.ensureDeferred
async def test_check_27_the_viewer_drops_tcp(wst: Router, how: str) -> None:
    """When the viewer is gone the stream ends soon, without a Close: the application sees 1006."""
    host = await wst.host()
    socket = await connect(host)
    (socket.viewer.drop if how == "fin" else socket.viewer.reset)()
    left = await socket.app.stream.finished(GONE_S)
    assert left == b""
    socket.app.stream.fin()
    await host.serves()
    assert socket.app.stream.fins == 1


@BOTH
@pytest.mark.parametrize("how", ["fin", "link"])
@pytest_twisted.ensureDeferred
async def test_the_application_is_gone(wst: Router, how: str) -> None:
    """When the application's stream or the link ends, so does the viewer's connection."""
    host = await wst.host()
    socket = await connect(host)
    if how == "fin":
        socket.app.stream.fin()
        await socket.app.stream.finished(GONE_S)
    else:
        host.link.peer.reset()
    await socket.viewer.gone(GONE_S)


@go_differs(BRIDGES)
@pytest.mark.parametrize("first", ["viewer", "app"])
@pytest_twisted.ensureDeferred
async def test_closes(wst: Router, first: str) -> None:
    """Close codes pass from end to end, and so do the answers."""
    socket = await connect(await wst.host())
    one: RawPeer | Application = socket.viewer
    other: RawPeer | Application = socket.app
    if first == "app":
        one, other = other, one
    body = (4321).to_bytes(2, "big") + b"own words"
    one.send(Op.CLOSE, body)
    frame = await other.receive()
    assert (frame.opcode, frame.payload) == (Op.CLOSE, body)
    other.send(Op.CLOSE, body[:2])
    frame = await one.receive()
    assert (frame.opcode, frame.payload) == (Op.CLOSE, body[:2])
    socket.app.stream.fin()
    await socket.app.stream.finished()
    await socket.viewer.gone()


@go_differs("answers 200 with an empty body")
@pytest.mark.parametrize("status", [400, 403, 404, 503])
@pytest_twisted.ensureDeferred
async def test_refusals(wst: Router, status: int) -> None:
    """The application's refusal reaches the viewer with its headers and its body."""
    host = await wst.host()
    viewer = await wst.dial()
    asking = together(viewer.upgrade(f"/{host.tunnel}/ws"))
    stream = await host.link.accept()
    await stream.head()
    text = f"HTTP/1.1 {status} No\r\nX-Why: because\r\nContent-Length: 4\r\n\r\nwhy?"
    stream.respond(text.encode())
    (answer,) = await asking
    assert (answer.status, answer.header("X-Why"), answer.body) == (status, "because", b"why?")
    await stream.finished()


@BOTH
@pytest_twisted.ensureDeferred
async def test_refusals_end_the_stream(wst: Router) -> None:
    """A stream whose application refused ends with FIN."""
    host = await wst.host()
    viewer, stream, _ = await ask(host, "/ws")
    stream.respond(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    await stream.finished()
    viewer.drop()
    await host.serves()


@go_differs("tells the viewer its own first offer, and none of the application's headers")
@pytest_twisted.ensureDeferred
async def test_subprotocols_and_cookies(wst: Router) -> None:
    """The application's choice of a subprotocol, and its cookie, reach the viewer."""
    host = await wst.host()
    socket = await connect(
        host,
        more="Sec-WebSocket-Protocol: two\r\nSet-Cookie: a=1\r\n",
        Sec_WebSocket_Protocol="one, two",
    )
    assert socket.request.header("Sec-WebSocket-Protocol") == "one, two"
    assert socket.answer.header("Sec-WebSocket-Protocol") == "two"
    assert socket.answer.header("Set-Cookie") == "a=1"


@go_differs("drops the viewer's offers")
@pytest_twisted.ensureDeferred
async def test_extensions(wst: Router) -> None:
    """Extensions are between the ends: offer, choice and the bits of frames pass."""
    offer = "permessage-deflate; client_max_window_bits"
    more = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    socket = await connect(await wst.host(), more=more, Sec_WebSocket_Extensions=offer)
    assert socket.request.header("Sec-WebSocket-Extensions") == offer
    assert socket.answer.header("Sec-WebSocket-Extensions") == "permessage-deflate"
    socket.viewer.send(Op.BINARY, b"compressed", rsv=4)
    assert (await socket.app.receive()).rsv == 4


@OURS
@pytest_twisted.ensureDeferred
async def test_frames_behind_the_handshake(wst: Router) -> None:
    """Frames that the application sends with its 101 arrive, in one DAT with it or not."""
    host = await wst.host()
    viewer, stream, request = await ask(host, "/ws")
    stream.send(switching(request) + encode_frame(Op.TEXT, b"early"))
    assert (await viewer.receive()).payload == b"early"


@OURS
@pytest_twisted.ensureDeferred
async def test_nobody_answers(wst: Router) -> None:
    """A WebSocket to nobody is 504, to a stream that ends at once 502."""
    host = await wst.host()
    peer = await wst.dial()
    assert (await peer.upgrade("/nobody/ws")).status == 504
    viewer = await wst.dial()
    asking = together(viewer.upgrade(f"/{host.tunnel}/ws"))
    (await host.link.accept()).fin()
    assert (await asking)[0].status == 502


@BOTH
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest_twisted.ensureDeferred
async def test_a_stopped_reader_stops_the_sender(wst: Router, direction: str) -> None:
    """An end that does not read holds up the other one, and nothing else of the link."""
    host = await wst.host(window=64 * KiB, refunds=False)
    socket = await connect(host)
    if direction == "up":
        sending = together(socket.viewer.send_all(bytes(64 * MiB)))
        stream = socket.app.stream
        await host.link.until(lambda: True if stream.arrived == 64 * KiB else None, "the window")
        await host.serves()
        assert not sending.called
        assert stream.arrived == 64 * KiB
        sending.addErrback(lambda _: None)  # it ends with the connection
        socket.viewer.reset()
        await sending
        return
    socket.viewer.pause()
    frame = encode_frame(Op.BINARY, bytes(32 * MiB))
    sending = together(socket.app.stream.send_all(frame, 30.0))
    await host.link.until(lambda: socket.app.stream.credit == 0 or None, "the end of the credit")
    await host.serves()
    assert not sending.called
    socket.viewer.resume()
    assert len((await socket.viewer.receive_message(30.0)).payload) == 32 * MiB
    await sending
