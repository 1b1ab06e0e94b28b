"""The local side of a tunnel in the cut-through gear: a byte stream.

For its protocol it is the transport, in place of Twisted's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.links.cutthrough.channel import Channel, PlainChannel
from relay.links.cutthrough.end import FIRST_READ_BYTES, End
from relay.links.cutthrough.hub import FAILED, UNREAD_END, Hub
from relay.links.cutthrough.pipe import Pipe
from relay.links.sockets import unread_bytes
from relay.outlets import Buffer, IOutlet, Span

SPLICE_FROM_BYTES = 256 * 1024
"""A flow that has come to read so much at once is spliced, where it can be."""


@implementer(IOutlet)
class RawEnd(End):
    """A socket whose bytes are the payload.

    :param protocol: a half-closeable protocol
    :param host: our address
    :param peer: the other end's
    """

    __slots__ = ("_finishing", "_host", "_peer", "_producer", "_protocol")

    _hears_ends: bool = False  # of a raw link; a local stream's end is heard by reading

    def __init__(
        self,
        hub: Hub,
        channel: Channel,
        tail: bytes,
        protocol: Any,  # IProtocol and IHalfCloseableProtocol
        host: IAddress,
        peer: IAddress,
    ) -> None:
        self._protocol = protocol
        self._host = host
        self._peer = peer
        self._producer: IPushProducer | None = None
        self._finishing = False
        super().__init__(hub, channel, tail)
        if self.queued_bytes():
            self._full = True

    # -- a transport -----------------------------------------------------------------------------

    def getHost(self) -> IAddress:
        """:returns: our address."""
        return self._host

    def getPeer(self) -> IAddress:
        """:returns: the other end's."""
        return self._peer

    def write(self, data: bytes) -> None:
        """Send."""
        self.writeSequence((data,))

    def writeSequence(self, parts: Sequence[Buffer]) -> None:
        """Send, before any of the parts is used for anything else."""
        if not self.push(parts, sum(map(len, parts))) and not self._full:
            self._full = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """From now on ``producer`` hears whether there is room."""
        self._producer = producer
        if self._full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """Nobody cares any more."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Read nothing."""
        self.read_on(False)

    def resumeProducing(self) -> None:
        """Read on."""
        self.read_on(True)

    def loseConnection(self) -> None:
        """Close behind all that was written."""
        self.lose()

    def abortConnection(self) -> None:
        """Close at once."""
        self.abort()

    def loseWriteConnection(self) -> None:
        """Shut our half behind all that was written."""
        self._finishing = True
        if not self.queued_bytes():
            self._finish()

    def tell_of_ends(self) -> None:
        """From now on tell of a reset, and of an end with nothing before it, while nothing is read,
        too: what was read and not taken yet is lost with a connection that is reset.
        """
        self._hears_ends = True
        self._watch()

    def release(self) -> tuple[Channel, bytes]:
        """Let go of the connection, for another end to take it.

        :returns: it, and what was written and is not with the kernel
        """
        tail = b"".join(self._tail or ())
        self._protocol = self._producer = None
        if self._events:
            self.hub.watch(self.fd, self._events, 0)
            self._events = 0
        self.hub.forget(self)
        self.fd = -1
        return self.channel, tail

    # -- ends that come while nothing is read ----------------------------------------------------

    @override
    def ready(self, events: int) -> None:
        """The kernel says that something can be done, or that the peer has ended."""
        if self._events != UNREAD_END:
            super().ready(events)
        elif self._broken or events & FAILED:
            self._lose_broken()
        elif not (self._read_over or self._losing or self.channel.secure or unread_bytes(self)):
            self.read_ended()

    @override
    def _awaited(self) -> int:
        return super()._awaited() or (UNREAD_END if self._hears_ends else 0)

    # -- splicing --------------------------------------------------------------------------------

    @override
    def _read(self) -> None:
        outlet = self._outlet
        pipe = None
        if self._read_bytes >= SPLICE_FROM_BYTES and not self._losing:
            pipe = outlet.pipe_from(self.channel) if isinstance(outlet, RawEnd) else None
        if pipe is None or not isinstance(outlet, RawEnd):
            return super()._read()
        try:
            count = pipe.fill(self.channel.socket, self.hub.share_bytes)
        except BlockingIOError:
            return self._splice_no_more(outlet)
        except OSError:
            return self._lose_broken()
        if not count:
            self._splice_no_more(outlet)
            return self.read_ended()
        self.hub.busy = True
        assert self._counted is not None
        self._counted.bytes_in += count
        if not outlet.pump():
            self.block()
        elif count < FIRST_READ_BYTES:
            self._splice_no_more(outlet)

    def _splice_no_more(self, outlet: RawEnd) -> None:
        """The flow rests: give up the pipe, and begin as small as at first."""
        self._read_bytes = FIRST_READ_BYTES
        if isinstance(outlet.channel, PlainChannel):
            outlet.channel.release_pipe()

    def pipe_from(self, channel: Channel) -> Pipe | None:
        """:returns: what to fill for this socket; None: payload has to come by :meth:`put`"""
        if self._losing or self._finishing or self._tail_bytes or self.fd < 0 or channel.secure:
            return None
        return self.channel.pipe() if isinstance(self.channel, PlainChannel) else None

    def pump(self) -> bool:
        """Send what is in the pipe. :returns: whether all of it is with the kernel"""
        try:
            self.channel.flush()
        except OSError:
            self._losing = True
            self.hub.soon(self._lose_broken)
            return True
        if not self.channel.waiting_bytes():
            return True
        self._watch()
        return False

    # -- an end ----------------------------------------------------------------------------------

    @override
    def received(self, view: memoryview, start: int, end: int) -> None:
        """Hand it straight on, or to the protocol."""
        outlet, counted = self._outlet, self._counted
        if outlet is None or counted is None:
            self._protocol.dataReceived(bytes(view[start:end]))
            return
        counted.bytes_in += end - start
        if not outlet.put(view, ((start, end, True),), False):
            self.block()

    @override
    def read_ended(self) -> None:
        """The application sends no more."""
        self.read_on(False)
        self._read_over = True
        self._protocol.readConnectionLost()

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Send payload; there are no messages here."""
        parts = [view[start:end] for start, end, _ in spans if end > start]
        return self.push(parts, sum(map(len, parts))) if parts else True

    @override
    def drained(self) -> None:
        """All that was written is with the kernel."""
        if self._finishing and not self._losing:
            self._finish()
        super().drained()
        if self._full and not self.queued_bytes():
            self._full = False
            if self._producer is not None:
                self._producer.resumeProducing()

    @override
    def connection_lost(self, reason: Failure) -> None:
        """The connection is gone."""
        protocol, self._protocol = self._protocol, None
        self._producer = None
        protocol.connectionLost(reason)

    def _finish(self) -> None:
        self._finishing = False
        try:
            self.channel.finish()
        except OSError:
            self.hub.soon(self._lose_broken)
            return
        self._watch()
        self._protocol.writeConnectionLost()
