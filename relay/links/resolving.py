"""Names looked up, as connecting to them would."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from threading import Thread

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from relay.errors import LimitReached, TargetRefused

LOOKUPS = 64
"""So many names are looked up at a time: each may take half a minute where no name server
answers."""


class Resolver:
    """Looks up what callers name.

    Each lookup has a thread of its own. Those of the reactor are left alone, which a router's name
    needs that is connected to again, and which are waited for when the process is to end.

    :param look_up: gives the addresses of a name, in a thread, or raises OSError
    """

    def __init__(
        self,
        reactor: IReactorFromThreads,
        look_up: Callable[[str, int], Sequence[str]] | None = None,
    ) -> None:
        self._reactor = reactor
        self._look_up = look_up or _look_up
        self._running = 0

    async def addresses_of(self, host: str) -> Sequence[str]:
        """Look a name up.

        :returns: its addresses in the system's order of preference, at least one
        :raises TargetRefused: when there is none
        :raises LimitReached: when too many are being looked up
        """
        try:
            return self._look_up(host, socket.AI_NUMERICHOST)
        except OSError:
            pass  # it is a name, which takes a while
        except ValueError as error:
            raise TargetRefused(f"{host[:255]!r} is no name of a host") from error
        if self._running >= LOOKUPS:
            raise LimitReached(f"{LOOKUPS} names are being looked up already")
        try:
            return await self._in_thread(host)
        except OSError as error:
            why = error.strerror or "no such host"
            raise TargetRefused(f"{host[:255]}: {why}", "is the name right?") from None

    def _in_thread(self, host: str) -> Deferred[Sequence[str]]:
        found: Deferred[Sequence[str]] = Deferred()
        self._running += 1

        def done(result: Sequence[str] | Failure) -> None:
            self._running -= 1
            found.callback(result)

        def run() -> None:
            try:
                result: Sequence[str] | Failure = self._look_up(host, 0)
            except Exception:
                result = Failure()
            self._reactor.callFromThread(done, result)

        Thread(target=run, name="look-up", daemon=True).start()
        return found


def _look_up(host: str, flags: int) -> Sequence[str]:
    """:raises OSError: when there is no address

    :raises ValueError: for what cannot be a name
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
