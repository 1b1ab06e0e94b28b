"""The reader of requests: every cut gives the same, and what is not its own is given back."""

from __future__ import annotations

import pytest

from relay.errors import BadRequest, RelayError, TooLarge
from relay.links.heads import as_request
from relay.links.request_reader import RequestReader

HEAD_BYTES = 200
GET = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
FRAMES = b"\x82\x83\x00\x00\x00\x00abc"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_pipeline_in_pieces(size: int) -> None:
    """Requests come out one by one, each with its body, whatever way the bytes are cut."""
    reader = RequestReader(HEAD_BYTES)
    stream, found = GET + POST + GET, []
    head = None
    for start in range(0, len(stream), size):
        reader.receive(stream[start : start + size])
        while True:
            if head is None:
                head = reader.head()
                if head is None:
                    break
            body = reader.body(5)
            if body is None:
                break
            found.append((as_request(head, False).path, body))
            assert reader.is_whole()
            reader.begin_again()
            head = None
    assert found == [("/a", b""), ("/p", b"hello"), ("/a", b"")]
    assert not reader.has_begun()


@pytest.mark.parametrize("late", [0, 3, len(FRAMES)])
def test_what_follows_a_head_is_given_back(late: int) -> None:
    """Also what came after the head was read; it is nobody's body."""
    reader = RequestReader(HEAD_BYTES)
    reader.receive(GET + FRAMES[:late])
    assert reader.head() is not None
    reader.receive(FRAMES[late:])
    assert reader.rest() == FRAMES


@pytest.mark.parametrize(
    ("stream", "kind", "word"),
    [
        (GET.replace(b"Host: x", b"Host: x\r\nA: " + b"b" * HEAD_BYTES), TooLarge, "over 200"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 2 * HEAD_BYTES, TooLarge, "over 200"),
        (GET.replace(b"\r\nHost", b"\nHost"), BadRequest, "without CR"),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", BadRequest, "TLS"),
        (b"SSH-2.0-x\r\n\r\n", BadRequest, "HTTP/1.1"),
        (GET.replace(b"/a", b"http://[::1/"), BadRequest, "neither a path nor a URL"),
        (POST.replace(b": 5", b": 6") + b"!", TooLarge, "body"),
        (
            POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"\r\n",
            BadRequest,
            "HTTP",
        ),
    ],
)
def test_refusals(stream: bytes, kind: type[RelayError], word: str) -> None:
    """Each names what is wrong."""
    with pytest.raises(kind, match=word):
        read_one(stream)


def read_one(stream: bytes) -> bytes | None:
    """:returns: the body of a request of which all has come"""
    reader = RequestReader(HEAD_BYTES)
    reader.receive(stream)
    head = reader.head()
    assert head is not None
    as_request(head, False)
    return reader.body(5)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a%20b?c", "/a%20b"),
        (b"http://x.example/a?b", "/a"),
        (b"ws://x.example", "/"),
        (b"*", "*"),
        (b"x.example:443", "x.example:443"),
        (b"//a/b", "//a/b"),
    ],
)
def test_forms_of_a_target(target: bytes, path: str) -> None:
    """A path, a URL, or what CONNECT and OPTIONS have there."""
    reader = RequestReader(HEAD_BYTES)
    reader.receive(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    head = reader.head()
    assert head is not None
    assert as_request(head, False).path == path


def test_headers_keep_their_order() -> None:
    """Names in lower case, values as they are, repeated ones each for itself."""
    reader = RequestReader(HEAD_BYTES)
    reader.receive(b"GET / HTTP/1.1\r\nhOsT: X\r\nX-A: B\xe9\r\nx-a:  c \r\n\r\n")
    head = reader.head()
    assert head is not None
    assert as_request(head, False).headers == (("host", "X"), ("x-a", "B\xe9"), ("x-a", "c"))
