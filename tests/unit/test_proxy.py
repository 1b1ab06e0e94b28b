"""What is said to upstream proxies, at every split of their answers."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from relay.errors import CannotConnect, ConfigurationError
from relay.links.proxy import Proxy, ProxyEndpoint
from relay.links.proxy.negotiation import HEAD_BYTES, Negotiation

HTTP = "http://proxy.example:3128"
HTTP_LOGIN = "http://me:s3cr%40t@proxy.example:3128"
SOCKS = "socks5://proxy.example"
SOCKS_LOGIN = "socks5h://me:s3cr%40t@proxy.example:1081"

HTTP_OK = b"HTTP/1.1 200 Connection established\r\nContent-Length: 9\r\n\r\n"
NO_BASIC = b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: NTLM\r\nproxy-authenticate: Negotiate\r\n\r\n"
SOCKS_OK = b"\x05\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"
SOCKS_LOGIN_OK = b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x03\x05proxy\x04\x38"


def start(url: str, host: str = "relay.example", port: int = 443) -> Negotiation:
    return Proxy(url).negotiation(host, port)


def refusal(url: str, answer: bytes) -> CannotConnect:
    """The error that an answer, or the start of one, leads to."""
    negotiation = start(url)
    negotiation.begin()
    with pytest.raises(CannotConnect) as caught:
        negotiation.receive(answer)
    assert "s3cr" not in f"{caught.value} {caught.value.remedy}"
    return caught.value


@pytest.mark.parametrize(
    ("url", "answer", "passing"),
    [
        (HTTP, b"HTTP/1.1 407 Auth\r\n\r\n", False),
        (HTTP, b"HTTP/1.1 403 Forbidden\r\n\r\n", False),
        (HTTP, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", True),
        (HTTP, b"SSH-2.0-x\r\n", False),
        (SOCKS, b"SSH-2.0-x\r\n", False),
        (SOCKS_LOGIN, b"\x05\x02\x01\x01", False),
        (SOCKS, b"\x05\x00\x05\x02\x00\x01", False),
        (SOCKS, b"\x05\x00\x05\x05\x00\x01", True),
    ],
)
def test_what_passes(url: str, answer: bytes, passing: bool) -> None:
    """Who is not let in waits longer each time; what the router's return heals is tried soon."""
    assert refusal(url, answer).passing is passing


# -- URLs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (HTTP_LOGIN, "http://proxy.example:3128"),
        ("http://proxy.example", "http://proxy.example:80"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        (SOCKS, "socks5://proxy.example:1080"),
        (SOCKS_LOGIN, "socks5h://proxy.example:1081"),
    ],
)
def test_url(url: str, shown: str) -> None:
    """A proxy shows scheme, host and port, never user or password."""
    proxy = Proxy(url)
    assert str(proxy) == shown
    assert repr(proxy) == f"Proxy({shown})"


