"""One connection to a Redis: txredisapi's protocol, with a cap and an end."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from txredisapi import BaseRedisProtocol
from typing_extensions import override

from relay.store.notions import TEXT_BYTES

REPLY_TEXTS = 16 * 1024
"""The most texts in one answer."""


class Line(BaseRedisProtocol):  # type: ignore[misc]  # txredisapi has no types
    """A connection that passes octets as they are, and fails as a whole.

    :ivar failed: why nothing can be asked here any more; empty: all is well
    """

    def __init__(self) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self.failed = ""

    @classmethod
    def factory(cls) -> Factory[Line]:
        """:returns: what makes one for each connection"""
        factory = Factory.forProtocol(cls)
        factory.noisy = False
        return factory

    def ask(self, command: tuple[bytes, ...]) -> Deferred[Any]:
        """Send one command. :returns: its answer; it fails with whatever txredisapi raises"""
        answer: Deferred[Any] = self.execute_command(*command)
        return answer

    def fail(self, why: str) -> None:
        """Hang up; all who wait for an answer are told."""
        self.failed = self.failed or why
        if self.transport is not None:
            self.transport.abortConnection()

    @override
    def lineReceived(self, line: str) -> Any:
        """Judge what is to come before it is collected."""
        count = line[1:]
        if line[:1] not in ("+", "-", ":", "$", "*"):
            self.fail("it does not answer as a Redis does")
        elif line[0] == "$" and count.isdecimal() and int(count[:10]) > TEXT_BYTES:
            self.fail(f"a text in it has {count[:10]} bytes, which is more than {TEXT_BYTES}")
        elif line[0] == "*" and count.isdecimal() and int(count[:10]) > REPLY_TEXTS:
            self.fail(f"an answer has more than {REPLY_TEXTS} parts")
        else:
            return super().lineReceived(line)
        return None

    @override
    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        """Take what came; what cannot be understood is the end of the connection."""
        if self.failed:
            return
        try:
            super().dataReceived(data, unpause)
        except (ValueError, TypeError, IndexError, AttributeError):
            self.fail("it does not answer as a Redis does")

    @override
    def connectionLost(self, reason: Failure) -> None:
        """It is over."""
        self.failed = self.failed or "the connection was lost"
        super().connectionLost(reason)
