"""From a request head to a conversation, or to a refusal: the one way in.

The order is the same for every dialect: route, credential, WebSocket headers, grant, revocation and
limits, then what the conversation wants of the broker. Each step may refuse; nothing has a side
effect before the last, so a refused request disturbs nobody. Where a dialect's credential comes
inside the conversation, the link stands first and is judged by the same rules at its Hello.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, cast

from twisted.internet.defer import Deferred

from relay import auth
from relay.core.broker import Broker, name_of
from relay.core.handshake import check_upgrade
from relay.core.liveness import Entry
from relay.core.repeats import Refusals
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import (
    AuthError,
    CallFailed,
    LimitReached,
    ProtocolError,
    RelayError,
    Revoked,
)
from relay.faces import Forwarding, IForwardingFace, ILookingUpFace, IRouterFace, IServices, Route
from relay.http import Request
from relay.interfaces import IConversation, IGreeting
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Credential,
    Enter,
    Event,
    Grant,
    Granted,
    Hello,
    Join,
    Offer,
    OneTimeCode,
    Reason,
    SharedSecret,
    Totp,
)


class Admission(NamedTuple):
    """A request that may go on.

    :ivar grant: None where the credential comes inside the conversation
    :ivar conversation: None for plain HTTP
    :ivar forwarding: for plain HTTP that goes to a host
    """

    face: IRouterFace
    route: Route
    grant: Grant | None
    conversation: IConversation | None
    forwarding: Forwarding | None = None


class Stranger:
    """A link whose Hello has yet to come.

    :param granted: called when it has come and was accepted, or when the link is gone
    """

    __slots__ = ("delayed", "dialect", "granted", "greeted", "peer", "timer")

    def __init__(self, dialect: str, peer: str, granted: Callable[[], None], timer: Entry) -> None:
        self.dialect = dialect
        self.peer = peer
        self.granted = granted
        self.timer = timer
        self.greeted = False
        self.delayed = False


class Reception:
    """Judges requests, and what links ask for until they have shown a credential.

    It stands before the broker as a switch of its own (:class:`relay.core.surroundings.ISwitch`).
    """

    def __init__(
        self,
        broker: Broker,
        around: Surroundings,
    ) -> None:
        self.broker = broker
        self._around = around
        self._failed_logins = auth.FailedLogins(lambda: around.limits.failed_logins_per_min)
        self._refusals = Refusals()
        self._strangers: dict[Session, Stranger] = {}

    def admit(
        self, face: IRouterFace, request: Request, route: Route | None = None
    ) -> Admission | Deferred[Admission]:
        """Judge a request.

        :param route: what ``face`` says of it, where it was asked already
        :returns: the admission; a Deferred of it where it has to wait
        :raises RelayError: the refusal, already logged and counted; it comes through a Deferred
            where it has to wait, since logins fail often
        """
        return self._admit(face, request, route, self._hold_s)

    async def look_up(
        self, face: IRouterFace, request: Request, route: Route, services: IServices
    ) -> Admission:
        """Judge a request whose credential the face has to look up first.

        :raises RelayError: the refusal, already logged and counted
        """
        try:
            credential = await cast(ILookingUpFace, face).look_up(request, route, services)
        except RelayError as error:
            self.refused(face.name, request.peer, request.path, error)
            raise
        admitted = self._admit(face, request, route, self._hold_s, credential)
        return admitted if isinstance(admitted, Admission) else await admitted

    def _admit(
        self,
        face: IRouterFace,
        request: Request,
        route: Route | None,
        hold: Callable[[Admission], float],
        credential: Credential | None = None,
    ) -> Admission | Deferred[Admission]:
        try:
            admission = self._judge(face, request, route, credential)
            hold_s = hold(admission)
        except AuthError as error:
            delay_s = self._login_failed(face.name, request.peer, request.path, error)
            if delay_s:
                return Deferred.fromCoroutine(self._refuse_late(delay_s, error))
            raise
        except RelayError as error:
            self.refused(face.name, request.peer, request.path, error)
            raise
        if hold_s:
            return Deferred.fromCoroutine(self._admit_late(hold_s, face, request))
        return admission

    async def _refuse_late(self, delay_s: float, error: AuthError) -> Admission:
        try:
            await self._sleep(delay_s)
        finally:
            self._failed_logins.done_waiting()
        raise error

    async def _admit_late(self, hold_s: float, face: IRouterFace, request: Request) -> Admission:
        await self._sleep(hold_s)
        # things may have changed meanwhile
        admitted = self._admit(face, request, None, lambda _: 0.0)
        return admitted if isinstance(admitted, Admission) else await admitted

    def expect_hello(
        self, session: Session, dialect: str, peer: str, granted: Callable[[], None]
    ) -> None:
        """A link stands that has shown no credential: it has ``handshake-s`` to do so.

        :param granted: called when it did, or when the link is gone
        """
        handshake_s = self._around.limits.handshake_s
        late = ProtocolError(f"no credential came within {handshake_s:g} s")
        timer = self._around.wheel.after(handshake_s, lambda: session.fail(late))
        self._strangers[session] = Stranger(dialect, peer, granted, timer)

    def judge_link(self, grant: Grant, intent: Event | None) -> None:
        """Judge a link that needs no request, before it stands. :raises RelayError: the refusal"""
        if grant.subject:
            self._check_limits(grant)
        try:
            self.broker.judge(intent, grant)
        except Revoked as error:
            if grant.subject:
                raise
            # whoever showed no credential has failed no login
            raise CallFailed(error.text, Reason.REVOKED) from error

    def turned_away(self, dialect: str, peer: str, where: str, error: RelayError) -> None:
        """Count and log a connection that got no answer, which therefore cannot come late.

        :param where: what it connected to
        """
        if not isinstance(error, AuthError):
            self.refused(dialect, peer, where, error)
        elif self._login_failed(dialect, peer, where, error):
            self._failed_logins.done_waiting()

    # -- ISwitch ---------------------------------------------------------------------------------

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The session's peer asks for something. :raises RelayError: when it may not have it."""
        if not isinstance(event, Hello):
            self._ask(session, event)
            return
        stranger = self._strangers.get(session)
        if stranger is None or stranger.greeted:
            raise ProtocolError("a credential was shown already")
        stranger.greeted = True
        try:
            grant = self._greet(session, event)
        except AuthError as error:
            delay_s = self._login_failed(stranger.dialect, stranger.peer, session.label, error)
            if not delay_s:
                raise
            session.link.pause_reading()
            stranger.delayed = True
            stranger.timer.cancel()
            stranger.timer = self._around.wheel.after(
                delay_s, functools.partial(session.fail, error)
            )
        except RelayError as error:
            self.refused(stranger.dialect, stranger.peer, session.label, error)
            raise
        else:
            self._forget(session)
            session.grant = grant
            self.broker.add(session)
            self.broker.tell_up(session, grant)
            session.perform(Granted(grant))

    def _ask(self, session: Session, event: Offer | Call | Join | Enter) -> None:
        try:
            self.broker.requested(session, event)
        except ProtocolError:
            raise
        except RelayError as error:
            grant = session.grant
            if grant is not None:
                # an address alone, as those who read the log for failed logins expect it
                peer = session.label.rpartition(":")[0] or session.label
                self.refused(grant.dialect, peer, name_of(event) or session.label, error)
            raise

    def accepted(self, session: Session, event: Accept) -> None:
        """A host answered a call."""
        self.broker.accepted(session, event)

    def ready(self, session: Session) -> None:
        """The link takes more again."""
        self.broker.ready(session)

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
        self._forget(session)
        self.broker.lost(session, reason, close, detail)

    def _greet(self, session: Session, hello: Hello) -> Grant:
        claims = self.broker.tokens.verify(hello.credential, self._around.wheel.now())
        grant = IGreeting(session.conversation).grant(claims)
        self._check_limits(grant)
        self.broker.judge(None, grant)
        return grant

    def _forget(self, session: Session) -> None:
        stranger = self._strangers.pop(session, None)
        if stranger is not None:
            stranger.timer.cancel()
            if stranger.delayed:
                self._failed_logins.done_waiting()
            stranger.granted()

    # -- judging ---------------------------------------------------------------------------------

    def _judge(
        self,
        face: IRouterFace,
        request: Request,
        route: Route | None,
        credential: Credential | None,
    ) -> Admission:
        if route is None:
            route = face.route(request)
        if route.greets:
            check_upgrade(request)
            return Admission(face, route, None, face.conversation(request, route, None))
        if credential is None:
            credential = face.credential(request, route)
        if isinstance(credential, OneTimeCode) and route.websocket:
            check_upgrade(request)  # a code is spent once it was looked at
        try:
            claims = self.broker.tokens.verify(
                credential, self._around.wheel.now(), self.broker.codes.take
            )
        except AuthError as error:
            error.subject = known_name(credential)
            raise
        if route.websocket:
            check_upgrade(request)
        grant = face.grant(claims, request, route)
        if route.websocket or route.forwards or grant.name is not None:
            self._check_limits(grant)  # others, administrators for instance, hold no link
        if route.forwards:
            forwarding = cast(IForwardingFace, face).forwarding(request, route)
            try:
                self.broker.judge(forwarding.call, grant)
            except Revoked as error:
                # a visitor who showed no credential has failed no login
                gone = f"{forwarding.call.name} was revoked"
                raise CallFailed(gone, Reason.REVOKED) from error
            return Admission(face, route, grant, None, forwarding)
        if not route.websocket:
            self.broker.denials.check(grant, self._around.wheel.now())
            return Admission(face, route, grant, None)
        conversation = face.conversation(request, route, grant)
        self.broker.judge(conversation.intent, grant)
        return Admission(face, route, grant, conversation)

    def _hold_s(self, admission: Admission) -> float:
        if admission.conversation is None:
            return 0.0
        return self.broker.hold_s(admission.conversation.intent)

    def _check_limits(self, grant: Grant) -> None:
        limit = self._around.limits.links_per_subject
        if limit:
            whose = (grant.dialect, grant.subject)
            held = sum(
                1
                for session in self.broker.sessions
                if session.grant and (session.grant.dialect, session.grant.subject) == whose
            )
            if held >= limit:
                raise LimitReached(f"{grant.subject} holds {held} links already", retry_after_s=5)

    def _login_failed(self, dialect: str, peer: str, where: str, error: AuthError) -> float:
        """:returns: seconds that the answer is to wait."""
        self._around.metrics.failed_logins_total[dialect] += 1
        self.refused(dialect, peer, where, error)
        subject = error.subject and f"{dialect}:{error.subject}"
        return self._failed_logins.failed(peer, self._around.wheel.now(), subject)

    def refused(self, dialect: str, peer: str, where: str, error: RelayError) -> None:
        """Count and log a refusal.

        :param where: the path that was asked for, or the link
        """
        self._around.metrics.refused(dialect, error.reason)
        self.tell_refusal(dialect, peer, where, error)

    def tell_refusal(self, dialect: str, peer: str, where: str, error: RelayError) -> None:
        """Log a refusal; the parameters as for :meth:`refused`."""
        self._refusals.tell(dialect, peer, where, error, self._around.wheel.now())

    def _sleep(self, seconds: float) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        self._around.wheel.after(seconds, lambda: done.callback(None))
        return done


def known_name(credential: Credential) -> str:
    """:returns: whose credential it is to be, where such a name is known here; else nothing"""
    if isinstance(credential, Totp):
        return credential.name if credential.secret_base32 else ""
    if isinstance(credential, SharedSecret):
        return credential.name if credential.expected else ""
    return ""
