"""The reader of requests: every cut gives the same, and what is not its own is given back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import BadRequest, RelayError, TooLarge
from relay.http import Request
from relay.links.heads import as_request
from relay.links.request_reader import RequestReader
from relay.links.responses import plain_status

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


SMUGGLING = {
    "bare-lf": (b"A: b\nB: c\r\n", 400),
    "bare-lf-before-the-end": (b"A: b\n\r\n", 400),
    "bare-lf-as-the-end": (b"A: b\n\nGET /b HTTP/1.1\r\n", 400),
    "bare-cr": (b"A: b\rB: c\r\n", 400),
    "two-cr": (b"A: b\r\r\n", 400),
    "cr-and-lf-apart": (b"A: b\rc\nB: d\r\n", 400),
    "space-before-colon": (b"A : b\r\n", 400),
    "tab-before-colon": (b"Content-Length\t: 5\r\n", 400),
    "fold": (b"A: b\r\n c\r\n", 400),
    "fold-with-tab": (b"Transfer-Encoding:\r\n\tchunked\r\n", 400),
    "nul-in-a-value": (b"A: b\0c\r\n", 400),
    "nul-in-a-name": (b"A\0: b\r\n", 400),
    "control-in-a-value": (b"A: b\x08c\r\n", 400),
    "vertical-tab-before-chunked": (b"Transfer-Encoding: \x0bchunked\r\n", 400),
    "delete": (b"A: \x7f\r\n", 400),
    "no-name": (b": b\r\n", 400),
    "no-colon": (b"A\r\n", 400),
    "name-in-latin-1": (b"\xe9: b\r\n", 400),
    "two-lengths": (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    "one-length-twice": (b"Content-Length: 5\r\ncontent-length: 5\r\n", 400),
    "list-of-lengths": (b"Content-Length: 5, 5\r\n", 400),
    "length-with-sign": (b"Content-Length: +5\r\n", 400),
    "length-in-hex": (b"Content-Length: 0x5\r\n", 400),
    "length-with-blank": (b"Content-Length: 5 5\r\n", 400),
    "no-length": (b"Content-Length:\r\n", 400),
    "length-over-63-bits": (b"Content-Length: 9223372036854775808\r\n", 400),
    "length-in-other-digits": (b"Content-Length: \xb2\r\n", 400),
    "length-and-chunked": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunked-and-length": (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    "chunked-twice": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
    "chunked-and-identity": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", 400),
    "chunked-twice-in-one": (b"Transfer-Encoding: chunked, chunked\r\n", 400),
    "gzip": (b"Transfer-Encoding: gzip, chunked\r\n", 501),
    "identity": (b"Transfer-Encoding: identity\r\n", 501),
    "chunked-in-quotes": (b'Transfer-Encoding: "chunked"\r\n', 501),
    "chunked-with-parameter": (b"Transfer-Encoding: chunked;a=b\r\n", 501),
    "no-coding": (b"Transfer-Encoding:\r\n", 501),
    "second-host": (b"Host: y\r\n", 400),
}


@pytest.mark.parametrize("name", SMUGGLING)
@pytest.mark.parametrize("size", [1, 1000])
def test_smuggling(name: str, size: int) -> None:
    """What two parsers could understand in two ways is refused, however it is cut."""
    lines, status = SMUGGLING[name]
    with pytest.raises(RelayError) as caught:
        read_request(b"POST /a HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n0\r\n\r\n", size)
    assert plain_status(caught.value) == status


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET  / HTTP/1.1\r\nHost: x", 400),
        (b"GET / HTTP/1.1 \r\nHost: x", 400),
        (b" GET / HTTP/1.1\r\nHost: x", 400),
        (b"\r\nGET / HTTP/1.1\r\nHost: x", 400),
        (b"GET\t/ HTTP/1.1\r\nHost: x", 400),
        (b"GET / a HTTP/1.1\r\nHost: x", 400),
        (b"GET /\x0b HTTP/1.1\r\nHost: x", 400),
        (b"GET / HTTP/1.1\r\n Host: x", 400),
        (b"G(T / HTTP/1.1\r\nHost: x", 400),
        (b"GET / http/1.1\r\nHost: x", 400),
        (b"GET /\r\nHost: x", 400),
        (b"GET / HTTP/1.1", 400),
        (b"GET / HTTP/1.1\r\nHost: a b", 400),
        (b"GET / HTTP/1.1\r\nHost: x/../y", 400),
        (b"GET / HTTP/1.1\r\nHost: user@x", 400),
        (b"GET / HTTP/1.1\r\nHost: x, y", 400),
        (b"GET / HTTP/2.0\r\nHost: x", 505),
        (b"GET / HTTP/1.2\r\nHost: x", 505),
        (b"GET / HTTP/0.9\r\nHost: x", 505),
        (b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked", 400),
    ],
)
def test_malformed_first_lines_and_hosts(head: bytes, status: int) -> None:
    """Blanks, versions and hosts are what the standard says, or the request is refused."""
    with pytest.raises(RelayError) as caught:
        read_request(head + b"\r\n\r\n")
    assert plain_status(caught.value) == status


PARTS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\xff", b"/", b"http://", b"A: b"),
    *(b"GET / HTTP/1.1", b"Host: x", b"Content-Length: 1", b"Transfer-Encoding: chunked"),
)


def test_no_secret_is_repeated() -> None:
    """A refusal, which is logged, says what is wrong with a line but does not quote it."""
    with pytest.raises(BadRequest, match="illegal header line") as caught:
        read_request(GET.replace(b"Host: x", b"Host: x\r\nAuthorization : Bearer abc"))
    assert "abc" not in caught.value.text


@given(
    st.lists(st.sampled_from(PARTS) | st.binary(max_size=3)).map(b"".join),
    st.integers(1, 40),
)
def test_hostile_heads(stream: bytes, size: int) -> None:
    """Nothing but our own errors comes out, and the same at every cut."""
    outcomes = []
    for step in (size, len(stream) + 1):
        try:
            outcomes.append(repr(read_request(stream, step)))
        except AssertionError:
            outcomes.append("incomplete")
        except RelayError:
            outcomes.append("refused")
    assert outcomes[0] == outcomes[1]


def read_request(stream: bytes, size: int = 1000) -> Request:
    """:returns: the first request of a stream that comes in pieces of that size"""
    reader = RequestReader(1000)
    for start in range(0, len(stream), size):
        reader.receive(stream[start : start + size])
        head = reader.head()
        if head is not None:
            return as_request(head, False)
    raise AssertionError("the head is not complete")


def read_one(stream: bytes) -> bytes | None:
    """:returns: the body of a request of which all has come"""
    reader = RequestReader(HEAD_BYTES)
    reader.receive(stream)
    head = reader.head()
    assert head is not None
    as_request(head, False)
    return reader.body(5)


@pytest.mark.parametrize(
    ("line", "target", "host"),
    [
        (b"GET /a%20b?c", "/a%20b?c", "x"),
        (b"GET http://X.example/a?b", "/a?b", "X.example"),
        (b"GET HTTPS://x.example:8/demo//c?", "/demo//c?", "x.example:8"),
        (b"GET ws://x.example", "/", "x.example"),
        (b"GET http://[::1]:8?q=/a", "/?q=/a", "[::1]:8"),
        (b"GET /http://y/a", "/http://y/a", "x"),
        (b"OPTIONS *", "*", "x"),
        (b"GET //a/b", "//a/b", "x"),
        (b"GET /d\xc3\xa9?\xff", "/d%C3%A9?%FF", "x"),
    ],
)
def test_forms_of_a_target(line: bytes, target: str, host: str) -> None:
    """All that have a path come out in origin form, with the host that counts."""
    request = read_request(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (request.target, request.header("host")) == (target, host)
    assert (request.path, request.query) == (target.partition("?")[0], target.partition("?")[2])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET x.example:443", 400),
        (b"GET demo", 400),
        (b"GET *", 400),
        (b"GET ?a", 400),
        (b"GET http:///demo/", 400),
        (b"GET http://user@x/demo/", 400),
        (b"GET http://a b/", 400),
        (b"GET http:/demo/", 400),
        (b"GET file://x/demo/", 400),
        (b"CONNECT x.example:443", 405),
        (b"CONNECT demo", 405),
        (b"OPTIONS x.example", 400),
    ],
)
def test_targets_without_a_path(line: bytes, status: int) -> None:
    """Nothing is routed that is no path, or whose host is unclear."""
    with pytest.raises(RelayError) as caught:
        read_request(line + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert plain_status(caught.value) == status


def test_headers_keep_their_order() -> None:
    """Names in lower case, values as they are, repeated ones each for itself."""
    reader = RequestReader(HEAD_BYTES)
    reader.receive(b"GET / HTTP/1.1\r\nhOsT: X\r\nX-A: B\xe9\r\nx-a:  c \r\n\r\n")
    head = reader.head()
    assert head is not None
    assert as_request(head, False).headers == (("host", "X"), ("x-a", "B\xe9"), ("x-a", "c"))
