"""What is the same of most links that carry one stream, whatever their dialect says on them."""

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

NO_HEADERS: Mapping[str, str] = {}


@implementer(IConversation)
class OneStream:
    """A link whose messages are payload; a dialect says what differs on its own.

    :cvar message_bytes: there is none that would be right for all, nor of a frame
    """

    shape = Shape.DEDICATED
    role = Role.CLIENT
    intent: Event | None = None
    upgrade_headers: Mapping[str, str] = NO_HEADERS
    carries = Carries()
    whole_messages = False
    message_bytes = 0
    frame_bytes = 0
    drop_is_end = False
    dead_timer = False
    passes = Passing.NOTHING
    utf8 = False
    goodbye_s: float | None = None
    payload_bytes = 0
    window_bytes: int | None = None

    __slots__ = ()

    def opened(self, now: float) -> Outputs:
        """Ask for what the link came for."""
        return () if self.intent is None else (self.intent,)

    def receive(self, message: Message, now: float) -> Outputs:
        """Everything is payload."""
        return (Data(message.payload, text=message.text, final=message.final),)

    def perform(self, event: Event, now: float) -> Outputs:
        """Payload alone is told."""
        return (self.encode(event),) if isinstance(event, Data) else ()

    def begin(self, call: Call) -> Opening:
        """:raises RelayError: always: nobody is called here"""
        raise RelayError("this link carries one stream")

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
        """:returns: the Close for an end, which each dialect has its own of"""
        raise NotImplementedError
