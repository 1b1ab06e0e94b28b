"""Session-relay among the lanes of all five dialects: a topic instead of a circuit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.integration.five_house import House
from tests.integration.five_lanes import BULK_S, START_S, Lane
from tests.integration.session_relay_company import Company, Host, session_url
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import noise, until

PART_BYTES = 20_000
"""Of a message; the original's host loses larger ones that come too fast."""

MESSAGES = 10


class SessionLane(Lane):
    """Session-relay: a feed of a host, a member of its topic, and who records all of it; it is the
    booking that is cancelled.

    Messages of one size go in turn, whatever a test asks for: an original may miss what comes
    faster.
    """

    dialect = "session-relay"

    def __init__(self, kind: str, house: House) -> None:
        super().__init__(kind, house)
        self._company = Company(self.folder)

    @override
    async def start(self) -> None:
        router, kind = self.house.session, "ours" if self.is_ours else "go"
        topic, self._booking = fresh("five"), fresh("bk")
        self._host: Host = await self._company.host(kind)
        self._local: Member = await self._host.feed("data")
        self._far: Member = await router.member(topic, booking=self._booking)
        token, url = router.token(topic, booking=self._booking), session_url(router, topic)
        await self._host.destination("d1", "data", url, token)
        self._file: Path = self.folder / "record.bin"
        reading = router.token(topic, ("read",), self._booking)
        self._company.recorder(kind, url, reading, self._file, "binary")
        await until(self._members(3), "three members", START_S)
        self._said = 0

    def _members(self, count: int) -> Any:
        topics = self.house.service.broker.topics
        return lambda: sum(len(one.members) for one in topics.values()) == count or None

    @override
    async def carries(self, size: int) -> None:
        for sayer, hearer in ((self._local, self._far), (self._far, self._local)) * MESSAGES:
            payload = noise(PART_BYTES)
            await self._host.carries(sayer, hearer, payload)
            self._said += len(payload)
            await until(self._recorded(payload), "what was said, recorded", BULK_S)

    def _recorded(self, payload: bytes) -> Any:
        def found() -> bool | None:
            data = self._file.read_bytes() if self._file.exists() else b""
            return (len(data) == self._said and data.endswith(payload)) or None

        return found

    @override
    async def revoke(self) -> None:
        await self.house.cancel(self._booking)

    @override
    async def seen(self) -> None:
        await self._far.over(START_S)
        await until(self._members(0), "nobody", START_S)

    @override
    async def stop(self) -> None:
        await self._company.stop()
        await super().stop()
