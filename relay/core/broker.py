"""The router's switch: who may ask for what, which links and circuits there are, how they end."""

from __future__ import annotations

from collections.abc import Callable, KeysView, Mapping, Sequence

from twisted.logger import Logger

from relay.auth import VerifiedTokens
from relay.core.circuits import Circuits
from relay.core.codes import Codes
from relay.core.denials import Denials
from relay.core.liveness import Entry
from relay.core.publications import Publications, Published, party
from relay.core.registry import Registry
from relay.core.session import Session
from relay.core.standing import ICaller, PendingCall
from relay.core.stream import Circuit
from relay.core.surroundings import Surroundings
from relay.core.topic import Topic
from relay.errors import GoingAway, ProtocolError, WrongName
from relay.faces import LinkInfo
from relay.interfaces import IStream
from relay.settings.model import Callee
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Data,
    Enter,
    Event,
    Grant,
    Hello,
    Join,
    Message,
    Offer,
    OfferName,
    Reason,
    Role,
    TopicName,
)

NAMELESS = "without a name"
"""Whose credential is good and names nobody, in the log."""


class Broker:
    """The router's switch.

    :param random_bits: an unpredictable integer below 2**n
    :ivar codes: one-time codes that were handed out
    :ivar tokens: verifies what is shown to this router; what it remembers ends with a revocation
    :ivar publications: calls that are answered by other offers than those that they name
    """

    log = Logger()

    def __init__(
        self,
        around: Surroundings,
        random_bits: Callable[[int], int],
    ) -> None:
        self.sessions: set[Session] = set()
        self.topics: dict[TopicName, Topic] = {}
        self.denials = Denials()
        self.tokens = VerifiedTokens()
        self.codes = Codes(around.wheel, random_bits)
        self.registry = Registry(around, random_bits, self._connect)
        self.publications = Publications()
        self.draining = False
        self._around = around
        self._circuits = Circuits(around)
        self._expiries: dict[Session, Entry] = {}

    # -- before a handshake is over --------------------------------------------------------------

    def judge(self, intent: Event | None, grant: Grant, quiet: bool = False) -> None:
        """Would this be granted now? So that a refusal can still be an HTTP status.

        :param quiet: whether the log is told nothing
        :raises RelayError: why not
        """
        self._check_open(intent, grant)
        if isinstance(intent, Offer):
            self.registry.judge_offer(intent)
        elif isinstance(intent, Call | Enter):
            published = self._published(intent, grant)
            if published is not None:
                with published.asked_for(quiet):
                    self._judge_published(published)
            elif isinstance(intent, Call):
                self.registry.judge_call(intent)
        elif isinstance(intent, Join):
            self.registry.announced(intent)

    def _judge_published(self, published: Published) -> None:
        if published.enters is None:
            self.registry.judge_call(published.call)
        else:
            self._around.ledger.admit()

    def is_published(self, name: OfferName) -> bool:
        """:returns: whether calls of that name, whatever the service, go to another offer"""
        return self.publications.has(name)

    def hold_s(self, intent: Event | None) -> float:
        """:returns: how long a newcomer's handshake is held back, because its name flaps."""
        return self.registry.hold_s(intent) if isinstance(intent, Offer) else 0.0

    def _check_open(self, event: Event | None, grant: Grant) -> None:
        """Is this allowed by the grant, by revocations, and while draining? :raises RelayError:"""
        name = name_of(event)
        self.denials.check(grant, self._around.wheel.now(), () if name is None else (name,))
        if self.draining:
            raise GoingAway("this router is going away", "connect again", retry_after_s=1)
        if name is not None and grant.name is not None and grant.name != name:
            raise WrongName(f"this credential is not for {name}")

    # -- sessions --------------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """A session begins, or was granted something since."""
        self.sessions.add(session)
        grant = session.grant
        if grant is not None and grant.ends_links and grant.expires is not None:
            self._expiries[session] = self._around.wheel.at(
                grant.expires, lambda: session.end(Reason.EXPIRED)
            )

    def tell_up(self, session: Session, grant: Grant) -> None:
        """Log that a link stands whose credential was accepted."""
        self.log.info(
            "link up: {link} ({dialect} {role}, {subject})",
            event="link-up",
            link=session.label,
            dialect=grant.dialect,
            role=session.conversation.role.value,
            subject=grant.subject or NAMELESS,
        )

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The session's peer asks for something. :raises RelayError: when it may not have it."""
        grant = session.grant
        if grant is None:
            raise ProtocolError("nothing may be asked for before a credential was accepted")
        self._check_open(event, grant)
        if isinstance(event, Offer):
            self.registry.register(session, grant.subject, event)
        elif isinstance(event, Call | Enter):
            self._reach(session, grant, event)
        elif isinstance(event, Join):
            pending = self.registry.announced(event)
            self._connect(pending, session, session.new_stream(event.stream))
        else:
            raise ProtocolError("a credential was already accepted")

    def call(self, caller: ICaller, grant: Grant, call: Call) -> None:
        """Somebody who has no link of their own calls. :raises RelayError: when it may not be."""
        self._check_open(call, grant)
        self._reach(caller, grant, call)

    def _reach(self, caller: ICaller, grant: Grant, event: Call | Enter) -> None:
        published = self._published(event, grant)
        if published is not None:
            with published.asked_for():
                if published.enters is None:
                    self.registry.call(caller, published.caller, published.call, published)
                else:
                    self._invite(caller, published, published.enters)
        elif isinstance(event, Call):
            self.registry.call(caller, grant.subject, event)
        else:
            self.topic(event.topic).enter(caller.new_stream(event.stream), event)

    def _published(self, event: Call | Enter, grant: Grant) -> Published | None:
        """:returns: what a call becomes; None: it stays what it is

        :raises AuthError: when it is not for this caller
        """
        published = self.publications.find(event, grant)
        if published is not None:
            now, target = self._around.wheel.now(), published.call.name
            self.denials.check(grant, now, (target,))
            # an offer that was revoked along with its dialect is not of the caller's dialect
            dialect = target.partition(":")[0]
            self.denials.check(Grant(dialect, Role.CLIENT, "", target), now)
            if self.registry.is_refilling(target):
                published = published.waiting()
        return published

    def accepted(self, session: Session, event: Accept) -> None:
        """A host answered the call that was put on one of its link's streams."""
        stream = session.streams().get(event.stream)
        if stream is not None:
            self.registry.accepted(session, stream)

    def ready(self, session: Session) -> None:
        """The link takes more again: it can be told of the calls that came meanwhile."""
        self.registry.ready(session)

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
        self.sessions.discard(session)
        expiry = self._expiries.pop(session, None)
        if expiry is not None:
            expiry.cancel()
        self.registry.withdraw(session)
        self.log.info(
            "link down: {link} ({dialect} {role}, {subject}) after {seconds:.1f} s: "
            "{reason}{detail}",
            event="link-down",
            link=session.label,
            dialect=session.grant.dialect if session.grant else "?",
            role=session.conversation.role.value,
            subject=(session.grant.subject or NAMELESS) if session.grant else "?",
            seconds=self._around.wheel.now() - session.started,
            reason=reason.value,
            detail=f" ({detail})" if detail else "",
        )

    def offers(self) -> Mapping[OfferName, Session]:
        """:returns: the registered names and their links."""
        return self.registry.offers()

    def pending_calls(self) -> int:
        """:returns: how many calls no host has answered."""
        return len(self.registry.pending())

    # -- operation -------------------------------------------------------------------------------

    def revoke(
        self,
        dialect: str | None = None,
        subject: str | None = None,
        offer: str | None = None,
        token_id: str | None = None,
        until: float | None = None,
    ) -> int:
        """End the links whose grant matches all that is given, and refuse such grants until then.

        :param until: in the clock's seconds; None: for as long as the router lives
        :returns: how many links were ended, and published calls of those that have none
        """
        now = self._around.wheel.now()
        denial = self.denials.add(dialect, subject, offer, token_id, until, now)
        self.tokens.clear()
        self.codes.revoke(denial)
        ended = 0
        for session in tuple(self.sessions):
            if session.grant is not None and denial.matches(session.grant, self._names(session)):
                session.end(Reason.REVOKED)
                ended += 1
        ended += self._circuits.end_published(denial)
        for pending in self.registry.pending():
            if pending.published is not None and pending.published.is_meant(denial):
                self._turn_away(pending, Reason.REVOKED)
                ended += 1
        return ended

    def permit(self, dialect: str, subject: str) -> None:
        """Take back what was revoked of that subject alone; codes that were void stay so."""
        self.denials.remove(dialect, subject)

    def revoked(self, dialect: str) -> Sequence[str]:
        """:returns: the subjects of the dialect that are revoked just now"""
        return self.denials.subjects(dialect, self._around.wheel.now())

    def links(self, dialect: str) -> Sequence[LinkInfo]:
        """:returns: the dialect's live links"""
        return [
            LinkInfo(session.conversation, session.started)
            for session in self.sessions
            if session.grant is not None and session.grant.dialect == dialect
        ]

    def _turn_away(self, pending: PendingCall, reason: Reason) -> None:
        self.registry.give_up(pending, reason)
        self._around.metrics.refused(pending.dialect, reason)
        pending.caller.end_stream(pending.call.stream, reason)

    def drain(self, drained: Callable[[], None]) -> None:
        """Take nothing new, tell hosts to go elsewhere, let circuits end.

        :param drained: called when the last circuit has ended, at once when there is none
        """
        self.draining = True
        self.registry.closed = True
        for pending in self.registry.pending():
            self._turn_away(pending, Reason.GOING_AWAY)
        for session in tuple(self.sessions):
            if not session.streams():
                session.end(Reason.GOING_AWAY)
        self._circuits.when_over(drained)

    def end_all(self) -> None:
        """End every link that is left."""
        for session in tuple(self.sessions):
            session.end(Reason.GOING_AWAY)

    def _names(self, session: Session) -> set[str]:
        """:returns: the offers that a session makes, and what it began by asking for."""
        names: set[str] = set(self.registry.offered_by(session))
        name = name_of(session.conversation.intent)
        if name is not None:
            names.add(name)
        return names

    # -- circuits and topics ---------------------------------------------------------------------

    @property
    def circuits(self) -> KeysView[Circuit]:
        """:returns: those that are not over"""
        return self._circuits.live()

    def _connect(self, pending: PendingCall, host: Session, callee: IStream) -> None:
        """A call is answered: tell the caller, then let payload flow."""
        self.registry.forget(pending)
        caller = pending.stream
        pending.caller.perform(Accept(pending.call.stream))
        if caller.closed:
            callee.reset(pending.caller.reason or Reason.PEER_CLOSED, None)
            return
        if pending.published is not None:
            pending.published.log_connected(caller, callee, party(host.grant))
        name = str(Callee(pending.call.name, pending.call.service))
        circuit = self._circuits.begin(name, caller, callee, pending.published)
        if pending.finished:
            circuit.finished(caller)

    def _invite(self, caller: ICaller, published: Published, enters: Enter) -> None:
        """A call is answered at once, by a topic."""
        self._around.ledger.admit()
        stream = caller.new_stream(enters.stream)
        caller.perform(Accept(enters.stream))
        if stream.closed:
            return
        guest = self.topic(enters.topic).invite(stream, enters)
        published.log_connected(stream, guest, "its members")
        self._circuits.begin(enters.topic, stream, guest, published)

    def topic(self, name: TopicName) -> Topic:
        """:returns: the topic, made at its first use; it is gone once its last member has left"""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, self._around, self._topic_empty)
        return topic

    def publish(self, name: TopicName, message: Message) -> None:
        """Tell every reader of a topic, from nobody."""
        topic = self.topics.get(name)
        if topic is not None:
            topic.publish(None, Data(message.payload, text=message.text))

    def has_readers(self, name: TopicName) -> bool:
        """:returns: whether anybody would hear of that"""
        return name in self.topics and bool(self.topics[name].readers)

    def _topic_empty(self, topic: Topic) -> None:
        self.topics.pop(topic.name, None)


def name_of(event: Event | None) -> str | None:
    """:returns: the offer or topic that is asked for."""
    if isinstance(event, Enter):
        return event.topic
    return event.name if isinstance(event, Offer | Call | Join) else None
