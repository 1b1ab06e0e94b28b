"""The HTTP front door, one per listening endpoint: request head -> dialect, or refusal.

Every request of a kept connection is routed anew. A WebSocket handshake that was admitted leaves
this module with all its bytes; a plain request is answered here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

import h11
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from typing_extensions import override

from relay.core.admission import Admission
from relay.errors import (
    BadRequest,
    LimitReached,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TlsFailed,
    TooLarge,
)
from relay.interfaces import IRouterFace
from relay.links.hall import Hall
from relay.links.linger import Linger
from relay.links.responses import encode_response, plain_status
from relay.links.sockets import tune
from relay.tls import explain_visitor_failure
from relay.vocabulary import Request, Response

REASON_HEADER = "X-Relay-Reason"
HEAD_TIMEOUT_STATUS = 408
KEEP_ALIVE_S = 60.0
LINGER_REPLY_S = 1.0
QUEUE_TIMEOUT_S = 5.0
READ_AHEAD_BYTES = 64 * 1024
LINE_END = b"\r\n"
BUSY_RETRY_S = 2


class FrontDoor(Protocol):
    """One connection until it is known what it wants.

    :param faces: the dialects behind this listener, most specific first; asked anew for each
        request
    """

    log = Logger()

    def __init__(self, hall: Hall, faces: Callable[[], Sequence[IRouterFace]]) -> None:
        self._hall = hall
        self._faces = faces
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=hall.limits.head_bytes)
        self._raw = bytearray()
        self._request: h11.Request | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._body_limit = 0
        self._face: IRouterFace | None = None
        self._timer: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        self._linger: Linger | None = None
        self._closing = False
        self._counted = False
        self._visitor = ""
        self._started = 0.0

    # -- Twisted ---------------------------------------------------------------------------------

    @override
    def connectionMade(self) -> None:
        """A connection was accepted: it waits unread while too many handshakes are in progress."""
        tune(self.transport)
        self._visitor = self._address()
        self._hall.visitors[self._visitor] += 1
        limit = self._hall.limits.links_per_address
        if limit and self._hall.visitors[self._visitor] > limit:
            self._refuse(
                LimitReached(f"{limit} connections of yours have shown no credential yet", "", 1)
            )
        elif self._hall.handshakes < self._hall.limits.handshakes:
            self.begin()
        else:
            self.transport.pauseProducing()  # type: ignore[union-attr]
            self._hall.queue.append(self)
            self._timer = self._hall.reactor.callLater(QUEUE_TIMEOUT_S, self._queue_late)

    def begin(self) -> None:
        """Give it time for one head."""
        self._stop_timer()
        self._count_handshake(True)
        self.transport.resumeProducing()  # type: ignore[union-attr]
        self._wait_for_head(self._hall.limits.head_s)

    @override
    def dataReceived(self, data: bytes) -> None:
        """Bytes of a head, of a body, or behind a request that is being judged."""
        if self._closing:
            return
        self._raw += data
        if self._work is not None:
            if len(self._raw) > self._hall.limits.head_bytes + READ_AHEAD_BYTES:
                self.transport.pauseProducing()  # type: ignore[union-attr]
            return
        self._feed(data)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer gave up, or we closed."""
        if not self._raw and (why := explain_visitor_failure(reason)):
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

    # -- parsing ---------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            self._next_events()
        except BadRequest as error:
            self._refuse(error)
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                self._refuse(
                    TooLarge(f"the request head is over {self._hall.limits.head_bytes} bytes")
                )
            else:
                self._refuse(BadRequest(self._explain(error)))

    def _explain(self, error: Exception) -> str:
        if self._raw[:1] == b"\x16":
            return "plain HTTP is spoken here, and TLS arrived: use ws:// or http://"
        return f"this is not HTTP/1.1: {error}"

    def _next_events(self) -> None:
        while self._work is None and not self._closing:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._head_received(event)
            elif isinstance(event, h11.Data):
                self._body_bytes += len(event.data)
                if self._body_bytes > self._body_limit:
                    return self._refuse(TooLarge(f"the body is over {self._body_limit} bytes"))
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._respond()
            elif isinstance(event, h11.ConnectionClosed):
                return self._close()
            else:
                return

    def _head_received(self, head: h11.Request) -> None:
        self._started = self._hall.reactor.seconds()
        trailing, _ = self._http.trailing_data
        raw_head = bytes(self._raw[: len(self._raw) - len(trailing)])
        limit = self._hall.limits.head_bytes
        if len(raw_head) > limit:
            return self._refuse(TooLarge(f"the request head is over {limit} bytes"))
        if raw_head.count(b"\n") != raw_head.count(LINE_END):
            return self._refuse(BadRequest("a line of the request head ends without CR"))
        self._request = head
        request = self._as_request(head)
        face = self._face_for(request)
        if face is None:
            return self._refuse(NotFound(f"nothing is served at {request.path[:200]}"))
        self._face = face
        try:
            route = face.route(request)
        except RelayError:
            return self._judge(face, request)  # admission refuses, counts and logs it
        if route.websocket:
            self._judge(face, request)
        else:
            self._body_limit = route.body_bytes

    def _face_for(self, request: Request) -> IRouterFace | None:
        """The dialect of the path, else the listener's only one."""
        faces = self._faces()
        matching = (face for face in faces if face.matches(request))
        return next(matching, faces[0] if len(faces) == 1 else None)

    def _as_request(self, head: h11.Request) -> Request:
        target = head.target.decode("latin-1")
        path, _, query = target.partition("?")
        if not path.startswith("/"):
            path = _path_of(path)
        request = Request(
            method=head.method.decode("ascii"),
            target=target,
            path=path,
            query=query,
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
            ),
            peer="",
            http_version=head.http_version.decode("ascii"),
            secure=hasattr(self.transport, "getPeerCertificate"),
        )
        return request._replace(peer=self._hall.believed_peer(self._address(), request))

    def _address(self) -> str:
        address: IAddress = self.transport.getPeer()  # type: ignore[union-attr]
        return str(getattr(address, "host", None) or getattr(address, "name", None) or "local")

    # -- judging ---------------------------------------------------------------------------------

    def _judge(self, face: IRouterFace, request: Request) -> None:
        self._stop_timer()
        work = Deferred.fromCoroutine(self._admit(face, request))
        if not work.called:
            self._work = work
        work.addErrback(self._broken)

    async def _admit(self, face: IRouterFace, request: Request) -> None:
        try:
            admission = await self._hall.reception.admit(face, request)
        except RelayError as error:
            self._work = None
            return self._send_refusal(face, error)
        self._work = None
        if self._closing or self.transport is None:
            return
        if admission.conversation is None:
            return await self._answer(face, request, admission)
        self._enter(admission, request.peer)

    async def _answer(self, face: IRouterFace, request: Request, admission: Admission) -> None:
        try:
            response = await face.answer(
                request, admission.route, admission.grant, self._hall.services
            )
        except RelayError as error:
            self._hall.reception.refused(face, request, error)
            return self._send_refusal(face, error)
        self._send(response)

    def _enter(self, admission: Admission, peer: str) -> None:
        transport = self.transport
        assert transport is not None
        self._closing = True
        self._leave()
        self._count_handshake(False)
        self._hall.metrics.handshake_s.observe(self._hall.reactor.seconds() - self._started)
        port = getattr(transport.getPeer(), "port", 0)
        transport.resumeProducing()  # type: ignore[attr-defined]  # every Twisted stream transport has it
        self._hall.enter(admission, transport, f"{peer}:{port}", bytes(self._raw))

    def _respond(self) -> None:
        """A plain request is complete: answer it."""
        head, face = self._request, self._face
        assert head is not None
        assert face is not None
        request = self._as_request(head)._replace(body=b"".join(self._body))
        self._judge(face, request)

    def _broken(self, failure: Failure) -> None:
        self._work = None
        if failure.check(CancelledError):
            return
        self.log.failure("a request could not be handled", failure)
        if not self._closing:
            self._send(
                Response(500, b"internal error\n", ((REASON_HEADER, "internal"),)), keep=False
            )

    # -- answering -------------------------------------------------------------------------------

    def _refuse(self, error: RelayError) -> None:
        """Refuse what never got as far as a dialect."""
        self._count_refusal(error)
        self._send_refusal(self._face, error)

    def _count_refusal(self, error: RelayError) -> None:
        self._hall.metrics.refused("http", error.reason)
        self.log.info(
            "refused {peer}: {reason}: {text}",
            event="refused",
            peer=self._address(),
            reason=error.reason.value,
            text=error.text,
        )

    def _send_refusal(self, face: IRouterFace | None, error: RelayError) -> None:
        if self._closing:
            return
        headers = [(REASON_HEADER, error.reason.value)]
        if isinstance(error, MethodNotAllowed) and error.allow:
            headers.append(("Allow", error.allow))
        if error.retry_after_s is not None:
            headers.append(("Retry-After", str(error.retry_after_s)))
        status = face.wire_code(error) if face is not None else plain_status(error)
        self._send(Response(status, f"{error.text}\n".encode(), tuple(headers)), keep=False)

    def _send(self, response: Response, keep: bool = True) -> None:
        keep = keep and self._may_keep()
        head_only = self._request is not None and self._request.method == b"HEAD"
        self.transport.write(encode_response(response, keep, head_only))  # type: ignore[union-attr]
        if keep:
            self._begin_again()
        else:
            self._close()

    def _may_keep(self) -> bool:
        return (
            self._request is not None
            and self._request.http_version == b"1.1"
            and self._http.their_state is h11.DONE
        )

    def _begin_again(self) -> None:
        """The next request of a kept connection."""
        trailing, closed = self._http.trailing_data
        self._http = h11.Connection(
            h11.SERVER, max_incomplete_event_size=self._hall.limits.head_bytes
        )
        self._request, self._face, self._body, self._body_bytes = None, None, [], 0
        self._raw = bytearray(trailing)
        self._wait_for_head(KEEP_ALIVE_S)
        if closed:
            self._close()
        elif trailing:
            # in a turn of its own: a pipeline of requests must not nest
            self._hall.reactor.callLater(0, self._feed_rest, trailing)

    def _feed_rest(self, trailing: bytes) -> None:
        if not self._closing:
            self._feed(trailing)

    def _close(self) -> None:
        """Close behind what was sent; what still arrives is dropped, so that no reset eats it."""
        if self._closing or self.transport is None:
            return
        self._closing = True
        self._stop_timer()
        self._count_handshake(False)
        if isinstance(self.transport, ProtocolWrapper):
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
            self._timer = self._hall.reactor.callLater(seconds, self._head_late)

    def _queue_late(self) -> None:
        self._timer = None
        self._hall.queue.remove(self)
        busy = f"{self._hall.limits.handshakes} handshakes are in progress"
        self._refuse(LimitReached(busy, retry_after_s=BUSY_RETRY_S))

    def _head_late(self) -> None:
        self._timer = None
        if self._raw:
            self._send(
                Response(
                    HEAD_TIMEOUT_STATUS,
                    b"the request took too long to arrive\n",
                    ((REASON_HEADER, "protocol-error"),),
                ),
                keep=False,
            )
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
            self._hall.visitors[visitor] -= 1
            if not self._hall.visitors[visitor]:
                del self._hall.visitors[visitor]

    def _count_handshake(self, begins: bool) -> None:
        if begins != self._counted:
            self._counted = begins
            self._hall.handshakes += 1 if begins else -1
            if not begins and self._hall.queue:
                self._hall.done_shaking()


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


def _path_of(target: str) -> str:
    """:returns: the path of a target in absolute form. :raises BadRequest: when it is no URL."""
    try:
        return urlsplit(target).path or "/"
    except ValueError as error:
        raise BadRequest("the request target is neither a path nor a URL") from error
