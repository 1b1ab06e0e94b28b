"""Offers and calls: who gets a name, who gets a call, and what ends whom."""

from __future__ import annotations

import itertools

import pytest

from relay.core.broker import Broker
from relay.core.registry import WAITING_CALLS
from relay.core.rivals import FLAP_SPAN_S, MAX_HOLD_S
from relay.core.session import Session
from relay.errors import (
    CallGone,
    GoingAway,
    HostAbsent,
    LimitReached,
    NoSuchOffer,
    RelayError,
    Revoked,
    WrongName,
)
from relay.metrics import Metrics
from relay.settings.model import Limits
from relay.vocabulary import (
    Answer,
    Call,
    CallKey,
    Enter,
    Event,
    Grant,
    Join,
    Message,
    Offer,
    OfferName,
    Outputs,
    Reason,
    Rivalry,
    Role,
    TopicName,
)
from tests.fakes import (
    BOTH,
    ControlTalk,
    MemberTalk,
    MemoryLink,
    MuxTalk,
    Talk,
    World,
    grant,
    pump,
)

NAME = OfferName("talk:1")
OTHER = OfferName("talk:2")
PENDING_S = 30.0
LATE_S = 0.5


class Party:
    """One link of the router, with the test as its far end."""

    def __init__(self, desk: Desk, talk: Talk, its_grant: Grant | None) -> None:
        self.talk = talk
        self.link = MemoryLink()
        label = f"link-{next(desk.numbers)}"
        self.session = Session(self.link, talk, desk.broker, desk.world.around, label, its_grant)
        desk.broker.add(self.session)
        self.session.opened()

    @property
    def reason(self) -> Reason | None:
        """Why the link ended, None while it lives."""
        return self.session.reason

    def told(self) -> list[bytes]:
        """What the router said in text."""
        pump(self.link)
        return self.link.texts()

    def keys(self) -> list[str]:
        """The keys of the calls that were announced here."""
        return [
            text.removeprefix(b"call:").decode() for text in self.told() if text[:5] == b"call:"
        ]

    def accepted(self) -> bool:
        """Whether the call that this link made was answered."""
        return b"accepted" in self.told()

    def payload(self) -> bytes:
        """What came for it."""
        pump(self.link)
        return b"".join(message.payload for message in self.link.sent if not message.text)

    def says(self, payload: bytes) -> None:
        """The far end sends payload."""
        self.link.arrive(Message(payload))

    def frames(self, kind: bytes) -> list[int]:
        """Streams of the frames of that kind, on a shared link."""
        pump(self.link)
        return [
            int.from_bytes(message.payload[1:5], "big")
            for message in self.link.sent
            if message.payload[:1] == kind
        ]

    def frame(self, kind: bytes, stream: int, body: bytes = b"") -> None:
        """A frame arrives on a shared link."""
        self.link.arrive(Message(kind + stream.to_bytes(4, "big") + body))


class Desk:
    """A broker and the world around it."""

    def __init__(self, limits: Limits | None = None, world: World | None = None) -> None:
        self.world = world or World()
        self.metrics = Metrics()
        self.numbers = itertools.count(1)
        self.bits = itertools.count(1)
        self.broker = Broker(
            limits or Limits(),
            self.world.wheel,
            self.world.ledger,
            self.metrics,
            lambda bits: next(self.bits),
        )

    def party(
        self, talk: Talk, subject: str = "somebody", name: OfferName | TopicName | None = None
    ) -> Party:
        """A link with that conversation, begun."""
        return Party(self, talk, grant(talk.role, subject, name))

    def host(
        self,
        services: tuple[str, ...] | None = None,
        answer: Answer = Answer.ANNOUNCE,
        rivalry: Rivalry = Rivalry.NEWEST_WINS,
        subject: str = "host",
    ) -> Party:
        """A host of NAME that is told of calls."""
        return self.party(ControlTalk(Offer(NAME, answer, rivalry, services)), subject)

    def mux_host(self) -> Party:
        """A host of NAME that answers on streams of its link."""
        return self.party(MuxTalk(Offer(NAME, Answer.STREAM)))

    def responder(self) -> Party:
        """One of the links of NAME that wait for a call."""
        return self.party(Talk(Offer(NAME, Answer.QUEUE)))

    def caller(self, service: str = "", subject: str = "caller") -> Party:
        """A client that calls NAME."""
        return self.party(Talk(Call(NAME, service)), subject)

    def accepter(self, key: str, name: OfferName = NAME) -> Party:
        """A host's link that joins a call."""
        return self.party(Talk(Join(name, CallKey(key))), "host")

    def circuit(self) -> tuple[Party, Party]:
        """A caller and an accepter, joined."""
        caller = self.caller()
        (host,) = [s for s in self.broker.sessions if isinstance(s.conversation, ControlTalk)]
        assert isinstance(host.link, MemoryLink)
        pump(host.link)
        accepter = self.accepter(host.link.texts()[-1].removeprefix(b"call:").decode())
        return caller, accepter

    def is_clean(self) -> bool:
        """Whether nothing is remembered of names, calls and circuits."""
        broker = self.broker
        return not (
            broker.sessions
            or broker.circuits
            or broker.topics
            or broker._expiries
            or not broker.registry.is_empty()
        )


