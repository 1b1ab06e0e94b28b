"""How messages of a topic are written down."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.recording import Recorder, content, record, stamp
from relay.vocabulary import Data

NEW_YEAR_NS = 1_767_225_600_000_000_000


@pytest.mark.parametrize(
    ("now_ns", "offset_s", "text"),
    [
        (NEW_YEAR_NS + 30_600 * 10**9 - 10**12 + 25 * 10**7, 3600, "2026-01-01T09:13:20.25+01:00"),
        (NEW_YEAR_NS, 0, "2026-01-01T00:00:00Z"),
        (NEW_YEAR_NS + 123_456_789, 0, "2026-01-01T00:00:00.123456789Z"),
        (NEW_YEAR_NS + 1, -34_200, "2025-12-31T14:30:00.000000001-09:30"),
        (NEW_YEAR_NS, 20_700, "2026-01-01T05:45:00+05:45"),
    ],
)
def test_a_time_has_as_many_digits_as_it_needs(now_ns: int, offset_s: int, text: str) -> None:
    """RFC 3339, with zeros behind dropped."""
    assert stamp(now_ns, offset_s) == text


@given(st.integers(0, 4 * 10**18), st.integers(-720, 840))
def test_a_time_reads_back(now_ns: int, offset_min: int) -> None:
    """It means the moment that it was written for."""
    text = stamp(now_ns // 1000 * 1000, offset_min * 60)
    read = datetime.fromisoformat(text)
    assert round(read.timestamp() * 1_000_000) == pytest.approx(now_ns // 1000, abs=1)


def test_a_text_record_is_a_line() -> None:
    """As the specification's sample has it (§17)."""
    nine_thirty_ns = NEW_YEAR_NS + 8 * 3600 * 10**9 + 1800 * 10**9 + 25 * 10**7
    line = record(b'{"angle":12}', nine_thirty_ns, 3600)
    assert line == b'[2026-01-01T09:30:00.25+01:00] {"angle":12}\n'


def written(*messages: Data, binary: bool = False) -> list[bytes]:
    """What a recorder writes of these."""
    pieces: list[bytes] = []
    recorder = Recorder(pieces.append, lambda: (NEW_YEAR_NS, 0), binary)
    for message in messages:
        recorder.heard(message)
    return pieces


def test_binary_messages_are_base64_in_text() -> None:
    """Padded; line ends of a text stay as they are, and so does what is no UTF-8 (check 49)."""
    assert content(b"\x00\xff", text=False) == b"AP8="
    assert written(Data(b"\x00\xff"), Data(b"a\nb\xff", text=True), Data(b"", text=True)) == [
        b"[2026-01-01T00:00:00Z] AP8=\n",
        b"[2026-01-01T00:00:00Z] a\nb\xff\n",
        b"[2026-01-01T00:00:00Z] \n",
    ]


@given(st.lists(st.tuples(st.binary(max_size=20), st.booleans()), max_size=5))
def test_payload_alone_is_what_came(messages: list[tuple[bytes, bool]]) -> None:
    """In binary mode nothing is added, whatever kind the messages are of."""
    pieces = written(*(Data(payload, text=text) for payload, text in messages), binary=True)
    assert b"".join(pieces) == b"".join(payload for payload, _ in messages)


@given(st.binary(max_size=40))
def test_base64_reads_back(payload: bytes) -> None:
    """Nothing of a binary message is lost."""
    assert base64.b64decode(content(payload, text=False)) == payload
