"""A small dialect without frames: hosts that wait in a queue, and callers who are joined with them.

What a host says early is kept until it is called; one that ends meanwhile is gone.
"""

from __future__ import annotations

from relay.vocabulary import (
    CLEAN_REASONS,
    Answer,
    Call,
    Carries,
    Close,
    Data,
    End,
    Event,
    Finish,
    Message,
    Offer,
    OfferName,
    Outputs,
    Passing,
    Reason,
    Role,
)
from tests.fakes.talks import Talk

NAME = OfferName("raw:cam")
BYTES = Carries(half_close=True)


class RawTalk(Talk):
    """Bytes are payload."""

    role = Role.CLIENT
    passes = Passing.BINARY

    def __init__(self, intent: Event | None = None) -> None:
        super().__init__(intent, BYTES)

    def receive(self, message: Message, now: float) -> Outputs:
        """Payload, or the peer's half-close."""
        return (Finish(),) if message.final else (Data(message.payload, final=False),)

    def perform(self, event: Event, now: float) -> Outputs:
        """Our half-close."""
        return (Message(b"", final=True),) if isinstance(event, Finish) else ()

    def encode(self, data: Data) -> Message:
        """Bytes of an endless message."""
        return Message(data.payload, final=False)

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """A reset, unless the end is clean."""
        return Close(None) if reason in CLEAN_REASONS else None


class RawCaller(RawTalk):
    """A caller.

    :param waits_s: how long it waits for a host
    """

    def __init__(self, waits_s: float = 0.0) -> None:
        super().__init__(Call(NAME, waits_s=waits_s))


class RawHost(RawTalk):
    """A host that waits."""

    role = Role.HOST

    def __init__(self) -> None:
        super().__init__(Offer(NAME, Answer.QUEUE, waiting=21))
        self._early: list[Data] | None = []

    def receive(self, message: Message, now: float) -> Outputs:
        """Payload once it is called; before, an end is all that matters."""
        if self._early is None:
            return super().receive(message, now)
        if message.final:
            return (End(Reason.PEER_CLOSED),)
        self._early.append(Data(message.payload, final=False))
        return ()

    def perform(self, event: Event, now: float) -> Outputs:
        """It is called."""
        if isinstance(event, Call):
            early, self._early = self._early or [], None
            return early
        return super().perform(event, now)
