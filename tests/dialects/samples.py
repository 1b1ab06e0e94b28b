"""What the contract suite needs to know of a dialect: a router that is configured, and links.

The samples of dialect NAME are ``SAMPLES`` in ``tests/dialects/NAME_samples.py``, hyphens as
underscores.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from relay.http import Request
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings, Secret
from relay.vocabulary import Event, Message


class Link(NamedTuple):
    """A link and what its peer says on it.

    :ivar label: names it in a test's id
    :ivar make: a new conversation
    :ivar told: what the core tells the peer before the peer speaks
    :ivar arrives: what the peer says, in order
    :ivar begins: what the peer says before all that: its credential where that comes inside the
        conversation, and calls
    :ivar unwrap: the payload in a message of a link with one stream, where it is not all of it
    """

    label: str
    make: Callable[[], IConversation]
    told: tuple[Event, ...]
    arrives: tuple[Message, ...]
    begins: tuple[Message, ...] = ()
    unwrap: Callable[[bytes], bytes] | None = None


class Samples(NamedTuple):
    """One dialect's samples.

    :ivar settings: of a router that speaks it
    :ivar now: Unix seconds at which the requests are made
    :ivar requests: handshakes that a router with these settings admits, one for each role and route
    :ivar secrets: what must never be shown
    :ivar links: of our own host and client, and whatever a request does not lead to
    :ivar arrives: what the peer says on the links of ``requests``
    :ivar hellos: what it says there first, where the credential comes inside the conversation
    :ivar unwraps: of the same links, as :attr:`Link.unwrap`
    """

    settings: DialectSettings
    now: float
    requests: Sequence[Request]
    secrets: Sequence[str]
    links: Sequence[Link]
    arrives: Sequence[tuple[tuple[Event, ...], tuple[Message, ...]]]
    hellos: Sequence[Message] = ()
    unwraps: Sequence[Callable[[bytes], bytes] | None] = ()


class KnownSecret:
    """A secret that is not in a file."""

    origin = "the test"
    warnings: Sequence[str] = ()

    def __init__(self, value: str) -> None:
        self._value = value

    def read(self) -> Secret:
        """The secret."""
        return Secret(self._value, self.origin)


def samples_of(name: str) -> Samples:
    """:returns: the samples of that dialect; a dialect without them does not pass."""
    module = importlib.import_module(f"tests.dialects.{name.replace('-', '_')}_samples")
    samples: Samples = module.SAMPLES
    return samples
