"""One end of ours of a wsmux link, in the cut-through gear on a socket; the test is its far end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from twisted.internet.testing import MemoryReactorClock

from relay.links.cutthrough import Hub
from relay.links.cutthrough.channel import PlainChannel
from relay.links.cutthrough.framed import FrameEnd
from relay.vocabulary import Message, Reason
from relay.wire.wsmux import Frame as MuxFrame
from relay.wire.wsmux import FrameReader, Kind, encode_ack, encode_dat, encode_fin, encode_syn
from tests.fakes import FakeStream, PassingStream, World
from tests.rawpeer import Frame, Op, encode_frame
from tests.rawpeer.peer import MASK
from tests.rawpeer.wire import take_frame
from tests.unit.mux_rooms import host_end, router_end
from tests.unit.stream_rooms import Side

KiB = 1024
TURNS = 10_000
WINDOW = 64 * KiB
"""What our host's streams take; the router's take 4 MiB."""


class Wire:
    """A link whose streams stand.

    :param is_router: whether ours is the router's end: the far end masks, we do not
    :param streams: how many there are: 0, 2, 4 and so on
    :param credit: what the far end takes of each
    :param make: what each stream is joined with
    :ivar frames: what the far end took, but for SYNs and the first ACKs
    """

    def __init__(
        self,
        is_router: bool,
        streams: int = 2,
        credit: int = 1 << 24,
        make: Callable[[], FakeStream] = PassingStream,
        frame_bytes: int = 64 * KiB,
    ) -> None:
        ours, self.far = socket.socketpair()
        ours.setblocking(False)
        self.far.setblocking(False)
        self.is_router = is_router
        self.reactor = MemoryReactorClock()
        self.hub = Hub(self.reactor)
        self.world = World(frame_bytes=frame_bytes)
        self.link = FrameEnd(self.hub, PlainChannel(ours), b"", is_router, b"")
        self.frames: list[Frame] = []
        self._came = bytearray()
        self.room = (
            router_end(self.world, self.link, make)
            if is_router
            else host_end(self.world, self.link, WINDOW, credit, make)
        )
        mux = self.room.talk
        self.link.limit(mux.frame_bytes, mux.message_bytes, mux.whole_messages)
        for number in range(0, 2 * streams, 2):
            if is_router:
                self.room.call()
                self.arrive(self.binary(encode_ack(number, credit)))
            else:
                self.arrive(self.binary(encode_syn(number)))
                self.room.answer(number)
        self.turn()
        self.frames.clear()

    # -- the far end -------------------------------------------------------------------------------

    def frame(self, op: Op, payload: bytes = b"", fin: bool = True) -> bytes:
        """A frame as the far end sends it."""
        return encode_frame(op, payload, mask=MASK if self.is_router else None, fin=fin)

    def binary(self, payload: bytes) -> bytes:
        """A whole message."""
        return self.frame(Op.BINARY, payload)

    def dat(self, number: int, payload: bytes) -> bytes:
        """Payload of a stream."""
        return self.binary(encode_dat(number, payload))

    def fin(self, number: int) -> bytes:
        """The end of a stream."""
        return self.binary(encode_fin(number))

    def arrive(self, *parts: bytes) -> None:
        """Each part is read at once, unless it is longer than reads are."""
        for part in parts:
            left = memoryview(part)
            while left:
                with contextlib.suppress(BlockingIOError):
                    left = left[self.far.send(left) :]
                self.turn()

    def turn(self) -> None:
        """Let the hub serve what is ready, until nothing is; the far end takes all."""
        for _ in range(TURNS):
            before = len(self._came) + len(self.frames)
            self.hub.doRead()
            self.reactor.advance(0)
            self._take()
            if before == len(self._came) + len(self.frames) and not self.hub.busy:
                return
            self.hub.busy = False
        raise AssertionError("the link never comes to rest")

    def _take(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while chunk := self.far.recv(1 << 20):
                self._came += chunk
        while (frame := take_frame(self._came)) is not None:
            self.frames.append(frame)

    def messages(self) -> list[MuxFrame]:
        """The frames of wsmux that the far end took."""
        reader = FrameReader()
        found = [
            reader.feed(Message(frame.payload))
            for frame in self.frames
            if frame.opcode == Op.BINARY
        ]
        return [frame for frame in found if frame is not None]

    def heard(self, number: int) -> bytes:
        """What the far end took of a stream."""
        return b"".join(
            message.payload
            for message in self.messages()
            if message.kind is Kind.DAT and message.stream == number
        )

    def codes(self) -> list[int | None]:
        """Of the Closes that the far end took."""
        return [frame.code for frame in self.frames if frame.opcode == Op.CLOSE]

    # -- our end -----------------------------------------------------------------------------------

    def side(self, number: int) -> Side:
        """Our end of a stream."""
        return self.room.sides[number]

    def passing(self, number: int) -> PassingStream:
        """What a stream is joined with."""
        stream = self.room.sides[number].stream
        assert isinstance(stream, PassingStream)
        return stream

    def reason(self) -> Reason | None:
        """Why the link is over; None: it is not."""
        return self.room.session.reason

    def drop(self) -> None:
        """The test is over."""
        self.link.abort()
        self.reactor.advance(0)
        self.far.close()
