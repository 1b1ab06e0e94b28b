"""Payload of one stream of a shared link passes to a socket, which may be slow, or gone."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest
from twisted.internet.address import UNIXAddress
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from typing_extensions import override

from relay.links.cutthrough import Hub, RawEnd
from relay.links.cutthrough.channel import PlainChannel
from relay.links.cutthrough.hub import READ_BYTES
from relay.outlets import IOutlet
from relay.vocabulary import Data, Reason
from relay.wire.wsmux import Kind
from tests.fakes import FakeStream
from tests.integration.mux_wire import KiB, Wire
from tests.rawpeer import noise

pytestmark = [
    pytest.mark.cut_through,
    pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll here"),
]

PARTS = 8
"""Of a window."""

BUFFER_BYTES = 16 * KiB
"""What a socket's kernel takes, or a little more."""


class SocketStream(FakeStream, Protocol):
    """What a local stream does with its socket.

    :ivar far: what the application has of it
    """

    def __init__(self) -> None:
        super().__init__()
        ours, self.far = socket.socketpair()
        for end in (ours, self.far):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self.reactor = MemoryReactorClock()
        self.hub = Hub(self.reactor)
        nowhere = UNIXAddress(None)
        self.raw = RawEnd(self.hub, PlainChannel(ours), b"", self, nowhere, nowhere)
        self.raw.registerProducer(self, True)  # type: ignore[arg-type]  # as it uses one
        self.raw.read_on(True)

    # -- a stream ----------------------------------------------------------------------------------

    @override
    def outlet(self) -> IOutlet:
        return self.raw

    @override
    def send(self, data: Data) -> None:
        self.raw.write(data.payload)

    @override
    def finish(self) -> None:
        self.raw.loseWriteConnection()

    @override
    def pause(self) -> None:
        super().pause()
        self.raw.pauseProducing()

    @override
    def resume(self) -> None:
        super().resume()
        self.raw.resumeProducing()

    # -- its socket --------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """No room."""
        assert self.partner is not None
        self.partner.pause()

    def resumeProducing(self) -> None:
        """Room again."""
        assert self.partner is not None
        self.partner.resume()

    def stopProducing(self) -> None:
        """It ends."""

    def writeConnectionLost(self) -> None:
        """The FIN is out."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self.circuit is not None:
            self.hang_up(Reason.LOST)

    def turn(self) -> None:
        """Let the hub serve what is ready."""
        for _ in range(3):
            self.hub.doRead()
            self.reactor.advance(0)

    def read(self) -> bytes:
        """The application takes all that comes, to the end of it or of what is there."""
        taken = b""
        while True:
            try:
                part = self.far.recv(1 << 20)
            except BlockingIOError:
                self.turn()
                try:
                    part = self.far.recv(1 << 20)
                except BlockingIOError:
                    return taken
            if not part:
                return taken
            taken += part


@pytest.fixture(params=["router", "host"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """A link of either side, whose two streams have sockets."""
    made = Wire(request.param == "router", make=SocketStream)
    yield made
    made.drop()
    for number in (0, 2):
        stream = of(made, number)
        stream.raw.abort()
        stream.turn()
        stream.far.close()


def of(wire: Wire, number: int) -> SocketStream:
    """The socket of a stream."""
    stream = wire.side(number).stream
    assert isinstance(stream, SocketStream)
    return stream


def flood(wire: Wire, number: int, before: int = 0) -> bytes:
    """:param before: how much was sent already
    :returns: what was sent on a stream until its credit was spent
    """
    said = b""
    window = wire.room.talk.window_bytes
    size = window // PARTS
    while True:
        acks = [m.amount for m in wire.messages() if m.kind is Kind.ACK and m.stream == number]
        if window + sum(acks) - before - len(said) < size:
            return said
        part = noise(size)
        wire.arrive(wire.dat(number, part))
        said += part


def test_a_slow_socket_gets_all(wire: Wire) -> None:
    """It holds up its own stream and no other; what waited goes first, the FIN last."""
    said = flood(wire, 0)
    window = wire.room.talk.window_bytes
    assert len(said) <= 2 * window + 8 * BUFFER_BYTES
    assert wire.room.session.streams()[0].is_paused()
    wire.arrive(wire.dat(2, b"another"))
    assert of(wire, 2).read() == b"another"
    wire.arrive(wire.fin(0))
    assert of(wire, 0).read() == said
    assert wire.world.ledger.total == 0
    assert wire.reason() is None


def test_a_flow_goes_on_where_it_stopped(wire: Wire) -> None:
    """Again and again: stopped, read, stopped."""
    said = heard = b""
    for _ in range(3):
        said += flood(wire, 0, len(said))
        heard += of(wire, 0).read()
        wire.turn()
    assert heard == said
    assert wire.world.ledger.total == 0


def test_a_socket_that_is_gone_while_its_stream_waits(wire: Wire) -> None:
    """Its stream ends, with all that waited for it; the other goes on."""
    flood(wire, 0)
    of(wire, 0).far.close()
    of(wire, 0).turn()
    wire.turn()
    assert 0 not in wire.room.session.streams()
    assert [message.stream for message in wire.messages() if message.kind is Kind.FIN] == [0]
    assert wire.world.ledger.total == 0
    wire.arrive(wire.dat(0, b"late"), wire.dat(2, b"another"))
    assert of(wire, 2).read() == b"another"


def test_a_socket_that_is_gone_within_a_read(wire: Wire) -> None:
    """It shows at the write; what the read has for others arrives."""
    of(wire, 0).far.close()
    wire.arrive(wire.dat(0, b"lost") + wire.dat(2, b"another") + wire.dat(0, b"lost, too"))
    of(wire, 0).turn()
    wire.turn()
    assert 0 not in wire.room.session.streams()
    assert of(wire, 2).read() == b"another"
    assert wire.reason() is None


def test_what_a_socket_says_passes_to_the_link(wire: Wire) -> None:
    """Both ways at a time; nobody reads it."""
    stream = of(wire, 0)
    partner = stream.partner
    assert partner is not None
    stream.raw.forward(stream, partner.outlet())
    payload = noise(BUFFER_BYTES)
    stream.far.send(payload)
    wire.arrive(wire.dat(0, b"down"))
    stream.turn()
    wire.turn()
    assert wire.heard(0) == payload
    assert stream.bytes_in == len(payload)
    assert stream.read() == b"down"


def test_a_link_that_stops_leaves_a_tail_of_one_read(wire: Wire) -> None:
    """However much credit there is, and however quick its socket was before."""
    stream = of(wire, 0)
    partner = stream.partner
    assert partner is not None
    stream.raw.forward(stream, partner.outlet())
    stream.far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    chunk = bytes(1 << 20)
    most = said = 0
    for turn in range(400):
        with contextlib.suppress(BlockingIOError):
            while True:
                said += stream.far.send(chunk)
        stream.turn()
        most = max(most, wire.link.queued_bytes())
        if turn < 200 or turn % 2:
            wire.turn()
    wire.turn()
    assert said > 4 << 20
    assert 0 < most <= READ_BYTES + KiB
