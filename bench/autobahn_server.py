"""What a plain autobahn program does: ``python -m bench.autobahn_server PORT [OPTIONS]``.

It joins every two WebSockets that ask for the same path, ``onMessage`` to the peer's
``sendMessage``, with each transport as the other's producer. With ``--secret FILE`` a handshake
must show a JWT signed with it (``jwt.decode`` inside ``onConnect``). With ``--certificate`` and
``--key`` it is TLS, by Twisted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jwt
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.endpoints import quoteStringArgument, serverFromString

LOOPBACK = "127.0.0.1"


class Relay(WebSocketServerProtocol):
    """One of two."""

    factory: RelayFactory
    transport: Any  # TCP or TLS
    peer_link: Relay | None = None
    path = ""

    def onConnect(self, request: Any) -> None:
        """:raises ConnectionDeny: without a token, where one is asked for."""
        self.path = request.path
        if self.factory.secret:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            try:
                jwt.decode(token, self.factory.secret, algorithms=["HS256"])
            except jwt.PyJWTError as error:
                raise ConnectionDeny(401, "no valid token") from error

    def onOpen(self) -> None:
        """Meet the other one, if it is there."""
        if self.factory.secret:
            return
        other = self.factory.waiting.pop(self.path, None)
        if other is None:
            self.factory.waiting[self.path] = self
            return
        self.peer_link, other.peer_link = other, self
        self.transport.registerProducer(other.transport, True)
        other.transport.registerProducer(self.transport, True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand it on."""
        if self.peer_link is not None:
            self.peer_link.sendMessage(payload, isBinary)

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:
        """End the other one, too."""
        other, self.peer_link = self.peer_link, None
        if self.factory.waiting.get(self.path) is self:
            del self.factory.waiting[self.path]
        if other is not None:
            other.transport.unregisterProducer()
            other.sendClose()


class RelayFactory(WebSocketServerFactory):
    """Makes them.

    :param secret: empty: nobody need show a token
    :ivar waiting: those without a peer yet, by path
    """

    protocol = Relay  # type: ignore[assignment]  # Twisted's types want a factory's own class
    noisy = False

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret
        self.waiting: dict[str, Relay] = {}


def main() -> None:
    """Listen, say so, serve until a signal."""
    from twisted.internet import reactor

    parser = argparse.ArgumentParser("bench.autobahn_server", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--secret", type=Path)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    options = parser.parse_args()
    factory = RelayFactory(options.secret.read_text().strip() if options.secret else "")
    where = f"{options.port}:interface={LOOPBACK}:backlog=1024"
    if options.certificate:
        files = (quoteStringArgument(name) for name in (options.certificate, options.key))
        where = "ssl:{}:certKey={}:privateKey={}".format(where, *files)
    else:
        where = f"tcp:{where}"
    listening = serverFromString(reactor, where).listen(factory)
    listening.addCallback(lambda _: print("listening", flush=True))
    reactor.run()


if __name__ == "__main__":
    main()