@pytest.fixture
def desk() -> Desk:
    """A fresh broker."""
    return Desk()


def refusal(desk: Desk, intent: Event | None, its_grant: Grant | None = None) -> type | None:
    """How the broker would refuse this before the handshake is over."""
    try:
        desk.broker.judge(intent, its_grant or grant())
    except RelayError as error:
        return type(error)
    return None


# -- calls and joins -------------------------------------------------------------------------------


def test_a_call_is_announced_accepted_and_carried(desk: Desk) -> None:
    """The host hears of it, its accepting link joins, the caller is told first, and bytes flow."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    assert not caller.accepted()
    accepter = desk.accepter(key)
    accepter.says(b"down")
    caller.says(b"up")
    assert caller.told() == [b"accepted"]
    assert (caller.payload(), accepter.payload()) == (b"down", b"up")
    assert len(desk.broker.circuits) == 1
    assert desk.broker.pending_calls() == 0


def test_the_end_of_a_circuit_is_counted(desk: Desk) -> None:
    """Bytes both ways, the reason, and nothing is left behind."""
    host = desk.host()
    caller, accepter = desk.circuit()
    caller.says(b"12345")
    accepter.says(b"123")
    caller.link.lose()
    assert accepter.reason is Reason.LOST
    assert desk.metrics.circuits_total["talk", Reason.LOST] == 1
    assert desk.metrics.bytes_total["talk", "up"] == 5
    assert desk.metrics.bytes_total["talk", "down"] == 3
    host.link.lose()
    assert desk.is_clean()


def test_a_key_joins_once(desk: Desk) -> None:
    """The second link with the same key is refused, and the circuit of the first is untouched."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    first, second = desk.accepter(key), desk.accepter(key)
    assert first.reason is None
    assert second.reason is Reason.NO_SUCH_OFFER
    caller.says(b"x")
    assert first.payload() == b"x"


def test_a_key_is_good_for_its_own_name_only(desk: Desk) -> None:
    """Whoever guesses a key of another name gets nothing, whether or not that name stands."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)))
    assert desk.accepter(key, OTHER).reason is Reason.NO_SUCH_OFFER
    assert caller.reason is None
    assert desk.accepter(key).reason is None


def test_a_grant_is_good_for_its_own_name_only(desk: Desk) -> None:
    """Offer, call and join are each checked, before the handshake and after it."""
    host = desk.host()
    desk.caller()
    (key,) = host.keys()
    for event in (Offer(NAME, Answer.ANNOUNCE), Call(NAME), Join(NAME, CallKey(key))):
        assert refusal(desk, event, grant(name=OTHER)) is WrongName
        party = desk.party(Talk(event), name=OTHER)
        assert party.reason is Reason.WRONG_NAME
    assert host.reason is None
    assert desk.accepter(key).reason is None


def test_nothing_may_be_asked_for_without_a_grant(desk: Desk) -> None:
    """A link that has shown no credential breaks the rules by asking."""
    host = desk.host()
    for event in (Offer(NAME, Answer.ANNOUNCE), Call(NAME), Enter(TopicName("talk:t"))):
        party = Party(desk, Talk(event), None)
        assert party.reason is Reason.PROTOCOL_ERROR
    assert host.keys() == []


def test_a_caller_that_left_is_forgotten(desk: Desk) -> None:
    """Its key joins nothing any more, and the host's link lives on."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    caller.link.arrive(Message(b"never mind"))
    caller.link.resume_reading()
    caller.link.lose()
    assert desk.broker.pending_calls() == 0
    assert refusal(desk, Join(NAME, CallKey(key))) is CallGone
    assert desk.accepter(key).reason is Reason.NO_SUCH_OFFER
    assert host.reason is None


