"""The HTTP front door, one per listening endpoint: request head -> dialect, or refusal.

Every request of a kept connection is routed anew. A WebSocket handshake that was admitted leaves
this module with all its bytes; a plain request is answered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h11
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.addresses import unmapped
from relay.core.admission import Admission
from relay.core.liveness import Entry
from relay.errors import LimitReached, NotFound, RelayError, TlsFailed
from relay.interfaces import IRouterFace, Route
from relay.links.hall import Hall
from relay.links.heads import as_request
from relay.links.linger import Linger
from relay.links.request_reader import RequestReader
from relay.links.responses import BROKEN, LATE, encode_response, refusal
from relay.links.secure import SecureTransport
from relay.links.sockets import tune
from relay.tls import explain_visitor_failure
from relay.vocabulary import Request, Response

KEEP_ALIVE_S = 60.0
LINGER_REPLY_S = 1.0
QUEUE_TIMEOUT_S = 5.0
READ_AHEAD_BYTES = 64 * 1024
BUSY_RETRY_S = 2


@implementer(IHalfCloseableProtocol)
class FrontDoor(Protocol):
    """One connection until it is known what it wants.

    :param faces: the dialects behind this listener, most specific first; asked anew for each
        request
    """

    log = Logger()

    def __init__(self, hall: Hall, faces: Callable[[], Sequence[IRouterFace]]) -> None:
        self._hall = hall
        self._faces = faces
        self._reader = RequestReader(hall.limits.head_bytes)
        self._request: Request | None = None
        self._face: IRouterFace | None = None
        self._body_limit = 0
        self._timer: IDelayedCall | Entry | None = None
        self._work: Deferred[None] | None = None
        self._linger: Linger | None = None
        self._queued = False
        self._closing = False
        self._read_over = False
        self._counted = False
        self._visitor = ""
        self._address = ""
        self._port = 0
        self._started = 0.0

    # -- Twisted ---------------------------------------------------------------------------------

    @override
    def connectionMade(self) -> None:
        """A connection was accepted: it waits unread while too many handshakes are in progress."""
        tune(self.transport)
        peer: IAddress = self.transport.getPeer()  # type: ignore[union-attr]
        self._address = address_of(peer)
        self._port = getattr(peer, "port", 0)
        self._visitor = self._address
        self._hall.visitors[self._visitor] += 1
        limit = self._hall.limits.links_per_address
        if limit and self._hall.visitors[self._visitor] > limit:
            self._refuse(
                LimitReached(f"{limit} connections of yours have shown no credential yet", "", 1)
            )
        elif self._hall.handshakes < self._hall.limits.handshakes:
            self._begin()
        else:
            self._queued = True
            self.transport.pauseProducing()  # type: ignore[union-attr]
            self._hall.queue.append(self)
            self._timer = self._hall.reactor.callLater(QUEUE_TIMEOUT_S, self._queue_late)

    def begin(self) -> None:
        """It was its turn in the queue."""
        self._stop_timer()
        self._queued = False
        self.transport.resumeProducing()  # type: ignore[union-attr]
        self._begin()

    def _begin(self) -> None:
        """Give it time for one head."""
        self._count_handshake(True)
        self._wait_for_head(self._hall.limits.head_s)
        if self._reader.has_begun():
            self._hall.reactor.callLater(0, self._read_rest)

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes of a head, of a body, or behind a request that is being judged."""
        if self._closing:
            return
        self._reader.receive(data)
        if self._queued:
            return  # it came with a PROXY header, behind which nothing is read yet
        if self._work is None:
            self._read()
        elif self._reader.unread_bytes() > READ_AHEAD_BYTES:
            self.transport.pauseProducing()  # type: ignore[union-attr]

    def readConnectionLost(self) -> None:
        """The peer sends no more; what it has asked for is answered all the same."""
        self._read_over = True
        if self._work is None and self.transport is not None:
            self._closing = True
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our own half-close is out."""

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer gave up, or we closed."""
        if self._request is None and not self._reader.has_begun():
            why = explain_visitor_failure(reason)
            if why:
                self._count_refusal(TlsFailed(why))
        self._closing = True
        self._leave()
        self._stop_timer()
        self._count_handshake(False)
        if self in self._hall.queue:
            self._hall.queue.remove(self)
        if self._linger is not None:
            self._linger.stop()
        if self._work is not None:
            self._work.cancel()

    # -- reading ---------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while self._work is None and not self._closing:
                if self._request is None:
                    head = self._reader.head()
                    if head is None:
                        return
                    self._head_received(head)
                else:
                    body = self._reader.body(self._body_limit)
                    if body is None:
                        return
                    self._request = self._request._replace(body=body)
                    self._judge(self._request)
        except RelayError as error:
            self._refuse(error)

    def _head_received(self, head: h11.Request) -> None:
        self._started = self._hall.reactor.seconds()
        request = as_request(head, hasattr(self.transport, "getPeerCertificate"))
        request = request._replace(peer=self._hall.believed_peer(self._address, request))
        self._request = request
        self._face = self._face_for(request)
        if self._face is None:
            raise NotFound(f"nothing is served at {request.path[:200]}")
        try:
            route = self._face.route(request)
        except RelayError:
            return self._judge(request)  # admission refuses, counts and logs it
        if route.websocket:
            self._judge(request, route)
        else:
            self._body_limit = route.body_bytes

    def _face_for(self, request: Request) -> IRouterFace | None:
        """The dialect of the path, else the listener's only one."""
        faces = self._faces()
        matching = (face for face in faces if face.matches(request))
        return next(matching, faces[0] if len(faces) == 1 else None)

    # -- judging ---------------------------------------------------------------------------------

    def _judge(self, request: Request, route: Route | None = None) -> None:
        assert self._face is not None
        self._stop_timer()
        try:
            self._admit(self._face, request, route)
        except Exception:
            self._broken(Failure())

    def _admit(self, face: IRouterFace, request: Request, route: Route | None) -> None:
        """Nearly all that is admitted is a link, at once: Deferreds are made for the others."""
        try:
            admitted = self._hall.reception.admit(face, request, route)
        except RelayError as error:
            return self._answered(refusal(error, face))
        if isinstance(admitted, Admission) and admitted.conversation is not None:
            return self._enter(admitted, request)
        work = Deferred.fromCoroutine(self._serve(face, request, admitted))
        if not work.called:
            self._work = work
        work.addErrback(self._broken)

    async def _serve(
        self, face: IRouterFace, request: Request, admitted: Admission | Deferred[Admission]
    ) -> None:
        try:
            admission = admitted if isinstance(admitted, Admission) else await admitted
        except RelayError as error:
            return self._answered(refusal(error, face))
        if admission.conversation is not None:
            self._work = None
            return self._enter(admission, request)
        assert admission.grant is not None, "only conversations begin without a grant"
        try:
            response = await face.answer(
                request, admission.route, admission.grant, self._hall.services
            )
        except RelayError as error:
            self._hall.reception.refused(face.name, request.peer, request.path, error)
            response = refusal(error, face)
        self._answered(response)

    def _answered(self, response: Response) -> None:
        self._work = None
        self._send(response)

    def _enter(self, admission: Admission, request: Request) -> None:
        transport = self.transport
        if self._closing or transport is None:
            return
        self._closing = True
        self._leave()
        self._count_handshake(False)
        if self._read_over:
            # it has left, and a link would never hear of it
            transport.loseConnection()
            return
        self._hall.around.metrics.handshake_s.observe(self._hall.reactor.seconds() - self._started)
        transport.resumeProducing()  # type: ignore[attr-defined]  # every Twisted stream transport has it
        key = request.header("sec-websocket-key") or ""
        self._hall.enter(admission, transport, request.peer, self._port, key, self._reader.rest())

    def _broken(self, failure: Failure) -> None:
        self._work = None
        if failure.check(CancelledError):
            return
        self.log.failure("a request could not be handled", failure)
        self._send(BROKEN)

    # -- answering -------------------------------------------------------------------------------

    def _refuse(self, error: RelayError) -> None:
        """Refuse what never got as far as a dialect."""
        self._count_refusal(error)
        self._send(refusal(error, self._face))

    def _count_refusal(self, error: RelayError) -> None:
        self._hall.around.metrics.refused("http", error.reason)
        self.log.info(
            "refused {peer}: {reason}: {text}",
            event="refused",
            peer=self._address,
            reason=error.reason.value,
            text=error.text,
        )

    def _send(self, response: Response) -> None:
        if self._closing or self.transport is None:
            return
        request = self._request
        keep = (
            response.keep
            and request is not None
            and request.http_version == "1.1"
            and self._reader.is_whole()
        )
        head_only = request is not None and request.method == "HEAD"
        self.transport.write(encode_response(response, keep, head_only))
        if keep:
            self._begin_again()
        else:
            self._close()

    def _begin_again(self) -> None:
        """The next request of a kept connection."""
        self._reader.begin_again()
        self._request, self._face = None, None
        if self._reader.has_begun():
            # in a turn of its own: a pipeline of requests must not nest
            self._hall.reactor.callLater(0, self._read_rest)
        elif self._read_over:
            return self._close()
        self._wait_for_head(KEEP_ALIVE_S)
        self.transport.resumeProducing()  # type: ignore[union-attr]

    def _read_rest(self) -> None:
        if not self._closing and self._work is None:
            self._read()
            if self._read_over and self._work is None:
                self._close()

    def _close(self) -> None:
        """Close behind what was sent; what still arrives is dropped, so that no reset eats it."""
        if self._closing or self.transport is None:
            return
        self._closing = True
        self._stop_timer()
        self._count_handshake(False)
        if self._read_over or isinstance(self.transport, SecureTransport):
            self.transport.loseConnection()  # TLS says its own goodbye
            return
        self.transport.loseWriteConnection()  # type: ignore[attr-defined]
        self.transport.resumeProducing()  # type: ignore[attr-defined]
        hard = self.transport.abortConnection  # type: ignore[attr-defined]
        lose = self.transport.loseConnection
        self._linger = Linger(self.transport, self._hall.reactor, LINGER_REPLY_S, lose, hard)

    # -- waiting ---------------------------------------------------------------------------------

    def _wait_for_head(self, seconds: float) -> None:
        self._stop_timer()
        if seconds:
            # nearly every one of these is cancelled at once, which a wheel does at less cost
            self._timer = self._hall.around.wheel.after(seconds, self._head_late)

    def _queue_late(self) -> None:
        self._timer = None
        self._hall.queue.remove(self)
        busy = f"{self._hall.limits.handshakes} handshakes are in progress"
        self._refuse(LimitReached(busy, retry_after_s=BUSY_RETRY_S))

    def _head_late(self) -> None:
        self._timer = None
        if self._request is not None or self._reader.has_begun():
            self._send(LATE)
        else:
            self._close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self) -> None:
        """The visitor has shown a credential, or is gone."""
        visitor, self._visitor = self._visitor, ""
        if visitor:
            self._hall.leave(visitor)

    def _count_handshake(self, begins: bool) -> None:
        if begins != self._counted:
            self._counted = begins
            self._hall.handshakes += 1 if begins else -1
            if not begins and self._hall.queue:
                self._hall.done_shaking()


def address_of(peer: IAddress) -> str:
    """:returns: the host, or what else there is to tell a connection's other end by"""
    return unmapped(str(getattr(peer, "host", None) or getattr(peer, "name", None) or "local"))


class FrontFactory(Factory):
    """Makes front doors for one listener."""

    noisy = False

    def __init__(self, hall: Hall, faces: Callable[[], Sequence[IRouterFace]]) -> None:
        self._hall = hall
        self._faces = faces

    @override
    def buildProtocol(self, addr: IAddress | None) -> FrontDoor:
        """A connection was accepted."""
        return FrontDoor(self._hall, self._faces)
