"""Names: who is registered under which, and the calls that wait for them.

A call is answered in one of three ways (:class:`relay.vocabulary.Answer`): by a new stream on the
offer's link, by an announcement that another link joins with a key, or by the head of a queue of
waiting links. Calls that a host has not answered are bounded; further ones wait in order, bounded
too. Who may ask is the broker's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from relay.core.challenge import Challenges
from relay.core.publications import Published
from relay.core.refills import Refills
from relay.core.rivals import Rivals
from relay.core.session import Session
from relay.core.stand_ins import Opening, Waiting
from relay.core.standing import ICaller, PendingCall, Standing
from relay.core.surroundings import Surroundings
from relay.errors import CallGone, HostAbsent, LimitReached, NoSuchOffer, RelayError
from relay.interfaces import IStream
from relay.vocabulary import (
    Answer,
    Call,
    CallKey,
    Join,
    Offer,
    OfferName,
    Reason,
    Rivalry,
    Stands,
)

WAITING_CALLS = 1000
"""Calls that may wait in order behind those a host has been told of."""

KEY_BITS = 64


class Registry:
    """Offers, and calls until they are answered.

    :param random_bits: an unpredictable integer below 2**n
    :param connect: called with an answered call, and the link and stream that answer it
    :ivar closed: whether waiting calls are announced no more
    """

    log = Logger()

    def __init__(
        self,
        around: Surroundings,
        random_bits: Callable[[int], int],
        connect: Callable[[PendingCall, Session, IStream], None],
    ) -> None:
        self.closed = False
        self._around = around
        self._random_bits = random_bits
        self._numbered = 0
        self._connect = connect
        self._rivals = Rivals(around.wheel)
        self._challenges = Challenges(around)
        self._refills = Refills()
        self._standings: dict[OfferName, Standing] = {}
        self._callers: dict[IStream, PendingCall] = {}
        self._opening: dict[IStream, PendingCall] = {}

    # -- what there is ---------------------------------------------------------------------------

    def offers(self) -> Mapping[OfferName, Session]:
        """:returns: the registered names and their links."""
        return {
            name: standing.session
            for name, standing in self._standings.items()
            if standing.session is not None
        }

    def offered_by(self, session: Session) -> frozenset[OfferName]:
        """:returns: the names that a link offers."""
        return frozenset(session.offers)

    def pending(self) -> tuple[PendingCall, ...]:
        """:returns: the calls that no host has answered."""
        return tuple(self._callers.values())

    def is_empty(self) -> bool:
        """:returns: whether nothing is registered, waits or is being opened."""
        return not (self._standings or self._callers or self._opening)

    # -- offers ----------------------------------------------------------------------------------

    def judge_offer(self, offer: Offer, session: Session | None = None) -> None:
        """:raises LimitReached: when the name cannot be registered by ``session`` now."""
        standing = self._standings.get(offer.name)
        if standing is None or standing.session is None or standing.session is session:
            return
        if offer.answer is Answer.QUEUE and offer.waiting:
            return
        if len(standing.responders) >= self._around.limits.links_per_offer:
            raise LimitReached(f"{offer.name} has {len(standing.responders)} registrations already")

    def hold_s(self, offer: Offer) -> float:
        """:returns: how long a newcomer's handshake is held back, because its name flaps."""
        standing = self._standings.get(offer.name)
        if offer.rivalry is not Rivalry.NEWEST_WINS or standing is None or standing.session is None:
            return 0.0
        return self._rivals.hold_s(offer.name)

    def register(self, session: Session, subject: str, offer: Offer) -> None:
        """A host offers a name: it replaces whoever had it, or joins those who answer in turn.

        Where a live host keeps its name, nothing is decided before that was asked whether it lives.

        :raises LimitReached: when it cannot be registered
        """
        self.judge_offer(offer, session)
        standing = self._standings.setdefault(offer.name, Standing())
        rival, was_known = standing.session, bool(standing.responders)
        if offer.rivalry is Rivalry.LIVE_KEEPS and rival is not None and rival is not session:
            self._challenges.begin(
                offer.name, rival, session, lambda: self.register(session, subject, offer)
            )
            return
        standing.session, standing.offer = session, offer
        if offer.name not in session.offers:
            session.offers = (*session.offers, offer.name)
        if offer.answer is Answer.QUEUE:
            standing.respond(session)
            if offer.waiting and len(standing.responders) > offer.waiting:
                standing.next_responder().end(Reason.REPLACED)
        elif rival is not None and rival is not session:
            self._rivals.replaced(offer.name)
            rival.end(Reason.REPLACED)
        if not was_known:
            self._tell_up(offer, session, subject)
        if offer.rivalry is Rivalry.LIVE_KEEPS:
            session.perform(Stands(offer.name))
        self._announce_waiting(offer.name, standing)

    def _tell_up(self, offer: Offer, session: Session, subject: str) -> None:
        self.log.info(
            "offer {offer} stands ({link}, {subject}{services})",
            event="offer-up",
            offer=offer.name,
            link=session.label,
            subject=subject,
            services=f", services {', '.join(offer.services)}" if offer.services else "",
        )

    def withdraw(self, session: Session) -> None:
        """A link is over: what it offered is registered no more."""
        names, session.offers = session.offers, ()
        for name in names:
            standing = self._standings.get(name)
            if standing is not None:
                offer = standing.offer
                standing.withdraw(session)
                self._gone(name, standing, offer)
                self._tidy(name, standing)

    def is_refilling(self, name: OfferName) -> bool:
        """:returns: whether all links that were to answer a name were taken, a moment ago"""
        return self._refills.is_expected(name, self._around.wheel.now())

    def _gone(self, name: OfferName, standing: Standing, offer: Offer | None) -> None:
        """A link stands for a name no more: perhaps it was the last of several.

        :param offer: what it was
        """
        if standing.session is None and offer is not None and offer.answer is Answer.QUEUE:
            self._refills.ran_dry(name, self._around.wheel.now())

    def ready(self, session: Session) -> None:
        """A host reads again: tell it of the calls that came meanwhile."""
        for name in session.offers:
            standing = self._standings.get(name)
            if standing is not None and standing.session is session:
                self._announce_waiting(name, standing)

    def _tidy(self, name: OfferName, standing: Standing) -> None:
        if standing.is_empty():
            self._standings.pop(name, None)

    # -- calls -----------------------------------------------------------------------------------

    def judge_call(self, call: Call) -> None:
        """:raises RelayError: when a call would not wait."""
        standing = self._standings.get(call.name)
        if standing is None:
            standing = Standing()
        if standing.offer is None and not call.waits_s:
            raise absent(call.name)
        services = None if standing.offer is None else standing.offer.services
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
        self._around.ledger.admit()

    def call(
        self, caller: ICaller, subject: str, call: Call, published: Published | None = None
    ) -> None:
        """A caller waits for a host. :raises RelayError: when it may not."""
        self.judge_call(call)
        standing = self._standings.setdefault(call.name, Standing())
        stream = caller.new_stream(call.stream)
        call = call._replace(key=self._new_key(standing), caller=subject)
        pending = PendingCall(call, caller, stream, published)
        stream.circuit = Waiting(self, pending)
        self._callers[stream] = pending
        pending_s = self._around.limits.pending_s
        if standing.offer is None:
            pending_s = min(pending_s, call.waits_s) or call.waits_s
        if pending_s:
            pending.timer = self._around.wheel.after(
                pending_s, lambda: self._timed_out(pending, pending_s)
            )
        standing.wait(pending)
        self._announce_waiting(call.name, standing)

    def announced(self, event: Join) -> PendingCall:
        """:returns: the call that a host was told of. :raises CallGone: when it waits no more."""
        standing = self._standings.get(event.name)
        pending = standing.announced.get(event.key) if standing is not None else None
        if pending is None:
            raise CallGone("this call does not exist, or was answered, or its caller left")
        return pending

    def accepted(self, session: Session, stream: IStream) -> None:
        """A host answered the call that was put on one of its link's streams."""
        pending = self._opening.pop(stream, None)
        if pending is not None:
            self._connect(pending, session, stream)

    def forget(self, pending: PendingCall) -> None:
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
        standing.forget(pending)
        self._announce_waiting(pending.call.name, standing)

    def give_up(self, pending: PendingCall, reason: Reason) -> None:
        """A call that nobody waits for any more: a host that was about to answer is told."""
        callee, pending.callee = pending.callee, None
        self.forget(pending)
        if callee is not None:
            self._opening.pop(callee, None)
            callee.reset(reason, None)

    def refused(self, pending: PendingCall, stream: IStream, reason: Reason) -> None:
        """The host ended the stream that was opened for a call."""
        self._around.metrics.refused(pending.dialect, reason)
        pending.callee = None
        self._opening.pop(stream, None)
        self.forget(pending)

    def _new_key(self, standing: Standing) -> CallKey:
        """:returns: a key that nobody can guess, where a link can join by it, or perhaps will;
        else a number
        """
        announces = standing.offer is None or standing.offer.answer is Answer.ANNOUNCE
        while True:
            self._numbered += 1
            number = self._random_bits(KEY_BITS) if announces else self._numbered
            key = CallKey(str(number))
            if key not in standing.announced:
                return key

    def _announce_waiting(self, name: OfferName, standing: Standing) -> None:
        """Tell the host of calls in order, as many as it may have unanswered."""
        if not standing.waiting:
            return self._tidy(name, standing)
        if standing.announcing:
            return  # whoever is at it sees what has changed
        standing.announcing = True
        try:
            while (
                standing.waiting
                and standing.session is not None
                and standing.session.reason is None
                and standing.offer is not None
                and self._takes_calls(standing.session, standing.offer)
                and len(standing.announced) < self._around.limits.pending_calls
                and not self.closed
            ):
                pending = standing.next()
                if standing.offer.answer is Answer.QUEUE:
                    self._hand_to_next(standing, pending)
                    continue
                pending.announced = True
                pending.announced_at = self._around.wheel.now()
                standing.announce(pending)
                if standing.offer.answer is Answer.STREAM:
                    self._open_on(standing.session, pending)
                else:
                    standing.session.perform(pending.call)
        finally:
            standing.announcing = False
        self._tidy(name, standing)

    def _takes_calls(self, session: Session, offer: Offer) -> bool:
        """:returns: whether a host is to be told of calls: one that does not read is not, else
        calls that come and go would pile up in front of it
        """
        return offer.answer is Answer.QUEUE or not session.full

    def _why_in_vain(self, pending: PendingCall) -> Reason:
        """:returns: whether the host had its time for a call, or does not even read of it.

        One that was told of it just now, because the calls before it were given up, had not.
        """
        if pending.announced:
            waited_s = self._around.wheel.now() - pending.announced_at
            blame = waited_s >= self._around.limits.pending_s / 2
        else:
            standing = self._standings[pending.call.name]
            if pending.call.waits_s and standing.session is None:
                return Reason.HOST_ABSENT
            blame = standing.session is not None and standing.session.full
        return Reason.HOST_SILENT if blame else Reason.LIMIT

    def _hand_to_next(self, standing: Standing, pending: PendingCall) -> None:
        """Join a call with the link that has waited longest."""
        responder = standing.next_responder()
        try:
            callee = responder.stream()
        except RelayError as error:
            self.forget(pending)
            pending.refuse(error)
            return
        offer = standing.offer
        standing.responds_no_more(responder)
        self._gone(pending.call.name, standing, offer)
        responder.perform(pending.call)
        if responder.reason is None:
            self._connect(pending, responder, callee)
        else:
            standing.wait_first(pending)

    def _open_on(self, session: Session, pending: PendingCall) -> None:
        """Put a call on a new stream of the host's link; its Accept follows."""
        try:
            session.check_room()
            opening = session.conversation.begin(pending.call)
            stream = session.open_stream(opening.stream, opening.send_credit)
        except RelayError as error:
            self.forget(pending)
            pending.refuse(error)
            return
        pending.callee = stream
        stream.circuit = Opening(self, pending)
        self._opening[stream] = pending
        session.perform(pending.call._replace(stream=opening.stream))

    def _timed_out(self, pending: PendingCall, waited_s: float) -> None:
        reason = self._why_in_vain(pending)
        self.give_up(pending, reason)
        self._around.metrics.refused(pending.dialect, reason)
        pending.caller.end_stream(
            pending.call.stream,
            reason,
            detail=f"{pending.asked} did not answer within {waited_s:g} s",
        )


def absent(name: OfferName) -> HostAbsent:
    """:returns: the refusal of a call that nobody is there to answer"""
    return HostAbsent(f"no host is registered for {name}", "start the host, or look at its log")