def test_what_a_pending_caller_says_is_kept(desk: Desk) -> None:
    """Early payload, and an early Finish behind it, reach the host that accepts later."""
    host = desk.host()
    caller = desk.party(Talk(Call(NAME), BOTH))
    caller.says(b"early")
    caller.link.resume_reading()
    caller.link.arrive(Message(b"fin", text=True))
    (key,) = host.keys()
    accepter = desk.party(Talk(Join(NAME, CallKey(key)), BOTH))
    assert accepter.payload() == b"early"
    assert accepter.told() == [b"fin"]
    assert accepter.reason is None


def test_an_early_finish_is_told_once_there_is_somebody_to_tell(desk: Desk) -> None:
    """A caller that said nothing but its end waits for the answer."""
    host = desk.host()
    caller = desk.party(Talk(Call(NAME), BOTH))
    caller.link.arrive(Message(b"fin", text=True))
    (key,) = host.keys()
    accepter = desk.party(Talk(Join(NAME, CallKey(key)), BOTH))
    accepter.says(b"answer")
    assert accepter.told() == [b"fin"]
    assert caller.payload() == b"answer"


def test_an_old_key_survives_the_loss_of_its_control_link(desk: Desk) -> None:
    """A call that was announced can still be joined, by whoever holds the name's grant."""
    host, caller = desk.host(), desk.caller()
    (key,) = host.keys()
    host.link.lose()
    assert refusal(desk, Call(NAME)) is HostAbsent
    assert caller.reason is None
    assert desk.accepter(key).reason is None
    assert caller.accepted()


def test_circuits_survive_the_loss_of_a_control_link(desk: Desk) -> None:
    """What was joined does not depend on the registration."""
    host = desk.host()
    caller, accepter = desk.circuit()
    host.link.lose()
    caller.says(b"still")
    assert accepter.payload() == b"still"


def test_a_caller_that_ends_while_it_is_told_leaves_no_circuit(desk: Desk) -> None:
    """``FallsOverAtAccepted``: its host's link is ended, and nothing is counted as running."""

    class FallsOver(Talk):
        def perform(self, event: Event, now: float) -> Outputs:
            raise RelayError("cannot say that")

    host = desk.host()
    caller = desk.party(FallsOver(Call(NAME)))
    (key,) = host.keys()
    accepter = desk.accepter(key)
    assert caller.reason is accepter.reason is Reason.INTERNAL
    assert desk.broker.circuits == set()


# -- what is offered -------------------------------------------------------------------------------


def test_unknown_names_and_services_are_told_apart(desk: Desk) -> None:
    """No host at all; a host that does not offer the service, with what it does offer."""
    assert refusal(desk, Call(NAME, "web")) is HostAbsent
    desk.host(services=("web", "ssh"))
    assert refusal(desk, Call(NAME, "web")) is None
    with pytest.raises(NoSuchOffer, match=r"'ftp', only ssh, web"):
        desk.broker.judge(Call(NAME, "ftp"), grant())
    assert desk.caller("ftp").reason is Reason.NO_SUCH_OFFER


def test_a_host_that_names_no_services_is_asked_for_any(desk: Desk) -> None:
    """What the router does not know it does not judge."""
    host = desk.host(services=None)
    desk.caller("anything")
    assert len(host.keys()) == 1


# -- registrations ---------------------------------------------------------------------------------


def test_the_newest_registration_wins(desk: Desk) -> None:
    """The replaced one is told so, calls reach the new one, and its end withdraws nothing."""
    old, new = desk.host(), desk.host()
    assert old.reason is Reason.REPLACED
    assert old.told() == []
    assert old.link.close_sent is not None
    assert old.link.close_sent.text == "replaced"
    desk.caller()
    assert len(new.keys()) == 1
    assert desk.broker.offers() == {NAME: new.session}


def test_a_live_registration_may_keep_its_name(desk: Desk) -> None:
    """Where the dialect says so the newcomer is refused, until the first is gone."""
    first = desk.host(rivalry=Rivalry.LIVE_KEEPS)
    assert refusal(desk, Offer(NAME, Answer.ANNOUNCE, Rivalry.LIVE_KEEPS)) is LimitReached
    second = desk.host(rivalry=Rivalry.LIVE_KEEPS)
    assert (first.reason, second.reason) == (None, Reason.LIMIT)
    first.link.lose()
    assert desk.host(rivalry=Rivalry.LIVE_KEEPS).reason is None


