"""The stores of records that a router has opened."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger

from relay.errors import StoreFailed
from relay.faces import IRecords


class Stores:
    """Opens each store once, however often it is asked for; ``Services.records`` asks here.

    :param state_dir: where a store is that nobody named
    :param reactor: of whose time and threads stores make use
    """

    log = Logger()

    def __init__(self, state_dir: Path, reactor: object) -> None:
        self._state_dir = state_dir
        self._reactor = reactor
        self._open: dict[tuple[str, str], IRecords] = {}

    def records(self, dialect: str, database: str) -> IRecords:
        """Open a dialect's store, or share the one that is open.

        :param database: as in ``IServices.records``
        :raises StoreFailed: where there is none for it
        """
        # a router whose dialects keep no records needs neither of the libraries
        from relay.store.opening import open_records

        which = dialect, database
        if which not in self._open:
            self._open[which] = open_records(database, self._state_dir, dialect, self._reactor)
        return self._open[which]

    async def close(self) -> None:
        """Let go of all of them."""
        for (dialect, _), records in self._open.items():
            try:
                await records.close()
            except StoreFailed as error:
                self.log.warn(
                    "{dialect}: the store cannot be closed: {why}", dialect=dialect, why=error.text
                )
        self._open.clear()
