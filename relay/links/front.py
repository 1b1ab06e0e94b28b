"""The HTTP front door, one per listening endpoint: request head -> dialect, or refusal.

Every request of a kept connection is routed anew. A WebSocket handshake that was admitted leaves
this module with all its bytes; a plain request is answered here, or by a host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h11
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

from relay.core.admission import Admission
from relay.errors import BadRequest, NotFound, RelayError, TooLarge
from relay.faces import IRouterFace, Route
from relay.http import Request, Response
from relay.links.hall import Hall
from relay.links.handing_on import READ_AHEAD_BYTES, HandingOn
from relay.links.heads import as_request
from relay.links.responses import BROKEN, encode_response, refusal
from relay.links.sockets import unsent_bytes

KEEP_ALIVE_S = 60.0
UNTAKEN_BYTES = 64 * 1024
"""Who has so much of our answers still to take gets no further one on the same connection."""


class FrontDoor(HandingOn):
    """One connection, request by request, until one of them makes a link of it.

    :param faces: the dialects behind this listener, most specific first; asked anew for each
        request
    """

    def __init__(self, hall: Hall, faces: Callable[[], Sequence[IRouterFace]]) -> None:
        super().__init__(hall)
        self._faces = faces
        self._route: Route | None = None  # of a request whose body is being read
        self._work: Deferred[None] | None = None
        self._started = 0.0
        self._kept = False  # and nothing of another request has come yet

    # -- Twisted ---------------------------------------------------------------------------------

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes of a head, of a body, or behind a request that is being answered."""
        if self._closing:
            return
        if self._exchange is not None:
            data = self._exchange.received(data)
            if not data:
                return
        self._reader.receive(data)
        if self._is_waiting():
            return  # it came with a PROXY header, behind which nothing is read yet
        if not self._is_busy():
            self._read_on()
        elif self._reader.unread_bytes() > READ_AHEAD_BYTES:
            self.transport.pauseProducing()  # type: ignore[union-attr]

    def readConnectionLost(self) -> None:
        """The peer sends no more; what it has asked for is answered all the same."""
        self._read_over = True
        if self._exchange is not None:
            self._exchange.read_ended()
        elif self._closing and self.transport is not None:
            self.transport.loseConnection()
        elif self._work is None and self._reader.has_begun():
            self._hall.reactor.callLater(0, self.read)  # a request may have come along with the end
        elif self._work is None and self.transport is not None:
            self._closing = True
            self.transport.loseConnection()

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer gave up, or we closed."""
        super().connectionLost(reason)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.lost()
        if self._work is not None:
            self._work.cancel()
        self._hall.answered()

    # -- reading ---------------------------------------------------------------------------------

    @override
    def read(self) -> None:
        """Read what had come already."""
        if not self._closing and not self._is_busy():
            self._read_on()
            if self._is_busy() or self._closing or (self._kept and self._reader.has_begun()):
                return  # another turn comes
            if self._read_over:
                self._close()
            else:
                self.transport.resumeProducing()  # type: ignore[union-attr]

    @override
    def _is_asking(self) -> bool:
        return self._request is not None or super()._is_asking()

    def _is_busy(self) -> bool:
        """:returns: whether a request is being answered"""
        return self._work is not None or self._exchange is not None

    def _read_on(self) -> None:
        try:
            while not (self._is_busy() or self._closing):
                if self._request is None:
                    head = self._reader.head()
                    if head is None:
                        return self._head_begun()
                    self._kept = False
                    self._head_received(head)
                else:
                    body = self._read_body(self._request)
                    if body is None:
                        return
                    self._request = self._request._replace(body=body)
                    self._judge(self._request, self._route)
                    if self._kept:
                        return  # the next request has its own turn
        except RelayError as error:
            self.refuse(error)

    def _read_body(self, request: Request) -> bytes | None:
        """:returns: the body, None while it is not complete. :raises TooLarge, BadRequest:"""
        route = self._route
        assert route is not None
        if route.spares_body and request.header("expect") is not None:
            return b""  # it waits for our word before it sends any
        try:
            return self._reader.body(route.body_bytes)
        except TooLarge:
            if route.spares_body:
                return b""
            raise

    def _head_begun(self) -> None:
        """A part of a head came; on a kept connection its time begins now."""
        if self._kept and self._reader.has_begun():
            self._kept = False
            self._wait_for_head(self._hall.limits.head_s)

    def _head_received(self, head: h11.Request) -> None:
        self._started = self._hall.reactor.seconds()
        request = as_request(head, self.secure)
        peer = self._hall.believed_peer(self.address, request)
        request = request._replace(peer=peer, port=self.port)
        self._request = request
        self._face = self._face_for(request)
        if self._face is None:
            raise NotFound(f"nothing is served at {request.path[:200]}")
        try:
            route = self._face.route(request)
        except RelayError:
            return self._judge(request)  # admission refuses, counts and logs it
        if route.claims and self._is_taken(request, route.claims):
            raise BadRequest(f"/{route.claims[:200]}/ leads to another dialect here")
        if route.websocket or route.forwards or route.feeds:
            self._judge(request, route)
        else:
            self._route = route

    def _face_for(self, request: Request) -> IRouterFace | None:
        """The dialect of the path, else the listener's only one."""
        faces = self._faces()
        matching = (face for face in faces if face.matches(request))
        return next(matching, faces[0] if len(faces) == 1 else None)

    def _is_taken(self, request: Request, segment: str) -> bool:
        """:returns: whether paths with this first part are another dialect's"""
        path = f"/{segment}/"
        wanted = request._replace(path=path, target=path, query="")
        return self._face_for(wanted) is not self._face

    # -- judging ---------------------------------------------------------------------------------

    def _judge(self, request: Request, route: Route | None = None) -> None:
        assert self._face is not None
        self._stop_timer()
        try:
            self._admit(self._face, request, route)
        except Exception:
            self._broken(Failure())

    def _admit(self, face: IRouterFace, request: Request, route: Route | None) -> None:
        """Nearly all that is admitted is a link or a viewer's request, at once: Deferreds are made
        for the others.
        """
        reception = self._hall.reception
        try:
            if route is not None and route.looks_up:
                looking = reception.look_up(face, request, route, self._hall.services)
                admitted: Admission | Deferred[Admission] = Deferred.fromCoroutine(looking)
            else:
                admitted = reception.admit(face, request, route)
        except RelayError as error:
            return self._answered(refusal(error, face, request))
        if isinstance(admitted, Admission):
            if admitted.conversation is not None:
                return self._enter(admitted, request)
            if admitted.forwarding is not None and admitted.grant is not None:
                return self._forward(admitted.forwarding, admitted.grant, request)
            if admitted.route.feeds:
                return self._feed(face, admitted.route, request)
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
            return self._answered(refusal(error, face, request))
        if admission.conversation is not None:
            self._work = None
            return self._enter(admission, request)
        if admission.route.feeds:
            self._work = None
            return self._feed(face, admission.route, request)
        assert admission.grant is not None, "only conversations begin without a grant"
        try:
            response = await face.answer(
                request, admission.route, admission.grant, self._hall.services
            )
        except RelayError as error:
            self._hall.reception.refused(face.name, request.peer, request.path, error)
            response = refusal(error, face, request)
        self._answered(response)

    def _answered(self, response: Response) -> None:
        self._work = None
        self.send(response)

    def _enter(self, admission: Admission, request: Request) -> None:
        transport = self.transport
        if self._closing or transport is None:
            return
        self._closing = True
        self._hall.doors.discard(self)
        if self._turn is not None:
            self._turn.forget()
        if self._read_over:
            # it has left, and a link would never hear of it
            transport.loseConnection()
            return
        self._hall.around.metrics.handshake_s.observe(self._hall.reactor.seconds() - self._started)
        transport.resumeProducing()  # type: ignore[attr-defined]  # every Twisted stream transport has it
        key = request.header("sec-websocket-key") or ""
        self._hall.enter(admission, transport, request.peer, self.port, key, self._reader.rest())

    def _broken(self, failure: Failure) -> None:
        self._work = None
        if failure.check(CancelledError):
            return
        self.log.failure("a request could not be handled", failure)
        self.send(BROKEN)

    # -- answering -------------------------------------------------------------------------------

    @override
    def refuse(self, error: RelayError) -> None:
        """Refuse what never got as far as a dialect."""
        self._count_refusal(error)
        self.send(refusal(error, self._face, self._request))

    @override
    def send(self, response: Response) -> None:
        """Answer a request, or what cannot become one."""
        if self._closing or self.transport is None:
            return
        request = self._request
        keep = (
            response.keep
            and request is not None
            and request.http_version == "1.1"
            and self._reader.is_whole()
            and unsent_bytes(self.transport) <= UNTAKEN_BYTES
        )
        head_only = request is not None and request.method == "HEAD"
        self.transport.write(encode_response(response, keep, head_only))
        if keep:
            self._shaken()
            self._reader.begin_again()
            self._begin_again()
        else:
            self._close()

    @override
    def _begin_again(self) -> None:
        self._request, self._face = None, None
        self._kept = True
        if self._reader.has_begun():
            # in a turn of its own: a pipeline of requests must not nest
            self._hall.reactor.callLater(0, self.read)
        elif self._read_over:
            return self._close()
        self._wait_for_head(KEEP_ALIVE_S)
        self.read_on()