@pytest.mark.parametrize("rivalry", list(Rivalry))
def test_an_offer_may_be_repeated(desk: Desk, rivalry: Rivalry) -> None:
    """A link that offers its own name again is no rival of itself."""
    offer = Offer(NAME, Answer.ANNOUNCE, rivalry)

    class OffersTwice(ControlTalk):
        def opened(self, now: float) -> Outputs:
            return (offer, offer)

    assert desk.party(OffersTwice(offer)).reason is None


def test_an_offer_that_came_later_is_withdrawn_too(desk: Desk) -> None:
    """A name that was offered within the conversation falls with its link, each of several."""
    agent = desk.party(MuxTalk())
    agent.frame(b"N", 0, NAME.encode())
    agent.frame(b"N", 0, OTHER.encode())
    assert set(desk.broker.offers()) == {NAME, OTHER}
    agent.link.lose()
    assert refusal(desk, Call(NAME)) is HostAbsent
    assert desk.is_clean()


def test_waiting_calls_go_to_the_next_host(desk: Desk) -> None:
    """A call that no host has heard of is announced to whoever registers next."""
    desk = Desk(Limits(pending_calls=1))
    first = desk.host()
    told, waiting = desk.caller(), desk.caller()
    first.link.lose()
    desk.accepter(first.keys()[0])
    assert told.accepted()
    second = desk.host()
    (key,) = second.keys()
    desk.accepter(key)
    assert waiting.accepted()


# -- rivals ----------------------------------------------------------------------------------------


def replaced(desk: Desk) -> float:
    """A newcomer replaces the live host. :returns: how long its handshake is held."""
    hold_s = desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE))
    desk.world.passes(hold_s)
    desk.host()
    return hold_s


def test_flapping_hosts_are_slowed_down(desk: Desk) -> None:
    """From the fourth replacement within 10 s: 1 s, doubling to 8 s; the newcomer still wins."""
    desk.host()
    holds = [replaced(desk) for _ in range(10)]
    assert holds == [0, 0, 0, 1, 2, 4, 8, 8, 8, 8]
    assert len(desk.broker.offers()) == 1


def test_slow_replacements_are_free(desk: Desk) -> None:
    """Three within ten seconds cost nothing, for ever."""
    desk.host()
    for _ in range(30):
        assert replaced(desk) == 0
        desk.world.passes(FLAP_SPAN_S / 3 + LATE_S)


def test_flapping_is_forgotten(desk: Desk) -> None:
    """After a quiet time replacements are free again."""
    desk.host()
    for _ in range(8):
        replaced(desk)
    desk.world.passes(FLAP_SPAN_S + 3 * MAX_HOLD_S)
    assert [replaced(desk) for _ in range(3)] == [0, 0, 0]


def test_only_live_registrations_are_rivals(desk: Desk) -> None:
    """A host that crashes and returns in a loop is not held."""
    for _ in range(10):
        assert desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE)) == 0
        desk.host().link.lose()


def test_only_newcomers_that_would_win_are_held(desk: Desk) -> None:
    """Neither other intents nor offers that cannot win wait."""
    desk.host()
    for _ in range(5):
        replaced(desk)
    assert desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE, Rivalry.LIVE_KEEPS)) == 0
    assert desk.broker.hold_s(Offer(OTHER, Answer.ANNOUNCE)) == 0
    assert desk.broker.hold_s(Call(NAME)) == 0
    assert desk.broker.hold_s(Offer(NAME, Answer.ANNOUNCE)) > 0


# -- unanswered calls ------------------------------------------------------------------------------


def test_unanswered_calls_are_bounded_and_wait_in_order() -> None:
    """100 are announced, 1000 more wait, the next is refused; answers let the oldest on."""
    desk = Desk()
    host = desk.host()
    callers = [desk.caller() for _ in range(Limits().pending_calls + WAITING_CALLS)]
    assert len(host.keys()) == Limits().pending_calls == 100
    assert refusal(desk, Call(NAME)) is LimitReached
    assert desk.caller().reason is Reason.LIMIT
    for key in host.keys()[:3]:
        desk.accepter(key)
    keys = host.keys()
    assert len(keys) == 103
    desk.accepter(keys[101])
    assert [number for number, caller in enumerate(callers) if caller.accepted()] == [0, 1, 2, 101]
    assert refusal(desk, Call(NAME)) is None


def test_a_waiting_caller_that_leaves_makes_room() -> None:
    """It is never announced."""
    desk = Desk(Limits(pending_calls=1))
    host = desk.host()
    _, leaves, stays = desk.caller(), desk.caller(), desk.caller()
    leaves.link.lose()
    desk.accepter(host.keys()[0])
    desk.accepter(host.keys()[1])
    assert stays.accepted()
    assert len(host.keys()) == 2


