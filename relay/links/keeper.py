"""Keeps one errand's link up for ever: Twisted's ClientService with our waits."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol as TypingProtocol
from typing import cast

from twisted.application.internet import ClientService
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.core.patience import BRIEF_S, REFUSED_S, Patience, Repetition
from relay.core.session import Session
from relay.errors import (
    AuthError,
    CannotConnect,
    ConfigurationError,
    Misconfigured,
    Refused,
    RelayError,
    TlsFailed,
)
from relay.outside import FINAL_STATUSES, ITunnelSession
from relay.settings.model import TunnelSettings
from relay.vocabulary import Ending, Reason

JUST_ASKED_S = 1.0
"""A link that ends so soon after the router's last call is connected again at once."""


class IKept(TypingProtocol):
    """Whose errand is kept."""

    settings: TunnelSettings

    @property
    def asked_at(self) -> float:
        """:returns: when the router last asked for something"""

    def now(self) -> float:
        """:returns: Unix seconds."""

    def stood(self) -> None:
        """The errand's link stands."""

    def lost(self, text: str) -> None:
        """The errand's link ended."""

    def fault(self, what: str, error: RelayError, next_try_s: float | None = None) -> None:
        """An attempt failed."""


class IKeeping(IKept, TypingProtocol):
    """Who keeps several errands."""

    def fault(
        self,
        what: str,
        error: RelayError,
        next_try_s: float | None = None,
        repetition: Repetition | None = None,
    ) -> None:
        """An attempt failed. :param repetition: thins out what is logged"""


class NamedErrand:
    """One errand of several: what another one says does not hide what this one does."""

    def __init__(self, keeping: IKeeping) -> None:
        self._keeping = keeping
        self._repetition = Repetition()
        self.settings = keeping.settings

    @property
    def asked_at(self) -> float:
        """:returns: when the router last asked for something"""
        return self._keeping.asked_at

    def now(self) -> float:
        """:returns: Unix seconds."""
        return self._keeping.now()

    def stood(self) -> None:
        """The errand's link stands."""
        self._repetition.forget()
        self._keeping.stood()

    def lost(self, text: str) -> None:
        """The errand's link ended."""
        self._keeping.lost(text)

    def fault(self, what: str, error: RelayError, next_try_s: float | None = None) -> None:
        """An attempt failed."""
        self._keeping.fault(what, error, next_try_s, self._repetition)


_NOWHERE = IPv4Address("TCP", "0.0.0.0", 0)
"""An errand is not one connection, so it has no one address."""


class _Standing(Protocol):
    """What ClientService holds while an errand's link stands; it has no bytes of its own."""


