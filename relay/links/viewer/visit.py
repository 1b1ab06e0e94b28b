"""What an exchange asks of the connection that its request came on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from relay.errors import RelayError
from relay.links.cutthrough import RawEnd
from relay.wire.http_bodies import Piece


class IVisit(Protocol):
    """The connection that the request came on."""

    transport: Any  # a Twisted stream transport

    def early(self) -> bytes:
        """:returns: what has come behind the head, once"""

    def unread(self, rest: bytes) -> None:
        """Keep what belongs to the next request."""

    def read_on(self) -> None:
        """Read what comes behind the request, unless enough of it waits already."""

    def half_close(self) -> bool:
        """Say that nothing more comes, behind what was written.

        :returns: False where the connection can only be closed as a whole
        """

    def failed(self, error: RelayError) -> None:
        """There is no answer: tell the viewer why."""

    def answered(self, keep: bool) -> None:
        """The answer is out, whole.

        :param keep: whether another request may follow
        """

    def broken(self) -> None:
        """The answer ended in its midst: the viewer must not take it for whole."""


def write(transport: Any, parts: Sequence[Piece]) -> None:
    """Send parts of an answer, before any of them is used for anything else.

    :param transport: of a visit
    """
    if isinstance(transport, RawEnd):
        transport.writeSequence(parts)
    else:
        transport.write(b"".join(parts))
