"""The raw links of a router: responders that wait for a partner, and those who want one.

Specification: taas.md §6 and §8. Such a link is one endless message each way, whose parts are
payload and whose end is a FIN. Nothing is ever said on it but the partner's octets.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.dialects.taas.notions import GRACE_S, WAITING
from relay.raw import IN_ORDER, RawCaller, RawConversation
from relay.vocabulary import (
    Answer,
    Call,
    Close,
    Data,
    End,
    Event,
    Message,
    Offer,
    OfferName,
    Outputs,
    Reason,
    Role,
)

EARLY_BYTES = 64 * 1024
"""What a responder may say before it has a partner; the original drops all of it."""


class Responder(RawConversation):
    """A hidden server's connection, waiting for a partner and then joined with it.

    :param subject: the ID by which it came
    :param name: what it answers
    :param paired: called with the call that it is given, and Unix seconds
    """

    role = Role.HOST
    __slots__ = ("_early", "_over", "_paired", "_told", "intent", "name", "subject")

    def __init__(
        self, subject: str, name: OfferName, paired: Callable[[Call, float], None]
    ) -> None:
        self.subject = subject
        self.name = name
        self.intent = Offer(name, Answer.QUEUE, waiting=WAITING)
        self._told = paired
        self._paired = self._over = False
        self._early = bytearray()

    def receive(self, message: Message, now: float) -> Outputs:
        """Before there is a partner what comes is kept, and an end is the end of all."""
        if self._paired:
            return super().receive(message, now)
        if self._over:
            return ()
        if len(self._early) + len(message.payload) > EARLY_BYTES:
            self._over = True
            self._early.clear()
            much = f"{EARLY_BYTES} bytes and more came before there was anybody to take them"
            return (End(Reason.OVERRUN, text=much),)
        self._early += message.payload
        if message.final:
            self._over = True
            self._early.clear()
            return (End(Reason.PEER_CLOSED),)
        return ()

    def perform(self, event: Event, now: float) -> Outputs:
        """A Call is the partner: what came early is for it."""
        if not isinstance(event, Call):
            return super().perform(event, now)
        if self._paired or self._over:
            return ()
        self._paired = True
        self._told(event, now)
        early, self._early = bytes(self._early), bytearray()
        return (Data(early),) if early else ()

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """Nobody misses anything before there is a partner."""
        return super().end(reason, close) if self._paired else IN_ORDER


class MobileCall(RawCaller):
    """Somebody who wants a partner: from a mobile port, or a fixed one.

    :param name: what is wanted
    :param origin: where the caller comes from, as pairings have it
    """

    __slots__ = ()

    def __init__(self, name: OfferName, origin: str) -> None:
        super().__init__(Call(name, waits_s=GRACE_S, origin=origin))
