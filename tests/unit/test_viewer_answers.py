"""An application's answer: read leniently where that harms nobody, and written anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import BadAnswer
from relay.links.viewer.answers import (
    ANSWER_HEAD_BYTES,
    INTERIM_COUNT,
    Answer,
    AnswerReader,
    encode_answer,
)
from relay.links.viewer.requests import Terms
from relay.wire.http_bodies import CHUNKED, NO_BODY, UNTIL_CLOSE, Delimiter, Framing

NOW = 784111777.9
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
MODERN = Terms("GET", "1.1", NO_BODY)
OLD = Terms("GET", "1.0", NO_BODY, keep=False)


def of_length(length: int) -> Framing:
    """The framing of a body of so many bytes."""
    return Framing(Delimiter.LENGTH, length)


def read(stream: bytes, method: str = "GET", upgrade: bool = False, size: int = 0) -> Answer:
    """Read an answer from a stream in pieces of that size; the rest holds all that is left."""
    reader, size = AnswerReader(method, upgrade), size or len(stream)
    for start in range(0, len(stream), size):
        answer = reader.feed(memoryview(stream)[start : start + size])
        if answer is not None:
            return answer._replace(rest=bytes(answer.rest) + stream[start + size :])
    raise AssertionError("the answer is not complete")


def sent(stream: bytes, terms: Terms = MODERN, keep: bool = True) -> bytes:
    """The head that a viewer gets, without its status line and empty line."""
    answer = read(stream, terms.method, terms.upgrade)
    head, _ = encode_answer(answer, terms, keep, NOW)
    assert head.endswith(b"\r\n\r\n")
    return head[head.index(b"\r\n") + 2 : -2]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", EARLY_HINTS * 3])
def test_an_answer_in_pieces(size: int, interim: bytes) -> None:
    """Interim answers are skipped; all else comes out as it was, whatever the cut."""
    stream = interim + OK + b"Set-Cookie: a\r\nX-A: b\r\nset-cookie:  c \r\n\r\nbody"
    answer = read(stream, size=size)
    assert answer.status == 200
    assert answer.headers == ((b"set-cookie", b"a"), (b"x-a", b"b"), (b"set-cookie", b"c"))
    assert answer.header(b"x-a") == b"b"
    assert answer.header(b"x-b") is None
    assert (answer.framing, answer.rest, answer.switches) == (UNTIL_CLOSE, b"body", False)


@pytest.mark.parametrize(
    ("method", "head", "framing"),
    [
        ("GET", OK, UNTIL_CLOSE),
        ("GET", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", UNTIL_CLOSE),
        ("GET", OK + b"Content-Length: 5\r\n", of_length(5)),
        ("GET", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n", of_length(5)),
        ("GET", OK + b"Content-Length: 5, 5\r\n", of_length(5)),
        ("GET", OK + b"Transfer-Encoding: Chunked\r\n", CHUNKED),
        ("GET", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
        ("GET", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", CHUNKED),
        ("HEAD", OK + b"Content-Length: 5\r\n", NO_BODY),
        ("HEAD", OK + b"Transfer-Encoding: chunked\r\n", NO_BODY),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", NO_BODY),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", NO_BODY),
        ("GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n", of_length(0)),
    ],
)
def test_framing(method: str, head: bytes, framing: Framing) -> None:
    """Chunks before a length, a length before the end of the stream; sometimes no body at all."""
    answer = read(head + b"\r\n", method)
    assert answer.framing == framing
    assert answer.body.done is (framing in (NO_BODY, of_length(0)))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"HTTP/1.1 200\r\n", 200),
        (b"HTTP/1.1 200 \r\n", 200),
        (b"HTTP/1.0 299 Was immer gef\xc3\xa4llt\r\n", 299),
        (b"HTTP/1.1 999 X\r\n", 999),
        (b"HTTP/1.1 200 OK\nServer: x\n", 200),
        (b"HTTP/1.1 200 OK\r\nX-A: a\r\n  b\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nX-A:\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nX-A: \x01\r\n", 200),
    ],
)
def test_sloppy_heads(head: bytes, status: int) -> None:
    """Applications write such heads, and browsers read them."""
    assert read(head + b"\r\n").status == status


def test_values_are_bytes() -> None:
    """UTF-8 and latin-1 in a value reach the viewer as they are."""
    value = "naïve ☃".encode() + b"\xe9\xff\x85\xa0"
    stream = OK + b"X-A: " + value + b"\r\nContent-Length: 0\r\nDate: x\r\n\r\n"
    assert sent(stream) == b"X-A: " + value + b"\r\nDate: x\r\nContent-Length: 0\r\n"


@pytest.mark.parametrize(
    "stream",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"\r\n\r\n",
        b"\x00\x01\n\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 099 X\r\n\r\n",
        b"HTTP/1.1 2000 X\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"A : b\r\n\r\n",
        OK + b"A: b\rc\r\n\r\n",
        OK + b"A: \x00\r\n\r\n",
        OK + b": b\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: 5, 6\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\n",
        OK + b"Content-Length: 5a\r\n\r\n",
        OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"A: " + b"b" * ANSWER_HEAD_BYTES,
        OK + b"A: " + b"b" * ANSWER_HEAD_BYTES + b"\r\n\r\n",
        EARLY_HINTS * (INTERIM_COUNT + 1),
        b"HTTP/1.1 103 X\r\nA: " + b"b" * (ANSWER_HEAD_BYTES - 100) + b"\r\n\r\n" + EARLY_HINTS * 9,
        SWITCH,
    ],
    ids=lambda stream: repr(stream[:60]),
)
@pytest.mark.parametrize("size", [0, 7])
def test_no_answers(stream: bytes, size: int) -> None:
    """What is no HTTP/1.1, what has two ends, and what has none is not passed on."""
    with pytest.raises(BadAnswer):
        read(stream, size=size)


@given(
    st.lists(
        st.sampled_from(
            [b"\r\n", b"\n", OK, EARLY_HINTS, SWITCH, b"HTTP/1.1 ", b"A: b", b"Content-Length: 5"]
        )
        | st.binary(max_size=4),
        max_size=8,
    ).map(b"".join),
    st.integers(1, 60),
)
def test_hostile_streams(stream: bytes, size: int) -> None:
    """Nothing but our error comes out, and no cut makes a difference."""
    outcomes = []
    for step in (size, 0):
        try:
            answer = read(stream or b"x", size=step)
            outcomes.append(repr((answer.status, answer.headers, answer.framing, answer.rest)))
        except AssertionError:
            outcomes.append("incomplete")
        except BadAnswer:
            outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


def test_streams_that_end_early() -> None:
    """No answer, and half a head, are told apart."""
    reader = AnswerReader("GET")
    with pytest.raises(BadAnswer, match="without an answer"):
        reader.ended()
    assert reader.feed(EARLY_HINTS + OK) is None
    with pytest.raises(BadAnswer, match="cut within its head"):
        reader.ended()


def test_an_empty_line_ends_the_head_only_when_it_is_whole() -> None:
    """A rest that is cut off the head has the same bytes as it came with."""
    reader = AnswerReader("GET")
    assert reader.feed(OK + b"\r") is None
    answer = reader.feed(b"\n\r\nbody")
    assert answer is not None
    assert bytes(answer.rest) == b"\r\nbody"


def test_a_rest_is_not_copied() -> None:
    """The body's beginning is a view of what came with the head."""
    stream = OK + b"\r\n" + bytes(65536)
    answer = AnswerReader("GET").feed(stream)
    assert answer is not None
    assert isinstance(answer.rest, memoryview)
    assert answer.rest.obj is stream


