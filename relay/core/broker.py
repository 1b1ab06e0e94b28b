"""Offers and calls: who is registered under which name, and who waits for whom.

A call is answered in one of three ways (:class:`relay.vocabulary.Answer`): by a new stream on the
offer's link, by an announcement that another link joins with a key, or by the head of a queue of
waiting links. Calls that a host has not answered are bounded; further ones wait in order, bounded
too.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger
from zope.interface import implementer

from relay.core.denials import Denials
from relay.core.flow import LinkStream
from relay.core.ledger import Ledger
from relay.core.liveness import Entry, Wheel
from relay.core.rivals import Rivals
from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.core.topic import Topic
from relay.errors import (
    CallGone,
    GoingAway,
    HostAbsent,
    LimitReached,
    NoSuchOffer,
    ProtocolError,
    RelayError,
    WrongName,
)
from relay.interfaces import ICircuit, IStream
from relay.metrics import Metrics
from relay.settings.model import Limits
from relay.vocabulary import (
    CLEAN_REASONS,
    Accept,
    Answer,
    Call,
    CallKey,
    Close,
    Enter,
    Event,
    Grant,
    Hello,
    Join,
    Offer,
    OfferName,
    Reason,
    Rivalry,
    TopicName,
)

WAITING_CALLS = 1000
"""Calls that may wait in order behind those a host has been told of."""

KEY_BITS = 64


class PendingCall:
    """One call that no host has answered yet."""

    __slots__ = ("announced", "call", "callee", "finished", "over", "session", "stream", "timer")

    def __init__(self, call: Call, session: Session, stream: LinkStream) -> None:
        self.call = call
        self.session = session
        self.stream = stream
        self.callee: IStream | None = None
        self.announced = False
        self.finished = False
        self.over = False
        self.timer: Entry | None = None


class Standing:
    """All that is known of one name: its registration and its unanswered calls.

    It outlives the registration for as long as calls wait: a host that lost its control link may
    still join them, and so may its successor.
    """

    __slots__ = ("announced", "announcing", "offer", "responders", "session", "waiting")

    def __init__(self) -> None:
        self.announcing = False
        self.session: Session | None = None
        self.offer: Offer | None = None
        self.announced: dict[CallKey, PendingCall] = {}
        # lists: they are nearly always empty, and an empty deque takes ten times as much
        self.waiting: list[PendingCall] = []
        self.responders: list[Session] = []

    def is_empty(self) -> bool:
        """:returns: whether nothing is left to remember."""
        return not (self.session or self.announced or self.waiting or self.responders)


class Broker:
    """The router's switch.

    :param random_bits: an unpredictable integer below 2**n
    """

    log = Logger()

    def __init__(
        self,
        limits: Limits,
        wheel: Wheel,
        ledger: Ledger,
        metrics: Metrics,
        random_bits: Callable[[int], int],
    ) -> None:
        self.limits = limits
        self.metrics = metrics
        self.sessions: set[Session] = set()
        self.circuits: set[Circuit] = set()
        self.topics: dict[TopicName, Topic] = {}
        self.denials = Denials()
        self.draining = False
        self._wheel = wheel
        self._ledger = ledger
        self._random_bits = random_bits
        self._standings: dict[OfferName, Standing] = {}
        self._rivals = Rivals(wheel)
        self._offered: dict[Session, set[OfferName]] = {}
        self._expiries: dict[Session, Entry] = {}
        self._callers: dict[IStream, PendingCall] = {}
        self._opening: dict[IStream, PendingCall] = {}
        self._drained: list[Callable[[], None]] = []

    # -- before a handshake is over --------------------------------------------------------------

    def judge(self, intent: Event | None, grant: Grant) -> None:
        """Would this be granted now? So that a refusal can still be an HTTP status.

        :raises RelayError: why not
        """
        self._check_open(intent, grant)
        if isinstance(intent, Offer):
            self._check_name(grant, intent.name)
            self._judge_offer(intent, None)
        elif isinstance(intent, Call):
            self._check_name(grant, intent.name)
            self._judge_call(intent)
        elif isinstance(intent, Join):
            self._check_name(grant, intent.name)
            standing = self._standings.get(intent.name)
            if standing is None or intent.key not in standing.announced:
                raise CallGone("this call does not exist, or was answered, or its caller left")

    def hold_s(self, intent: Event | None) -> float:
        """:returns: how long a newcomer's handshake is held back, because its name flaps."""
        if not isinstance(intent, Offer) or intent.rivalry is not Rivalry.NEWEST_WINS:
            return 0.0
        standing = self._standings.get(intent.name)
        if standing is None or standing.session is None:
            return 0.0
        return self._rivals.hold_s(intent.name)

    # -- sessions --------------------------------------------------------------------------------

    def add(self, session: Session) -> None:
        """A session begins."""
        self.sessions.add(session)
        grant = session.grant
        if grant is not None and grant.ends_links and grant.expires is not None:
            left_s = max(0.0, grant.expires - self._wheel.now())
            self._expiries[session] = self._wheel.after(left_s, lambda: session.end(Reason.EXPIRED))

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The session's peer asks for something. :raises RelayError: when it may not have it."""
        if session.grant is None:
            raise ProtocolError("nothing may be asked for before a credential was accepted")
        self._check_open(event, session.grant)
        if isinstance(event, Offer):
            self._offer(session, session.grant, event)
        elif isinstance(event, Call):
            self._call(session, session.grant, event)
        elif isinstance(event, Join):
            self._join(session, session.grant, event)
        elif isinstance(event, Enter):
            self._enter(session, event)
        else:
            raise ProtocolError("a credential was already accepted")

    def accepted(self, session: Session, event: Accept) -> None:
        """A host answered the call that was put on one of its link's streams."""
        stream = session.streams().get(event.stream)
        pending = self._opening.pop(stream, None) if stream is not None else None
        if pending is not None and stream is not None:
            self._connect(pending, stream)

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
        self.sessions.discard(session)
        expiry = self._expiries.pop(session, None)
        if expiry is not None:
            expiry.cancel()
        for name in self._offered.pop(session, ()):
            self._withdraw(session, name)
        self.log.info(
            "link down: {link} ({dialect} {role}, {subject}) after {seconds:.1f} s: "
            "{reason}{detail}",
            event="link-down",
            link=session.label,
            dialect=session.grant.dialect if session.grant else "?",
            role=session.conversation.role.value,
            subject=session.grant.subject if session.grant else "?",
            seconds=self._wheel.now() - session.started,
            reason=reason.value,
            detail=f" ({detail})" if detail else "",
        )

    def offers(self) -> dict[OfferName, Session]:
        """:returns: the registered names and their links."""
        return {
            name: standing.session
            for name, standing in self._standings.items()
            if standing.session is not None
        }

    def pending_calls(self) -> int:
        """:returns: how many calls no host has answered."""
        return len(self._callers)

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
        :returns: how many links were ended
        """
        denial = self.denials.add(dialect, subject, offer, token_id, until)
        ended = 0
        for session in tuple(self.sessions):
            if session.grant is not None and denial.matches(session.grant, self._names(session)):
                session.end(Reason.REVOKED)
                ended += 1
        return ended

    def drain(self, drained: Callable[[], None]) -> None:
        """Take nothing new, tell hosts to go elsewhere, let circuits end.

        :param drained: called when the last circuit has ended, at once when there is none
        """
        self.draining = True
        for pending in tuple(self._callers.values()):
            self._give_up(pending, Reason.GOING_AWAY)
            pending.session.end_stream(pending.call.stream, Reason.GOING_AWAY)
        for session in tuple(self.sessions):
            if not session.streams():
                session.end(Reason.GOING_AWAY)
        self._drained.append(drained)
        self._tell_drained()

    def end_all(self) -> None:
        """End every link that is left."""
        for session in tuple(self.sessions):
            session.end(Reason.GOING_AWAY)

    # -- offers ----------------------------------------------------------------------------------

    def _check_open(self, event: Event | None, grant: Grant) -> None:
        names = (event.name,) if isinstance(event, Offer | Call | Join) else ()
        self.denials.check(grant, self._wheel.now(), names)
        if self.draining:
            raise GoingAway("this router is going away", "connect again", retry_after_s=1)

    def _names(self, session: Session) -> set[OfferName]:
        """:returns: the offers that a session makes, or that it began to call or join."""
        names = set(self._offered.get(session, ()))
        intent = session.conversation.intent
        if isinstance(intent, Offer | Call | Join):
            names.add(intent.name)
        return names

    def _check_name(self, grant: Grant, name: OfferName) -> None:
        if grant.name is not None and grant.name != name:
            raise WrongName(f"this credential is not for {name}")

    def _judge_offer(self, offer: Offer, session: Session | None) -> None:
        standing = self._standings.get(offer.name)
        if standing is None or standing.session is None or standing.session is session:
            return
        if offer.rivalry is Rivalry.LIVE_KEEPS:
            raise LimitReached(f"{offer.name} is registered already, and its host is alive")
        if len(standing.responders) >= self.limits.links_per_offer:
            raise LimitReached(f"{offer.name} has {len(standing.responders)} registrations already")

    def _offer(self, session: Session, grant: Grant, offer: Offer) -> None:
        self._check_name(grant, offer.name)
        self._judge_offer(offer, session)
        standing = self._standings.setdefault(offer.name, Standing())
        rival = standing.session
        standing.session, standing.offer = session, offer
        self._offered.setdefault(session, set()).add(offer.name)
        if offer.answer is Answer.QUEUE:
            if session not in standing.responders:
                standing.responders.append(session)
        elif rival is not None and rival is not session:
            self._rivals.replaced(offer.name)
            rival.end(Reason.REPLACED)
        self.log.info(
            "offer {offer} stands ({link}, {subject}{services})",
            event="offer-up",
            offer=offer.name,
            link=session.label,
            subject=grant.subject,
            services=f", services {', '.join(offer.services)}" if offer.services else "",
        )
        self._announce_waiting(offer.name, standing)

    def _withdraw(self, session: Session, name: OfferName) -> None:
        standing = self._standings.get(name)
        if standing is None:
            return
        if session in standing.responders:
            standing.responders.remove(session)
        if standing.session is session:
            standing.session = standing.responders[-1] if standing.responders else None
            if standing.session is None:
                standing.offer = None
        self._tidy(name, standing)

    def _tidy(self, name: OfferName, standing: Standing) -> None:
        if standing.is_empty():
            self._standings.pop(name, None)

    # -- calls -----------------------------------------------------------------------------------

    def _judge_call(self, call: Call) -> Standing:
        standing = self._standings.get(call.name)
        if standing is None or standing.session is None or standing.offer is None:
            raise HostAbsent(
                f"no host is registered for {call.name}",
                "start the host, or look at its log",
            )
        services = standing.offer.services
        if services is not None and call.service not in services:
            known = ", ".join(sorted(services))
            raise NoSuchOffer(
                f"the host of {call.name} offers no service {call.service!r}, only {known}",
                "name one of its services",
            )
        if len(standing.waiting) >= WAITING_CALLS:
            raise LimitReached(
                f"{len(standing.waiting)} calls wait for {call.name} already",
                "find out why its host does not answer",
                retry_after_s=5,
            )
        self._ledger.admit()
        return standing

    def _call(self, session: Session, grant: Grant, call: Call) -> None:
        self._check_name(grant, call.name)
        standing = self._judge_call(call)
        stream = self._new_stream(session, call.stream)
        pending = PendingCall(
            call._replace(key=self._new_key(standing), caller=grant.subject), session, stream
        )
        stream.circuit = _Waiting(self, pending)
        self._callers[stream] = pending
        if self.limits.pending_s:
            pending.timer = self._wheel.after(
                self.limits.pending_s, lambda: self._timed_out(pending)
            )
        standing.waiting.append(pending)
        self._announce_waiting(call.name, standing)

    def _new_stream(self, session: Session, stream_id: int) -> LinkStream:
        if stream_id in session.streams():
            raise ProtocolError(f"stream {stream_id} is in use already")
        return session.open_stream(stream_id)

    def _new_key(self, standing: Standing) -> CallKey:
        while True:
            key = CallKey(str(self._random_bits(KEY_BITS)))
            if key not in standing.announced:
                return key

    def _announce_waiting(self, name: OfferName, standing: Standing) -> None:
        """Tell the host of calls in order, as many as it may have unanswered."""
        if standing.announcing:
            return  # whoever is at it sees what has changed
        standing.announcing = True
        try:
            while (
                standing.waiting
                and standing.session is not None
                and standing.session.reason is None
                and standing.offer is not None
                and len(standing.announced) < self.limits.pending_calls
                and not self.draining
            ):
                pending = standing.waiting.pop(0)
                if standing.offer.answer is Answer.QUEUE:
                    self._hand_to_next(standing, pending)
                    continue
                pending.announced = True
                standing.announced[pending.call.key] = pending
                if standing.offer.answer is Answer.STREAM:
                    self._open_on(standing.session, pending)
                else:
                    standing.session.perform(pending.call)
        finally:
            standing.announcing = False
        self._tidy(name, standing)

    def _hand_to_next(self, standing: Standing, pending: PendingCall) -> None:
        """Join a call with the link that has waited longest."""
        responder = standing.responders[0]
        try:
            callee = responder.stream()
        except RelayError as error:
            self._forget(pending)
            pending.session.refuse(pending.call.stream, error)
            return
        standing.responders.pop(0)
        standing.session = standing.responders[-1] if standing.responders else None
        self._connect(pending, callee)

    def _open_on(self, session: Session, pending: PendingCall) -> None:
        """Put a call on a new stream of the host's link; its Accept follows."""
        try:
            session.check_room()
            opening = session.conversation.begin(pending.call)
            stream = session.open_stream(opening.stream, opening.send_credit)
        except RelayError as error:
            self._forget(pending)
            pending.session.refuse(pending.call.stream, error)
            return
        pending.callee = stream
        stream.circuit = _Opening(self, pending)
        self._opening[stream] = pending
        session.perform(pending.call._replace(stream=opening.stream))

    def _join(self, session: Session, grant: Grant, event: Join) -> None:
        self._check_name(grant, event.name)
        standing = self._standings.get(event.name)
        pending = standing.announced.get(event.key) if standing is not None else None
        if pending is None:
            raise CallGone("this call does not exist, or was answered, or its caller left")
        self._connect(pending, self._new_stream(session, event.stream))

    def _enter(self, session: Session, event: Enter) -> None:
        stream = self._new_stream(session, event.stream)
        topic = self.topics.get(event.topic)
        if topic is None:
            topic = self.topics[event.topic] = Topic(event.topic, self.metrics, self._topic_empty)
        topic.enter(stream, event)

    def _topic_empty(self, topic: Topic) -> None:
        self.topics.pop(topic.name, None)

    def _connect(self, pending: PendingCall, callee: IStream) -> None:
        """A call is answered: tell the caller, then let payload flow."""
        self._forget(pending)
        caller = pending.stream
        pending.session.perform(Accept(pending.call.stream))
        if caller.closed:
            callee.reset(pending.session.reason or Reason.PEER_CLOSED, None)
            return
        name = pending.call.name + (f"/{pending.call.service}" if pending.call.service else "")
        circuit = join(name, caller, callee, self._wheel, self._circuit_closed, self.limits.idle_s)
        if circuit.reason is None:
            self.circuits.add(circuit)
        if pending.finished:
            circuit.finished(caller)

    def _forget(self, pending: PendingCall) -> None:
        """A pending call is answered or given up: let the next one be announced."""
        if pending.over:
            return
        pending.over = True
        if pending.timer is not None:
            pending.timer.cancel()
            pending.timer = None
        self._callers.pop(pending.stream, None)
        standing = self._standings.get(pending.call.name)
        if standing is None:
            return
        if pending.announced:
            standing.announced.pop(pending.call.key, None)
        elif pending in standing.waiting:
            standing.waiting.remove(pending)
        self._announce_waiting(pending.call.name, standing)

    def _give_up(self, pending: PendingCall, reason: Reason) -> None:
        """A call that nobody waits for any more: a host that was about to answer is told."""
        callee, pending.callee = pending.callee, None
        self._forget(pending)
        if callee is not None:
            self._opening.pop(callee, None)
            callee.reset(reason, None)

    def _timed_out(self, pending: PendingCall) -> None:
        reason = Reason.HOST_SILENT if pending.announced else Reason.LIMIT
        self._give_up(pending, reason)
        self.metrics.refused(pending.call.name.partition(":")[0], reason)
        pending.session.end_stream(
            pending.call.stream,
            reason,
            detail=f"{pending.call.name} did not answer within {self.limits.pending_s:g} s",
        )

    def _circuit_closed(self, circuit: Circuit) -> None:
        self.circuits.discard(circuit)
        up, down = circuit.bytes()
        reason = circuit.reason or Reason.INTERNAL
        self.metrics.circuit_closed(circuit.name.partition(":")[0], reason, up, down)
        self.log.info(
            "circuit closed: {offer} {link} -> {partner}, {bytes_in} bytes up, {bytes_out} down, "
            "{seconds:.1f} s: {reason}",
            event="circuit-closed",
            offer=circuit.name,
            link=circuit.caller.label,
            partner=circuit.callee.label,
            bytes_in=up,
            bytes_out=down,
            seconds=self._wheel.now() - circuit.started,
            reason=reason.value,
        )
        self._tell_drained()

    def _tell_drained(self) -> None:
        if self.draining and not self.circuits:
            waiting, self._drained = self._drained, []
            for drained in waiting:
                drained()


