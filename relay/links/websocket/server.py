"""The router's side of a WebSocket.

The front door has read and judged the whole request (h11, and ``check_upgrade`` in
``core/admission.py``), so nothing is left of autobahn's handshake but the answer, which is made
here: autobahn would prepare some sixty attributes, parse a head, judge it once more and answer
through two Deferreds, for a third and more of all that a handshake cost (see
``docs/performance.rst``). From the 101 on it is autobahn's engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.interfaces import IReactorTime
from typing_extensions import override

from relay import __version__
from relay.links.websocket.accept import accept_key
from relay.links.websocket.engine import WebSocketLink, quieten, share_options

ANSWER = (
    f"HTTP/1.1 101 Switching Protocols\r\nServer: relay/{__version__}\r\n"
    "Upgrade: WebSocket\r\nConnection: Upgrade\r\n"
)


class ServerLink(WebSocketLink, WebSocketServerProtocol):  # type: ignore[misc]  # autobahn has no types
    """The router's side; its request head was judged by the front door before it gets here.

    :ivar opened: called once the 101 is out
    :ivar upgrade_headers: further headers of the 101
    """

    opened: Callable[[ServerLink], None]
    upgrade_headers: Mapping[str, str] = {}
    _transport_details: Any = None

    def __init__(self) -> None:
        """Without autobahn's: Deferreds for which nobody waits, and details of the transport that
        only its own logs would tell.
        """

    @override
    def connectionMade(self) -> None:
        """The front door has handed over; what autobahn would set now is on the class."""

    @override
    def _connectionLost(self, reason: Any) -> None:
        """Without the server's own report, and its count of connections, which nobody reads."""
        WebSocketProtocol._connectionLost(self, reason)

    def begin(self, key: str, received: bytes) -> None:
        """Answer the handshake (RFC 6455, section 4.2.2), then take what followed it.

        :param key: the request's ``Sec-WebSocket-Key``, found well-formed
        """
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.upgrade_headers.items())
        accept = accept_key(key.strip().encode("ascii"))
        answer = f"{ANSWER}{extra}Sec-WebSocket-Accept: {accept}\r\n\r\n"
        self.transport.write(answer.encode("ascii"))
        self.heard = True
        self.state = WebSocketProtocol.STATE_OPEN
        opened = self.opened
        self.forget_handshake()
        if received:
            self.data = received
        opened(self)
        # another gear may have taken the connection, and these bytes with it
        if self.data:
            self.dataReceived(b"")


class ServerLinkFactory(WebSocketServerFactory):
    """Makes :class:`ServerLink`; all timers and limits of autobahn's own are off."""

    protocol = ServerLink
    noisy = False

    def __init__(self, reactor: IReactorTime) -> None:
        super().__init__(reactor=reactor)
        quieten(self)
        self.setProtocolOptions(versions=[13], webStatus=False, maxConnections=0)
        share_options(self, ServerLink, WebSocketServerProtocol.CONFIG_ATTRS)
