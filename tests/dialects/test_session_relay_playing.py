"""The language of play files, line by line."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.playing import (
    FILTERS,
    LINE_BYTES,
    Comment,
    Expect,
    LongLine,
    Malformed,
    Say,
    Sift,
    Verb,
    Wait,
    parse_line,
    read_steps,
)

SAMPLE = rb"""#+ start of check
|+> "speed"
{"set":"speed","to":3}
[250ms] {"get":"speed"}
<'"speed":\s*3',4,10s> {"set":"stop"}
|reset>
[1s]
"""


def expected(line: bytes) -> Expect:
    """A line that is a condition."""
    step = parse_line(line)
    assert isinstance(step, Expect)
    return step


def sifted(line: bytes) -> Sift:
    """A line that is a filter."""
    step = parse_line(line)
    assert isinstance(step, Sift)
    return step


def test_the_sample_is_read() -> None:
    """The specification's file (§17)."""
    comment, accept, now, later, condition, reset, wait = (
        step for _, step in read_steps(io.BytesIO(SAMPLE))
    )
    assert comment == Comment(b"start of check", echo=True)
    assert isinstance(accept, Sift)
    assert accept.pattern is not None
    assert (accept.verb, accept.text) == (Verb.ACCEPT, b'"speed"')
    assert now == Say(b'{"set":"speed","to":3}')
    assert later == Say(b'{"get":"speed"}', 0.25)
    assert isinstance(condition, Expect)
    assert condition.pattern is not None
    assert condition.pattern.matches(b'{"speed":  3}')
    assert (condition.payload, condition.wanted, condition.timeout_s) == (b'{"set":"stop"}', 4, 10)
    assert reset == Sift(Verb.RESET)
    assert wait == Wait(1.0)


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (b"#", Comment(b"", echo=False)),
        (b" \t## text ", Comment(b"text ", echo=False)),
        (b"#+text", Comment(b"text", echo=True)),
        (b"#- text", Comment(b"text", echo=False)),
        (b"#++ text", Comment(b"text", echo=False)),
        (b"###+ text", Comment(b"text", echo=True)),
        (b"# + text", Comment(b"+ text", echo=False)),
    ],
)
def test_comments(line: bytes, step: Comment) -> None:
    """One plus, and no more, has the text logged."""
    assert parse_line(line) == step


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (b"[]", Wait(0.0)),
        (b"[7]", Wait(0.0)),
        (b"[x] a", Say(b"a")),
        (b"[] # sent", Say(b"# sent")),
        (b" [ 10ms ]x ", Say(b"x ", 0.01)),
        (b"[1.2s] {}", Say(b"{}", 1.2)),
        (b"[1h5m]", Wait(3900.0)),
        (b"[1s] <'a',1,1s> b", Say(b"<'a',1,1s> b", 1.0)),
        (b'["a"]', Say(b'["a"]')),
        (b"[1,2]", Say(b"[1,2]")),
        (b"[-1s] a", Say(b"[-1s] a")),
    ],
)
def test_delays(line: bytes, step: Wait | Say) -> None:
    """One character is no duration and counts as none; JSON is sent as it is."""
    assert parse_line(line) == step


@pytest.mark.parametrize("line", [b"[0.1]", b"[0.1] a", b"[10]", b"[ab]", b"[00]", b"[1x] a"])
def test_delays_that_are_none(line: bytes) -> None:
    """What looks like a delay has to be one."""
    with pytest.raises(Malformed, match="the delay"):
        parse_line(line)


@pytest.mark.parametrize(
    "line", [b"", b"  ", b"plain", b" kept ", b"<no end", b"|x", b"a # b", b"\xff\xfe", b"\x0b#"]
)
def test_anything_else_is_sent_as_it_stands(line: bytes) -> None:
    """Blanks too; an empty line is an empty message."""
    assert parse_line(line) == Say(line)


def test_a_condition_ends_at_the_last_bracket() -> None:
    """So that a message which has one is cut there."""
    step = expected(b"<'a>b',1,1s> x > y")
    assert step.payload == b"y"
    assert step.pattern is not None
    assert step.pattern.matches(b"a>b")


def test_a_conditions_arguments_may_have_blanks() -> None:
    """And whatever stands behind them is ignored."""
    step = expected(b" < 'a' , 2 , 1.5s rubbish> x")
    assert (step.wanted, step.timeout_s, step.payload) == (2, 1.5, b"x")


def test_an_empty_pattern_waits_for_nothing() -> None:
    """As the original has it."""
    assert expected(b"<'',3,1s> x").pattern is None