def test_a_silent_host_is_waited_for_within_bounds() -> None:
    """After 30 s an announced call ends with host-silent, a waiting one with limit; not earlier."""
    desk = Desk(Limits(pending_calls=1))
    host, announced, waiting = desk.host(), desk.caller(), desk.caller()
    desk.world.passes(PENDING_S - LATE_S)
    assert announced.reason is waiting.reason is None
    assert len(host.keys()) == 1
    desk.world.passes(2 * LATE_S)
    assert announced.reason is Reason.HOST_SILENT
    assert waiting.reason is Reason.LIMIT
    assert desk.metrics.refused_total["talk", Reason.HOST_SILENT] >= 1
    assert desk.broker.pending_calls() == 0
    assert desk.accepter(host.keys()[0]).reason is Reason.NO_SUCH_OFFER


def test_a_call_that_nobody_heard_of_ends_with_limit() -> None:
    """The host is not to blame for a call that was never announced."""
    desk = Desk(Limits(pending_calls=1, pending_s=10))
    host, _ = desk.host(), desk.caller()
    desk.world.passes(5)
    waiting = desk.caller()
    host.link.lose()
    desk.world.passes(10 + LATE_S)
    assert waiting.reason is Reason.LIMIT


def test_the_last_in_a_queue_does_not_blame_the_host() -> None:
    """A call of which the host was told only because those before it were given up."""
    desk = Desk(Limits(pending_calls=1, pending_s=10))
    host, first = desk.host(), desk.caller()
    desk.world.passes(1)
    second = desk.caller()
    desk.world.passes(9 + LATE_S)
    assert first.reason is Reason.HOST_SILENT
    assert len(host.keys()) == 2
    desk.world.passes(1)
    assert second.reason is Reason.LIMIT


def test_a_host_that_does_not_read_is_not_told_of_calls() -> None:
    """Calls that come and go leave nothing behind in front of it; those that stay are told."""
    desk = Desk()
    host = desk.host()
    host.session.pauseProducing()
    for _ in range(100):
        desk.caller().link.lose()
    stays = desk.caller()
    assert host.keys() == []
    host.session.resumeProducing()
    (key,) = host.keys()
    desk.accepter(key)
    assert stays.accepted()


def test_a_pending_time_of_zero_is_none() -> None:
    """0 means never, as for all times."""
    desk = Desk(Limits(pending_s=0))
    desk.host()
    caller = desk.caller()
    desk.world.passes(3600, step_s=10)
    assert caller.reason is None


def test_an_answered_call_has_no_deadline(desk: Desk) -> None:
    """A circuit is not ended by the timer of its call."""
    desk.host()
    caller, accepter = desk.circuit()
    desk.world.passes(3 * PENDING_S)
    assert caller.reason is accepter.reason is None
    assert desk.world.clock.getDelayedCalls() == []


# -- Answer.QUEUE ----------------------------------------------------------------------------------


def test_a_queue_answers_with_the_link_that_waited_longest(desk: Desk) -> None:
    """Each call takes one link; when none is left the host is absent, and may come back."""
    first, second = desk.responder(), desk.responder()
    one, two = desk.caller(), desk.caller()
    one.says(b"1")
    two.says(b"2")
    assert (first.payload(), second.payload()) == (b"1", b"2")
    assert one.accepted()
    assert refusal(desk, Call(NAME)) is HostAbsent
    third = desk.responder()
    desk.caller().says(b"3")
    assert third.payload() == b"3"


def test_a_responder_that_left_is_not_handed_out(desk: Desk) -> None:
    """Links that end while they wait leave the queue."""
    first, second = desk.responder(), desk.responder()
    first.link.lose()
    desk.caller().says(b"x")
    assert second.payload() == b"x"


def test_a_queue_has_a_cap(desk: Desk) -> None:
    """Registrations are counted, not circuits."""
    parties = [desk.responder() for _ in range(Limits().links_per_offer)]
    assert desk.responder().reason is Reason.LIMIT
    desk.caller()
    assert desk.responder().reason is None
    assert [party.reason for party in parties] == [None] * len(parties)


def test_a_used_up_queue_is_forgotten(desk: Desk) -> None:
    """After the circuit nothing of the name is left."""
    responder, caller = desk.responder(), desk.caller()
    caller.link.lose()
    assert responder.reason is Reason.LOST
    assert desk.is_clean()


