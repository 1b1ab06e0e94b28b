"""A daemon's side of a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from typing_extensions import override

from relay.links.sockets import tune
from relay.links.websocket.engine import WebSocketLink, quieten, share_options


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

    @override
    def connectionMade(self) -> None:
        """Send the request, without autobahn's report on the transport."""
        tune(self.transport)
        self._transport_details = None  # type: ignore[assignment]  # only its log would read it
        self._connectionMade()

    @override
    def startHandshake(self) -> None:
        """Send the request, for which the factory has all that autobahn would ask others for."""
        self._actuallyStartHandshake(self.factory)

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


class ClientLinkFactory(WebSocketClientFactory):
    """Makes one :class:`ClientLink` for one request.

    :param url: ``ws`` or ``wss`` URL with path and query
    :param headers: of the request, besides those of the handshake
    """

    protocol = ClientLink
    noisy = False
    prepare: Callable[[ClientLink], None]
    _shared: ClassVar[bool] = False

    def __init__(self, url: str, headers: Mapping[str, str], reactor: IReactorTime) -> None:
        super().__init__(url, headers=dict(headers), useragent=None, reactor=reactor)
        if not self._shared:
            quieten(self)
            self.setProtocolOptions(serverConnectionDropTimeout=0)
            share_options(self, ClientLink, WebSocketClientProtocol.CONFIG_ATTRS)
            ClientLinkFactory._shared = True

    @override
    def buildProtocol(self, addr: IAddress | None) -> ClientLink:
        """Connected: wire the link up before it sends its request."""
        link = cast(ClientLink, super().buildProtocol(addr))
        self.prepare(link)
        return link
