"""Frames of RFC 6455, as the cut-through gear reads and writes them; autobahn's engine judges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.wire.wsframe import (
    CONTROL_BYTES,
    HEADER_BYTES,
    FrameReader,
)
from tests.rawpeer.wire import Op, encode_frame
from tests.unit.wsframe_oracle import (
    KEY,
    LENGTHS,
    Control,
    Ended,
    Fault,
    Heard,
    Part,
    by_engine,
    by_reader,
    cut,
    heard,
    pattern,
)

BINARY_OF_6 = encode_frame(Op.BINARY, b"abcdef", mask=KEY)
FAULTY = {
    "unmasked": encode_frame(Op.BINARY, b"x"),
    "rsv-1": encode_frame(Op.BINARY, b"x", mask=KEY, rsv=4),
    "rsv-2": encode_frame(Op.BINARY, b"x", mask=KEY, rsv=2),
    "rsv-3": encode_frame(Op.PING, b"x", mask=KEY, rsv=1),
    **{
        f"opcode-{opcode}": encode_frame(opcode, b"x", mask=KEY)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
    },
    "fragmented-ping": encode_frame(Op.PING, b"x", mask=KEY, fin=False),
    "fragmented-pong": encode_frame(Op.PONG, b"x", mask=KEY, fin=False),
    "fragmented-close": encode_frame(Op.CLOSE, b"\x03\xe8", mask=KEY, fin=False),
    "ping-of-126": encode_frame(Op.PING, b"x" * 126, mask=KEY),
    "pong-of-126": encode_frame(Op.PONG, b"x" * 126, mask=KEY),
    "ping-of-65536": encode_frame(Op.PING, b"", mask=KEY, length=65536),
    "close-of-126": encode_frame(Op.CLOSE, b"\x03\xe8" + b"x" * 124, mask=KEY),
    "close-of-1": encode_frame(Op.CLOSE, b"\x03", mask=KEY),
    "close-not-utf8": encode_frame(Op.CLOSE, b"\x03\xe8\xff\xfe", mask=KEY),
    "close-cut-in-a-character": encode_frame(Op.CLOSE, b"\x03\xe8\xe2\x82", mask=KEY),
    "close-surrogate": encode_frame(Op.CLOSE, b"\x03\xe8\xed\xa0\x80", mask=KEY),
    "continuation-of-nothing": encode_frame(Op.CONTINUATION, b"x", mask=KEY),
    "message-in-message": encode_frame(Op.BINARY, b"begun", mask=KEY, fin=False) + BINARY_OF_6,
    "text-in-message": encode_frame(Op.BINARY, b"begun", mask=KEY, fin=False)
    + encode_frame(Op.TEXT, b"x", mask=KEY),
    "continuation-behind-the-end": BINARY_OF_6 + encode_frame(Op.CONTINUATION, b"x", mask=KEY),
    "0-in-16-bits": encode_frame(Op.BINARY, b"", mask=KEY, length_bits=16),
    "125-in-16-bits": encode_frame(Op.BINARY, b"x" * 125, mask=KEY, length_bits=16),
    "125-in-64-bits": encode_frame(Op.BINARY, b"x" * 125, mask=KEY, length_bits=64),
    "126-in-64-bits": encode_frame(Op.BINARY, b"x" * 126, mask=KEY, length_bits=64),
    "65535-in-64-bits": encode_frame(Op.BINARY, b"x" * 65535, mask=KEY, length_bits=64),
    "2-to-the-63": encode_frame(Op.BINARY, b"", mask=KEY, length=2**63),
    "2-to-the-64-less-1": encode_frame(Op.BINARY, b"", mask=KEY, length=2**64 - 1),
}
NO_TEXT = {"close-not-utf8", "close-cut-in-a-character", "close-surrogate"}
CLOSE_CODES = (0, 1, 255, 256, *range(990, 1020), 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000)


# -- vectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("masked", "wire", "expected"),
    [
        (False, "81 05 48 65 6c 6c 6f", Part(True, b"Hello", True)),
        (True, "81 85 37 fa 21 3d 7f 9f 4d 51 58", Part(True, b"Hello", True)),
        (False, "01 03 48 65 6c 80 02 6c 6f", Part(True, b"Hello", True)),
        (False, "89 05 48 65 6c 6c 6f", Control(Op.PING, b"Hello")),
        (True, "8a 85 37 fa 21 3d 7f 9f 4d 51 58", Control(Op.PONG, b"Hello")),
        (False, "82 7e 01 00" + "ab" * 256, Part(False, b"\xab" * 256, True)),
        (
            False,
            "82 7f 00 00 00 00 00 01 00 00" + "ab" * 65536,
            Part(False, b"\xab" * 65536, True),
        ),
    ],
    ids=["text", "masked", "fragments", "ping", "pong", "256", "64-KiB"],
)
def test_examples_of_the_rfc(masked: bool, wire: str, expected: Part | Control) -> None:
    """RFC 6455, section 5.7."""
    assert heard(bytes.fromhex(wire), masked) == [expected]


def test_nothing_is_left_behind_whole_frames() -> None:
    """A connection may end in order between messages only."""
    reader = FrameReader(masked=True)
    assert not reader.is_inside()
    by_reader(reader, [BINARY_OF_6])
    assert not reader.is_inside()


@pytest.mark.parametrize("length", range(1, len(BINARY_OF_6)))
def test_a_connection_that_ends_within_a_frame_was_cut(length: int) -> None:
    """Whether that is in a header or in payload."""
    reader = FrameReader(masked=True)
    by_reader(reader, [BINARY_OF_6[:length]])
    assert reader.is_inside()


def test_a_connection_that_ends_within_a_message_was_cut() -> None:
    """Between fragments, too, whatever control frames follow the last."""
    reader = FrameReader(masked=True)
    by_reader(reader, [encode_frame(Op.BINARY, b"begun", mask=KEY, fin=False)])
    assert reader.is_inside()
    by_reader(reader, [encode_frame(Op.PING, b"", mask=KEY)])
    assert reader.is_inside()
    by_reader(reader, [encode_frame(Op.CONTINUATION, b"", mask=KEY)])
    assert not reader.is_inside()


# pytest-twisted wraps a @given test once for each parameter: what varies is drawn instead

# -- any bytes, cut anywhere ---------------------------------------------------------------------


@st.composite
def frames(draw: st.DrawFn, masked: bool) -> tuple[bytes, Heard]:
    """:returns: proper frames as bytes, and what they say"""
    said: Heard = []
    wire = b""

    def frame(opcode: int, payload: bytes, fin: bool = True) -> None:
        nonlocal wire
        key = draw(st.binary(min_size=4, max_size=4)) if masked else None
        wire += encode_frame(opcode, payload, mask=key, fin=fin)

    def controls() -> None:
        for _ in range(draw(st.integers(0, 2))):
            opcode = draw(st.sampled_from([Op.PING, Op.PONG]))
            payload = draw(st.binary(max_size=4) | st.just(b"c" * 125))
            frame(opcode, payload)
            said.append(Control(opcode, payload))

    for _ in range(draw(st.integers(0, 4))):
        controls()
        text = draw(st.booleans())
        parts = draw(st.lists(st.sampled_from(LENGTHS[:12]), min_size=1, max_size=4))
        if draw(st.integers(0, 9)) == 0:
            parts[0] = draw(st.sampled_from(LENGTHS[12:]))
        whole = pattern(sum(parts), draw(st.integers(0, 255)))
        start = 0
        for number, length in enumerate(parts):
            if number:
                controls()
            opcode = Op.CONTINUATION if number else Op.TEXT if text else Op.BINARY
            frame(opcode, whole[start : start + length], number == len(parts) - 1)
            start += length
        said.append(Part(text, whole, True))
    controls()
    if draw(st.booleans()):
        code = draw(st.none() | st.sampled_from([1000, 1001, 1011, 3000, 4999]))
        reason = draw(st.text(max_size=20)) if code else ""
        frame(Op.CLOSE, code.to_bytes(2, "big") + reason.encode() if code else b"")
        said.append(Ended(code, reason))
    return wire, said


@given(masked=st.booleans(), data=st.data())
def test_any_frames_cut_anywhere(masked: bool, data: st.DataObject) -> None:
    """The same messages and control frames come out, however the bytes arrive."""
    wire, said = data.draw(frames(masked))
    chunks = cut(wire, data.draw(st.lists(st.integers(0, 1 << 20), max_size=12)))
    assert by_reader(FrameReader(masked), chunks) == said


@given(masked=st.booleans(), data=st.data())
@settings(max_examples=50)
def test_any_frames_and_the_engine(masked: bool, data: st.DataObject) -> None:
    """The engine finds the same in them."""
    wire, said = data.draw(frames(masked))
    chunks = cut(wire, data.draw(st.lists(st.integers(0, 1 << 20), max_size=3)))
    assert by_engine(masked, chunks) == said


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_header_cut_at_every_byte(length: int, masked: bool) -> None:
    """Lengths of 7, 16 and 64 bits, and the mask, may come in two pieces or byte by byte."""
    key = KEY if masked else None
    wire = encode_frame(Op.BINARY, pattern(length), mask=key)
    wire += encode_frame(Op.TEXT, b"next", mask=key)
    said = [Part(False, pattern(length), True), Part(True, b"next", True)]
    for mark in range(min(len(wire), HEADER_BYTES + 3)):
        assert by_reader(FrameReader(masked), [wire[:mark], wire[mark:]]) == said
    head = [wire[mark : mark + 1] for mark in range(HEADER_BYTES)]
    assert by_reader(FrameReader(masked), [*head, wire[HEADER_BYTES:]]) == said


def test_what_waits_of_a_header_is_shorter_than_a_header() -> None:
    """Room for that much is all that a buffer needs in front of what it reads."""
    for length in LENGTHS:
        wire = encode_frame(Op.BINARY, pattern(length), mask=KEY)
        for mark in range(min(len(wire), 2 * HEADER_BYTES)):
            reader = FrameReader(masked=True)
            by_reader(reader, [wire[:mark]])
            assert len(reader.head) < HEADER_BYTES


def test_payload_of_a_message_is_not_held_back() -> None:
    """A part goes on as it comes; only the last one is final, an empty one included."""
    reader = FrameReader(masked=True)
    wire = encode_frame(Op.BINARY, b"abcdef", mask=KEY, fin=False)
    wire += encode_frame(Op.CONTINUATION, b"", mask=KEY)
    found = []
    for chunk in (wire[:8], wire[8:12], wire[12:]):
        data = bytearray(reader.head + chunk)
        reader.head = b""
        start = 0
        while start < len(data):
            piece = reader.take(memoryview(data), start, len(data))
            if piece is None:
                break
            opcode, first, start, final = piece
            found.append((opcode, bytes(data[first:start]), final))
    assert [final for _, _, final in found] == [False] * (len(found) - 1) + [True]
    assert {opcode for opcode, _, _ in found} == {Op.BINARY}
    assert b"".join(payload for _, payload, _ in found) == b"abcdef"
    assert found[0][1] == b"ab"


# -- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTY)
def test_every_fault_has_the_engines_verdict(name: str) -> None:
    """What was before it counts; the Close code is autobahn's; cut anywhere it is the same."""
    wire = encode_frame(Op.TEXT, b"good", mask=KEY) + FAULTY[name] + BINARY_OF_6
    expected = by_engine(True, [wire])
    assert isinstance(expected[-1], Fault)
    assert expected[-1].code == (1007 if name in NO_TEXT else 1002)
    assert expected[0] == Part(True, b"good", True)
    for mark in range(min(len(wire), 40)):
        assert by_reader(FrameReader(True), [wire[:mark], wire[mark:]]) == expected


