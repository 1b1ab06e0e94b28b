"""What is said on a raw link, in whatever dialect: bytes as they come, and a FIN in each direction.

Such a link is one endless message each way: a part of it is payload, its end is the FIN.
"""

from __future__ import annotations

from relay.one_stream import OneStream
from relay.vocabulary import (
    CLEAN_REASONS,
    Accept,
    Call,
    Carries,
    Close,
    Data,
    Event,
    Finish,
    Message,
    Outputs,
    Passing,
    Reason,
)

PART_BYTES = 16 * 1024 * 1024
"""More than any read brings; a raw link has no messages whose length could be wrong."""

FIN = Message(b"")
"""What ends a direction: the last part of the only message, and nothing in it."""

IN_ORDER = Close(None)


class RawConversation(OneStream):
    """What all raw links share."""

    carries = Carries(half_close=True)
    message_bytes = PART_BYTES
    frame_bytes = PART_BYTES
    passes = Passing.BINARY

    __slots__ = ()

    def receive(self, message: Message, now: float) -> Outputs:
        """Payload, and its end."""
        data = (Data(message.payload),) if message.payload else ()
        return (*data, Finish()) if message.final else data

    def perform(self, event: Event, now: float) -> Outputs:
        """A Finish is a FIN."""
        return (FIN,) if isinstance(event, Finish) else super().perform(event, now)

    def encode(self, data: Data) -> Message:
        """The same bytes; a message without any is nothing here, and no FIN above all."""
        return Message(data.payload, False, data.final and bool(data.payload))

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """:returns: None, which is a reset, where something is missing"""
        return IN_ORDER if reason in CLEAN_REASONS else None


class RawCaller(RawConversation):
    """A router's link to whoever calls by connecting.

    :param call: what that is a call of
    """

    __slots__ = ("_paired", "intent")

    def __init__(self, call: Call) -> None:
        self._paired = False
        self.intent = call

    def perform(self, event: Event, now: float) -> Outputs:
        """An Accept is the partner."""
        if isinstance(event, Accept):
            self._paired = True
            return ()
        return super().perform(event, now)

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """Nobody misses anything before there is a partner."""
        return super().end(reason, close) if self._paired else IN_ORDER


def tcp_origin(address: str, port: int) -> str:
    """:returns: how somebody came who made no request, for :attr:`relay.vocabulary.Call.origin`"""
    return f"tcp {address} {port}"
