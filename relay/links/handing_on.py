"""One connection at a router's door: what of a request is handed on, to a host or to a sink.

It is what :class:`relay.links.viewer.visit.IVisit` asks for; what is decided before that:
:mod:`relay.links.front`.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.interfaces import ITransport
from typing_extensions import override

from relay.errors import CallFailed, RelayError
from relay.faces import Forwarding, IFeedFace, IRouterFace, Route
from relay.http import Request
from relay.links.cutthrough import RawEnd, take_stream
from relay.links.feeding import Feeding
from relay.links.hall import Hall
from relay.links.responses import refusal
from relay.links.viewer.exchange import Exchange
from relay.links.visitor import Visitor
from relay.vocabulary import Grant

READ_AHEAD_BYTES = 64 * 1024


class HandingOn(Visitor):
    """A connection that may carry a request, or its body, to somebody else."""

    def __init__(self, hall: Hall) -> None:
        super().__init__(hall)
        self._request: Request | None = None
        self._face: IRouterFace | None = None
        self._exchange: Exchange | Feeding | None = None

    def _begin_again(self) -> None:
        """The next request of a kept connection."""
        raise NotImplementedError

    @override
    def is_answering(self) -> bool:
        """:returns: whether a host is answering, or its answer is still being taken"""
        return isinstance(self._exchange, Exchange)

    def _forward(self, forwarding: Forwarding, grant: Grant, request: Request) -> None:
        """Call the host that is to answer."""
        if self._closing or self.transport is None:
            return
        self._shaken()
        label = f"{request.peer}:{self.port}"
        try:
            exchange = Exchange(self, self._hall.around.wheel, request, forwarding, label)
        except RelayError as error:
            return self.failed(error)
        self._exchange = exchange
        self._reader.begin_again()
        self._shift()
        try:
            self._hall.broker.call(exchange, grant, forwarding.call)
        except RelayError as error:
            exchange.refuse(0, error)

    def _feed(self, face: IRouterFace, route: Route, request: Request) -> None:
        """Hand the body on as it comes."""
        if self._closing or self.transport is None:
            return
        self._shaken()
        try:
            feeding = Feeding(self, request, cast(IFeedFace, face), route, self._hall.services)
        except RelayError as error:
            return self.failed(error)
        self._exchange = feeding
        self._reader.begin_again()
        feeding.begin()
        if self._read_over:
            feeding.read_ended()

    def _shift(self) -> None:
        """Leave Twisted's transport, where that can be: what a host answers goes out at once."""
        if self._hall.limits.cut_through and not isinstance(self.transport, RawEnd):
            end = take_stream(self._hall.hub, self.transport, self)
            if end is not None:
                self.transport = cast(ITransport, end)
                end.resumeProducing()

    def early(self) -> bytes:
        """:returns: what has come behind the head of the request that a host answers"""
        return self._reader.take()

    def unread(self, rest: bytes) -> None:
        """Keep what belongs to the next request."""
        self._reader.receive(rest)

    def read_on(self) -> None:
        """Read on, unless enough waits already."""
        if self._reader.unread_bytes() <= READ_AHEAD_BYTES:
            self.transport.resumeProducing()  # type: ignore[union-attr]

    def half_close(self) -> bool:
        """Say that nothing more comes. :returns: whether that can be said"""
        if self.secure and not isinstance(self.transport, RawEnd):
            return False  # Twisted's TLS would shut TCP below what is still to go out
        self.transport.loseWriteConnection()  # type: ignore[union-attr]
        return True

    def failed(self, error: RelayError) -> None:
        """The host did not answer."""
        face, request = self._face, self._request
        assert face is not None
        assert request is not None
        exchange, self._exchange = self._exchange, None
        if isinstance(error, CallFailed) or (exchange is not None and exchange.has_circuit):
            # counted where it failed
            self._hall.reception.tell_refusal(face.name, request.peer, request.path, error)
        else:
            self._hall.reception.refused(face.name, request.peer, request.path, error)
        self.send(refusal(error, face, request))
        self._hall.answered()

    def answered(self, keep: bool) -> None:
        """The host's answer is out, whole."""
        self._exchange = None
        if keep and not self._closing:
            self._begin_again()
        else:
            self._close()
        self._hall.answered()

    def broken(self) -> None:
        """The host's answer ended in its midst."""
        self._exchange = None
        self._closing = True
        self.transport.abortConnection()  # type: ignore[union-attr]
        self._hall.answered()