def test_masked_frames_of_a_server() -> None:
    """Only clients mask (RFC 6455, section 5.1)."""
    assert heard(BINARY_OF_6, masked=False) == by_engine(False, [BINARY_OF_6]) == [Fault(1002)]


@pytest.mark.parametrize("code", CLOSE_CODES)
def test_every_close_code_has_the_engines_verdict(code: int) -> None:
    """Codes that must not be sent, or mean nothing, are faults."""
    wire = encode_frame(Op.CLOSE, code.to_bytes(2, "big") + "à bientôt".encode(), mask=KEY)
    assert heard(wire) == by_engine(True, [wire])


@given(
    data=st.lists(
        st.tuples(
            st.integers(0, 15),
            st.binary(max_size=6),
            st.booleans(),
            st.sampled_from([0, 0, 0, 0, 0, 0, 1, 4]),
            st.sampled_from([True, True, True, True, True, False]),
            st.sampled_from([None, None, None, 16, 64]),
        ),
        max_size=6,
    ),
    marks=st.lists(st.integers(0, 99), max_size=4),
)
def test_wrong_frames_have_the_engines_verdict(
    data: list[tuple[int, bytes, bool, int, bool, int | None]], marks: list[int]
) -> None:
    """Frames with any bits set, one behind the other."""
    wire = b"".join(
        encode_frame(
            opcode, payload, mask=KEY if masks else None, fin=fin, rsv=rsv, length_bits=bits
        )
        for opcode, payload, fin, rsv, masks, bits in data
    )
    assert by_reader(FrameReader(True), cut(wire, marks)) == by_engine(True, [wire])


