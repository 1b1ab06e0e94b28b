"""What all links of session-relay share, on either side: messages both ways, and nothing else.

Specification: session-relay.md §5.2: what is said passes as it is, text or binary, UTF-8 or not.
"""

from __future__ import annotations

from collections.abc import Mapping

from zope.interface import implementer

from relay.errors import RelayError
from relay.interfaces import IConversation, Opening
from relay.vocabulary import (
    Call,
    Carries,
    Close,
    Data,
    Event,
    Message,
    Outputs,
    Passing,
    Reason,
    Role,
    Shape,
)

MESSAGE_BYTES = 10_485_760
"""Longest message that a member may send."""

NORMAL = 1000
_NO_HEADERS: Mapping[str, str] = {}


@implementer(IConversation)
class PayloadLink:
    """A link whose messages are payload."""

    shape = Shape.DEDICATED
    role = Role.CLIENT
    intent: Event | None = None
    upgrade_headers = _NO_HEADERS
    carries = Carries(boundaries=True, text=True)
    whole_messages = False
    message_bytes = MESSAGE_BYTES
    frame_bytes = MESSAGE_BYTES
    drop_is_end = False
    dead_timer = True
    passes = Passing.ALL
    utf8 = False
    goodbye_s: float | None = None
    payload_bytes = 0
    window_bytes: int | None = None

    __slots__ = ()

    def opened(self, now: float) -> Outputs:
        """Whoever wants a seat takes it."""
        return () if self.intent is None else (self.intent,)

    def receive(self, message: Message, now: float) -> Outputs:
        """Everything is payload."""
        return (Data(message.payload, text=message.text, final=message.final),)

    def perform(self, event: Event, now: float) -> Outputs:
        """Payload alone is told."""
        return (self.encode(event),) if isinstance(event, Data) else ()

    def begin(self, call: Call) -> Opening:
        """:raises RelayError: always: nobody is called here"""
        raise RelayError("a member of a topic takes no calls")

    def encode(self, data: Data) -> Message:
        """The same message."""
        return Message(data.payload, data.text, data.final)

    def wake(self, now: float) -> Outputs:
        """No deadlines."""
        return ()

    def deadline(self) -> float | None:
        """No deadlines."""
        return None

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """1000 without a word."""
        return Close(NORMAL)