@implementer(IStreamClientEndpoint)
class Keeper:
    """An errand as an endpoint for ClientService; its retry policy is
    :class:`relay.core.patience.Patience`.

    :param kept: whose errand it is
    :param final: statuses that refuse us for good when they come first
    :param gives_up: whether any refusal is final
    :param name: of the errand, where there are several
    :param longest_s: the longest pause after a refusal
    :param where: names the router where the section does not
    """

    log = Logger()

    def __init__(
        self,
        kept: IKept,
        errand: Callable[[], Awaitable[ITunnelSession]],
        reactor: IReactorTime,
        final: Collection[int] = FINAL_STATUSES,
        gives_up: bool = True,
        name: str = "",
        longest_s: float = REFUSED_S[1],
        where: Callable[[], str] = str,
    ) -> None:
        self._where = where
        self._final_statuses = final
        self._gives_up = gives_up
        self._prefix = f"{name}: " if name else ""
        self._stopping = False
        self._final: Deferred[None] = Deferred()
        self._kept = kept
        self._errand = errand
        self._reactor = reactor
        self._service = ClientService(
            self, Factory.forProtocol(_Standing), retryPolicy=self.pause_s, clock=reactor
        )
        self._patience = Patience(random.SystemRandom().random, longest_s)
        self._stood_ever = False
        self._next_s = 0.0

    async def run(self) -> None:
        """Connect, and connect again. :raises RelayError: when a refusal is final."""
        self._service.startService()
        try:
            await self._final
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End the link and try no more."""
        self._stopping = True
        await maybeDeferred(self._service.stopService)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """Run the errand until its link stands."""
        return Deferred.fromCoroutine(self._connect(factory))

    def pause_s(self, failed_attempts: int) -> float:
        """:returns: the wait before the next attempt."""
        return self._next_s

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        try:
            session = await self._errand()
        except RelayError as error:
            self._failed(error)
            raise
        except ConfigurationError as error:
            self._failed(Misconfigured("; ".join(error.faults)))
            raise
        except CancelledError:
            raise  # the tunnel is being stopped
        except Exception:
            self.log.failure("{name}: cannot connect", name=self._kept.settings.name)
            self._next_s = self._patience.refused()
            raise
        self._stood_ever = True
        self._kept.stood()
        protocol = cast(Protocol, factory.buildProtocol(_NOWHERE))
        protocol.makeConnection(_SessionTransport(session))
        started = self._kept.now()
        closed = cast(Session, session).when_closed()
        closed.addCallback(self._closed, protocol, started).addErrback(self._broken, protocol)
        return protocol

    def _failed(self, error: RelayError) -> None:
        if self._stopping:
            return  # what was cancelled may say so in words of its own
        settings = self._kept.settings
        # in a query there may be a code
        where = "" if self._prefix else settings.router.partition("?")[0] or self._where()
        what = f"{self._prefix}cannot {f'reach {where}' if where else 'connect'}"
        refused_us = isinstance(error, AuthError) or (
            isinstance(error, Refused) and error.status in self._final_statuses
        )
        final = settings.reconnect == "no" or (
            refused_us and not self._stood_ever and settings.reconnect != "always"
        )
        if final and self._gives_up:
            self._give_up(error)
            return
        answered = isinstance(error, Refused | TlsFailed | AuthError) or not getattr(
            error, "passing", True
        )
        if answered:
            self._next_s = self._patience.refused(error.retry_after_s)
        else:
            self._next_s = self._patience.unreachable()
        self._kept.fault(what, error, self._next_s)

    def _closed(self, ending: Ending, protocol: Protocol, started: float) -> None:
        reason, close, _ = ending
        lasted_s = self._kept.now() - started
        replaced = reason is Reason.REPLACED or (
            close is not None and close.code == 1001 and reason is Reason.PEER_CLOSED
        )
        if replaced:
            self._next_s = self._patience.replaced(lasted_s)
            why = "another host has registered under the same name"
        elif reason is Reason.GOING_AWAY:
            brief = lasted_s < BRIEF_S
            self._next_s = self._patience.ended(lasted_s) if brief else 0.0
            why = "the router is going away"
        else:
            # the original's router drops the control link with every call that is answered
            asked_s_ago = self._kept.now() - self._kept.asked_at
            self._next_s = 0.0 if asked_s_ago < JUST_ASKED_S else self._patience.ended(lasted_s)
            why = f"the link to the router ended ({reason.value})"
        if not self._stopping:
            self._kept.lost(f"{self._prefix}{why}; connecting again in {self._next_s:.1f} s")
        if self._kept.settings.reconnect == "no" and self._gives_up:
            self._give_up(CannotConnect(why))
        protocol.connectionLost(Failure(CannotConnect(why)))

    def _broken(self, failure: Failure, protocol: Protocol) -> None:
        # a bug of ours must not leave a host without a link for ever
        name = f"{self._prefix}{self._kept.settings.name}"
        self.log.failure("{name}: cannot tell why the link ended", failure, name=name)
        self._next_s = self._patience.refused()
        protocol.connectionLost(failure)

    def _give_up(self, error: RelayError) -> None:
        if not self._final.called:
            self._reactor.callLater(0, self._fail_for_good, error)

    def _fail_for_good(self, error: RelayError) -> None:
        if not self._final.called:
            self._final.errback(error)


class _SessionTransport:
    """What ClientService closes when it stops."""

    disconnecting = False

    def __init__(self, session: ITunnelSession) -> None:
        self._session = session

    def loseConnection(self) -> None:
        """End the link in order."""
        self._session.close(Reason.GOING_AWAY)

    def abortConnection(self) -> None:
        """End the link."""
        self._session.close(Reason.GOING_AWAY)