def test_a_responder_is_not_lost_to_a_call_that_fails() -> None:
    """When memory is short the call is refused, and the link goes on waiting."""
    desk = Desk(world=World(buffered_bytes=100))
    desk.responder()
    holder = desk.party(MuxTalk())
    stream = holder.session.open_stream(1)
    holder.frame(b"D", 1, b"\2" + bytes(200))
    assert desk.caller().reason is Reason.LIMIT
    stream.reset(Reason.LOST, None)
    assert desk.caller().accepted()


# -- Answer.STREAM ---------------------------------------------------------------------------------


def test_a_stream_answers_on_the_hosts_own_link(desk: Desk) -> None:
    """The host is told on a new stream, accepts on it, and bytes flow."""
    host, caller = desk.mux_host(), desk.caller()
    assert host.frames(b"O") == [1]
    assert not caller.accepted()
    host.frame(b"A", 1)
    assert caller.accepted()
    host.frame(b"D", 1, b"\2down")
    caller.says(b"up")
    assert caller.payload() == b"down"
    assert host.frames(b"D") == [1]


@pytest.mark.parametrize(
    ("kind", "body", "reason"),
    [
        (b"R", b"target-refused", Reason.TARGET_REFUSED),
        (b"R", b"target-forbidden", Reason.TARGET_FORBIDDEN),
        (b"R", b"finished", Reason.TARGET_REFUSED),
        (b"F", b"", Reason.TARGET_REFUSED),
    ],
)
def test_a_host_may_refuse_a_call(desk: Desk, kind: bytes, body: bytes, reason: Reason) -> None:
    """The caller is told why; a stream that ends before it was accepted was refused."""
    host, caller = desk.mux_host(), desk.caller()
    host.frame(kind, 1, body)
    assert caller.reason is reason
    assert host.session.streams() == {}
    assert desk.broker.pending_calls() == 0
    assert host.reason is None


def test_a_host_hears_that_its_caller_left(desk: Desk) -> None:
    """The stream that was to answer is reset; accepting it late does nothing."""
    host, caller = desk.mux_host(), desk.caller()
    caller.link.lose()
    assert host.frames(b"R") == [1]
    host.frame(b"A", 1)
    assert desk.broker.circuits == set()
    host.link.lose()
    assert desk.is_clean()


def test_a_host_that_never_answers_is_told_of_the_end(desk: Desk) -> None:
    """After the pending time both sides of the call are over, and the link lives."""
    host, caller = desk.mux_host(), desk.caller()
    desk.world.passes(PENDING_S + LATE_S)
    assert caller.reason is Reason.HOST_SILENT
    assert host.frames(b"R") == [1]
    assert host.session.streams() == {}
    assert host.reason is None


def test_callers_of_a_host_that_is_lost_are_told_at_once(desk: Desk) -> None:
    """Calls on its link end with the link; those that waited go to its successor."""
    desk = Desk(Limits(pending_calls=1))
    host, told, waiting = desk.mux_host(), desk.caller(), desk.caller()
    host.link.lose()
    assert told.reason is Reason.LOST
    assert waiting.reason is None
    successor = desk.mux_host()
    successor.frame(b"A", 1)
    assert waiting.accepted()


def test_a_host_without_room_refuses_every_waiting_call() -> None:
    """However many wait: each is refused in turn, without recursion."""
    desk = Desk(Limits(pending_calls=1))
    host, first = desk.mux_host(), desk.caller()
    waiting = [desk.caller() for _ in range(WAITING_CALLS)]
    assert isinstance(host.talk, MuxTalk)
    host.talk.full = True
    host.frame(b"A", 1)
    assert first.accepted()
    assert {caller.reason for caller in waiting} == {Reason.PROTOCOL_ERROR}
    assert host.reason is None
    assert desk.broker.pending_calls() == 0


def test_an_accept_for_no_call_is_ignored(desk: Desk) -> None:
    """Twice, or for a stream that never was."""
    host, _ = desk.mux_host(), desk.caller()
    for stream in (1, 1, 7):
        host.frame(b"A", stream)
    assert len(desk.broker.circuits) == 1
    assert host.reason is None


# -- many calls on one link ------------------------------------------------------------------------


def call(party: Party, stream: int, name: OfferName = NAME) -> None:
    """A shared link's peer calls on one of its streams."""
    party.frame(b"O", stream, f"{name}\0".encode())