@pytest.mark.parametrize(
    "url",
    [
        "proxy.example:3128",
        "https://me:s3cret@proxy.example",
        "socks4://me:s3cret@proxy.example",
        "http://me:s3cret@",
        "http://me:s3cret@proxy.example:port",
        "http://me:s3cret@[::1",
        "http://me:s3cret@pro\u00e4xy",
        "socks5://me:@proxy.example",
        f"socks5://me:s3cret{'x' * 256}@proxy.example",
    ],
)
def test_invalid_url(url: str) -> None:
    """What is no proxy's URL is refused without repeating it."""
    with pytest.raises(ConfigurationError) as caught:
        Proxy(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("host", ["", "a b", "a\r\nX: y", "b\u00fccher.example", "[::1]"])
def test_host_that_would_break_the_request(host: str) -> None:
    """A host name that cannot stand in a request is refused before anything is sent."""
    with pytest.raises(ConfigurationError):
        ProxyEndpoint(MemoryReactorClock(), HTTP, host, 443)


# -- HTTP CONNECT --------------------------------------------------------------------------------


def test_connect_request() -> None:
    """The request names the target twice and carries the credentials, decoded from the URL."""
    assert start(HTTP).begin() == (
        b"CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n\r\n"
    )
    login = base64.b64encode(b"me:s3cr@t")
    assert start(HTTP_LOGIN, "::1").begin() == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"
        b"Proxy-Authorization: Basic " + login + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("url", "answer", "text", "remedy"),
    [
        (HTTP, b"HTTP/1.1 407 Auth\r\n\r\n", "asks for user and password", "USER:PASSWORD"),
        (HTTP_LOGIN, b"HTTP/1.1 407 Auth\r\n\r\n", "refuses this user or password", "%40"),
        (HTTP_LOGIN, NO_BASIC, "wants NTLM or Negotiate", "Basic only"),
        (HTTP, b"HTTP/1.0 403 Forbidden\r\n\r\n", "does not allow", "ask its operator"),
        (HTTP, b"HTTP/1.1 405 No\r\n\r\n", "does not serve CONNECT (405)", "web server"),
        (HTTP, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "(502 Bad Gateway)", "router may be down"),
        (HTTP, b"HTTP/1.1 302\r\n\r\n", "(302)", ""),
        (HTTP, b"SSH-2.0-OpenSSH", "is no HTTP proxy", "socks5://"),
        (HTTP, b"\x05", "is no HTTP proxy", "socks5://"),
        (HTTP, b"HTTP/1.1 2xx\r\n\r\n", "is no HTTP proxy", ""),
        (HTTP, b"HTTP/1.1 200 " + b"x" * HEAD_BYTES, "more than 32 KiB", ""),
        (SOCKS, b"HTTP/1.1 400 Bad Request", "is no SOCKS5 proxy", "http://"),
        (SOCKS, b"\x05\xff", "asks for user and password", "USER:PASSWORD"),
        (SOCKS, b"\x05\x02", "asks for user and password", "USER:PASSWORD"),
        (SOCKS_LOGIN, b"\x05\xff", "takes no user and password", ""),
        (SOCKS_LOGIN, b"\x05\x02\x01\x01", "refuses this user or password", ""),
        (SOCKS, b"\x05\x00\x05\x02", "does not allow it", "ask its operator"),
        (SOCKS, b"\x05\x00\x05\x04", "cannot reach or resolve it", "name"),
        (SOCKS, b"\x05\x00\x05\x63", "refused it (code 99)", ""),
        (SOCKS, b"\x05\x00\x05\x00\x00\x09\x00", "broke the SOCKS5 protocol", ""),
        (SOCKS, b"\x05\x00\x04\x00", "broke the SOCKS5 protocol", ""),
    ],
)
def test_refusals(url: str, answer: bytes, text: str, remedy: str) -> None:
    """Each way to refuse is told apart, with something to try."""
    error = refusal(url, answer)
    assert text in error.text
    assert remedy in error.remedy


# -- SOCKS5 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("relay.example", b"\x03\x0drelay.example"),
        ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ],
)
def test_socks_request(host: str, address: bytes) -> None:
    """Names go to the proxy as names, addresses as addresses."""
    negotiation = start(SOCKS, host)
    assert negotiation.begin() == b"\x05\x01\x00"
    assert negotiation.receive(b"\x05\x00") == b"\x05\x01\x00" + address + b"\x01\xbb"


def test_socks_login() -> None:
    """User and password are sent only when the proxy chooses that method."""
    negotiation = start(SOCKS_LOGIN)
    assert negotiation.begin() == b"\x05\x02\x00\x02"
    assert negotiation.receive(b"\x05\x02") == b"\x01\x02me\x06s3cr@t"
    assert negotiation.receive(b"\x01\x00").startswith(b"\x05\x01\x00\x03")


# -- both ----------------------------------------------------------------------------------------


