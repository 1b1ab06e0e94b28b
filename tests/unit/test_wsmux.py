"""Frames of wsmux: the vectors of the specification, and whatever else may come."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import ProtocolError, TooLarge
from relay.vocabulary import Message
from relay.wire.wsmux import (
    MESSAGE_BYTES,
    WINDOW_BYTES,
    Frame,
    FrameReader,
    Kind,
    encode_ack,
    encode_dat,
    encode_fin,
    encode_syn,
)

REQUEST = b"GET /a?b=1 HTTP/1.1\r\nHost: t.example\r\n\r\n"
VECTORS = [
    ("01 00 00 00 00", Frame(Kind.SYN, 0)),
    ("01 02 00 00 00", Frame(Kind.SYN, 2)),
    ("01 02 01 00 00", Frame(Kind.SYN, 258)),
    ("01 fe ff ff ff", Frame(Kind.SYN, 4294967294)),
    ("02 00 00 00 00 00 00 40 00", Frame(Kind.ACK, 0, amount=4194304)),
    ("02 02 00 00 00 00 04 00 00", Frame(Kind.ACK, 2, amount=1024)),
    ("02 02 00 00 00 12 00 00 00", Frame(Kind.ACK, 2, amount=18)),
    ("02 02 00 00 00 00 00 00 00", Frame(Kind.ACK, 2, amount=0)),
    ("02 02 00 00 00 ff ff ff ff", Frame(Kind.ACK, 2, amount=2**32 - 1)),
    ("00 02 00 00 00 68 69", Frame(Kind.DAT, 2, b"hi")),
    ("00 04 03 02 01 00 ff", Frame(Kind.DAT, 0x01020304, b"\x00\xff")),
    ("03 02 00 00 00", Frame(Kind.FIN, 2)),
    (
        "00 00 00 00 00 47 45 54 20 2f 61 3f 62 3d 31 20 48 54 54 50 2f 31 2e 31 0d 0a 48 6f 73 74"
        " 3a 20 74 2e 65 78 61 6d 70 6c 65 0d 0a 0d 0a",
        Frame(Kind.DAT, 0, REQUEST),
    ),
]
"""Section 13.1, and the limits of an ACK."""

BAD = [
    "",
    "01",
    "01 02 00 00",
    "04 00 00 00 00",
    "ff 00 00 00 00 00",
    "01 00 00 00 00 ff",
    "03 00 00 00 00 ff",
    "02 02 00 00 00",
    "02 02 00 00 00 00 00",
    "02 02 00 00 00 00 00 00",
    "02 02 00 00 00 00 00 00 00 00",
]
"""Sections 7.9 and 13.1."""


def encoded(frame: Frame) -> bytes:
    """The frame as we send it."""
    if frame.kind is Kind.DAT:
        return encode_dat(frame.stream, frame.payload)
    if frame.kind is Kind.ACK:
        return encode_ack(frame.stream, frame.amount)
    return (encode_syn if frame.kind is Kind.SYN else encode_fin)(frame.stream)


def parts_of(payload: bytes, cuts: list[int], text: bool = False) -> list[Message]:
    """A message in parts, as a link hands it on; parts may be empty."""
    bounds = [0, *sorted(cut for cut in cuts if cut <= len(payload)), len(payload)]
    parts = [payload[start:end] for start, end in itertools.pairwise(bounds)]
    return [Message(part, text, final=False) for part in parts[:-1]] + [Message(parts[-1], text)]


def read(reader: FrameReader, messages: list[Message]) -> list[Frame]:
    """All frames, with the pieces of one message put together."""
    frames: list[Frame] = []
    began = True
    for message in messages:
        frame = reader.feed(message)
        if frame is not None:
            assert frame.payload or frame.kind is not Kind.DAT
            if began:
                frames.append(frame)
            else:
                frames[-1] = frames[-1]._replace(payload=frames[-1].payload + frame.payload)
            began = False
        began = began or message.final
    return frames


@pytest.mark.parametrize(("wire", "frame"), VECTORS, ids=lambda value: str(value)[:40])
def test_vectors(wire: str, frame: Frame) -> None:
    """Each vector is read as what it says, and is what we send for it."""
    assert FrameReader().feed(Message(bytes.fromhex(wire))) == frame
    assert encoded(frame) == bytes.fromhex(wire)


def test_an_empty_dat_says_nothing() -> None:
    """It is ignored, whole or in parts, and the next frame is read as usual."""
    reader = FrameReader()
    empty = bytes.fromhex("00 02 00 00 00")
    assert reader.feed(Message(empty)) is None
    assert read(reader, parts_of(empty, [0, 3, 5, 5])) == []
    assert reader.feed(Message(encode_fin(2))) == Frame(Kind.FIN, 2)


@pytest.mark.parametrize("cuts", [[], [1], [5], [0, 3, 5, 7]])
@pytest.mark.parametrize("wire", BAD)
def test_what_is_no_frame_breaks_the_rules(wire: str, cuts: list[int]) -> None:
    """Too short, too long, of no known type: whole or in parts."""
    with pytest.raises(ProtocolError):
        read(FrameReader(), parts_of(bytes.fromhex(wire), cuts))


@pytest.mark.parametrize(("wire", "frame"), VECTORS, ids=lambda value: str(value)[:40])
def test_text_breaks_the_rules(wire: str, frame: Frame) -> None:
    """A frame is binary, whatever stands in it."""
    with pytest.raises(ProtocolError):
        FrameReader().feed(Message(bytes.fromhex(wire), text=True))


@pytest.mark.parametrize(("wire", "frame"), VECTORS, ids=lambda value: str(value)[:40])
def test_each_byte_alone(wire: str, frame: Frame) -> None:
    """Every byte a part of its own, with an empty one between each two."""
    payload = bytes.fromhex(wire)
    cuts = [cut for cut in range(len(payload) + 1) for _ in range(2)]
    reader = FrameReader()
    for _ in range(2):
        assert read(reader, parts_of(payload, cuts)) == [frame]


def test_payload_is_handed_on_as_it_comes() -> None:
    """Nothing waits for the end of a message: each part's payload is there with the part."""
    reader = FrameReader()
    assert reader.feed(Message(b"\0\2\0\0", final=False)) is None
    assert reader.feed(Message(b"\0ab", final=False)) == Frame(Kind.DAT, 2, b"ab")
    piece = bytes(4096)
    frame = reader.feed(Message(piece, final=False))
    assert frame is not None
    assert frame.payload is piece
    assert reader.feed(Message(b"")) is None
    assert reader.feed(Message(encode_syn(4))) == Frame(Kind.SYN, 4)


