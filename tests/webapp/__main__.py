"""Serve the application on a free port of loopback, and say which, until a signal."""

from __future__ import annotations

from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorTCP

from tests.webapp.site import make_site

BACKLOG = 1024


def main() -> None:
    """Listen, print the port as one line, serve."""
    from twisted.internet import reactor

    endpoint = TCP4ServerEndpoint(
        cast(IReactorTCP, reactor), 0, backlog=BACKLOG, interface="127.0.0.1"
    )

    def listening(port: IListeningPort) -> None:
        print(f"port {cast(IPv4Address, port.getHost()).port}", flush=True)

    endpoint.listen(make_site()).addCallback(listening)
    reactor.run()


if __name__ == "__main__":
    main()
