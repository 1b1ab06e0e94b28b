"""The WebSocket of the application: an echo that can be told to close."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.resource import WebSocketResource
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny

from tests.webapp.boards import Boards

PROTOCOLS = ("echo.v2", "echo.v1")
"""In the order in which the application likes them, whatever the order of the offer."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES
CLOSE = "close "
"""A text that begins so has a code and a reason behind it, and is obeyed."""

FORBIDDEN = 403


class Echo(WebSocketServerProtocol):
    """One viewer; how it ended is put on the board ``closed-ROOM`` of its query's ``room``."""

    factory: EchoFactory
    transport: Any  # TCP, formerly an HTTP channel's
    room = ""

    def onConnect(self, request: Any) -> tuple[str | None, dict[str, str]]:
        """:raises ConnectionDeny: when the query says ``refuse``"""
        self.room = request.params.get("room", [""])[0]
        if "refuse" in request.params:
            raise ConnectionDeny(FORBIDDEN, "not for you")
        chosen = next((name for name in PROTOCOLS if name in request.protocols), None)
        headers = {"X-Seen-Path": request.path, "Set-Cookie": "socket=opened"}
        return chosen, headers

    def onOpen(self) -> None:
        """The HTTP channel stays the transport's producer otherwise, and stops at once."""
        self.transport.unregisterProducer()
        self.transport.setTcpNoDelay(True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Send it back, or close as it says."""
        if not isBinary and payload.decode().startswith(CLOSE):
            code, _, reason = payload.decode().removeprefix(CLOSE).partition(" ")
            self.sendClose(int(code), reason)
        else:
            self.sendMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """Leave word of it."""
        how = {"clean": wasClean, "code": code, "reason": reason}
        self.factory.boards.put(f"closed-{self.room}", how)


class EchoFactory(WebSocketServerFactory):
    """Makes them."""

    protocol = Echo  # type: ignore[assignment]  # Twisted's types want a factory's own class
    noisy = False

    def __init__(self, boards: Boards) -> None:
        super().__init__(protocols=list(PROTOCOLS))
        self.boards = boards
        self.setProtocolOptions(
            maxFramePayloadSize=MAX_FRAME_BYTES,
            maxMessagePayloadSize=MAX_MESSAGE_BYTES,
            autoPingInterval=0,
            echoCloseCodeReason=True,
        )


def socket_resource(boards: Boards) -> WebSocketResource:
    """:returns: what stands at ``ws``"""
    factory = EchoFactory(boards)
    factory.startFactory()
    return WebSocketResource(factory)