def test_a_switch() -> None:
    """101 goes through with headers of its own, and what follows is nobody's body."""
    stream = (
        b"HTTP/1.1 101 Whatever\r\nupgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: a\r\n"
        b"Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\nContent-Length: 0\r\n\r\n\x81\x00"
    )
    answer = read(EARLY_HINTS + stream, upgrade=True)
    assert (answer.switches, answer.framing, answer.rest) == (True, NO_BODY, b"\x81\x00")
    head, writer = encode_answer(answer, MODERN._replace(upgrade=True, keep=False), False, NOW)
    assert head == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Set-Cookie: a\r\nSec-Websocket-Accept: x\r\nSec-Websocket-Protocol: p\r\n\r\n"
    )
    assert not writer.ends_connection


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (b"200 Fine", b"200 OK"),
        (b"299", b"299 status code 299"),
        (b"404 Nicht da", b"404 Not Found"),
        (b"599 X", b"599 status code 599"),
    ],
)
def test_reason_phrases(status: bytes, line: bytes) -> None:
    """They are the standard's, whatever the application says."""
    answer = read(b"HTTP/1.0 " + status + b"\r\n\r\n")
    head, _ = encode_answer(answer, MODERN, True, NOW)
    assert head.startswith(b"HTTP/1.1 " + line + b"\r\n")


CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
CLOSE_LINE = b"Connection: close\r\n"