def test_calls_of_one_link_end_alone(desk: Desk) -> None:
    """Refused, timed out, or given up by its host: the other calls of the link go on."""
    host = desk.host()
    client = desk.party(MuxTalk())
    call(client, 1)
    desk.accepter(host.keys()[0])
    assert client.frames(b"A") == [1]
    call(client, 2, OTHER)
    assert client.frames(b"R") == [2]
    call(client, 3)
    desk.world.passes(PENDING_S + LATE_S)
    assert client.frames(b"R") == [2, 3]
    assert list(client.session.streams()) == [1]
    assert client.reason is None
    assert isinstance(client.talk, MuxTalk)
    assert client.talk.breaches == []


def test_a_stream_that_is_reset_by_its_host_spares_the_callers_link(desk: Desk) -> None:
    """A refusal on a host's stream ends one stream at the caller."""
    host, client = desk.mux_host(), desk.party(MuxTalk())
    call(client, 1)
    call(client, 2)
    host.frame(b"R", 1, b"target-refused")
    host.frame(b"A", 2)
    assert client.frames(b"R") == [1]
    assert client.frames(b"A") == [2]
    assert client.reason is None


@pytest.mark.parametrize("busy", ["pending", "joined"])
def test_a_stream_in_use_cannot_call_again(desk: Desk, busy: str) -> None:
    """``CallsTwice``: a second call on a live stream breaks the rules and ends that link alone."""
    host, client = desk.host(), desk.party(MuxTalk())
    call(client, 1)
    if busy == "joined":
        desk.accepter(host.keys()[0])
    call(client, 1)
    assert client.reason is Reason.PROTOCOL_ERROR
    assert host.reason is None
    assert desk.broker.pending_calls() == 0
    assert desk.broker.circuits == set()


# -- topics ----------------------------------------------------------------------------------------


def test_members_of_a_topic_hear_each_other(desk: Desk) -> None:
    """Entering is all it takes; the topic is forgotten with its last member."""
    topic = TopicName("talk:room")
    one, other = desk.party(MemberTalk(Enter(topic))), desk.party(MemberTalk(Enter(topic)))
    elsewhere = desk.party(MemberTalk(Enter(TopicName("talk:other"))))
    one.says(b"hello")
    assert other.payload() == b"hello"
    assert one.payload() == elsewhere.payload() == b""
    for member in (one, other, elsewhere):
        member.link.lose()
    assert desk.is_clean()


def test_a_grant_is_good_for_its_own_topic_only(desk: Desk) -> None:
    """Like offers and calls; and a topic can be revoked, whoever is in it."""
    room, other = TopicName("talk:room"), TopicName("talk:other")
    stranger = desk.party(MemberTalk(Enter(other)), name=room)
    assert stranger.reason is Reason.WRONG_NAME
    member = desk.party(MemberTalk(Enter(room)), name=room)
    elsewhere = desk.party(MemberTalk(Enter(other)))
    assert desk.broker.revoke(offer=room) == 1
    assert member.reason is Reason.REVOKED
    assert elsewhere.reason is None
    assert refusal(desk, Enter(room)) is Revoked


# -- revocation ------------------------------------------------------------------------------------


def test_a_revocation_ends_what_matches(desk: Desk) -> None:
    """By subject, offer or token, and dialect: those links end at once, the others stay."""

    def party(subject: str, name: OfferName, token_id: str) -> Party:
        its_grant = grant(Role.HOST, subject, name, token_id)
        return Party(desk, ControlTalk(Offer(name, Answer.ANNOUNCE)), its_grant)

    alice, bob = party("alice", NAME, "a"), party("bob", OTHER, "b")
    assert desk.broker.revoke(dialect="other", subject="alice") == 0
    assert desk.broker.revoke(subject="bob", token_id="a") == 0
    assert desk.broker.revoke(dialect="talk", token_id="a") == 1
    assert [alice.reason, bob.reason] == [Reason.REVOKED, None]
    assert desk.broker.revoke(offer=OTHER) == 1
    assert [alice.reason, bob.reason] == [Reason.REVOKED, Reason.REVOKED]
    three = party("carol", OfferName("talk:3"), "c")
    assert desk.broker.revoke(subject="carol") == 1
    assert three.reason is Reason.REVOKED


def test_a_revocation_refuses_new_links_until_its_end(desk: Desk) -> None:
    """Refused before the handshake and after it, for as long as was said, and only who is meant."""
    desk.broker.revoke(subject="alice", until=100)
    alice, bob = grant(subject="alice"), grant(subject="bob")
    for its_grant, expected in ((alice, Revoked), (bob, None)):
        assert refusal(desk, None, its_grant) is expected
        assert refusal(desk, Offer(NAME, Answer.ANNOUNCE), its_grant) is expected
    assert desk.party(Talk(Offer(NAME, Answer.ANNOUNCE)), "alice").reason is Reason.REVOKED
    desk.world.clock.advance(99.5)
    assert refusal(desk, None, alice) is Revoked
    desk.world.clock.advance(1)
    assert refusal(desk, None, alice) is None


