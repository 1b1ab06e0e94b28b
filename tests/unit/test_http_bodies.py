"""Bodies of HTTP/1.1: every cut gives the same, and what is ambiguous is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.errors import ProtocolError
from relay.wire.http_bodies import (
    CACHED_NAMES,
    CHUNKED,
    EXTENSION_BYTES,
    NO_BODY,
    PIECES_COUNT,
    TRAILERS_BYTES,
    TRAILERS_COUNT,
    UNTIL_CLOSE,
    BodyReader,
    ChunkedBody,
    ChunkedWriter,
    Delimiter,
    Framing,
    LengthBody,
    PlainWriter,
    canonical_names,
    encode_fields,
)

Outcome = tuple[bytes, bool, bytes, list[tuple[bytes, bytes]]] | str

PAYLOADS = st.lists(st.binary(max_size=40), max_size=6)
CUTS = st.lists(st.integers(0, 400), max_size=12)
TRAILERS = st.lists(
    st.tuples(st.sampled_from([b"x-sum", b"etag", b"a"]), st.sampled_from([b"", b"1", b"a b\xe9"])),
    max_size=3,
)


def outcome(reader: BodyReader, stream: bytes, cuts: Sequence[int], as_views: bool) -> Outcome:
    """Feed a stream that is cut there. :returns: payload, done, rest, trailers; or the error"""
    payload, points = b"", [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    try:
        for begin, end in pairwise(points):
            data = stream[begin:end]
            payload += b"".join(reader.feed(memoryview(data) if as_views else data))
    except ProtocolError:
        return "refused"
    return payload, reader.done, reader.rest, list(reader.trailers)


def whole(reader: BodyReader, stream: bytes) -> Outcome:
    """The outcome for a stream in one piece."""
    return outcome(reader, stream, (), False)


def byte_by_byte(reader: BodyReader, stream: bytes) -> Outcome:
    """The outcome for a stream in pieces of one byte."""
    return outcome(reader, stream, range(len(stream)), False)


@given(PAYLOADS, TRAILERS, st.binary(max_size=20), CUTS, st.booleans())
def test_chunks_come_back(
    parts: list[bytes],
    trailers: list[tuple[bytes, bytes]],
    rest: bytes,
    cuts: list[int],
    as_views: bool,
) -> None:
    """What was written in chunks is read again, up to the right byte."""
    writer, stream = ChunkedWriter(), b""
    for part in parts:
        stream += b"".join(writer.part([part[:7], memoryview(part)[7:]]))
    stream += writer.end(trailers) + rest
    expected = (b"".join(parts), True, rest, trailers)
    assert outcome(ChunkedBody(), stream, cuts, as_views) == expected
    assert byte_by_byte(ChunkedBody(), stream) == expected


@given(st.binary(max_size=60), st.integers(0, 60), CUTS, st.booleans())
def test_lengths_come_back(stream: bytes, length: int, cuts: list[int], as_views: bool) -> None:
    """So many bytes, and not one more, whatever the cut."""
    reader = LengthBody(length)
    found = outcome(reader, stream, cuts, as_views)
    assert found == (stream[:length], len(stream) >= length, stream[length:], [])
    if len(stream) < length:
        with pytest.raises(ProtocolError, match=f"{length - len(stream)} bytes are missing"):
            reader.ended()
    else:
        reader.ended()


@given(
    st.lists(
        st.sampled_from(
            [
                b"\r\n",
                b"\n",
                b"\r",
                b"0",
                b"5",
                b"a",
                b"hello",
                b";x",
                b" ",
                b"0\r\n",
                b"5\r\nhello",
            ]
        )
        | st.binary(max_size=3),
        max_size=12,
    ).map(b"".join),
    CUTS,
    st.booleans(),
)
@example(b"0\r\nA:\r\n\r\n", [5], False)
@example(b"5\r\nhello\r\n0\r\n\r\r\n", [], False)
def test_hostile_chunks(stream: bytes, cuts: list[int], as_views: bool) -> None:
    """No input brings out anything but our error, and no cut makes a difference."""
    expected = whole(ChunkedBody(), stream)
    assert outcome(ChunkedBody(), stream, cuts, as_views) == expected
    assert byte_by_byte(ChunkedBody(), stream) == expected


def end(*lines: bytes) -> bytes:
    """A last chunk with these trailer lines."""
    return b"0\r\n" + b"".join([line + b"\r\n" for line in lines]) + b"\r\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"5\nhello\r\n" + end(),
        b"5\r\nhello\n" + end(),
        b"5\r\nhello" + end(),
        b"5\r\nhello!\r\n" + end(),
        b"5\r\nhello\r\n\r\n" + end(),
        b"5\r\r\nhello\r\n" + end(),
        b"\r\n5\r\nhello\r\n" + end(),
        b" 5\r\nhello\r\n" + end(),
        b"5 \r\nhello\r\n" + end(),
        b"5 ;a\r\nhello\r\n" + end(),
        b"5\t\r\nhello\r\n" + end(),
        b"+5\r\nhello\r\n" + end(),
        b"-5\r\nhello\r\n" + end(),
        b"0x5\r\nhello\r\n" + end(),
        b"5_0\r\n" + b"a" * 80 + b"\r\n" + end(),
        b"\xd9\xa5\r\nhello\r\n" + end(),
        b";a\r\n" + end(),
        b"00000000000000005\r\nhello\r\n" + end(),
        b"5;a\nb\r\nhello\r\n" + end(),
        b"5;a\rb\r\nhello\r\n" + end(),
        b"5;a\x00\r\nhello\r\n" + end(),
        b"5;" + b"a" * EXTENSION_BYTES + b"\r\nhello\r\n" + end(),
        b"5;" + b"a" * 100_000,
        b"0\r\n\n",
        b"0\r\n\rx",
        b"0\r\nA: b\n\r\n",
        end(b" A: b"),
        end(b"A: b", b" c"),
        end(b"A: b", b"\tc"),
        end(b"A : b"),
        end(b": b"),
        end(b"A"),
        end(b"A: b\rc"),
        end(b"A: b\x00"),
        end(b"A\xe9: b"),
        end(*[b"A: b"] * (TRAILERS_COUNT + 1)),
        end(b"A: " + b"b" * TRAILERS_BYTES),
        end(*[b"A: " + b"b" * (TRAILERS_BYTES // 4)] * 4),
        b"0\r\nA: " + b"b" * 100_000,
    ],
    ids=lambda stream: repr(stream[:24]),
)
def test_ambiguous_chunks(stream: bytes) -> None:
    """Whatever another parser might take for another end is refused, at every cut."""
    assert whole(ChunkedBody(), stream) == "refused"
    assert byte_by_byte(ChunkedBody(), stream[:20_000]) == "refused"


@pytest.mark.parametrize(
    ("stream", "trailers"),
    [
        (b"5\r\nhello\r\n" + end(), []),
        (b"0000000000000005\r\nhello\r\n000" + end(), []),
        (b'2;a="b c"\r\nhe\r\n3;\xe9\r\nllo\r\n0;x\r\n\r\n', []),
        (b"5;" + b"a" * (EXTENSION_BYTES - 1) + b"\r\nhello\r\n" + end(), []),
        (b"5\r\nhello\r\n" + end(b"X-Sum:  1 \t", b"x-sum:"), [(b"x-sum", b"1"), (b"x-sum", b"")]),
        (
            b"5\r\nhello\r\n"
            + end(b"Content-Length: 9", b"TRANSFER-ENCODING: x", b"Host: y", b"Trailer: z"),
            [],
        ),
        (b"5\r\nhello\r\n" + end(b"Authorization: a", b"Connection: b", b"E: f"), [(b"e", b"f")]),
        (b"5\r\nhello\r\n" + end(*[b"A: b"] * TRAILERS_COUNT), [(b"a", b"b")] * TRAILERS_COUNT),
    ],
)
def test_good_chunks(stream: bytes, trailers: list[tuple[bytes, bytes]]) -> None:
    """Sizes in both cases of letters and with zeros, extensions and trailers; some are dropped."""
    expected = (b"hello", True, b"GET", trailers)
    assert whole(ChunkedBody(), stream + b"GET") == expected
    assert byte_by_byte(ChunkedBody(), stream + b"GET") == expected


def test_sizes_are_hexadecimal() -> None:
    """In both cases of letters."""
    for size in (b"1a", b"1A"):
        assert whole(ChunkedBody(), size + b"\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n")[0] == b"x" * 26


@pytest.mark.parametrize("cut", range(len(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n")))
def test_a_cut_chunked_body(cut: int) -> None:
    """A connection that ends before the last empty line has cut the body."""
    reader, stream = ChunkedBody(), b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"
    reader.feed(stream[:cut])
    assert not reader.done
    with pytest.raises(ProtocolError, match="cut"):
        reader.ended()
    reader.feed(stream[cut:])
    reader.ended()


def test_bodies_without_framing() -> None:
    """One goes on to the end of the connection, the other is over before it begins."""
    endless = UNTIL_CLOSE.reader()
    assert endless.feed(b"abc") == [b"abc"]
    assert endless.feed(b"") == []
    assert not endless.done
    endless.ended()
    assert endless.done
    nothing = NO_BODY.reader()
    assert nothing.done
    assert nothing.feed(b"GET") == []
    assert nothing.rest == b"GET"


@pytest.mark.parametrize(
    "make", [lambda: LengthBody(1 << 20), UNTIL_CLOSE.reader, lambda: begun(1 << 20)]
)
def test_payload_is_not_copied(make: Callable[[], BodyReader]) -> None:
    """What lies within a body, or within a chunk, is handed on as it came."""
    data = bytes(65536)
    (piece,) = make().feed(data)
    assert piece is data


def test_payload_is_sliced() -> None:
    """Around the ends of chunks there are views of what came, and no copies."""
    data = b"x" * 10 + b"\r\n8\r\n" + b"y" * 8
    pieces = begun(10).feed(data)
    assert [bytes(piece) for piece in pieces] == [b"x" * 10, b"y" * 8]
    assert all(isinstance(piece, memoryview) and piece.obj is data for piece in pieces)


def begun(size: int) -> ChunkedBody:
    """A body within a chunk of that size."""
    reader = ChunkedBody()
    assert reader.feed(b"%x\r\n" % size) == []
    return reader


def test_many_tiny_chunks_become_one_piece() -> None:
    """The next hop gets one chunk for them."""
    pieces = ChunkedBody().feed(b"1\r\nx\r\n" * (PIECES_COUNT + 1))
    assert pieces == [b"x" * (PIECES_COUNT + 1)]


def test_an_empty_part_is_no_last_chunk() -> None:
    """Nothing is written for it."""
    writer = ChunkedWriter()
    assert writer.part([]) == []
    assert writer.part([b"", memoryview(b"")]) == []
    assert b"".join(writer.part([b"ab", b"", b"c"])) == b"3\r\nabc\r\n"


def test_trailers_only_where_they_are_wanted() -> None:
    """A next hop that does not ask for them gets a plain end."""
    assert ChunkedWriter().end([(b"x-sum", b"1")]) == b"0\r\nX-Sum: 1\r\n\r\n"
    assert ChunkedWriter(with_trailers=False).end([(b"x-sum", b"1")]) == b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "sent", "ends_connection"),
    [
        (NO_BODY, b"", False),
        (Framing(Delimiter.LENGTH, 3), b"abc", False),
        (CHUNKED, b"3\r\nabc\r\n0\r\n\r\n", False),
        (UNTIL_CLOSE, b"abc", True),
    ],
)
def test_writers(framing: Framing, sent: bytes, ends_connection: bool) -> None:
    """Each framing has its writer."""
    writer = framing.writer()
    assert b"".join(writer.part([b"a", b"bc"])) + writer.end() == sent
    assert writer.ends_connection is ends_connection


def test_a_plain_writer_has_no_place_for_trailers() -> None:
    """They are dropped."""
    assert PlainWriter().end([(b"a", b"b")]) == b""


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        (b"x-api-key", b"X-Api-Key"),
        (b"X-API-KEY", b"X-Api-Key"),
        (b"te", b"Te"),
        (b"etag", b"Etag"),
        (b"sec-websocket-key", b"Sec-Websocket-Key"),
        (b"x_api-key", b"X_api-Key"),
        (b"-a--b-", b"-A--B-"),
        (b"1a-2b", b"1a-2b"),
    ],
)
def test_canonical_names(name: bytes, canonical: bytes) -> None:
    """As Go's net/textproto writes them."""
    assert canonical_names[name] == canonical
    assert encode_fields([(name, b"v")]) == canonical + b": v\r\n"


def test_names_of_peers_do_not_pile_up() -> None:
    """The cache is bounded, and what has no place in it is right all the same."""
    for number in range(2 * CACHED_NAMES):
        assert canonical_names[b"x-%d" % number] == b"X-%d" % number
    assert len(canonical_names) <= CACHED_NAMES
    assert canonical_names[b"y" * 1000] == b"Y" + b"y" * 999
