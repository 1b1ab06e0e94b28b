"""What a play file does, and when; time is the test's."""

from __future__ import annotations

import io
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.player import STEPS_AT_ONCE, Player
from relay.dialects.session_relay.playing import Malformed, Step, read_steps
from relay.dialects.session_relay.recording import Recorder
from relay.vocabulary import Data


def steps_of(text: str) -> Iterator[Step]:
    """The steps of a play file without faults."""
    for _, step in read_steps(io.BytesIO(text.encode())):
        assert not isinstance(step, Malformed)
        yield step


class Stage:
    """A player, its link and its log.

    :ivar said: when what was sent, in seconds from the start
    """

    def __init__(self, text: str, interval_s: float = 1.0) -> None:
        self.now = 0.0
        self.room = True
        self.said: list[tuple[float, bytes]] = []
        self.log: list[bytes] = []
        recorder = Recorder(self.log.append, lambda: (0, 0))
        self.player = Player(steps_of(text), recorder, interval_s, 0.0)
        self.until(0.0)

    def until(self, end: float) -> None:
        """Let time pass, waking the player when it wants it."""
        while not self.player.finished:
            self.player.advance(self.now, lambda: self.room, self._say)
            deadline = self.player.deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
        self.now = max(self.now, end)

    def hear(self, at: float, payload: bytes, text: bool = True) -> None:
        """A message comes."""
        self.until(at)
        self.player.heard(Data(payload, text=text), at)
        self.until(at)

    def _say(self, payload: bytes) -> None:
        self.said.append((self.now, payload))

    @property
    def logged(self) -> list[bytes]:
        """What was logged, without times."""
        return [line.partition(b"] ")[2].removesuffix(b"\n") for line in self.log]


def test_lines_are_sent_in_order_and_at_their_time() -> None:
    """Each delay begins when the line before it is done."""
    stage = Stage("a\n[500ms] b\n[1s]\n\nc\n[2s]\n")
    stage.until(10.0)
    assert stage.said == [(0.0, b"a"), (0.5, b"b"), (1.5, b""), (1.5, b"c")]
    assert stage.player.finished


def test_a_full_link_holds_the_file() -> None:
    """What follows is done once there is room; nothing wakes the player before."""
    stage = Stage("[1s] a\nb\n")
    stage.room = False
    stage.until(5.0)
    assert (stage.said, stage.player.deadline()) == ([], None)
    stage.room = True
    stage.until(5.0)
    assert stage.said == [(5.0, b"a"), (5.0, b"b")]


def test_a_long_file_gives_others_their_turn() -> None:
    """So much is sent at a time and no more."""
    player = Player(steps_of("x\n" * 10 * STEPS_AT_ONCE), None, 1.0, 0.0)
    said: list[bytes] = []
    player.advance(3.0, lambda: True, said.append)
    assert 0 < len(said) <= STEPS_AT_ONCE
    assert player.deadline() == 3.0


def test_a_condition_is_met_by_so_many_messages() -> None:
    """Those that match, and came after it began."""
    stage = Stage("[1s]\n<'ok',2,60s> go\n")
    stage.hear(0.5, b"ok early")
    stage.hear(1.5, b"ok")
    stage.hear(1.6, b"no")
    assert stage.said == []
    stage.hear(1.7, b"all ok")
    assert stage.said == [(1.7, b"go")]


def test_a_timeout_sends_all_the_same() -> None:
    """It is noticed at the first look behind it; looks are an interval of silence apart."""
    stage = Stage("[300ms]\n<'ok',1,1s> go\n", interval_s=0.5)
    stage.until(9.0)
    assert stage.said == [(1.5, b"go")]


def test_traffic_postpones_the_timeout() -> None:
    """While messages come faster than the interval nobody looks at it."""
    stage = Stage("<'ok',1,1s> go\n")
    for tenth in range(5, 55, 5):
        stage.hear(tenth / 10, b"chatter")
    assert stage.said == []
    stage.until(9.0)
    assert stage.said == [(6.0, b"go")]