@given(
    masked=st.booleans(),
    wire=st.binary(max_size=60),
    marks=st.lists(st.integers(0, 99), max_size=4),
)
def test_noise_has_the_engines_verdict(masked: bool, wire: bytes, marks: list[int]) -> None:
    """Bytes that are no frames at all."""
    assert by_reader(FrameReader(masked), cut(wire, marks)) == by_engine(masked, [wire])


# -- limits --------------------------------------------------------------------------------------


def limited(frame_bytes: int, message_bytes: int) -> FrameReader:
    """:returns: a reader with limits"""
    return FrameReader(True, frame_bytes, message_bytes)


@pytest.mark.parametrize("length", [100, 126, 65536, 2**62, 2**63 - 1])
def test_a_frame_over_the_limit_is_a_fault_before_it_comes(length: int) -> None:
    """Its header is enough."""
    exact = encode_frame(Op.BINARY, b"", mask=KEY, length=length)
    assert by_reader(limited(length, 0), [exact]) == []
    assert by_reader(limited(length - 1, 0), [exact]) == [Fault(1009)]
    assert by_reader(limited(0, length), [exact]) == []
    assert by_reader(limited(0, length - 1), [exact]) == [Fault(1009)]


def test_a_message_over_the_limit_is_a_fault_with_the_fragment_that_makes_it_so() -> None:
    """What came before it has gone on; the next message counts from nothing."""
    begun = encode_frame(Op.BINARY, b"x" * 60, mask=KEY, fin=False)
    more = encode_frame(Op.CONTINUATION, b"y" * 40, mask=KEY)
    part = Part(False, b"x" * 60 + b"y" * 40, True)
    assert by_reader(limited(0, 100), [(begun + more) * 2]) == [part, part]
    found = by_reader(limited(0, 99), [begun + more])
    assert found == [Part(False, b"x" * 60, False), Fault(1009)]


def test_control_frames_are_no_part_of_the_message() -> None:
    """They have a limit of their own."""
    begun = encode_frame(Op.BINARY, b"x" * 5, mask=KEY, fin=False)
    ping = encode_frame(Op.PING, b"p" * CONTROL_BYTES, mask=KEY)
    more = encode_frame(Op.CONTINUATION, b"y" * 5, mask=KEY)
    found = by_reader(limited(10, 10), [begun + ping + more])
    assert found == [Control(Op.PING, b"p" * CONTROL_BYTES), Part(False, b"xxxxxyyyyy", True)]
