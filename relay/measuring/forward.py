"""The plain TCP relay beside which ours is measured: Twisted's ``protocols.portforward``.

``python -m relay.measuring.forward PORT TARGET [PORT TARGET ...]`` relays from each port to the
next, on loopback.
"""

from __future__ import annotations

import sys

from twisted.protocols.portforward import ProxyFactory

LOOPBACK = "127.0.0.1"


def main() -> None:
    """Listen, say so, relay until a signal."""
    from twisted.internet import reactor

    ports = [int(word) for word in sys.argv[1:]]
    for port, target in zip(ports[::2], ports[1::2], strict=True):
        factory = ProxyFactory(LOOPBACK, target)
        factory.noisy = False
        reactor.listenTCP(port, factory, backlog=1024, interface=LOOPBACK)  # type: ignore[arg-type]  # Twisted's own types disagree
    print("listening", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
