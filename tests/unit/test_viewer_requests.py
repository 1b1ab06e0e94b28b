"""A viewer's request: what is refused before it reaches a host, and what is written for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import BadRequest, RelayError
from relay.http import Request
from relay.links.heads import as_request
from relay.links.request_reader import RequestReader
from relay.links.responses import plain_status
from relay.links.viewer.requests import Terms, encode_request, judge
from relay.wire.http_bodies import CHUNKED, NO_BODY, Delimiter, Framing

HEAD_BYTES = 16 * 1024


def request(*headers: tuple[str, str], method: str = "GET", version: str = "1.1") -> Request:
    """A parsed request; with a Host unless there is one."""
    if not any(name == "host" for name, _ in headers):
        headers = (("host", "x"), *headers)
    return Request(method, "/demo/a", "/demo/a", "", headers, "192.0.2.1", version)


def of_length(length: int) -> Framing:
    """The framing of a body of so many bytes."""
    return Framing(Delimiter.LENGTH, length)


@pytest.mark.parametrize(
    ("headers", "framing"),
    [
        ((), NO_BODY),
        ((("content-length", "0"),), of_length(0)),
        ((("content-length", "007"),), of_length(7)),
        ((("content-length", "9223372036854775807"),), of_length(2**63 - 1)),
        ((("transfer-encoding", "chunked"),), CHUNKED),
        ((("transfer-encoding", "CHUNKED"),), CHUNKED),
    ],
)
def test_framing(headers: tuple[tuple[str, str], ...], framing: Framing) -> None:
    """A length, chunks, or no body."""
    assert judge(request(*headers)).framing == framing


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ((("content-length", "5"), ("content-length", "6")), "1.1", 400),
        ((("content-length", "5"), ("content-length", "5")), "1.1", 400),
        ((("content-length", "5, 5"),), "1.1", 400),
        ((("content-length", "5,"),), "1.1", 400),
        ((("content-length", ""),), "1.1", 400),
        ((("content-length", "-1"),), "1.1", 400),
        ((("content-length", "+1"),), "1.1", 400),
        ((("content-length", "1.0"),), "1.1", 400),
        ((("content-length", "1_0"),), "1.1", 400),
        ((("content-length", "0x1"),), "1.1", 400),
        ((("content-length", "\xb2"),), "1.1", 400),
        ((("content-length", "9223372036854775808"),), "1.1", 400),
        ((("content-length", "9" * 5000),), "1.1", 400),
        ((("content-length", "5"), ("transfer-encoding", "chunked")), "1.1", 400),
        ((("transfer-encoding", "gzip"), ("content-length", "5")), "1.1", 400),
        ((("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")), "1.1", 400),
        ((("transfer-encoding", "chunked, chunked"),), "1.1", 400),
        ((("transfer-encoding", "chunked"),), "1.0", 400),
        ((("transfer-encoding", "gzip, chunked"),), "1.1", 501),
        ((("transfer-encoding", "chunked, gzip"),), "1.1", 501),
        ((("transfer-encoding", "identity"),), "1.1", 501),
        ((("transfer-encoding", "xchunked"),), "1.1", 501),
        ((("transfer-encoding", "chunked\x0b"),), "1.1", 501),
        ((("transfer-encoding", ""),), "1.1", 501),
        ((("expect", "200-ok"),), "1.1", 417),
        ((("expect", "100-continue, x"),), "1.1", 417),
        ((("expect", "100-continue"), ("expect", "x")), "1.1", 417),
        ((("host", "a"), ("host", "a")), "1.1", 400),
        ((("host", "a"), ("host", "b")), "1.0", 400),
    ],
)
def test_refusals(headers: tuple[tuple[str, str], ...], version: str, status: int) -> None:
    """What could be understood in two ways, and what is not known here, has its status."""
    with pytest.raises(BadRequest) as caught:
        judge(request(*headers, version=version))
    assert plain_status(caught.value) == status


def test_a_host_is_needed() -> None:
    """HTTP/1.1 has to say whom it means, HTTP/1.0 does not."""
    bare = Request("GET", "/", "/", "", (), "")
    with pytest.raises(BadRequest, match="Host"):
        judge(bare)
    assert judge(bare._replace(http_version="1.0")).framing == NO_BODY


@pytest.mark.parametrize(
    ("headers", "version", "expected"),
    [
        ((), "1.1", {}),
        ((), "1.0", {"keep": False}),
        ((("connection", "Keep-Alive"),), "1.0", {"keep": True}),
        ((("connection", "x, Close"),), "1.1", {"keep": False}),
        ((("connection", "x"), ("connection", "close")), "1.1", {"keep": False}),
        ((("connection", "close, keep-alive"),), "1.0", {"keep": False}),
        ((("te", "trailers"),), "1.1", {"trailers": True}),
        ((("te", "gzip;q=0.5 , Trailers;q=1"),), "1.1", {"trailers": True}),
        ((("te", "trailers"),), "1.0", {"keep": False}),
        ((("te", "gzip"),), "1.1", {}),
        ((("connection", "keep-alive, Upgrade"), ("upgrade", "ws")), "1.1", {"upgrade": True}),
        ((("connection", "upgrade"),), "1.1", {}),
        ((("upgrade", "websocket"),), "1.1", {}),
        ((("connection", "upgrade"), ("upgrade", "ws")), "1.0", {"keep": False}),
        (
            (("expect", "100-Continue"), ("content-length", "1")),
            "1.1",
            {"expects_continue": True, "framing": of_length(1)},
        ),
        ((("expect", "100-continue"),), "1.1", {}),
        (
            (("expect", "100-continue"), ("content-length", "1")),
            "1.0",
            {"keep": False, "framing": of_length(1)},
        ),
    ],
)
def test_terms(
    headers: tuple[tuple[str, str], ...], version: str, expected: dict[str, object]
) -> None:
    """What a head settles besides its body; HTTP/1.0 knows nearly nothing of it."""
    found = judge(request(*headers, version=version))
    assert found == Terms("GET", version, NO_BODY)._replace(**expected)  # type: ignore[arg-type]


NAMES = st.sampled_from(
    ["host", "content-length", "transfer-encoding", "expect", "connection", "upgrade", "te", "a"]
)
VALUES = st.sampled_from(["chunked", "5", "5, 5", "close", "100-continue", "", ","]) | st.text(
    st.characters(max_codepoint=255), max_size=8
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5), st.sampled_from(["1.0", "1.1"]))
def test_hostile_headers(headers: list[tuple[str, str]], version: str) -> None:
    """Whatever they say, a request is refused by an error of ours, or has one framing only."""
    try:
        terms = judge(Request("POST", "/", "/", "", tuple(headers), "", version))
    except RelayError:
        return
    names = [name for name, _ in headers]
    assert names.count("content-length") + names.count("transfer-encoding") <= 1
    assert (terms.framing == NO_BODY) == (not {"content-length", "transfer-encoding"} & {*names})


def test_encoding() -> None:
    """Host and framing come first, all else as it came, names as Go writes them."""
    headers = (
        ("user-agent", "x"),
        ("cookie", "a=b"),
        ("content-length", "9"),
        ("host", "tunnel.example:8"),
        ("x-api-key", "\xe9"),
        ("transfer-encoding", "gzip"),
        ("cookie", "c=d"),
        ("te", "trailers"),
        ("connection", "keep-alive, te"),
    )
    assert encode_request("PUT", "/a?b=%20c", headers, CHUNKED) == (
        b"PUT /a?b=%20c HTTP/1.1\r\n"
        b"Host: tunnel.example:8\r\n"
        b"Transfer-Encoding: chunked\r\n"
        b"User-Agent: x\r\n"
        b"Cookie: a=b\r\n"
        b"X-Api-Key: \xe9\r\n"
        b"Cookie: c=d\r\n"
        b"Te: trailers\r\n"
        b"Connection: keep-alive, te\r\n"
        b"\r\n"
    )


@pytest.mark.parametrize(
    ("method", "framing", "line"),
    [
        ("GET", NO_BODY, b""),
        ("DELETE", NO_BODY, b""),
        ("POST", NO_BODY, b"Content-Length: 0\r\n"),
        ("PUT", NO_BODY, b"Content-Length: 0\r\n"),
        ("PATCH", NO_BODY, b"Content-Length: 0\r\n"),
        ("GET", of_length(5), b"Content-Length: 5\r\n"),
        ("POST", of_length(0), b"Content-Length: 0\r\n"),
        ("GET", CHUNKED, b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_framing_is_written_anew(method: str, framing: Framing, line: bytes) -> None:
    """Applications hear of every body, and of none where they might wait for one."""
    head = encode_request(method, "/", (("host", "x"),), framing)
    assert head == method.encode() + b" / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n"


@pytest.mark.parametrize(
    ("headers", "lines"),
    [
        ((), b"Connection: close\r\n"),
        ((("connection", "x, Close"),), b"Connection: x, Close\r\n"),
        ((("connection", "x"),), b"Connection: x\r\nConnection: close\r\n"),
    ],
)
def test_viewers_that_do_not_stay(headers: tuple[tuple[str, str], ...], lines: bytes) -> None:
    """The application hears ``close`` once, whether it was said or is meant by HTTP/1.0."""
    head = encode_request("GET", "/", headers, NO_BODY, keep=False)
    assert head == b"GET / HTTP/1.1\r\nHost: \r\n" + lines + b"\r\n"


@given(st.text(st.characters(max_codepoint=255), max_size=20), st.binary(max_size=10))
def test_no_header_adds_a_line(value: str, more: bytes) -> None:
    """A value that was decoded from a path may hold anything, and stays one value."""
    value = value[:5] + more.decode("latin-1") + value[5:]
    head = encode_request("GET", "/", (("host", "x"), ("a", value), ("b", "c")), NO_BODY)
    lines = head.split(b"\r\n")
    assert (len(lines), lines[3]) == (6, b"B: c")
    assert head.count(b"\n") == head.count(b"\r") == len(lines) - 1
    assert len(lines[2]) == len(b"A: ") + len(value)


@pytest.mark.parametrize("target", ["/a b", "/a\r\nHost: y", "", "/a\x00", "/\t"])
def test_a_target_is_one_word(target: str) -> None:
    """Nothing else can be written into the first line."""
    with pytest.raises(BadRequest, match="target"):
        encode_request("GET", target, (), NO_BODY)


@given(
    st.sampled_from(["GET", "POST", "PROPFIND"]),
    st.text("ab/%?.{}\"'#", max_size=12),
    st.lists(
        st.tuples(st.sampled_from(["a", "x-b", "cookie"]), st.text("a b\xe9,;=", max_size=8)),
        max_size=6,
    ),
    st.sampled_from([NO_BODY, CHUNKED, of_length(0), of_length(12345)]),
)
def test_what_was_written_is_read_again(
    method: str, target: str, headers: list[tuple[str, str]], framing: Framing
) -> None:
    """The front door understands a request that was forwarded as the one that came."""
    headers = [("host", "x"), *((name, value.strip()) for name, value in headers)]
    reader = RequestReader(HEAD_BYTES)
    reader.receive(encode_request(method, "/" + target, headers, framing) + b"rest")
    head = reader.head()
    assert head is not None
    found = as_request(head, False)
    terms = judge(found)
    assert (found.method, found.target) == (method, "/" + target)
    assert [
        field for field in found.headers if field[0] not in ("content-length", "transfer-encoding")
    ] == headers
    told = of_length(0) if method == "POST" and framing == NO_BODY else framing
    assert terms.framing == told
    assert reader.rest() == b"rest"
