"""The raw links of our host and client, which say more to us than their bytes.

Specification: taas.md §6, §8 and §11.
"""

from __future__ import annotations

from relay.raw import IN_ORDER, RawConversation
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    End,
    Message,
    OfferName,
    Outputs,
    Reason,
    Role,
)


class WaitingLink(RawConversation):
    """Our host's connection to a hidden port: it waits, and the first octet is a caller (§11).

    A ``Call`` says that there is one, an ``Accept`` that payload may flow. Where we serve TLS, the
    link says by a part without payload that a handshake has begun, and by another that it is over;
    elsewhere both events come with the first octet.

    :param offer: what is called
    :param secure: whether we serve TLS
    """

    __slots__ = ("_answered", "_offer", "_secure", "_taken")
    role = Role.HOST

    def __init__(self, offer: OfferName, secure: bool = False) -> None:
        self._offer = offer
        self._secure = secure
        self._taken = False
        self._answered = False

    def receive(self, message: Message, now: float) -> Outputs:
        """The router ends those that it has no place for; a caller who says nothing at all looks
        the same, and has nothing to ask of the service either.
        """
        if self._answered:
            return super().receive(message, now)
        if message.final and not message.payload:
            closed = "the caller broke off" if self._taken else "the router closed it"
            return (End(Reason.PEER_CLOSED, text=closed),)
        if not (message.payload or self._secure):
            return ()
        called = () if self._taken else (Call(self._offer),)
        self._answered = bool(message.payload) or self._taken
        self._taken = True
        if not self._answered:
            return called
        return (*called, Accept(), *super().receive(message, now))

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """Nobody misses anything before there is a caller."""
        return super().end(reason, close) if self._taken else IN_ORDER


class CallingLink(RawConversation):
    """Our client's connection to a mobile port.

    :ivar unsent: whether nothing of the local application was handed on yet; a FIN that comes now,
        and nothing before it, says that no host waits (§14)
    """

    __slots__ = ("_heard", "unsent")
    role = Role.CLIENT

    def __init__(self) -> None:
        self.unsent = True
        self._heard = False

    def receive(self, message: Message, now: float) -> Outputs:
        """A FIN means what :attr:`unsent` says."""
        self._heard = self._heard or bool(message.payload)
        if message.final and self.unsent and not self._heard:
            return (End(Reason.HOST_ABSENT, text="the router has no host waiting"),)
        return super().receive(message, now)
