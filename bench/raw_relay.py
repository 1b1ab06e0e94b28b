"""Our local streams joined to each other, as a relay of plain TCP: the cut-through gear alone.

``python -m bench.raw_relay PORT TARGET`` relays from one port to the other, on loopback.
"""

from __future__ import annotations

import sys
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from relay.core.stream import join
from relay.core.surroundings import Surroundings
from relay.interfaces import IStream
from relay.links.cutthrough import Hub
from relay.links.doors import connect_service
from relay.links.tcp import LocalFactory
from relay.measuring.forward import LOOPBACK
from relay.settings.model import Limits


def main() -> None:
    """Listen, say so, relay until a signal."""
    from twisted.internet import reactor

    port, target = map(int, sys.argv[1:])
    clock = cast(IReactorTime, reactor)
    around = Surroundings.of_process(clock, Limits())
    hub = Hub(clock)

    async def serve(caller: IStream) -> None:
        callee = await connect_service(clock, hub, f"tcp:{LOOPBACK}:{target}")
        join("raw", caller, callee, around.wheel, lambda _: None)

    def accepted(caller: IStream) -> None:
        Deferred.fromCoroutine(serve(caller))

    factory = LocalFactory(clock, hub, accepted, lambda _: None)
    reactor.listenTCP(port, factory, interface=LOOPBACK)  # type: ignore[arg-type]  # Twisted's own types disagree
    print("listening", flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
