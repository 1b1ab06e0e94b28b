"""When a relay is too slow; time is the test's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.monitoring import (
    Judgement,
    Seen,
    Watch,
    claims,
    read_time,
    split_command,
    write_time,
)
from relay.vocabulary import Data

SENT_NS = 1_767_225_600_123_456_789
MS = 1_000_000


def watch() -> Watch:
    """One that takes 200 ms, looks for 60 s and triggers at the third miss."""
    return Watch(0.2, 60.0, 3, now=0.0)


def stamped(now: float, late_ms: int, over: Watch) -> Judgement:
    """A time stamp comes so late."""
    message = Data(write_time(SENT_NS))
    return over.heard(message, now, SENT_NS + late_ms * MS).judgement


def test_a_time_is_eight_bytes() -> None:
    """The specification's vector (§17)."""
    assert write_time(SENT_NS) == bytes.fromhex("18867251f555cd15")
    assert read_time(write_time(SENT_NS)) == SENT_NS


def test_glued_times_are_read_by_the_last() -> None:
    """An original glues what waited."""
    assert read_time(write_time(1) + write_time(SENT_NS)) == SENT_NS
    assert read_time(write_time(SENT_NS - 1) + write_time(SENT_NS)) == SENT_NS


@given(st.integers(0, 2**63 - 1))
def test_a_time_reads_back(now_ns: int) -> None:
    """Without a zero before it."""
    payload = write_time(now_ns)
    assert read_time(payload) == now_ns
    assert not payload.startswith(b"\0")


def test_what_comes_in_time_is_good() -> None:
    """The threshold itself still is."""
    seen = watch().heard(Data(write_time(SENT_NS)), 1.0, SENT_NS + 200 * MS)
    assert seen == Seen(Judgement.GOOD, 0.2)


def test_misses_in_a_row_trigger() -> None:
    """A good message between them forgets those before."""
    over = watch()
    judged = [stamped(1.0, late, over) for late in (201, 300, 10, 201, 201, 900)]
    miss, good, trigger = Judgement.MISS, Judgement.GOOD, Judgement.TRIGGER
    assert judged == [miss, miss, good, miss, miss, trigger]


def test_silence_is_a_miss() -> None:
    """After each pause without a message one more."""
    over = watch()
    assert over.deadline() == 60.0
    assert over.wake(60.0) == Seen(Judgement.MISS, None, 1)
    assert over.wake(over.deadline()) == Seen(Judgement.MISS, None, 2)
    assert over.wake(over.deadline()) == Seen(Judgement.TRIGGER, None, 3)


def test_a_message_begins_the_silence_anew() -> None:
    """It is counted from the last one."""
    over = watch()
    stamped(50.0, 0, over)
    assert over.deadline() == 110.0


def test_checks_pause_behind_a_trigger() -> None:
    """What comes meanwhile is not looked at, so that a relay may start in peace."""
    over = watch()
    assert [stamped(1.0, 999, over) for _ in range(3)][-1] is Judgement.TRIGGER
    assert stamped(30.0, 999, over) is Judgement.IGNORED
    assert over.deadline() == 61.0
    assert over.wake(61.0).judgement is Judgement.IGNORED
    assert over.deadline() == 121.0
    assert stamped(62.0, 999, over) is Judgement.MISS


def test_a_pause_ends_with_a_message_too() -> None:
    """Where that comes before the clock is looked at."""
    over = watch()
    for _ in range(3):
        stamped(1.0, 999, over)
    assert stamped(61.0, 0, over) is Judgement.GOOD


def test_texts_do_not_count() -> None:
    """Neither as messages nor against silence."""
    over = watch()
    assert over.heard(Data(b"x", text=True), 59.0, SENT_NS).judgement is Judgement.IGNORED
    assert over.deadline() == 60.0


@given(st.binary(max_size=40), st.integers(0, 2**63))
def test_any_message_is_judged(payload: bytes, now_ns: int) -> None:
    """Whatever a stranger writes to the topic."""
    seen = watch().heard(Data(payload), 1.0, now_ns)
    assert seen.judgement in (Judgement.GOOD, Judgement.MISS)


def test_the_token_is_made_as_the_originals() -> None:
    """Its claims stand in that order (§12)."""
    made = claims("https://relay.example.test/access", "canary-st-data", 1_700_000_000, 86400)
    assert list(made) == [
        "booking_id", "topic", "prefix", "scopes", "aud", "exp", "nbf", "iat",
    ]  # fmt: skip
    assert (made["booking_id"], made["scopes"]) == ("relay-monitor", ["read", "write"])
    assert (made["exp"], made["nbf"], made["iat"]) == (1_700_086_400, 1_699_999_999, 1_700_000_000)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("", []),
        ("  echo   a\tb ", ["echo", "a", "b"]),
        ("echo $NAME ${NAME}x $NONE", ["echo", "two", "words", "two", "wordsx"]),
        ("echo '$NAME'; rm", ["echo", "'two", "words';", "rm"]),
        ("cost $", ["cost", "$"]),
    ],
)
def test_a_command_is_cut_at_blanks(command: str, words: list[str]) -> None:
    """Behind its variables, without a shell and without quotes."""
    assert split_command(command, {"NAME": "two words"}) == words
