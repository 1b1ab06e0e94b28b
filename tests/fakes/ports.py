"""TCP ports and stores in memory: what a dialect opens, and what connects to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from zope.interface import implementer

from relay.errors import LimitReached, RelayError, StoreFailed
from relay.faces import IPort, IPorts, IRecords, Welcome


@implementer(IPort)
class FakePort:
    """One port, while it is open.

    :ivar welcome: makes a link of who connects
    """

    def __init__(
        self, ports: FakePorts, number: int, welcome: Callable[[str, int], Welcome]
    ) -> None:
        self.number: int = number
        self.welcome = welcome
        self._ports = ports

    def close(self) -> None:
        """Accept nothing more."""
        if self._ports.open_ports.get(self.number) is self:
            del self._ports.open_ports[self.number]


@implementer(IPorts)
class FakePorts:
    """The ports of one machine.

    :ivar foreign: numbers that other programs use
    :ivar open_ports: by number
    :ivar asked: interface and dialect of every one that was opened
    :ivar failing: raised by whoever opens one
    """

    def __init__(self) -> None:
        self.foreign: set[int] = set()
        self.open_ports: dict[int, FakePort] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing: RelayError | None = None
        self._next = 0

    def open(
        self,
        numbers: Sequence[int],
        interface: str,
        dialect: str,
        welcome: Callable[[str, int], Welcome],
    ) -> IPort:
        """The one that was used longest ago."""
        if self.failing is not None:
            raise self.failing
        for step in range(len(numbers)):
            index = (self._next + step) % len(numbers)
            number = numbers[index]
            if number not in self.open_ports and number not in self.foreign:
                if len(numbers) > 1:
                    self._next = index + 1
                self.asked.append((interface, dialect))
                self.open_ports[number] = FakePort(self, number, welcome)
                return self.open_ports[number]
        raise LimitReached(f"none of {len(numbers)} ports is free")


@implementer(IRecords)
class FakeRecords:
    """A store.

    :ivar texts: what is in it
    :ivar fails: whether it cannot be asked
    :ivar asked: how often for one text, and for all
    :ivar slow: waited for before all are told
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.fails = False
        self.asked = {"get": 0, "all": 0}
        self.slow: Callable[[], Awaitable[None]] | None = None

    def _ask(self, what: str) -> None:
        if self.fails:
            raise StoreFailed("the store is away")
        self.asked[what] = self.asked.get(what, 0) + 1

    async def get(self, key: str) -> str | None:
        """The text, if there is one."""
        self._ask("get")
        return self.texts.get(key)

    async def put(self, key: str, text: str) -> None:
        """Keep a text."""
        self._ask("put")
        self.texts[key] = text

    async def delete(self, key: str) -> bool:
        """Forget a text."""
        self._ask("delete")
        return self.texts.pop(key, None) is not None

    async def all(self, wanted: Callable[[str], bool] | None = None) -> Mapping[str, str]:
        """All texts, or of the keys that are wanted."""
        self._ask("all")
        if self.slow is not None:
            await self.slow()
        return {key: self.texts[key] for key in sorted(filter(wanted, self.texts))}

    async def close(self) -> None:
        """Nothing to let go of."""
