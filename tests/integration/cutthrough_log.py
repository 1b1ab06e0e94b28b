"""What is logged of circuits, and how often the reactor has turned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from twisted.internet.task import deferLater
from twisted.logger import LogEvent

from tests.rawpeer import the_reactor, until


class Closed(NamedTuple):
    """What a log line says of a circuit that is over."""

    reason: str
    up: int
    down: int


@dataclass
class Log:
    """The circuits that were closed, in order.

    :ivar routers: as routers saw it
    :ivar daemons: as hosts and clients did, by the name of the tunnel
    """

    routers: list[Closed] = field(default_factory=list)
    daemons: dict[str, list[Closed]] = field(default_factory=dict)

    def __call__(self, event: LogEvent) -> None:
        if event.get("event") != "circuit-closed":
            return
        said = Closed(event["reason"], event["bytes_in"], event["bytes_out"])
        if "link" in event:
            self.routers.append(said)
        else:
            self.daemons.setdefault(event["name"], []).append(said)

    async def closed(self, count: int = 1) -> list[Closed]:
        """Wait for so many circuits to end at routers. :returns: what is said of them"""
        await until(lambda: len(self.routers) >= count or None, f"end of {count} circuits")
        return self.routers


async def reactor_turns(count: int) -> None:
    """Let the reactor come round so often: what is ready is served each time."""
    for _ in range(count):
        await deferLater(the_reactor(), 0)
