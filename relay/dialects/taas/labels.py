"""Which labels there are, and how long a request waits for one of them; taas.md §7 and §15."""

from __future__ import annotations

from collections.abc import Callable

from relay.dialects.taas.notions import GRACE_S, is_id
from relay.dialects.taas.records import Record
from relay.errors import HostAbsent, LimitReached, NoSuchOffer, RelayError, StoreFailed
from relay.faces import IRecords, IServices
from relay.vocabulary import OfferName

KNOWN = 100_000
"""Labels that are known to have had a responder; the one that came first goes first."""
INDEXED = 100_000
"""With more labels than that nobody can be told that there is none of a name."""
INDEX_EVERY_S = 5.0
"""The store is asked for all that it has at most so often,"""
INDEX_SHARE = 10.0
"""at most for this part of the time, should it have much to say: anybody can make us ask,"""
INDEX_AGE_S = 300.0
"""and no less often than that."""
READ_AT_ONCE = 200
"""Records that are read before others have their turn."""
WAITING_PER_LABEL = 256
"""Requests for one label that wait at a time."""
WAITING = 1024
"""Requests that wait at a time, whatever they wait for."""
LOOK_EVERY_S = 0.1
"""How often it is looked whether a label has a responder again."""
RETRY_S = 5


class KnownLabels:
    """Names that could be called at some time since the router started."""

    def __init__(self, most: int = KNOWN) -> None:
        self._most = most
        self._names: dict[OfferName, None] = {}

    def add(self, name: OfferName) -> None:
        """It can be called."""
        self._names[name] = None
        if len(self._names) > self._most:
            del self._names[next(iter(self._names))]

    def __contains__(self, name: OfferName) -> bool:
        return name in self._names


class Index:
    """The labels of all records, as of a moment ago."""

    def __init__(self, most: int = INDEXED) -> None:
        self._most = most
        self._labels: frozenset[str] | None = None
        self._read_at: float | None = None
        self._lasts_s = INDEX_EVERY_S
        self._reading = False

    async def may_list(self, label: str, records: IRecords, services: IServices) -> bool:
        """Say whether some record lists a label, as far as that is known.

        :param label: in lower case
        """
        if not self._reading and self._is_old(services.now()):
            self._reading, began = True, services.now()
            try:
                self._labels = await self._read(records, services)
            except StoreFailed:
                pass  # what was known before counts on
            finally:
                self._reading, self._read_at = False, services.now()
                took_s = self._read_at - began
                self._lasts_s = min(max(INDEX_EVERY_S, INDEX_SHARE * took_s), INDEX_AGE_S)
        return self._labels is None or label in self._labels

    def _is_old(self, now: float) -> bool:
        return self._read_at is None or not 0 <= now - self._read_at < self._lasts_s

    async def _read(self, records: IRecords, services: IServices) -> frozenset[str] | None:
        labels: set[str] = set()
        texts = await records.all(is_id)
        for number, text in enumerate(texts.values(), 1):
            record = Record.read(text)
            if record is not None:
                labels.update([label.name for label in record.labels])
            if len(labels) > self._most:
                return None
            if not number % READ_AT_ONCE:
                await services.sleep(0)
        return frozenset(labels)


class _Wait:
    """Requests that wait for one label, of which one look serves all."""

    __slots__ = ("count", "error", "looked_at")

    def __init__(self) -> None:
        self.count = 0
        self.looked_at = 0.0
        self.error: RelayError | None = None

    def look(self, judge: Callable[[], None], now: float) -> RelayError | None:
        """:returns: why the label cannot be called; None: it can"""
        if not 0 <= now - self.looked_at < LOOK_EVERY_S / 2:
            self.looked_at, self.error = now, refusal(judge)
        return self.error


class Grace:
    """Requests for labels whose responders are all taken, and are most likely back in a moment."""

    def __init__(self) -> None:
        self._waits: dict[OfferName, _Wait] = {}

    def waiting(self) -> int:
        """:returns: how many requests wait"""
        return sum(wait.count for wait in self._waits.values())

    async def wait(
        self, name: OfferName, judge: Callable[[], None], services: IServices
    ) -> RelayError | None:
        """Wait until a name can be called, or no longer.

        :param judge: raises why it cannot be called
        :returns: why it could not be called in time; None: it can be
        :raises LimitReached: when too many wait already
        :raises RelayError: as ``judge``, for what does not pass by itself
        """
        wait = self._waits.get(name) or _Wait()
        if wait.count >= WAITING_PER_LABEL or self.waiting() >= WAITING:
            raise LimitReached(f"{wait.count} requests wait already", retry_after_s=RETRY_S)
        self._waits[name] = wait
        wait.count += 1
        until = services.now() + GRACE_S
        try:
            while True:
                await services.sleep(LOOK_EVERY_S)
                error = wait.look(judge, services.now())
                if error is None or services.now() >= until:
                    return error
        finally:
            wait.count -= 1
            if not wait.count:
                del self._waits[name]


def refusal(judge: Callable[[], None]) -> RelayError | None:
    """:returns: what may pass by itself, of what ``judge`` raises. :raises RelayError: the rest"""
    try:
        judge()
    except (HostAbsent, NoSuchOffer) as error:
        return error
    return None
