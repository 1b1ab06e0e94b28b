"""Links, streams and small dialects in memory, for tests without a reactor."""

from tests.fakes.links import Drop, MemoryLink, Ping, joined_links, pump
from tests.fakes.splitting import PassingStream, SplittingLink
from tests.fakes.streams import HALF_CLOSE, FakeStream
from tests.fakes.surroundings import FakeSwitch, World, grant, passes
from tests.fakes.talks import (
    BOTH,
    DEFAULT_WINDOW_BYTES,
    ControlTalk,
    CreditTalk,
    MemberTalk,
    MuxTalk,
    Talk,
)

__all__ = [
    "BOTH",
    "DEFAULT_WINDOW_BYTES",
    "HALF_CLOSE",
    "ControlTalk",
    "CreditTalk",
    "Drop",
    "FakeStream",
    "FakeSwitch",
    "MemberTalk",
    "MemoryLink",
    "MuxTalk",
    "PassingStream",
    "Ping",
    "SplittingLink",
    "Talk",
    "World",
    "grant",
    "joined_links",
    "passes",
    "pump",
]
