"""The way from Twisted and autobahn into the cut-through gear; nothing ever goes back.

A socket is taken at a moment when nothing is half done: a WebSocket's when its handshake is over, a
local stream's before anything of it was read. What was written and is not with the kernel
goes along, and so does what came behind the handshake.
"""

from __future__ import annotations

from typing import Any, NoReturn

from OpenSSL import SSL
from twisted.internet import tcp
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.interfaces import IConversation
from relay.links.cutthrough.channel import Channel, PlainChannel, SecureChannel
from relay.links.cutthrough.framed import FrameEnd
from relay.links.cutthrough.hub import Hub
from relay.links.cutthrough.raw import RawEnd
from relay.links.proxy_protocol import ProxyProtocol
from relay.links.websocket.engine import WebSocketLink
from relay.links.websocket.server import ServerLink
from relay.vocabulary import Shape

FASTER = frozenset({Shape.DEDICATED, Shape.CONTROL, Shape.CREDIT})
"""The links of which one stream's payload is all there is, or that are idle nearly always, or that
never stop reading."""


def faster(hub: Hub, link: WebSocketLink, conversation: IConversation) -> WebSocketLink | FrameEnd:
    """Take a WebSocket whose handshake is over, and that nobody has begun to use.

    :returns: the link from now on; the same where it cannot be taken
    """
    if conversation.shape not in FASTER or not hub.is_available():
        return link
    taken = _detach(link.transport)
    if taken is None:
        return link
    channel, tail = taken
    end = FrameEnd(hub, channel, tail, isinstance(link, ServerLink), link.data)
    end.gone = link.gone
    end.limit(link.max_frame_bytes, link.max_message_bytes, link.whole, link.utf8)
    link.let_go()
    return end


def take_stream(hub: Hub, transport: Any, protocol: Any) -> RawEnd | None:  # Twisted's, untyped
    """Take a local connection of which nothing was read.

    :returns: its transport from now on; None: it cannot be taken, and stays what it is
    """
    if not hub.is_available():
        return None
    host, peer = transport.getHost(), transport.getPeer()
    taken = _detach(transport)
    if taken is None:
        return None
    channel, tail = taken
    end = RawEnd(hub, channel, tail, protocol, host, peer)
    if channel.secure:
        end.kick()
    return end


def _detach(transport: Any) -> tuple[Channel, bytes] | None:
    """Take the socket away from Twisted.

    :returns: it, and the bytes that were written and are not with the kernel
    """
    if isinstance(transport, RawEnd):
        return transport.release() if transport.fd >= 0 else None
    secure = transport if isinstance(transport, TLSMemoryBIOProtocol) else None
    plain: Any = transport if secure is None else secure.transport
    header = plain if isinstance(plain, ProxyProtocol) else None
    if header is not None:
        plain = header.transport
    if not isinstance(plain, tcp.Connection) or not plain.connected or plain.disconnecting:
        return None
    tls = None if secure is None else _silence(secure)
    if secure is not None and tls is None:
        return None
    if header is not None:
        header.connected = 0
        header.factory.unregisterProtocol(header)
    handle, tail = _empty(plain)
    return (PlainChannel(handle), tail) if tls is None else (SecureChannel(handle, tls, tail), b"")


def _empty(transport: Any) -> tuple[Any, bytes]:  # tcp.Connection, whose inside has no types
    """Leave nothing behind that Twisted could read, write or report."""
    transport.stopReading()
    transport.stopWriting()
    tail = b"".join([transport.dataBuffer[transport.offset :], *transport._tempDataBuffer])
    transport.dataBuffer, transport.offset = b"", 0
    transport._tempDataBuffer, transport._tempDataLen = [], 0
    handle = transport.socket
    # the reactor may be in the midst of serving it
    transport.doRead = transport.doWrite = _nothing
    transport.connected, transport.disconnected = 0, 1
    transport.protocol = None
    del transport.socket, transport.fileno
    return handle, tail


def _silence(secure: Any) -> SSL.Connection | None:  # TLSMemoryBIOProtocol, inside
    """Take OpenSSL's connection away from Twisted, which may be in the midst of reading it."""
    if not secure._handshakeDone or secure._lostTLSConnection or secure.disconnecting:
        return None
    secure._aggregator.close()
    if secure._appSendBuffer:
        return None
    tls: SSL.Connection = secure._tlsConnection
    secure._tlsConnection = _NoConnection()
    tls.set_app_data(None)  # which was ``secure``, and with it all that Twisted has
    secure.connected = False
    secure.factory.unregisterProtocol(secure)
    return tls


def _nothing() -> None:
    return


class _NoConnection:
    """Stands in for the connection that is gone: there is nothing to read or to send."""

    def recv(self, size: int) -> NoReturn:
        """Nothing."""
        raise SSL.WantReadError

    bio_read = recv

    def shutdown(self) -> bool:
        """Nothing to shut."""
        return False
