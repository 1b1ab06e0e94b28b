"""One request of a viewer that goes to a host, and the host's answer on its way back.

Nothing is collected: each part of a body goes on as it comes, in both directions at once, so an
answer may come while its request is still being sent. Whoever is slow stops the other through the
stream's window and the viewer's socket.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from twisted.internet.interfaces import IPushProducer
from typing_extensions import override
from zope.interface import implementer

from relay.core.liveness import Entry, Wheel
from relay.core.stream import Stream
from relay.errors import BadAnswer, BadRequest, CallFailed, ProtocolError, RelayError
from relay.faces import Forwarding
from relay.http import Request
from relay.interfaces import IStream
from relay.links.cutthrough import RawEnd
from relay.links.linger import STALL_S
from relay.links.local_peer import far_end_has_closed
from relay.links.sockets import unsent_bytes
from relay.links.viewer.answering import Answering
from relay.links.viewer.failures import call_failed, is_end
from relay.links.viewer.requests import encode_request, judge
from relay.links.viewer.standstill import Standstill
from relay.links.viewer.visit import IVisit, write
from relay.outlets import IInlet, IOutlet, Span
from relay.vocabulary import CLEAN_REASONS, Carries, Close, Data, Event, Reason
from relay.wire.http_bodies import Piece

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
ROOM_BYTES = 1024 * 1024
LOOK_S = 2.0
"""How often it is looked whether a viewer is gone whom nobody reads from."""

GOODBYE_S = 2.0
"""How long a viewer may stay silent on a switched connection once the host has ended its side."""


@implementer(IOutlet, IPushProducer)
class Exchange(Stream):
    """A request and its answer: the caller's side of a circuit.

    :param forwarding: where the request goes, and how
    :raises BadRequest: when it cannot be forwarded
    :ivar reason: why it is over, None while it is not
    """

    __slots__ = (
        "_answering",
        "_body",
        "_ended",
        "_full",
        "_head",
        "_patience",
        "_paused",
        "_switched",
        "_terms",
        "_visit",
        "_watch",
        "_wheel",
        "_whole",
        "_writer",
        "reason",
    )

    def __init__(
        self, visit: IVisit, wheel: Wheel, request: Request, forwarding: Forwarding, label: str
    ) -> None:
        super().__init__(Carries(half_close=True), label)
        self.reason: Reason | None = None
        self._visit = visit
        self._wheel = wheel
        self._terms = terms = judge(request)
        self._head = encode_request(
            terms.method, forwarding.target, forwarding.headers, terms.framing, terms.keep
        )
        self._body, self._writer = terms.framing.reader(), terms.framing.writer()
        self._answering: Answering | None = None  # made when there is something to await
        self._ended = False
        self._full = False
        self._paused = False
        self._switched = False
        self._whole = False
        self._patience: Standstill | None = None
        self._watch: Entry | None = None

    # -- ICaller ---------------------------------------------------------------------------------

    def new_stream(self, stream_id: int) -> IStream:
        """:returns: this: one request, one stream"""
        return self

    def perform(self, event: Event) -> None:
        """The host has taken the call; its stream follows."""

    def refuse(self, stream_id: int, error: RelayError) -> None:
        """The call cannot be had."""
        if not self.closed:
            self._over(error.reason)
            self._visit.failed(error)

    def end_stream(
        self, stream_id: int, reason: Reason, close: Close | None = None, detail: str = ""
    ) -> None:
        """The call came to nothing."""
        self.refuse(stream_id, call_failed(reason, detail))

    # -- the viewer's side -----------------------------------------------------------------------

    @property
    def has_circuit(self) -> bool:
        """:returns: whether the request went out, so that its end is counted as a circuit's"""
        return self._answering is not None

    def received(self, data: bytes) -> bytes:
        """Bytes came from the viewer. :returns: those that are not of this request"""
        partner = self.partner
        if partner is None or self.closed or self._answering is None:
            return data
        if self._switched:
            self._pass_on(data)
            return b""
        if self._body.done:
            return data
        try:
            return self._upload(data)
        except ProtocolError as error:
            self._spoiled(BadRequest(error.text))
            return b""

    def read_ended(self) -> None:
        """The viewer sends no more: the end of a switched connection's one direction; else it has
        given up, unless it can be seen that it still listens.
        """
        self._ended = True
        if self.closed:
            return  # it has yet to take the answer's tail, and may
        if self._switched:
            if self.circuit is not None:
                self.circuit.finished(self)
        elif not self._body.done or self.has_left() is not False:
            self._leave(Reason.PEER_CLOSED)
            self._visit.answered(False)

    def lost(self) -> None:
        """The viewer's connection is gone."""
        self._wait_no_more()
        self._leave(Reason.PEER_CLOSED)

    def pauseProducing(self) -> None:
        """The viewer does not take what was sent: the host is to wait."""
        self._full = True
        if self.partner is not None:
            self.partner.pause()

    def resumeProducing(self) -> None:
        """The viewer has taken everything."""
        self._full = False
        if self._whole:
            self._part()
        elif self.partner is not None:
            self.partner.resume()

    def stopProducing(self) -> None:
        """The connection goes; :meth:`lost` follows."""

    # -- IStream ---------------------------------------------------------------------------------

    @override
    def send(self, data: Data) -> None:
        """A part of the answer."""
        if self.closed:
            return
        self._take([data.payload])

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Parts of the answer, straight from the host's link."""
        if not self.closed:
            self._take([view[start:end] for start, end, _ in spans])
        return True

    def room(self) -> int:
        """:returns: how much is taken at once; the host's link is read in any case"""
        return ROOM_BYTES

    def feed(self, source: IInlet | None) -> None:
        """Who sends too much is told by :meth:`relay.interfaces.IStream.pause`."""

    @override
    def outlet(self) -> IOutlet | None:
        """:returns: this, where what it writes is out before it returns"""
        return self if isinstance(self._visit.transport, RawEnd) else None

    @override
    def finish(self) -> None:
        """The host says no more."""
        if self.closed:
            return
        if self._switched:
            if not self._visit.half_close():
                return self._let_go()
            self._patience = Standstill(self._wheel, GOODBYE_S, lambda: self.bytes_in, self._let_go)
            return
        assert self._answering is not None
        try:
            parts = self._answering.ended()
        except (BadAnswer, ProtocolError) as error:
            self._spoiled(CallFailed(error.text, error.reason))
        else:
            write(self._visit.transport, parts)
            self._complete()

    @override
    def reset(self, reason: Reason, close: Close | None) -> None:
        """The host's side is over."""
        if self.closed:
            return
        if self._switched and reason in CLEAN_REASONS:
            self._over(reason)
            self._visit.answered(False)
        elif self._answering is not None and is_end(reason, self.partner):
            self.finish()
        elif not self._has_begun():
            self.end_stream(0, reason, close)
        else:
            self._over(reason)
            self._visit.broken()

    @override
    def pause(self) -> None:
        """Read no more from the viewer."""
        self._paused = True
        if not self.closed and self._answering is not None:
            self._visit.transport.pauseProducing()
            if self._watch is None:
                self._watch = self._wheel.after(LOOK_S, self._look)

    @override
    def resume(self) -> None:
        """Read on; at the first time the request goes out."""
        self._paused = False
        if self.closed:
            return
        if self._answering is None:
            self._begin()
        if self._paused or self.closed:
            return
        if self._body.done and not self._switched:
            self._visit.read_on()  # what comes is of the next request, and none of ours to want
        else:
            self._visit.transport.resumeProducing()

    @override
    def is_paused(self) -> bool:
        """:returns: whether the host does not take what the viewer sends."""
        return self._paused

    @override
    def has_left(self) -> bool | None:
        """:returns: whether the viewer has closed for good; None when that cannot be known."""
        return far_end_has_closed(self._visit.transport)

    # -- inside ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Send the request's head, and what of its body is here."""
        self._answering = Answering(self._terms)
        self._visit.transport.registerProducer(self, True)
        head, self._head = self._head, b""
        self._pass_on(head)
        if self._body.done or self.closed:
            return
        if self._terms.expects_continue:
            self._visit.transport.write(CONTINUE)
        rest = self.received(self._visit.early())
        if rest:
            self._visit.unread(rest)

    def _upload(self, data: bytes) -> bytes:
        """:returns: what follows the body. :raises ProtocolError: when it is none"""
        parts = self._writer.part(self._body.feed(data))
        if self._body.done:
            parts.append(self._writer.end(self._body.trailers))
        self._pass_on(b"".join(parts))
        return bytes(self._body.rest) if self._body.done else b""

    def _pass_on(self, data: bytes) -> None:
        if data and self.partner is not None:
            self.bytes_in += len(data)
            self.partner.send(Data(data))

    def _take(self, pieces: Sequence[Piece]) -> None:
        """A part of the answer came."""
        if self._switched:
            return write(self._visit.transport, pieces)
        answering = self._answering
        assert answering is not None
        try:
            parts = answering.read(pieces, self._body.done, self._wheel.now())
        except (BadAnswer, ProtocolError) as error:
            self._spoiled(CallFailed(error.text, error.reason))
            return
        write(self._visit.transport, parts)
        if answering.switches:
            self._switch()
        elif answering.done:
            self._complete()

    def _has_begun(self) -> bool:
        """:returns: whether the viewer has been told something"""
        return self._answering is not None and self._answering.begun

    def _switch(self) -> None:
        """From now on bytes are bytes, both ways."""
        self._switched = True
        self.received(self._visit.early())
        transport = self._visit.transport
        if isinstance(transport, RawEnd) and self.partner is not None:
            transport.forward(self, self.partner.outlet())
        if self._ended:
            self.read_ended()

    def _let_go(self) -> None:
        """The viewer says no more, nor does the host."""
        self._leave(Reason.FINISHED)
        self._visit.answered(False)

    def _complete(self) -> None:
        """The answer is whole: the stream is over, and so is the request once the viewer has it."""
        self._whole = True
        self._leave(Reason.FINISHED)
        if not self._full:
            self._part()
        else:
            left = functools.partial(unsent_bytes, self._visit.transport)
            self._patience = Standstill(self._wheel, STALL_S, left, self._give_up)

    def _give_up(self) -> None:
        """The viewer takes nothing of the answer's tail."""
        self._visit.transport.unregisterProducer()
        self._visit.broken()

    def _part(self) -> None:
        self._whole = False
        self._wait_no_more()
        self._visit.transport.unregisterProducer()
        assert self._answering is not None
        self._visit.answered(self._answering.keep)

    def _spoiled(self, error: RelayError) -> None:
        """The viewer's body is none, or the host's answer is none or not whole."""
        answered = self._has_begun()
        self._leave(error.reason)
        if answered:
            self._visit.broken()
        else:
            self._visit.failed(error)

    def _leave(self, reason: Reason) -> None:
        """Our side is over: the host need not go on."""
        if self.closed:
            return
        circuit = self.circuit
        if not (self._body.done or self._switched) and self.partner is not None:
            self.partner.forget_unsent()  # nobody waits for half a request to be taken
        self._over(reason)
        if circuit is not None:
            circuit.broken(self, reason)

    def _over(self, reason: Reason) -> None:
        self.closed = True
        self.reason = reason
        transport = self._visit.transport
        if self._switched and isinstance(transport, RawEnd):
            transport.forward(None, None)
        self._wait_no_more()
        if self._watch is not None:
            self._watch.cancel()
        if self._answering is not None and not self._whole:
            self._visit.transport.unregisterProducer()

    def _look(self) -> None:
        """An end of the viewer is not heard while nobody reads from it."""
        self._watch = None
        if self._paused and self.has_left():
            self._leave(Reason.PEER_CLOSED)
            self._visit.broken()
        elif self._paused:
            self._watch = self._wheel.after(LOOK_S, self._look)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
