"""A daemon's side of a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

from relay.links.sockets import tune
from relay.links.websocket.accept import accept_key
from relay.links.websocket.engine import WebSocketLink, quieten, share_options

HEAD_END = b"\r\n\r\n"
LINE_END = b"\r\n"
NEGOTIATED = ("sec-websocket-extensions", "sec-websocket-protocol")
"""Headers of an answer that agree on something, which we never ask for."""


class Asked(NamedTuple):
    """What autobahn makes a request of."""

    host: str
    port: int
    resource: str
    headers: Mapping[str, str]
    useragent: None = None
    origin: None = None
    protocols: tuple[str, ...] = ()


class ClientLink(WebSocketLink, WebSocketClientProtocol):  # type: ignore[misc]  # autobahn has no types
    """A daemon's side.

    :ivar answered: called with the 101's headers (names in lower case) and the link
    :ivar refused: called with status (0: no HTTP/1.1 at all), headers and the text that came
    :ivar unanswered: called when the connection ends before there is an answer
    """

    answered: Callable[[ClientLink, Mapping[str, str]], None]
    refused: Callable[[int, Mapping[str, str], str], None]
    unanswered: Callable[[Failure], None]
    _HEAD_BYTES: ClassVar[int] = 32 * 1024
    _HTTP: ClassVar[bytes] = b"HTTP/1."
    _refused: bool = False
    _answered: bool = False

    asked: Asked

    def __init__(self) -> None:
        """Without autobahn's: Deferreds for which nobody waits."""

    @override
    def connectionMade(self) -> None:
        """Send the request. What autobahn would set first is on the class, what it would log is
        not wanted.
        """
        tune(self.transport)
        self.state = WebSocketProtocol.STATE_CONNECTING
        self._actuallyStartHandshake(self.asked)

    @override
    def dataReceived(self, data: bytes) -> None:
        """Make sure that it is HTTP which answers before autobahn waits for a head."""
        if self.state == WebSocketProtocol.STATE_CONNECTING:
            head = self.data + data
            if not self._HTTP.startswith(head[: len(self._HTTP)]):
                return self._give_up(0, {}, head[:80].decode("latin-1"))
            if len(head) > self._HEAD_BYTES and b"\r\n\r\n" not in head[: self._HEAD_BYTES]:
                return self._give_up(0, {}, "an endless head")
        super().dataReceived(data)

    @override
    def processHandshake(self) -> None:
        """Read the answer: the plain one here, any other as autobahn does, who knows what is the
        matter with it.
        """
        head, end, rest = self.data.partition(HEAD_END)
        headers = plain_answer(head, accept_key(self.websocket_key)) if end else None
        if headers is None:
            super().processHandshake()
            return
        self.data = rest
        self.state = WebSocketProtocol.STATE_OPEN
        self._response_headers = headers
        self._onOpen()
        if self.data:
            self.consumeData()

    @override
    def _onConnect(self, response: Any) -> None:  # autobahn has no types
        self._response_headers = response.headers

    @override
    def onOpen(self) -> None:
        """The handshake is over."""
        self._answered = True
        headers = self.__dict__.pop("_response_headers", {})
        self.answered(self, headers)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        super().connectionLost(reason)
        if not self._answered and not self._refused:
            self.unanswered(reason)

    @override
    def failHandshake(self, reason: str) -> None:
        """The answer is not a proper 101."""
        status_line = getattr(self, "http_status_line", "").split()
        status = int(status_line[1]) if len(status_line) > 1 and status_line[1].isdigit() else 0
        headers = dict(getattr(self, "http_headers", {}))
        _, _, body = self.data.partition(b"\r\n\r\n")
        if status in (0, 101):
            # not HTTP, or a handshake gone wrong: autobahn knows what is the matter
            self._give_up(0, headers, reason)
        else:
            self._give_up(status, headers, body.decode("utf-8", "replace"))

    def _give_up(self, status: int, headers: Mapping[str, str], text: str) -> None:
        if not self._refused:
            self._refused = True
            self._failed = True
            self.refused(status, headers, text)
            self.transport.abortConnection()


def plain_answer(head: bytes, accept: str) -> dict[str, str] | None:
    """Read the answer to a handshake that wants no extension and no subprotocol.

    :param head: without its empty line
    :param accept: the ``Sec-WebSocket-Accept`` that has to be there
    :returns: its headers, names in lower case; None: it is not just that
    """
    status, *lines = head.split(LINE_END)
    if not status.startswith(b"HTTP/1.1 101 "):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").lower()
        if not colon or key in headers or key in NEGOTIATED or not key.isascii():
            return None
        try:
            headers[key] = value.decode().strip()
        except UnicodeDecodeError:
            return None
    wanted = {"upgrade": "websocket", "connection": "upgrade"}
    if any(headers.get(name, "").lower() != value for name, value in wanted.items()):
        return None
    return headers if headers.get("sec-websocket-accept") == accept else None


class ClientEngine(WebSocketClientFactory):
    """What autobahn wants to know of all our links; one for many."""

    noisy = False

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(useragent=None, reactor=reactor)
        quieten(self)
        self.setProtocolOptions(serverConnectionDropTimeout=0)
        share_options(self, ClientLink, WebSocketClientProtocol.CONFIG_ATTRS)


class ClientLinkFactory(Factory):
    """Makes one :class:`ClientLink` for one request.

    :param url: ``ws`` or ``wss`` URL with path and query, and with a port
    :param headers: of the request, besides those of the handshake
    """

    noisy = False
    prepare: Callable[[ClientLink], None]

    def __init__(self, url: str, headers: Mapping[str, str], engine: ClientEngine) -> None:
        where, slash, path = url.partition("://")[2].partition("/")
        host, _, port = where.rpartition(":")
        self._asked = Asked(host, int(port), slash + path or "/", headers)
        self._engine = engine

    @override
    def buildProtocol(self, addr: IAddress | None) -> ClientLink:
        """Connected: wire the link up before it sends its request."""
        link = ClientLink()
        link.factory = self._engine
        link.asked = self._asked
        self.prepare(link)
        return link