@implementer(ICircuit)
class _Waiting:
    """Stands in for the circuit of a caller that has none yet: its end ends the call."""

    __slots__ = ("_broker", "_pending")

    def __init__(self, broker: Broker, pending: PendingCall) -> None:
        self._broker = broker
        self._pending = pending

    def finished(self, side: IStream) -> None:
        """The caller has said all it wants to say, and waits for the answer."""
        self._pending.finished = True

    def broken(self, side: IStream, reason: Reason, close: Close | None = None) -> None:
        """The caller has left."""
        side.circuit = None  # else the two keep each other until the next search for such rings
        self._broker._give_up(self._pending, reason)


@implementer(ICircuit)
class _Opening:
    """Stands in for the circuit of a host's stream that has not accepted yet."""

    __slots__ = ("_broker", "_pending")

    def __init__(self, broker: Broker, pending: PendingCall) -> None:
        self._broker = broker
        self._pending = pending

    def finished(self, side: IStream) -> None:
        """A stream that ends before it was accepted was refused."""
        side.reset(Reason.TARGET_REFUSED, None)
        self.broken(side, Reason.TARGET_REFUSED)

    def broken(self, side: IStream, reason: Reason, close: Close | None = None) -> None:
        """The host refused the call, or its link is gone."""
        pending = self._pending
        pending.callee = None
        self._broker._opening.pop(side, None)
        self._broker._forget(pending)
        if reason in CLEAN_REASONS:
            reason, close = Reason.TARGET_REFUSED, None
        pending.session.end_stream(pending.call.stream, reason, close)
