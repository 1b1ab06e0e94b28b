"""The router's side of a WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.interfaces import IReactorTime
from typing_extensions import override

from relay import __version__
from relay.links.sockets import tune
from relay.links.websocket.engine import WebSocketLink, quieten, share_options

HEAD = (
    "GET / HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)
"""What autobahn is shown of a request that was admitted. It would refuse headers that mean nothing
here (an Origin of ``null``, subprotocols named twice), in words of its own that nobody logs."""


class ServerLink(WebSocketLink, WebSocketServerProtocol):  # type: ignore[misc]  # autobahn has no types
    """The router's side; its request head was judged by the front door before it gets here.

    :ivar opened: called once the 101 is out
    :ivar upgrade_headers: further headers of the 101
    """

    opened: Callable[[ServerLink], None]
    upgrade_headers: Mapping[str, str] = {}

    @override
    def connectionMade(self) -> None:
        """Begin without autobahn's report on the transport."""
        tune(self.transport)
        self._transport_details = None  # type: ignore[assignment]  # only its log would read it
        self._connectionMade()

    def begin(self, key: str, received: bytes) -> None:
        """Answer the handshake, then take what followed it."""
        self.dataReceived(HEAD.format(key=key.strip()).encode("ascii") + received)

    @override
    def onConnect(self, request: object) -> tuple[None, dict[str, str]]:
        """Accept: no subprotocol, our headers."""
        return None, dict(self.upgrade_headers)

    @override
    def _onOpen(self) -> None:
        opened = self.opened
        self.forget_handshake()
        opened(self)


class ServerLinkFactory(WebSocketServerFactory):
    """Makes :class:`ServerLink`; all timers and limits of autobahn's own are off."""

    protocol = ServerLink
    noisy = False

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(server=f"relay/{__version__}", reactor=reactor)
        quieten(self)
        self.setProtocolOptions(versions=[13], webStatus=False, maxConnections=0)
        share_options(self, ServerLink)
