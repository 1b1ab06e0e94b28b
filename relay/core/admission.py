"""From a request head to a conversation, or to a refusal: the one way in.

The order is the same for every dialect: route, credential, WebSocket headers, grant, revocation and
limits, then what the conversation wants of the broker. Each step may refuse; nothing has a side
effect before the last, so a refused request disturbs nobody.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay import auth
from relay.core.broker import Broker
from relay.core.liveness import Wheel
from relay.errors import AuthError, BadRequest, LimitReached, RelayError, UpgradeRequired
from relay.interfaces import IConversation, IRouterFace, Route
from relay.metrics import Metrics
from relay.settings.model import Limits
from relay.vocabulary import Grant, Request

SUPPORTED_VERSION = "13"
KEY_BYTES = 16


class Admission(NamedTuple):
    """A request that may go on.

    :ivar conversation: None for plain HTTP
    """

    face: IRouterFace
    route: Route
    grant: Grant
    conversation: IConversation | None


class Reception:
    """Judges requests.

    :param unix_time: Unix seconds, against which tokens are judged
    """

    log = Logger()

    def __init__(
        self,
        broker: Broker,
        limits: Limits,
        wheel: Wheel,
        metrics: Metrics,
        unix_time: Callable[[], float],
    ) -> None:
        self.broker = broker
        self.limits = limits
        self._wheel = wheel
        self._metrics = metrics
        self._unix_time = unix_time
        self._failed_logins = auth.FailedLogins(limits.failed_logins_per_min)

    def adopt(self, limits: Limits) -> None:
        """From now on other limits hold."""
        self.limits = limits
        self._failed_logins.limit_per_min = limits.failed_logins_per_min

    async def admit(self, face: IRouterFace, request: Request) -> Admission:
        """Judge a request.

        :raises RelayError: the refusal, already logged, counted, and delayed where logins fail
            often
        """
        try:
            admission = self._judge(face, request)
            hold_s = self._hold_s(admission)
            if hold_s:
                await self._sleep(hold_s)
                admission = self._judge(face, request)
        except AuthError as error:
            await self._login_failed(face, request, error)
            raise
        except RelayError as error:
            self.refused(face, request, error)
            raise
        return admission

    def _judge(self, face: IRouterFace, request: Request) -> Admission:
        route = face.route(request)
        claims = auth.verify(face.credential(request, route), self._unix_time())
        if route.websocket:
            check_upgrade(request)
        grant = face.grant(claims, request, route)
        self._check_limits(request, grant)
        if not route.websocket:
            self.broker.denials.check(grant, self._unix_time())
            return Admission(face, route, grant, None)
        conversation = face.conversation(request, route, grant)
        self.broker.judge(conversation.intent, grant)
        return Admission(face, route, grant, conversation)

    def _hold_s(self, admission: Admission) -> float:
        if admission.conversation is None:
            return 0.0
        return self.broker.hold_s(admission.conversation.intent)

    def _check_limits(self, request: Request, grant: Grant) -> None:
        limit = self.limits.links_per_subject
        if limit:
            whose = (grant.dialect, grant.subject)
            held = sum(
                1
                for session in self.broker.sessions
                if session.grant and (session.grant.dialect, session.grant.subject) == whose
            )
            if held >= limit:
                raise LimitReached(f"{grant.subject} holds {held} links already", retry_after_s=5)

    async def _login_failed(self, face: IRouterFace, request: Request, error: AuthError) -> None:
        self._metrics.failed_logins_total[face.name] += 1
        self.refused(face, request, error)
        delay_s = self._failed_logins.failed(request.peer, self._unix_time())
        if delay_s:
            await self._sleep(delay_s)
            self._failed_logins.done_waiting()

    def refused(self, face: IRouterFace, request: Request, error: RelayError) -> None:
        self._metrics.refused(face.name, error.reason)
        self.log.info(
            "{kind} from {peer}: {dialect} {path}: {reason}: {text}",
            event="login-failed" if isinstance(error, AuthError) else "refused",
            kind="login failed" if isinstance(error, AuthError) else "refused",
            peer=request.peer,
            dialect=face.name,
            path=request.path[:200],
            reason=error.reason.value,
            text=error.text,
        )

    def _sleep(self, seconds: float) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._wheel.after(seconds, lambda: done.callback(None))
        return done


def check_upgrade(request: Request) -> None:
    """Judge the headers of a WebSocket handshake (RFC 6455, section 4.2.1).

    :raises UpgradeRequired: for HTTP/1.0
    :raises BadRequest: naming the header that is missing or wrong
    """
    if request.http_version != "1.1":
        raise UpgradeRequired("only a WebSocket handshake over HTTP/1.1 is served here")
    for name, token in (("connection", "upgrade"), ("upgrade", "websocket")):
        if not request.has_token(name, token):
            raise BadRequest(
                f"only a WebSocket handshake is served here: header {name.title()} lacks {token!r}"
            )
    if request.header("sec-websocket-version") != SUPPORTED_VERSION:
        raise BadRequest(f"only WebSocket version {SUPPORTED_VERSION} is served here")
    key = request.header("sec-websocket-key") or ""
    try:
        decoded = base64.b64decode(key.strip(), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if len(decoded) != KEY_BYTES:
        raise BadRequest(f"Sec-WebSocket-Key is not the base64 of {KEY_BYTES} bytes")