@given(
    case=st.sampled_from(
        [
            (HTTP, HTTP_OK),
            (HTTP, b"HTTP/1.1 100 Continue\r\n\r\n" + HTTP_OK),
            (SOCKS, SOCKS_OK),
            (SOCKS_LOGIN, SOCKS_LOGIN_OK),
        ]
    ),
    rest=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 120)),
)
def test_every_split(case: tuple[str, bytes], rest: bytes, cuts: list[int]) -> None:
    """However the answer is cut, the same is sent and the bytes behind it are kept."""
    url, answer = case
    stream = answer + rest
    whole = start(url)
    whole.begin()
    sent_at_once = whole.receive(stream)
    assert whole.rest == rest

    pieces = start(url)
    pieces.begin()
    sent, behind = b"", b""
    edges = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    for begin, end in pairwise(edges):
        if pieces.rest is None:
            sent += pieces.receive(stream[begin:end])
            behind += pieces.rest or b""
        else:
            behind += stream[begin:end]
    assert (sent, behind) == (sent_at_once, rest)


@given(url=st.sampled_from([HTTP, HTTP_LOGIN, SOCKS, SOCKS_LOGIN]), data=st.binary(max_size=64))
def test_anything_is_an_answer_or_an_error(url: str, data: bytes) -> None:
    """Whatever a proxy sends, nothing but CannotConnect is raised."""
    negotiation = start(url)
    negotiation.begin()
    try:
        negotiation.receive(data)
    except CannotConnect:
        assert negotiation.rest is None


# -- endpoint ------------------------------------------------------------------------------------


class Recorder(Protocol):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class Dial:
    """A ProxyEndpoint in memory, connected to a proxy that a test plays."""

    def __init__(self, url: str = "http://me:s3cret@127.0.0.1:3128") -> None:
        self.reactor = MemoryReactorClock()
        self.endpoint = ProxyEndpoint(self.reactor, url, "relay.example", 443)
        self.connected: list[IProtocol] = []
        self.failed: list[BaseException] = []
        self.deferred: Deferred[IProtocol] = self.endpoint.connect(Factory.forProtocol(Recorder))
        self.deferred.addCallbacks(
            self.connected.append, lambda reason: self.failed.append(reason.value)
        )
        self.reactor.advance(0)

    def accept(self) -> tuple[IProtocol, StringTransportWithDisconnection]:
        """The TCP connection to the proxy is made."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 3128))
        assert protocol is not None
        transport = StringTransportWithDisconnection()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport

    def error(self) -> CannotConnect:
        (error,) = self.failed
        assert isinstance(error, CannotConnect)
        assert "s3cret" not in f"{error!r} {error.remedy}"
        return error


def test_endpoint_hands_over_what_follows_the_answer() -> None:
    """The wrapped protocol gets the real transport and every byte behind the proxy's answer."""
    dial = Dial()
    protocol, transport = dial.accept()
    assert transport.value().startswith(b"CONNECT relay.example:443 ")
    protocol.dataReceived(HTTP_OK[:-1])
    assert not dial.connected
    protocol.dataReceived(HTTP_OK[-1:] + b"he")
    protocol.dataReceived(b"llo")
    (real,) = dial.connected
    assert isinstance(real, Recorder)
    assert real.received == b"hello"
    assert real.transport is transport
    verifyObject(IStreamClientEndpoint, dial.endpoint)


def test_endpoint_reports_a_refusal() -> None:
    """A refusal fails the connect and ends the connection."""
    dial = Dial()
    protocol, transport = dial.accept()
    protocol.dataReceived(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert "does not allow" in dial.error().text
    assert not transport.connected


def test_endpoint_reports_a_close() -> None:
    """A proxy that hangs up without an answer is named."""
    dial = Dial()
    protocol, _ = dial.accept()
    protocol.connectionLost(Failure(ConnectionDone()))
    assert "closed the connection without an answer" in dial.error().text


def test_endpoint_times_out() -> None:
    """A proxy that accepts and is silent is given up after ten seconds and cut off."""
    dial = Dial()
    _, transport = dial.accept()
    dial.reactor.advance(9.9)
    assert not dial.failed
    dial.reactor.advance(0.2)
    assert "did not connect within 10 s" in dial.error().text
    assert not transport.connected
    assert not dial.reactor.getDelayedCalls()


def test_endpoint_is_cancelled() -> None:
    """Cancelling ends the connection at once."""
    dial = Dial()
    _, transport = dial.accept()
    dial.deferred.cancel()
    assert len(dial.failed) == 1
    assert not transport.connected
    assert "s3cret" not in repr(dial.endpoint)