def test_a_revoked_offer_is_meant_whoever_uses_it(desk: Desk) -> None:
    """Also where the grant itself names no offer: its host, its callers, and those to come."""
    host = desk.host()
    caller, accepter = desk.circuit()
    bystander = desk.party(ControlTalk(Offer(OTHER, Answer.ANNOUNCE)))
    client = desk.party(MuxTalk())
    assert desk.broker.revoke(offer=NAME) == 3
    assert {party.reason for party in (host, caller, accepter)} == {Reason.REVOKED}
    assert bystander.reason is None
    assert refusal(desk, Offer(NAME, Answer.ANNOUNCE)) is Revoked
    assert refusal(desk, Call(NAME)) is Revoked
    call(client, 1)
    assert client.frames(b"R") == [1]
    assert client.reason is None


def test_a_revocation_never_means_everybody(desk: Desk) -> None:
    """A dialect alone, or nothing at all, is a mistake."""
    host = desk.host()
    for dialect in (None, "talk"):
        with pytest.raises(ValueError, match="names a subject, an offer or a token"):
            desk.broker.revoke(dialect=dialect)
    assert host.reason is None


def test_a_grant_may_end_its_links(desk: Desk) -> None:
    """At its expiry where the dialect says so, and not otherwise."""
    ends = Grant("talk", Role.HOST, "a", expires=50.0, ends_links=True)
    stays = Grant("talk", Role.HOST, "b", expires=50.0)
    one = Party(desk, ControlTalk(Offer(NAME, Answer.ANNOUNCE)), ends)
    two = Party(desk, ControlTalk(Offer(OTHER, Answer.ANNOUNCE)), stays)
    three = Party(desk, ControlTalk(), ends)
    three.link.lose()
    desk.world.passes(49.5)
    assert one.reason is None
    desk.world.passes(1)
    assert [one.reason, two.reason] == [Reason.EXPIRED, None]
    assert desk.world.clock.getDelayedCalls() == []


# -- draining --------------------------------------------------------------------------------------


def test_draining_tells_hosts_and_waits_for_circuits(desk: Desk) -> None:
    """Control links and pending calls end with going-away; circuits run to their end."""
    host = desk.host()
    caller, accepter = desk.circuit()
    pending = desk.caller()
    drained: list[bool] = []
    desk.broker.drain(lambda: drained.append(True))
    assert host.reason is pending.reason is Reason.GOING_AWAY
    assert caller.reason is accepter.reason is None
    assert drained == []
    caller.says(b"still")
    assert accepter.payload() == b"still"
    caller.link.lose()
    assert drained == [True]
    assert desk.is_clean()


def test_a_draining_router_takes_nothing_new(desk: Desk) -> None:
    """New links are refused with a time to come back, new calls of old links with a reset."""
    desk.mux_host()
    client = desk.party(MuxTalk())
    call(client, 1)
    host = next(iter(desk.broker.offers().values()))
    assert isinstance(host.link, MemoryLink)
    host.link.arrive(Message(b"A\0\0\0\1"))
    desk.broker.drain(lambda: None)
    with pytest.raises(GoingAway) as refused:
        desk.broker.judge(Call(NAME), grant())
    assert refused.value.retry_after_s == 1
    call(client, 2)
    assert client.frames(b"R") == [2]
    assert client.reason is None


def test_draining_an_idle_router_is_over_at_once(desk: Desk) -> None:
    """Nothing is waited for when there is nothing to wait for."""
    drained: list[bool] = []
    desk.broker.drain(lambda: drained.append(True))
    assert drained == [True]


def test_draining_announces_nobody_else() -> None:
    """Calls that end for it do not let waiting ones through to a host that is told to go."""
    desk = Desk(Limits(pending_calls=1))
    host, callers = desk.host(), [desk.caller() for _ in range(3)]
    desk.broker.drain(lambda: None)
    assert len(host.keys()) == 1
    assert {caller.reason for caller in callers} == {Reason.GOING_AWAY}


def test_what_is_left_can_be_ended(desk: Desk) -> None:
    """At the deadline every link ends, and nothing is remembered."""
    desk.host()
    caller, accepter = desk.circuit()
    desk.broker.drain(lambda: None)
    desk.broker.end_all()
    assert caller.reason is accepter.reason is Reason.GOING_AWAY
    assert desk.is_clean()
