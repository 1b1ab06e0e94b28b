"""What a session is given: what all of a process share, and who decides on requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from relay.core.ledger import Ledger
from relay.core.liveness import Wheel
from relay.vocabulary import Accept, Call, Close, Enter, Hello, Join, Offer, Reason

if TYPE_CHECKING:
    from relay.core.session import Session

MAX_STREAMS = 1024


class Surroundings:
    """What all sessions of a process share.

    :param frame_bytes: largest payload that is put into one frame of a shared link
    """

    __slots__ = ("frame_bytes", "ledger", "max_streams", "wheel", "window_bytes")

    def __init__(
        self,
        wheel: Wheel,
        ledger: Ledger,
        frame_bytes: int = 64 * 1024,
        window_bytes: int = 1024 * 1024,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self.wheel = wheel
        self.ledger = ledger
        self.frame_bytes = frame_bytes
        self.window_bytes = window_bytes
        self.max_streams = max_streams


class ISwitch(Protocol):
    """Who decides what a session's requests lead to: a router's broker, a daemon's tunnel."""

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The peer asks for something. :raises RelayError: when it may not have it."""

    def accepted(self, session: Session, event: Accept) -> None:
        """The peer answered the call on a stream."""

    def ready(self, session: Session) -> None:
        """The link takes more again, after it had been full."""

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
