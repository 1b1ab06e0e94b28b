"""One conversation over one link: order, ends, liveness, deadlines, and whose fault ends what."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from zope.interface.verify import verifyClass, verifyObject

from relay.core.liveness import TICK_S
from relay.core.session import Session
from relay.core.stream import join
from relay.errors import (
    HostAbsent,
    LimitReached,
    ProtocolError,
    RelayError,
    UnsupportedData,
    WrongName,
)
from relay.interfaces import ICircuit, IConversation, ILink, ILinkReceiver, IStream
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Credit,
    Data,
    End,
    Event,
    Finish,
    Granted,
    Message,
    OfferName,
    Outputs,
    Reason,
    Reset,
    Shape,
)
from tests.conftest import Flush
from tests.fakes import (
    HALF_CLOSE,
    ControlTalk,
    CreditTalk,
    Drop,
    FakeStream,
    FakeSwitch,
    MemoryLink,
    MuxTalk,
    Ping,
    Talk,
    World,
    grant,
    pump,
)

NAME = OfferName("talk:x")
CALL = Call(NAME)


class Says(Talk):
    """Says what the test tells it to, whatever comes.

    :ivar answers: outputs of ``receive``
    :ivar when: the deadline
    """

    def __init__(self, answers: Outputs = (), dead_timer: bool = False) -> None:
        super().__init__(dead_timer=dead_timer)
        self.answers = answers
        self.when: float | None = None
        self.woken: list[float] = []
        self.told: list[Event] = []

    def receive(self, message: Message, now: float) -> Outputs:
        """Say it."""
        return self.answers

    def perform(self, event: Event, now: float) -> Outputs:
        """Record it."""
        self.told.append(event)
        return super().perform(event, now)

    def wake(self, now: float) -> Outputs:
        """Record it; no deadline follows."""
        self.woken.append(now)
        self.when = None
        return ()

    def deadline(self) -> float | None:
        """When the test wants it."""
        return self.when


class SaysShared(Says):
    """The same on a link of many streams."""

    shape = Shape.CREDITLESS


class Fails(Talk):
    """Raises what it is given, wherever it is asked to ``fail``."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__()
        self.where = where
        self.error = error

    def _maybe(self, where: str) -> None:
        if where == self.where:
            raise self.error

    def opened(self, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("opened")
        return super().opened(now)

    def receive(self, message: Message, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("receive")
        return super().receive(message, now)

    def perform(self, event: Event, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("perform")
        return super().perform(event, now)

    def encode(self, data: Data) -> Message:
        """Perhaps fail."""
        self._maybe("encode")
        return super().encode(data)

    def wake(self, now: float) -> Outputs:
        """Perhaps fail."""
        self._maybe("wake")
        return super().wake(now)

    def deadline(self) -> float | None:
        """At once, where waking fails."""
        return 1.0 if self.where == "wake" else None

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """Perhaps fail."""
        self._maybe("end")
        return super().end(reason, close)


class Room:
    """Sessions of one process, each on a link of its own."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.links: list[MemoryLink] = []
        self.switches: list[FakeSwitch] = []

    def open(self, talk: Talk, ping_s: float = 0, dead_s: float = 0) -> Session:
        """A new link with that conversation, begun."""
        link, switch = MemoryLink(), FakeSwitch()
        self.links.append(link)
        self.switches.append(switch)
        label = f"link-{len(self.links)}"
        session = Session(link, talk, switch, self.world.around, label, grant(), ping_s, dead_s)
        session.opened()
        return session

    def joined(self, *talks: Talk) -> tuple[Session, Session]:
        """Two sessions whose only streams are a circuit."""
        one, other = (self.open(talk) for talk in talks)
        join("n", one.stream(), other.stream(), self.world.wheel, lambda _: None)
        return one, other

    def loss(self, number: int = -1) -> tuple[Reason, Close | None, str]:
        """How a session ended, which happened once."""
        (loss,) = self.switches[number].losses
        return loss

    def pump(self) -> None:
        """Move what can move."""
        pump(*self.links)


# -- the fakes themselves --------------------------------------------------------------------------


@pytest.mark.parametrize("talk", [Talk(), ControlTalk(), MuxTalk(), CreditTalk(), Says()])
def test_fake_conversations_are_conversations(talk: Talk) -> None:
    """What the tests stand on has the methods and attributes of the real thing."""
    verifyObject(IConversation, talk)


def test_fake_links_and_streams_are_real_enough() -> None:
    """Likewise the link, the streams, the circuit and the session."""
    room = Room()
    session = room.open(Talk())
    verifyObject(ILink, room.links[0])
    verifyObject(ILinkReceiver, session)
    verifyObject(IStream, FakeStream())
    for stream in (session.stream(), room.open(MuxTalk()).open_stream(1)):
        verifyObject(IStream, stream)
    circuit = join("n", FakeStream(), FakeStream(), room.world.wheel, lambda _: None)
    verifyObject(ICircuit, circuit)
    verifyClass(ICircuit, type(circuit))


def test_after_a_close_a_link_sends_nothing() -> None:
    """The tail goes out first, the Close behind it, and nothing after it."""
    link = MemoryLink()
    link.stuck = True
    link.send_message(Message(b"tail"))
    link.close(Close(1000))
    link.send_message(Message(b"too late"))
    assert link.has_unsent()
    link.stuck = False
    pump(link)
    assert link.sent == [Message(b"tail")]
    assert link.close_sent == Close(1000)


# -- payload ---------------------------------------------------------------------------------------


def test_payload_crosses_a_circuit() -> None:
    """A message that arrives on one link leaves on the other, boundary and kind kept."""
    room = Room()
    room.joined(Talk(), Talk())
    room.links[0].arrive(Message(b"a", final=False), Message(b"b", text=True))
    room.pump()
    assert room.links[1].sent == [Message(b"a", final=False), Message(b"b", text=True)]


def test_payload_before_there_is_a_partner_is_kept() -> None:
    """A dedicated link that nobody has joined yet is read no further and loses nothing."""
    room = Room()
    session = room.open(Talk())
    stream = session.stream()
    room.links[0].arrive(Message(b"1"), Message(b"2"), Message(b"3"))
    assert not room.links[0].reading
    other = FakeStream()
    join("n", stream, other, room.world.wheel, lambda _: None)
    room.pump()
    assert [data.payload for data in other.heard] == [b"1", b"2", b"3"]
    assert room.links[0].reading


def test_early_payload_stops_at_a_partner_that_pauses() -> None:
    """What came early is delivered only as far as its reader takes it, and later in order."""
    room = Room()
    session = room.open(Says([Data(b"1"), Data(b"2"), Data(b"3")]))
    stream = session.stream()
    room.links[0].arrive(Message(b""))
    other = FakeStream()
    other.refuses = True
    join("n", stream, other, room.world.wheel, lambda _: None)
    assert other.payload() == b"1"
    assert not room.links[0].reading
    other.read_on()
    assert other.payload() == b"123"
    assert room.links[0].reading


@pytest.mark.parametrize("end", ["finish", "lost"])
@pytest.mark.parametrize("early", [b"", b"early"])
@pytest.mark.parametrize("shape", ["dedicated", "shared"])
def test_an_end_before_there_is_a_partner_is_kept(end: str, early: bytes, shape: str) -> None:
    """Early payload, then the early end: neither is lost, and the end comes behind."""
    room = Room()
    session = room.open(Talk(carries=HALF_CLOSE) if shape == "dedicated" else MuxTalk())
    stream = session.open_stream(0)
    if early:
        stream.deliver(Data(early))
    if end == "finish":
        stream.peer_finished()
    else:
        room.links[0].resume_reading()
        room.links[0].lose()
    other = FakeStream()
    circuit = join("n", stream, other, room.world.wheel, lambda _: None)
    assert other.payload() == early
    if end == "finish":
        assert "finish" in other.events
        assert circuit.reason is None
    else:
        assert other.reset_reason() == "lost"


def test_a_stream_of_a_session_that_is_over_is_over() -> None:
    """Whoever joins it is told at once, with the reason."""
    room = Room()
    session = room.open(Talk())
    room.links[0].lose()
    other = FakeStream()
    circuit = join("n", session.stream(), other, room.world.wheel, lambda _: None)
    assert circuit.reason is Reason.LOST
    assert other.reset_reason() == "lost"


def test_a_paused_reader_pauses_the_other_socket() -> None:
    """On dedicated links a full send buffer stops reading at the other side until it is empty."""
    room = Room()
    room.joined(Talk(), Talk())
    room.links[1].stuck = True
    for _ in range(10):
        room.links[0].arrive(Message(bytes(16 * 1024)))
    assert not room.links[0].reading
    assert room.links[1].most_unsent_bytes <= 5 * 16 * 1024
    room.links[1].stuck = False
    room.pump()
    assert room.links[0].reading
    assert len(room.links[1].sent) == 10


# -- ends ------------------------------------------------------------------------------------------


def test_the_tail_goes_out_before_the_close() -> None:
    """A side that ends right after its payload costs none of it."""
    room = Room()
    room.joined(Talk(), Talk())
    room.links[0].arrive(Message(b"tail"), Close(1000, "bye"))
    room.pump()
    assert room.links[1].sent == [Message(b"tail")]
    assert room.links[1].close_sent == Close(1000, "bye")


def test_a_drop_is_an_end_where_the_dialect_says_so() -> None:
    """The same drop is an orderly end in one dialect and a loss in another."""
    for drop_is_end, reason in ((True, Reason.PEER_CLOSED), (False, Reason.LOST)):
        room = Room()
        room.joined(Talk(drop_is_end=drop_is_end), Talk())
        room.links[0].lose()
        assert room.loss(0)[0] is room.loss(1)[0] is reason


def test_nothing_follows_a_reset() -> None:
    """Payload and further ends behind a stream's Reset reach nobody."""
    room = Room()
    outputs: list[Event] = [
        Reset(Reason.LOST, 7),
        Data(b"late", 7),
        Finish(7),
        Reset(Reason.IDLE, 7),
    ]
    session = room.open(SaysShared(outputs))
    other = FakeStream()
    join("n", session.open_stream(7), other, room.world.wheel, lambda _: None)
    room.links[0].arrive(Message(b""))
    assert other.payload() == b""
    assert other.reset_reason() == "lost"
    assert session.reason is None


def test_nothing_follows_an_end() -> None:
    """What a conversation says behind End is neither delivered nor sent."""
    room = Room()
    room.joined(Says([End(Reason.FINISHED), Data(b"late"), Message(b"late")]), Talk())
    room.links[0].arrive(Message(b""))
    room.links[0].arrive(Message(b""))
    room.pump()
    assert room.links[0].sent == room.links[1].sent == []
    assert room.loss(0)[0] is Reason.FINISHED


def test_a_reset_of_a_dedicated_link_ends_it() -> None:
    """The only stream of a link takes the link with it."""
    room = Room()
    room.joined(Says([Reset(Reason.IDLE, close=Close(4001))]), Talk())
    room.links[0].arrive(Message(b""))
    room.pump()
    assert room.links[0].close_sent == Close(4001)
    assert room.loss(1)[0] is Reason.IDLE


@pytest.mark.parametrize("queued", [False, True])
def test_the_peer_that_reset_a_stream_hears_no_more_of_it(queued: bool) -> None:
    """Neither payload, credit, a Finish nor a Reset goes to a peer that ended the stream."""
    room = Room()
    talk = CreditTalk()
    session = room.open(talk)
    other = FakeStream()
    circuit = join("n", session.open_stream(5, 100), other, room.world.wheel, lambda _: None)
    if queued:
        other.stop_reading()
        room.links[0].arrive(Message(b"D\0\0\0\5\2" + bytes(900)))
    room.links[0].arrive(Message(b"R\0\0\0\5lost"))
    if queued:
        assert circuit.reason is None
        other.speak(b"too late")
        other.read_on()
        assert len(other.payload()) == 900
    assert circuit.reason is Reason.LOST
    room.pump()
    assert talk.breaches == []
    assert room.links[0].sent == []
    assert room.world.ledger.total == 0


def test_a_late_end_of_an_old_stream_spares_its_successor() -> None:
    """A stream number that the peer uses again is another stream."""
    room = Room()
    session = room.open(MuxTalk())
    old, new = FakeStream(), FakeStream()
    join("old", session.open_stream(5), old, room.world.wheel, lambda _: None)
    old.stop_reading()
    room.links[0].arrive(Message(b"D\0\0\0\5\2x"), Message(b"R\0\0\0\5lost"))
    join("new", session.open_stream(5), new, room.world.wheel, lambda _: None)
    old.hang_up()
    room.links[0].arrive(Message(b"D\0\0\0\5\2new"))
    assert new.payload() == b"new"
    assert list(session.streams()) == [5]


def test_a_stream_numbered_zero_keeps_its_number() -> None:
    """Payload is sent under the number of the stream it leaves on, whatever it came on."""
    room = Room()
    one, two = room.open(MuxTalk()), room.open(MuxTalk())
    join("n", one.open_stream(7), two.open_stream(0), room.world.wheel, lambda _: None)
    room.links[0].arrive(Message(b"D\0\0\0\7\2x"))
    room.pump()
    assert room.links[1].sent == [Message(b"D\0\0\0\0\2x")]


# -- faults ----------------------------------------------------------------------------------------


def test_a_peers_fault_ends_its_link_alone() -> None:
    """The link ends with the fault's code and word; other links of the process do not notice."""
    room = Room()
    room.open(Fails("receive", UnsupportedData("text, where only binary belongs")))
    bystander = room.open(Talk())
    room.links[0].arrive(Message(b"x"))
    room.pump()
    assert room.links[0].close_sent == Close(1003, "protocol-error")
    assert room.loss(0) == (Reason.PROTOCOL_ERROR, None, "text, where only binary belongs")
    assert bystander.reason is None


@pytest.mark.parametrize("where", ["opened", "receive", "wake"])
def test_our_own_fault_ends_its_link_alone(where: str, expected_log_errors: Flush) -> None:
    """Anything unexpected is logged and ends that link with ``internal``, and no other."""
    room = Room()
    bystander = room.open(Talk())
    room.open(Fails(where, KeyError("unexpected")))
    room.links[1].arrive(Message(b"x"))
    room.world.passes(2)
    assert room.loss()[0] is Reason.INTERNAL
    assert len(expected_log_errors(KeyError)) == 1
    assert bystander.reason is None


@pytest.mark.parametrize("error", [ProtocolError("no"), KeyError("unexpected")])
@pytest.mark.parametrize("where", ["encode", "perform"])
def test_a_fault_in_sending_ends_the_receiving_link(
    where: str, error: Exception, expected_log_errors: Flush
) -> None:
    """The sender is not to blame for what happens behind its partner: it is told of an end."""
    room = Room()
    talk = Fails(where, error)
    talk.carries = HALF_CLOSE
    _, receiver = room.joined(Talk(carries=HALF_CLOSE), talk)
    room.links[0].arrive(Message(b"x"))
    room.links[0].arrive(Message(b"fin", text=True))
    expected = Reason.PROTOCOL_ERROR if isinstance(error, RelayError) else Reason.INTERNAL
    assert receiver.reason is expected
    assert room.loss(0) == (expected, None, "")
    assert len(expected_log_errors(KeyError)) == isinstance(error, KeyError)


def test_a_conversation_without_a_word_for_its_end_is_dropped(expected_log_errors: Flush) -> None:
    """A fault while ending leaves no half-dead link behind."""
    room = Room()
    session = room.open(Fails("end", KeyError("unexpected")))
    session.end(Reason.IDLE)
    assert room.links[0].aborted
    assert room.loss()[0] is Reason.IDLE
    expected_log_errors(KeyError)


def test_an_event_without_meaning_is_a_protocol_error() -> None:
    """A conversation that says what only the core may say ends its link."""
    room = Room()
    room.open(Says([Granted(grant())]))
    room.links[0].arrive(Message(b""))
    assert room.loss()[0] is Reason.PROTOCOL_ERROR


def test_a_conversation_may_prefer_a_drop() -> None:
    """Where no Close tells of the end, the connection is dropped."""

    class Drops(Talk):
        def end(self, reason: Reason, close: Close | None) -> Close | None:
            return None

    room = Room()
    room.open(Drops()).end(Reason.IDLE)
    assert room.links[0].aborted


# -- requests --------------------------------------------------------------------------------------


def test_requests_and_answers_reach_the_switch() -> None:
    """Whoever owns the session hears what the peer asks for, in order."""
    room = Room()
    room.open(Says([CALL, Accept(3)]))
    room.links[0].arrive(Message(b""))
    assert room.switches[0].requests == [CALL]
    assert room.switches[0].accepts == [3]


def test_a_refused_request_ends_a_dedicated_link() -> None:
    """The reason stands in the Close."""
    room = Room()
    room.open(Says([CALL]))
    room.switches[0].refuse_with = HostAbsent("nobody")
    room.links[0].arrive(Message(b""))
    room.pump()
    assert room.links[0].close_sent == Close(1000, "host-absent")
    assert room.loss() == (Reason.HOST_ABSENT, None, "nobody")


@pytest.mark.parametrize("error", [HostAbsent("nobody"), WrongName("no"), LimitReached("full")])
def test_a_refused_request_ends_one_stream_of_a_shared_link(error: RelayError) -> None:
    """The caller that asked for too much is told; the other callers of its link stay."""
    room = Room()
    talk = SaysShared([CALL._replace(stream=9)])
    session = room.open(talk)
    other = FakeStream()
    join("n", session.open_stream(1), other, room.world.wheel, lambda _: None)
    room.switches[0].refuse_with = error
    room.links[0].arrive(Message(b""))
    assert talk.told == [Reset(error.reason, 9)]
    assert session.reason is None
    assert other.reset_reason() is None


def test_a_broken_rule_ends_even_a_shared_link() -> None:
    """A peer that does not keep to its dialect is not trusted with other streams."""
    room = Room()
    room.open(SaysShared([CALL]))
    room.switches[0].refuse_with = ProtocolError("a call before its credential")
    room.links[0].arrive(Message(b""))
    assert room.loss()[0] is Reason.PROTOCOL_ERROR


def test_streams_per_link_are_limited() -> None:
    """One more than allowed is refused, and one that ended makes room."""
    room = Room(World(max_streams=2))
    session = room.open(MuxTalk())
    first = session.open_stream(1)
    assert session.open_stream(1) is first
    session.open_stream(2)
    with pytest.raises(LimitReached):
        session.open_stream(3)
    first.reset(Reason.FINISHED, None)
    session.open_stream(3)


# -- liveness --------------------------------------------------------------------------------------

PING_S, DEAD_S = 20.0, 45.0
CHECK_S = 5.0 + TICK_S
"""What a look may be late."""


def live_room(talk: Talk | None = None) -> tuple[Room, MemoryLink]:
    """A control link with liveness, whose peer the test must play."""
    room = Room()
    room.open(talk or ControlTalk(dead_timer=True), PING_S, DEAD_S)
    return room, room.links[0]


def test_a_silent_peer_is_pinged_then_dead() -> None:
    """A ping after ``ping_s``; after ``dead_s`` the link is dropped with ``lost``."""
    room, link = live_room()
    room.world.passes(PING_S - TICK_S)
    assert link.pings == 0
    room.world.passes(CHECK_S + TICK_S)
    pump(link)
    assert link.pings == 1
    room.world.passes(DEAD_S - PING_S - CHECK_S - TICK_S)
    assert room.switches[0].losses == []
    room.world.passes(CHECK_S + TICK_S)
    assert link.aborted
    assert room.loss() == (Reason.LOST, None, "heard nothing for 45 s")


def test_any_byte_is_a_sign_of_life() -> None:
    """A peer that says anything at all, now and then, is neither pinged nor dead."""
    room, link = live_room()
    for _ in range(20):
        room.world.passes(PING_S - CHECK_S - TICK_S)
        link.arrive(Ping(answer=True))
    assert link.pings == 0
    assert room.switches[0].losses == []


def test_an_answered_ping_keeps_a_link() -> None:
    """A peer that only answers pings lives for ever."""
    room, link = live_room()
    for _ in range(100):
        room.world.passes(2)
        pump(link)
        if link.pings:
            link.pings = 0
            link.arrive(Ping(answer=True))
    assert room.switches[0].losses == []


def test_without_a_dead_timer_silence_ends_nothing() -> None:
    """Where the dialect says so the peer is asked but never given up."""
    room, link = live_room(ControlTalk(dead_timer=False))
    for _ in range(40):
        room.world.passes(DEAD_S / 10)
        pump(link)
    assert link.pings >= 6
    assert room.switches[0].losses == []


def test_no_false_alarm_while_we_do_not_read() -> None:
    """A peer whose answers we leave unread is not dead, however long; then it has its full time."""
    room = Room()
    session = room.open(Talk(dead_timer=True), PING_S, DEAD_S)
    other = FakeStream()
    join("n", session.stream(), other, room.world.wheel, lambda _: None)
    other.stop_reading()
    room.world.passes(10 * DEAD_S)
    assert room.links[0].pings == 0
    other.read_on()
    room.world.passes(DEAD_S - CHECK_S)
    assert room.switches[0].losses == []


def test_no_false_alarm_while_early_payload_waits() -> None:
    """Likewise when reading stopped because nobody has joined yet."""
    room = Room()
    session = room.open(Talk(dead_timer=True), PING_S, DEAD_S)
    session.stream()
    room.links[0].arrive(Message(b"early"))
    room.world.passes(10 * DEAD_S)
    assert room.switches[0].losses == []


def test_no_false_alarm_while_bytes_of_ours_are_unsent() -> None:
    """A peer that has not taken our bytes cannot be expected to see a ping behind them."""
    room, link = live_room()
    link.stuck = True
    link.send_message(Message(b"waiting"))
    room.world.passes(10 * DEAD_S)
    assert link.pings == 0
    assert room.switches[0].losses == []


def test_a_ping_that_is_itself_unsent_is_no_excuse() -> None:
    """Behind a cut cable our own ping lies unsent: the peer is dead all the same, in time."""
    room, link = live_room()
    link.cut = True
    room.world.passes(DEAD_S + CHECK_S)
    assert link.pings >= 1
    assert room.loss()[0] is Reason.LOST


def test_a_clock_that_jumps_kills_nobody() -> None:
    """After a jump of hours, forth or back, the peer is asked before it is given up."""
    for jump_s in (7200.0, -7200.0):
        room, link = live_room()
        room.world.passes(10)
        if jump_s > 0:
            room.world.clock.advance(jump_s)
        else:
            room.world.clock.rightNow += jump_s
        pump(link)
        assert room.switches[0].losses == []
        assert link.pings == 0


def test_a_link_without_liveness_costs_no_timer() -> None:
    """Links for which both times are 0 are left in peace."""
    room = Room()
    room.open(Talk(dead_timer=True))
    assert room.world.clock.getDelayedCalls() == []


# -- deadlines -------------------------------------------------------------------------------------


def test_a_conversation_is_woken_at_its_deadline() -> None:
    """Once, no earlier and at most a tick later."""
    room = Room()
    talk = Says([Accept()])
    talk.when = 3.0
    room.open(talk)
    room.world.passes(2.75)
    assert talk.woken == []
    room.world.passes(2 * TICK_S)
    assert talk.woken == [3.25]
    room.world.passes(10)
    assert len(talk.woken) == 1


@pytest.mark.parametrize("answers", [(), (Accept(),)])
def test_a_deadline_may_move(answers: tuple[Event, ...]) -> None:
    """Each step of a conversation may name another time, even one that says nothing else."""
    room = Room()
    talk = Says(answers)
    talk.when = 100.0
    room.open(talk)
    talk.when = 2.0
    room.links[0].arrive(Message(b""))
    room.world.passes(3)
    assert len(talk.woken) == 1


def test_a_deadline_may_be_withdrawn() -> None:
    """What is no longer wanted does not happen."""
    room = Room()
    talk = Says()
    talk.when = 2.0
    room.open(talk)
    talk.when = None
    room.links[0].arrive(Message(b""))
    room.world.passes(5)
    assert talk.woken == []


def test_nobody_is_woken_after_the_end() -> None:
    """The end of a link takes its timers with it."""
    room = Room()
    talk = Says(dead_timer=True)
    talk.when = 2.0
    session = room.open(talk, PING_S, DEAD_S)
    session.end(Reason.FINISHED)
    room.world.passes(5)
    assert talk.woken == []
    assert room.links[0].pings == 0


# -- waiting for the end ---------------------------------------------------------------------------


def ends_by_close(room: Room, session: Session) -> None:
    """The peer closes."""
    room.links[0].arrive(Close(4000, "bye"))


def ends_by_drop(room: Room, session: Session) -> None:
    """The connection breaks."""
    room.links[0].arrive(Drop())


def ends_by_us(room: Room, session: Session) -> None:
    """We end it."""
    session.close(Reason.GOING_AWAY)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (ends_by_close, (Reason.PEER_CLOSED, Close(4000, "bye"))),
        (ends_by_drop, (Reason.LOST, None)),
        (ends_by_us, (Reason.GOING_AWAY, None)),
    ],
)
def test_everybody_who_waits_for_the_end_is_told(
    end: Callable[[Room, Session], None], expected: tuple[Reason, Close | None]
) -> None:
    """Reason and the peer's Close, the same for those who ask before and after."""
    room = Room()
    session = room.open(Talk())
    told: list[tuple[Reason, Close | None]] = []
    session.when_closed().addCallback(told.append)
    session.when_closed().addCallback(told.append)
    end(room, session)
    session.when_closed().addCallback(told.append)
    assert told == [expected] * 3


def test_credit_for_nobody_is_ignored() -> None:
    """Credit, a Finish or payload for a stream that is gone does no harm."""
    room = Room()
    session = room.open(SaysShared([Credit(5, 1), Finish(1), Data(b"x", 1), Reset(Reason.LOST, 1)]))
    room.links[0].arrive(Message(b""))
    assert session.reason is None
