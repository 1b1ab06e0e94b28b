"""The store of the router that ``relay token taas`` works on, whether that runs or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from relay.dialects import dialect_keys
from relay.dialects.taas.keys import REGISTRAR_KEY, SERVERS_KEY, database_url
from relay.dialects.taas.notions import DIALECT
from relay.errors import RelayError
from relay.settings import read_router
from relay.settings.model import DialectSettings
from relay.store.notions import Store
from relay.store.opening import open_records

T = TypeVar("T")


class Place(NamedTuple):
    """A router's section, and where its state is.

    :ivar origin: the INI, for messages
    """

    section: DialectSettings
    state_dir: Path
    origin: str

    @property
    def registrar(self) -> str:
        """:returns: the registrar's name"""
        return str(self.section.values[REGISTRAR_KEY])

    @property
    def servers(self) -> str:
        """:returns: what the names of labels end in"""
        return str(self.section.values[SERVERS_KEY])


def find_place(config: str | None, environ: Mapping[str, str]) -> Place:
    """Find the router that is named, or that a router would be without a word.

    Its certificate need not be there yet: it is one of these commands that makes it.

    :raises ConfigurationError, RelayError: when there is none, or it does not speak taas
    """
    settings = read_router({"config": config}, environ, Path.cwd(), dialect_keys(), DIALECT)
    origin = str(settings.config_file or "the router's configuration")
    for section in settings.dialects:
        if section.name == DIALECT:
            return Place(section, settings.state_dir, origin)
    raise RelayError(
        f"{origin} has no section [dialect:{DIALECT}]",
        "add it, or name the router's INI with --config",
    )


def work_on(place: Place, work: Callable[[Store], Awaitable[T]]) -> T:
    """Open the store, do ``work``, close it: the reactor runs for that long.

    :raises RelayError: when the store cannot be used; and whatever ``work`` raises
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    running: Any = reactor  # its type is a module's
    outcome: list[T | Failure] = []

    async def whole() -> T:
        store = open_records(database_url(place.section.values), place.state_dir, DIALECT, running)
        try:
            return await work(store)
        finally:
            await store.close()

    def begin() -> None:
        done = Deferred.fromCoroutine(whole())
        done.addBoth(outcome.append)
        done.addBoth(lambda _: running.stop())

    running.callWhenRunning(begin)
    running.run()
    if not outcome:
        raise KeyboardInterrupt  # a signal has stopped the reactor
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()
    return outcome[0]