def test_a_message_behind_the_timeout_does_not_count() -> None:
    """Not even where the player has not been woken yet."""
    stage = Stage("<'ok',1,1s> go\n<'ok',1,60s> on\n", interval_s=0.25)
    stage.player.heard(Data(b"ok", text=True), 30.0)
    stage.now = 30.0
    stage.until(30.0)
    assert stage.said == [(30.0, b"go")]


def test_conditions_that_want_nothing_do_not_wait() -> None:
    """No count, no pattern, no time."""
    stage = Stage("<'a',0,1s> a\n<'',5,1s> b\n<'a',1,0s> c\n")
    assert [payload for _, payload in stage.said] == [b"a", b"b", b"c"]


def test_binary_messages_are_matched_as_base64() -> None:
    """As they are logged."""
    stage = Stage("<'^AP8=$',1,60s> go\n")
    stage.hear(1.0, b"\x00\xff", text=False)
    assert stage.said == [(1.0, b"go")]
    assert stage.logged == [b"AP8="]


def test_filters_concern_the_log_alone() -> None:
    """Denied messages meet conditions; comments that are echoed pass every filter."""
    stage = Stage("|-> no\n|+> o\n#+ note\n# unheard\n<'no',1,60s> x\n|r>\n[1s]\n")
    stage.hear(0.1, b"ok")
    stage.hear(0.2, b"other")
    stage.hear(0.3, b"silent")
    stage.hear(0.4, b"NO")
    stage.hear(0.5, b"no")
    assert [payload for _, payload in stage.said] == [b"x"]
    stage.hear(0.6, b"no more filters")
    assert stage.logged == [b"note", b"ok", b"other", b"no more filters"]


def test_who_only_denies_logs_nothing() -> None:
    """As the original has it: nothing accepts what was not denied."""
    stage = Stage("|-> bad\n[9s]\n")
    stage.hear(1.0, b"good")
    assert stage.log == []


def test_the_sample_does_what_it_says() -> None:
    """The specification's file from end to end (§17)."""
    stage = Stage(
        "#+ start of check\n"
        '|+> "speed"\n'
        '{"set":"speed","to":3}\n'
        '[250ms] {"get":"speed"}\n'
        '<\'"speed":\\s*3\',4,10s> {"set":"stop"}\n'
        "|reset>\n"
        "[1s]\n"
    )
    for tenth in (3, 4, 5):
        stage.hear(tenth / 10, b'{"speed": 3}')
        stage.hear(tenth / 10, b'{"angle": 3}')
    stage.hear(0.6, b'{"speed":3}')
    stage.hear(0.7, b"anything")
    stage.until(9.0)
    assert stage.said == [
        (0.0, b'{"set":"speed","to":3}'),
        (0.25, b'{"get":"speed"}'),
        (0.6, b'{"set":"stop"}'),
    ]
    assert stage.logged == [
        b"start of check",
        *[b'{"speed": 3}'] * 3,
        b'{"speed":3}',
        b"anything",
    ]


LINES = st.sampled_from(
    ["a", "", "[100ms] b", "[1s]", "# c", "#+ d", "|+> a", "|-> b", "|r>", "<'a',2,1s> e"]
)
HEARD = st.lists(st.tuples(st.floats(0, 30), st.sampled_from([b"a", b"b"])), max_size=10)


@given(st.lists(LINES, max_size=12), HEARD, st.floats(0.01, 3))
def test_every_file_comes_to_its_end(
    lines: list[str], heard: list[tuple[float, bytes]], interval_s: float
) -> None:
    """Whatever is heard meanwhile, everything is sent once and in order."""
    stage = Stage("".join(f"{line}\n" for line in lines), interval_s)
    for at, payload in sorted(heard):
        stage.hear(at, payload)
    stage.until(300.0)
    assert stage.player.finished
    sent = {"a": b"a", "": b"", "[100ms] b": b"b", "<'a',2,1s> e": b"e"}
    assert [payload for _, payload in stage.said] == [sent[line] for line in lines if line in sent]
