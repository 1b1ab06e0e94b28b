"""The router's switch: who may ask for what, which links and circuits there are, how they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from relay.auth import VerifiedTokens
from relay.core.denials import Denial, Denials
from relay.core.liveness import Entry
from relay.core.publications import Publications, Published
from relay.core.registry import Registry
from relay.core.session import Session
from relay.core.standing import ICaller, PendingCall
from relay.core.stream import Circuit, join
from relay.core.surroundings import Surroundings
from relay.core.topic import Topic
from relay.errors import GoingAway, ProtocolError, WrongName
from relay.interfaces import IStream
from relay.settings.model import Callee
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Enter,
    Event,
    Grant,
    Hello,
    Join,
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
        self.circuits: set[Circuit] = set()
        self.topics: dict[TopicName, Topic] = {}
        self.denials = Denials()
        self.tokens = VerifiedTokens()
        self.registry = Registry(around, random_bits, self._connect)
        self.publications = Publications()
        self.draining = False
        self._around = around
        self._published_circuits: dict[Circuit, Published] = {}
        self._expiries: dict[Session, Entry] = {}
        self._drained: list[Callable[[], None]] = []

    # -- before a handshake is over --------------------------------------------------------------

    def judge(self, intent: Event | None, grant: Grant) -> None:
        """Would this be granted now? So that a refusal can still be an HTTP status.

        :raises RelayError: why not
        """
        self._check_open(intent, grant)
        if isinstance(intent, Offer):
            self.registry.judge_offer(intent)
        elif isinstance(intent, Call):
            published = self._published(intent, grant)
            if published is None:
                self.registry.judge_call(intent)
            else:
                with published.asked_for():
                    self.registry.judge_call(published.call)
        elif isinstance(intent, Join):
            self.registry.announced(intent)

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
        elif isinstance(event, Call):
            self._call(session, grant, event)
        elif isinstance(event, Join):
            pending = self.registry.announced(event)
            self._connect(pending, session, session.new_stream(event.stream))
        elif isinstance(event, Enter):
            self._enter(session, event)
        else:
            raise ProtocolError("a credential was already accepted")

    def call(self, caller: ICaller, grant: Grant, call: Call) -> None:
        """Somebody who has no link of their own calls. :raises RelayError: when it may not be."""
        self._check_open(call, grant)
        self._call(caller, grant, call)

    def _call(self, caller: ICaller, grant: Grant, call: Call) -> None:
        published = self._published(call, grant)
        if published is None:
            self.registry.call(caller, grant.subject, call)
            return
        with published.asked_for():
            self.registry.call(caller, published.caller, published.call, published)

    def _published(self, call: Call, grant: Grant) -> Published | None:
        """:returns: what a call becomes; None: it stays what it is

        :raises AuthError: when it is not for this caller
        """
        published = self.publications.find(call, grant)
        if published is not None:
            now, target = self._around.wheel.now(), published.call.name
            self.denials.check(grant, now, (target,))
            # an offer that was revoked along with its dialect is not of the caller's dialect
            dialect = target.partition(":")[0]
            self.denials.check(Grant(dialect, Role.CLIENT, "", target), now)
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
        denial = self.denials.add(dialect, subject, offer, token_id, until)
        self.tokens.clear()
        ended = 0
        for session in tuple(self.sessions):
            if session.grant is not None and denial.matches(session.grant, self._names(session)):
                session.end(Reason.REVOKED)
                ended += 1
        return ended + self._revoke_published(denial)

    def _revoke_published(self, denial: Denial) -> int:
        """End what goes on under a name that no link stands for. :returns: how many calls"""
        ended = 0
        for circuit, published in tuple(self._published_circuits.items()):
            if circuit.reason is None and published.is_meant(denial):
                circuit.end(Reason.REVOKED)
                ended += 1
        for pending in self.registry.pending():
            if pending.published is not None and pending.published.is_meant(denial):
                self._turn_away(pending, Reason.REVOKED)
                ended += 1
        return ended

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
        self._drained.append(drained)
        self._tell_drained()

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

    def _connect(self, pending: PendingCall, host: Session, callee: IStream) -> None:
        """A call is answered: tell the caller, then let payload flow."""
        self.registry.forget(pending)
        caller = pending.stream
        pending.caller.perform(Accept(pending.call.stream))
        if caller.closed:
            callee.reset(pending.caller.reason or Reason.PEER_CLOSED, None)
            return
        name = str(Callee(pending.call.name, pending.call.service))
        if pending.published is not None:
            pending.published.log_connected(caller, callee, host.grant)
        around = self._around
        circuit = join(
            name, caller, callee, around.wheel, self._circuit_closed, around.limits.idle_s
        )
        if circuit.reason is None:
            self.circuits.add(circuit)
            if pending.published is not None:
                self._published_circuits[circuit] = pending.published
        if pending.finished:
            circuit.finished(caller)

    def _circuit_closed(self, circuit: Circuit) -> None:
        self.circuits.discard(circuit)
        self._published_circuits.pop(circuit, None)
        up, down = circuit.bytes()
        reason = circuit.reason or Reason.INTERNAL
        self._around.metrics.circuit_closed(circuit.name.partition(":")[0], reason, up, down)
        self.log.info(
            "circuit closed: {offer} {link} -> {partner}, {bytes_in} bytes up, {bytes_out} down, "
            "{seconds:.1f} s: {reason}",
            event="circuit-closed",
            offer=circuit.name,
            link=circuit.caller.label,
            partner=circuit.callee.label,
            bytes_in=up,
            bytes_out=down,
            seconds=self._around.wheel.now() - circuit.started,
            reason=reason.value,
        )
        self._tell_drained()

    def _tell_drained(self) -> None:
        if self.draining and not self.circuits:
            waiting, self._drained = self._drained, []
            for drained in waiting:
                drained()

    def _enter(self, session: Session, event: Enter) -> None:
        stream = session.new_stream(event.stream)
        topic = self.topics.get(event.topic)
        if topic is None:
            topic = self.topics[event.topic] = Topic(
                event.topic, self._around.ledger, self._around.metrics, self._topic_empty
            )
        topic.enter(stream, event)

    def _topic_empty(self, topic: Topic) -> None:
        self.topics.pop(topic.name, None)


def name_of(event: Event | None) -> str | None:
    """:returns: the offer or topic that is asked for."""
    if isinstance(event, Enter):
        return event.topic
    return event.name if isinstance(event, Offer | Call | Join) else None