@pytest.mark.parametrize(
    ("terms", "keep", "fields", "lines"),
    [
        (MODERN, True, b"Content-Length: 5\r\n", b"Content-Length: 5\r\n"),
        (MODERN, False, b"Content-Length: 5\r\n", b"Content-Length: 5\r\n" + CLOSE_LINE),
        (MODERN._replace(keep=False), True, b"", CHUNKED_LINE + CLOSE_LINE),
        (MODERN, True, b"", CHUNKED_LINE),
        (MODERN, True, b"transfer-encoding: chunked\r\n", CHUNKED_LINE),
        (MODERN, True, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", CHUNKED_LINE),
        (MODERN, True, b"Connection: close, x\r\n", CHUNKED_LINE),
        (OLD, True, b"", CLOSE_LINE),
        (OLD, True, b"Transfer-Encoding: chunked\r\n", CLOSE_LINE),
        (OLD, True, b"Content-Length: 5\r\n", b"Content-Length: 5\r\n" + CLOSE_LINE),
        (OLD._replace(keep=True), True, b"", CLOSE_LINE),
        (
            OLD._replace(keep=True),
            True,
            b"Content-Length: 5\r\n",
            b"Content-Length: 5\r\nConnection: keep-alive\r\n",
        ),
        (MODERN._replace(method="HEAD"), True, b"", b""),
        (
            MODERN._replace(method="HEAD"),
            True,
            b"Content-Length: 5\r\n",
            b"Content-Length: 5\r\n",
        ),
        (
            MODERN._replace(method="HEAD"),
            True,
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            b"",
        ),
    ],
)
def test_framing_is_written_anew(terms: Terms, keep: bool, fields: bytes, lines: bytes) -> None:
    """A length stays, all else is in chunks, or ends with the connection for old viewers."""
    assert sent(OK + fields + b"\r\n", terms, keep) == DATE + lines


@pytest.mark.parametrize(
    ("status", "lines"),
    [(b"204", DATE), (b"304", DATE + b"Content-Length: 5\r\n")],
)
def test_answers_without_body(status: bytes, lines: bytes) -> None:
    """A length may stand in 304, where it tells of the body that is not sent."""
    stream = b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n"
    assert sent(stream) == lines
    _, writer = encode_answer(read(stream), OLD, True, NOW)
    assert writer.part([b"hello"]) == []
    assert writer.end([(b"a", b"b")]) == b""


def test_other_headers_pass() -> None:
    """In their order, with duplicates; nothing is guessed or added but a date."""
    stream = OK + (
        b"server: x\r\nset-cookie: a\r\nKEEP-ALIVE: timeout=5\r\nset-cookie: b\r\n"
        b"x-relay-reason: lost\r\nContent-Length: 1\r\n\r\n<"
    )
    assert sent(stream) == (
        b"Server: x\r\nSet-Cookie: a\r\nKeep-Alive: timeout=5\r\nSet-Cookie: b\r\n"
        b"X-Relay-Reason: lost\r\n" + DATE + b"Content-Length: 1\r\n"
    )


@pytest.mark.parametrize(
    ("terms", "fields", "passes"),
    [
        (MODERN._replace(trailers=True), b"Transfer-Encoding: chunked\r\n", True),
        (MODERN, b"Transfer-Encoding: chunked\r\n", False),
        (OLD, b"Transfer-Encoding: chunked\r\n", False),
        (MODERN._replace(trailers=True), b"Content-Length: 3\r\n", False),
        (MODERN._replace(trailers=True), b"", False),
    ],
)
def test_trailers(terms: Terms, fields: bytes, passes: bool) -> None:
    """They reach who asked for them, where there is a place for them, and are announced there."""
    answer = read(OK + fields + b"Trailer: X-Sum\r\n\r\n")
    head, writer = encode_answer(answer, terms, True, NOW)
    assert (b"Trailer: X-Sum\r\n" in head) is passes
    assert (b"X-Sum: 1\r\n" in writer.end([(b"x-sum", b"1")])) is passes


@given(
    st.lists(st.binary(max_size=30), max_size=5),
    st.sampled_from(["length", "chunks", "close"]),
    st.sampled_from([MODERN, OLD]),
    st.integers(1, 200),
)
def test_bodies_arrive(parts: list[bytes], how: str, terms: Terms, size: int) -> None:
    """The payload is the same behind two routers, whatever the framing and the cut."""
    payload = b"".join(parts)
    framing = {"length": of_length(len(payload)), "chunks": CHUNKED, "close": UNTIL_CLOSE}[how]
    fields = {
        "length": b"Content-Length: %d\r\n" % len(payload),
        "chunks": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }[how]
    writer = framing.writer()
    stream = OK + fields + b"\r\n"
    stream += b"".join([b"".join(writer.part([part])) for part in parts]) + writer.end()
    answer = read(forwarded(forwarded(stream, terms, size), terms, 1))
    found = b"".join(answer.body.feed(answer.rest))
    answer.body.ended()
    assert found == payload


def forwarded(stream: bytes, terms: Terms, size: int) -> bytes:
    """What a viewer gets for a whole answer that comes in pieces."""
    reader, answer, out = AnswerReader(terms.method), None, b""
    for start in range(0, len(stream), size):
        piece: bytes | memoryview = stream[start : start + size]
        if answer is None:
            answer = reader.feed(piece)
            if answer is None:
                continue
            head, writer = encode_answer(answer, terms, True, NOW)
            out, piece = head, answer.rest
        out += b"".join(writer.part(answer.body.feed(piece)))
    assert answer is not None
    answer.body.ended()
    return out + writer.end(answer.body.trailers)