@pytest.mark.parametrize(
    "line",
    [
        b"<>",
        b"<a> b",
        b"<'a',1> x",
        b"<'a',,1s> x",
        b"<'a',1,> x",
        b"<'a',1,10> x",
        b"<'a',1,1us> x",
        b"<'a',-1,1s> x",
        b"<'(',1,1s> x",
        b"<'(?=a)',1,1s> x",
        b"<'\xff',1,1s> x",
        rb"<'\'foo\'',1,10s> x",
        b"<'a',9223372036854775808,1s> x",
        b"<'a'," + b"9" * 5000 + b",1s> x",
    ],
)
def test_conditions_that_cannot_be_read(line: bytes) -> None:
    """Each is an error, and a short one."""
    with pytest.raises(Malformed) as caught:
        parse_line(line)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        (b"|+> x", Verb.ACCEPT),
        (b" | a > x", Verb.ACCEPT),
        (b"|ACCEPT>x", Verb.ACCEPT),
        (b"|-> x", Verb.DENY),
        (b"|D> x", Verb.DENY),
        (b"|deny> x", Verb.DENY),
    ],
)
def test_filters(line: bytes, verb: Verb) -> None:
    """Each word in any case."""
    step = sifted(line)
    assert step.pattern is not None
    assert (step.verb, step.text) == (verb, b"x")
    assert step.pattern.matches(b"axb")
    assert not step.pattern.matches(b"ab")


def test_a_reset_has_no_pattern() -> None:
    """Whatever stands behind it."""
    assert parse_line(b"|r> (") == Sift(Verb.RESET)


@pytest.mark.parametrize("line", [b"|x> a", b"|++> a", b"|+> (", b"|-> \xff"])
def test_filters_that_are_none(line: bytes) -> None:
    """A word that is no verb, a text that is no pattern."""
    with pytest.raises(Malformed):
        parse_line(line)


def test_patterns_see_what_is_no_utf8() -> None:
    """As one character that nobody has written."""
    step = sifted(b"|+> a.b")
    assert step.pattern is not None
    assert step.pattern.matches(b"a\xffb")
    assert step.pattern.matches("aéb".encode())


def test_a_pattern_takes_no_longer_than_its_text() -> None:
    """``NestsQuantifiers``: what keeps Python's own expressions busy for ever."""
    step = sifted(b"|+> ^(a+)+$")
    assert step.pattern is not None
    assert not step.pattern.matches(b"a" * 100_000 + b"b")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_lines_end_as_they_may(end: bytes) -> None:
    """The last may have no end; only one carriage return belongs to it."""
    assert [step for _, step in read_steps(io.BytesIO(b"a\r\r\nb" + end))] == [
        Say(b"a\r"),
        Say(b"b"),
    ]


def test_faults_are_numbered_and_the_rest_is_read() -> None:
    """Nothing is lost behind a line with a fault."""
    steps = list(read_steps(io.BytesIO(b"a\n[10]\nb\n|x> y\n")))
    assert [number for number, step in steps if isinstance(step, Malformed)] == [2, 4]
    assert [step for _, step in steps if isinstance(step, Say)] == [Say(b"a"), Say(b"b")]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_may_fill_the_buffer(end: bytes) -> None:
    """And no more: what is longer ends the reading."""
    most = b"x" * (LINE_BYTES - 1)
    assert [step for _, step in read_steps(io.BytesIO(most + end))] == [Say(most)]
    with pytest.raises(LongLine, match="line 2 is longer than 65536 bytes"):
        list(read_steps(io.BytesIO(b"a\n" + most + b"x" + end)))


def test_filters_are_counted() -> None:
    """A file cannot gather them without end; a reset begins anew."""
    lines = b"".join(b"|+> a%d\n" % number for number in range(FILTERS))
    more = b"|+> a0\n|-> other\n|+> one too many\n|r>\n|+> fine\n"
    faults = [
        number
        for number, step in read_steps(io.BytesIO(lines + more))
        if isinstance(step, Malformed)
    ]
    assert faults == [FILTERS + 3]


PIECES = st.sampled_from(
    ["#", "+", "-", "[", "]", "<", ">", "|", "'", ",", "1", "10s", "0.1", "a", "r", ".*", "(", " "]
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30))
def test_any_line_means_something_or_is_malformed(line: str) -> None:
    """Nothing else comes of it, and what is sent stood in the line."""
    raw = line.encode()
    try:
        step = parse_line(raw)
    except Malformed:
        return
    said = step.payload if isinstance(step, Say | Expect) else b""
    assert raw.endswith(said)


@given(st.binary(max_size=200))
def test_any_file_is_read(content: bytes) -> None:
    """Each of its lines becomes one step or one fault, in order."""
    numbers = [number for number, _ in read_steps(io.BytesIO(content))]
    lines = content.count(b"\n") + (not content.endswith(b"\n") and content != b"")
    assert numbers == list(range(1, lines + 1))
