"""autobahn's WebSocket engine as a link: ``engine`` both sides, ``server``, ``client``."""

from relay.links.websocket.client import ClientEngine, ClientLink, ClientLinkFactory
from relay.links.websocket.codes import reason_of_word
from relay.links.websocket.engine import WebSocketLink
from relay.links.websocket.server import ServerLink, ServerLinkFactory

__all__ = [
    "ClientEngine",
    "ClientLink",
    "ClientLinkFactory",
    "ServerLink",
    "ServerLinkFactory",
    "WebSocketLink",
    "reason_of_word",
]