def test_the_longest_message() -> None:
    """4 MiB of payload pass, one byte more does not, and is found before the end of the message."""
    reader = FrameReader()
    frame = reader.feed(Message(encode_dat(0, bytes(WINDOW_BYTES))))
    assert frame is not None
    assert len(frame.payload) == WINDOW_BYTES == MESSAGE_BYTES - 5
    assert reader.feed(Message(encode_dat(0, bytes(WINDOW_BYTES)), final=False)) is not None
    with pytest.raises(TooLarge):
        reader.feed(Message(b"x", final=False))


STREAMS = st.integers(0, 2**32 - 1)
FRAMES = st.one_of(
    st.builds(lambda kind, n: Frame(kind, n), st.sampled_from([Kind.SYN, Kind.FIN]), STREAMS),
    st.builds(lambda n, amount: Frame(Kind.ACK, n, amount=amount), STREAMS, STREAMS),
    st.builds(
        lambda n, data: Frame(Kind.DAT, n, data), STREAMS, st.binary(min_size=1, max_size=60)
    ),
)
CUTS = st.lists(st.integers(0, 66), max_size=6)


@given(st.lists(st.tuples(FRAMES, CUTS), max_size=12))
def test_any_split_gives_the_same_frames(frames: list[tuple[Frame, list[int]]]) -> None:
    """What we send is read as it was meant, in any order and however each message is cut."""
    messages = [part for frame, cuts in frames for part in parts_of(encoded(frame), cuts)]
    assert read(FrameReader(), messages) == [frame for frame, _ in frames]


JUNK = st.one_of(
    st.binary(max_size=16),
    st.builds(lambda kind, rest: bytes([kind]) + rest, st.integers(0, 4), st.binary(max_size=10)),
)


@given(st.lists(st.builds(Message, JUNK, st.booleans(), st.booleans()), max_size=12))
def test_hostile_messages_break_the_rules_and_nothing_else(messages: list[Message]) -> None:
    """``SpeaksInTongues``: whatever arrives gives frames or a ProtocolError."""
    reader = FrameReader()
    for message in messages:
        try:
            frame = reader.feed(message)
        except ProtocolError:
            return
        assert frame is None or 0 <= frame.stream < 2**32


@given(JUNK, CUTS)
def test_a_fault_does_not_depend_on_the_split(payload: bytes, cuts: list[int]) -> None:
    """A message is a frame, or breaks the rules, in whatever parts it comes."""
    outcomes: list[list[Frame] | None] = []
    for messages in ([Message(payload)], parts_of(payload, cuts)):
        try:
            outcomes.append(read(FrameReader(), messages))
        except ProtocolError:
            outcomes.append(None)
    assert outcomes[0] == outcomes[1]
