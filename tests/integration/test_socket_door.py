"""Local doors at which WebSocket is spoken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from relay.errors import CannotListen
from relay.interfaces import IStream
from relay.links.socket_door import MESSAGE_BYTES, tcp_endpoint
from relay.vocabulary import Reason
from tests.integration.outward_room import Room, talk
from tests.rawpeer import Op, RawPeer, connect, until

ORIGIN = "https://lab.example"


class Doorway(Room):
    """A client's outside with a door for WebSockets, and what came through it."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.streams: list[IStream] = []
        self.local = 0

    async def work(self, test: Callable[[Doorway], Any]) -> None:
        """Open the door, do ``test``, and end what it began."""

        async def run(_: Room) -> None:
            address = await self.outward.listen("ws:0", self.streams.append)
            assert address.startswith("127.0.0.1:")
            self.local = int(address.rpartition(":")[2])
            await test(self)

        await self.run(run)

    async def visit(self, path: str = "/", **headers: str) -> RawPeer:
        """:returns: an open WebSocket at the door"""
        peer = await connect(self.local)
        assert (await peer.upgrade(path, headers)).status == 101
        return peer

    async def stream(self, number: int = 0) -> IStream:
        """:returns: the stream that was handed over"""
        await until(lambda: len(self.streams) > number or None, "stream")
        return self.streams[number]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("ws:8001", "tcp:8001:interface=127.0.0.1"),
        ("ws:8001:interface=0.0.0.0", "tcp:8001:interface=0.0.0.0"),
        (r"ws:8001:interface=\:\:1", r"tcp:8001:interface=\:\:1"),
        ("ws:8001:backlog=5", "tcp:8001:backlog=5:interface=127.0.0.1"),
    ],
)
def test_where_a_door_is(endpoint: str, expected: str) -> None:
    """On loopback, unless it says otherwise."""
    assert tcp_endpoint(endpoint) == expected


@pytest_twisted.ensureDeferred
async def test_two_visitors_are_joined() -> None:
    """Kinds, boundaries and empty messages are kept, also of what came before the joining."""

    async def test(room: Doorway) -> None:
        one = await room.visit("/any/path?with=query")
        one.send(Op.TEXT, b"early \xff")
        first = await room.stream()
        two = await room.visit()
        over = room.outward.join(first, await room.stream(1), "test")
        frame = await two.receive_message()
        assert (frame.opcode, frame.payload) == (Op.TEXT, b"early \xff")
        for kind, payload in ((Op.BINARY, b"bytes"), (Op.BINARY, b""), (Op.TEXT, b"words")):
            two.send(kind, payload)
            frame = await one.receive_message()
            assert (frame.opcode, frame.payload) == (kind, payload)
        one.send_close(1000)
        assert (await two.ending()).close is not None
        assert await over is Reason.PEER_CLOSED

    await Doorway().work(test)


@pytest_twisted.ensureDeferred
async def test_a_visitor_and_a_link_of_ours() -> None:
    """The link ends with the visitor, and the other way round."""

    async def test(room: Doorway) -> None:
        visitor = await room.visit()
        dialling = Deferred.fromCoroutine(
            room.outward.websocket_at(room.url("/", "ws"), {}, talk, lambda _: None)
        )
        far, _ = await room.server.accept_upgrade()
        session = await dialling
        over = room.outward.join(await room.stream(), session.stream(), "test")
        visitor.send(Op.BINARY, b"a" * 100_000)
        assert (await far.receive_message()).payload == b"a" * 100_000
        visitor.reset()
        ending = await far.ending()
        assert ending.close is not None
        await over

    await Doorway().work(test)


@pytest.mark.parametrize(
    ("offered", "agreed"), [("null", "null"), ("a, null", "null"), ("a", None), (None, None)]
)
@pytest_twisted.ensureDeferred
async def test_the_subprotocol_null(offered: str | None, agreed: str | None) -> None:
    """It is agreed to where it is offered, and no other is."""

    async def test(room: Doorway) -> None:
        peer = await connect(room.local)
        headers = {} if offered is None else {"Sec-WebSocket-Protocol": offered}
        head = await peer.upgrade("/", headers)
        assert head.status == 101
        assert head.header("Sec-WebSocket-Protocol") == agreed

    await Doorway().work(test)


@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ((), "https://any.example", 101),
        ((ORIGIN,), ORIGIN, 101),
        ((ORIGIN,), None, 101),
        ((ORIGIN,), "https://any.example", 403),
    ],
)
@pytest_twisted.ensureDeferred
async def test_pages_of_other_origins(
    origins: tuple[str, ...], origin: str | None, status: int
) -> None:
    """Any may connect, unless the settings list those that may."""

    async def test(room: Doorway) -> None:
        peer = await connect(room.local)
        headers = {} if origin is None else {"Origin": origin}
        assert (await peer.upgrade("/", headers)).status == status

    await Doorway(values={"origins": origins}).work(test)


@pytest_twisted.ensureDeferred
async def test_what_is_no_handshake() -> None:
    """It is refused, and hands nothing over."""

    async def test(room: Doorway) -> None:
        peer = await connect(room.local)
        peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await peer.response()).status == 400
        assert room.streams == []

    await Doorway().work(test)


@pytest_twisted.ensureDeferred
async def test_a_message_that_is_too_long() -> None:
    """Its sender is told by a Close."""

    async def test(room: Doorway) -> None:
        visitor, other = await room.visit(), await room.visit()
        room.outward.join(await room.stream(), await room.stream(1), "test")
        part = b"a" * (1 << 20)
        visitor.send(Op.BINARY, part, fin=False)
        for _ in range(MESSAGE_BYTES // len(part)):
            visitor.send(Op.CONTINUATION, part, fin=False)
        ending = await visitor.ending()
        assert ending.close is not None
        assert ending.close.code == 1009
        await other.ending()

    await Doorway().work(test)


@pytest_twisted.ensureDeferred
async def test_a_client_that_stops() -> None:
    """Who waits at the door is told by a Close."""

    async def test(room: Doorway) -> None:
        visitor = await room.visit()
        await room.stream()
        stopping = Deferred.fromCoroutine(room.outward.stop(0))
        ending = await visitor.ending()
        assert ending.close is not None
        assert ending.close.code == 1012
        await stopping

    await Doorway().work(test)


@pytest_twisted.ensureDeferred
async def test_a_door_that_cannot_be_opened() -> None:
    """The sentence says where; nothing is left of the attempt."""

    async def test(room: Doorway) -> None:
        with pytest.raises(CannotListen, match=f"127.0.0.1:{room.local}"):
            await room.outward.listen(f"ws:{room.local}", room.streams.append)

    await Doorway().work(test)
