"""Masks, and frames of RFC 6455 as the cut-through gear writes them; the raw peer judges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.vocabulary import Close
from relay.wire import wsframe
from relay.wire.wsframe import (
    CLOSE,
    CONTINUATION,
    CONTROL_BYTES,
    HEADER_BYTES,
    NATIVE_FROM_BYTES,
    FrameFault,
    encode_close,
    encode_header,
    parse_close,
    rotate,
    unmask,
)
from tests.rawpeer.wire import Op, encode_frame
from tests.unit.wsframe_oracle import (
    KEY,
    LENGTHS,
    Ended,
    Part,
    by_engine,
    cut,
    heard,
    pattern,
)

# -- masks ---------------------------------------------------------------------------------------


def naive(data: bytes, key: bytes) -> bytes:
    """:returns: ``data`` masked as RFC 6455, section 5.3, words it"""
    return bytes(octet ^ key[index % 4] for index, octet in enumerate(data))


def border_lengths() -> Iterator[int]:
    """:returns: short lengths, and those around the border of native code"""
    yield from range(18)
    yield from range(NATIVE_FROM_BYTES - 9, NATIVE_FROM_BYTES + 10)
    yield from (4096, 65537)


@pytest.mark.parametrize("start", range(17))
def test_unmask_in_place(start: int) -> None:
    """Every alignment and length; the bytes beside it stay."""
    for length in border_lengths():
        data = bytearray(pattern(start + length + 9, seed=start))
        expected = bytes(data[:start]) + naive(bytes(data[start : start + length]), KEY)
        expected += bytes(data[start + length :])
        unmask(memoryview(data), start, start + length, KEY)
        assert data == expected
        # masking is the same
        unmask(memoryview(data), start, start + length, KEY)
        assert data == pattern(start + length + 9, seed=start)


@pytest.mark.parametrize("length", [*range(20), *range(1020, 1030), 3000])
def test_rotate_for_payload_that_comes_in_pieces(length: int) -> None:
    """What follows any number of bytes is unmasked with the key turned so far."""
    whole = naive(pattern(length + 1100), KEY)
    data = bytearray(whole)
    unmask(memoryview(data), 0, length, KEY)
    unmask(memoryview(data), length, len(data), rotate(KEY, length))
    assert data == pattern(length + 1100)


@given(
    native=st.booleans(),
    length=st.integers(0, 3000),
    start=st.integers(0, 40),
    key=st.binary(min_size=4, max_size=4),
    seed=st.integers(0, 255),
)
def test_unmask_any(native: bool, length: int, start: int, key: bytes, seed: int) -> None:
    """Any key and place, with native code and without."""
    data = bytearray(pattern(start + length + 5, seed))
    expected = (
        data[:start] + naive(bytes(data[start : start + length]), key) + data[start + length :]
    )
    with pytest.MonkeyPatch.context() as patch:
        if not native:
            patch.setattr(wsframe, "_lib", None)
        unmask(memoryview(data), start, start + length, key)
    assert data == expected


# -- encoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"", KEY], ids=["plain", "masked"])
@pytest.mark.parametrize("length", [*LENGTHS, 2**32, 2**63 - 1])
@pytest.mark.parametrize("opcode", [Op.TEXT, Op.BINARY])
@pytest.mark.parametrize("final", [True, False])
def test_headers_are_those_of_the_raw_peer(
    opcode: int, final: bool, length: int, key: bytes
) -> None:
    """The shortest form of the length, and the key."""
    raw = encode_frame(opcode, b"", mask=key or None, fin=final, length=length)
    assert encode_header(opcode, final, length, key) == raw
    assert len(raw) <= HEADER_BYTES


@given(
    length=st.sampled_from(LENGTHS),
    key=st.none() | st.binary(min_size=4, max_size=4),
    parts=st.lists(st.integers(0, 1 << 20), max_size=3),
)
def test_what_is_encoded_is_read_back(length: int, key: bytes | None, parts: list[int]) -> None:
    """A message in fragments, masked as ours are, comes back whole."""
    whole = pattern(length)
    pieces = cut(whole, parts) or [b""]
    wire = b""
    for number, piece in enumerate(pieces):
        data = bytearray(piece)
        if key:
            unmask(memoryview(data), 0, len(data), key)
        opcode = CONTINUATION if number else Op.BINARY
        wire += encode_header(opcode, number == len(pieces) - 1, len(piece), key or b"") + data
    assert heard(wire, masked=key is not None) == [Part(False, whole, True)]


@given(
    code=st.sampled_from([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4999]),
    text=st.text(max_size=130),
)
def test_a_close_comes_back_as_far_as_there_is_room(code: int, text: str) -> None:
    """A text that is too long is cut at a character."""
    payload = encode_close(Close(code, text))
    assert len(payload) <= CONTROL_BYTES
    back = parse_close(payload)
    assert back.code == code
    assert text.startswith(back.text)
    if len(text.encode()) <= CONTROL_BYTES - 2:
        assert back.text == text
    else:
        missing = text[len(back.text)]
        assert len(payload) + len(missing.encode()) > CONTROL_BYTES
    wire = encode_header(CLOSE, True, len(payload)) + payload
    assert by_engine(False, [wire]) == [Ended(back.code, back.text)]


def test_a_close_without_a_code_is_empty() -> None:
    """And comes back as such."""
    assert encode_close(Close(None, "not sent")) == b""
    assert parse_close(b"") == Close(None, "")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_closes_that_must_not_be_sent_are_faults(code: int) -> None:
    """As is a text that is no UTF-8, with a code of its own."""
    with pytest.raises(FrameFault) as caught:
        parse_close(code.to_bytes(2, "big"))
    assert caught.value.code == 1002
    with pytest.raises(FrameFault) as caught:
        parse_close(b"\x03\xe8\xff")
    assert caught.value.code == 1007
