"""Our taas host: keeps connections waiting at the router, each for one caller.

Specification: taas.md §6, §11, §14 and check 30. What pauses there are between tries is not the
original's: those are fixed, and grow by nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

from relay.dialects.taas.keys import CERTIFICATE_KEY, KEY_KEY, POOL_KEY
from relay.dialects.taas.raw_conversations import WaitingLink
from relay.dialects.taas.registration import Registrar
from relay.errors import CannotConnect, GoingAway, Refused, RelayError, TlsFailed
from relay.interfaces import IStream
from relay.outside import IBundle, IOutward, ITunnelSession, ServesTls
from relay.settings.model import TunnelSettings
from relay.vocabulary import Accept, Call, Ending, Event, OfferName, Reason

FINAL = (403, 404)
"""Statuses that refuse the ID, or the label as a name of its. When a code is refused for good says
:class:`relay.dialects.taas.registration.Registrar`."""

LOST_S = 0.25
"""When a connection is replaced that was closed before anybody came: not sooner, since a router
that ends takes all of them, and then it is another matter."""

LOST_AGAIN_S = 5.0
"""And when those that follow are, as by the original: two hosts of one label push out each other's,
and must not make a race of it."""

BRIEF_S = 1.0
"""Connections that were all closed sooner did not stand; the next one has to last as long before it
counts."""


async def run_host(settings: TunnelSettings, outward: IOutward) -> None:
    """Offer the section's service until cancelled."""
    host = _Host(settings, outward)
    try:
        await outward.keep(host.register, FINAL, where=host.where)
    except Exception:
        host.end(Reason.GOING_AWAY)
        raise


class _Waiting:
    """One connection that waits.

    :ivar session: its link
    :ivar stream: what a caller will be joined with
    :ivar taken: whether a caller has come
    :ivar answered: whether payload of that may flow
    """

    def __init__(self) -> None:
        self.session: ITunnelSession | None = None
        self.stream: IStream | None = None
        self.taken = False
        self.answered = False


class _Host:
    """The pool.

    A bundle stands while the pool can be kept full. It ends with the first connection that cannot
    be had, or when none is left; those that wait go on waiting, and what was in the way is told by
    the next attempt, alone.
    """

    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        self._registrar = Registrar(settings, outward)
        self._target = settings.doors[0].endpoint
        self._size = cast(int, settings.values[POOL_KEY])
        self._tls = _far_tls(settings)
        self._waiting: set[_Waiting] = set()
        self._filling = 0
        # so many at a time: all at first, one by one where that went wrong
        self._at_once = self._size
        self._bundle: IBundle | None = None
        self._stood_at = 0.0
        self._brief = False
        self._refused_in_a_row = 0
        self._replacing = False
        self._replaced_at = -math.inf
        self._said = ""

    async def register(self) -> ITunnelSession:
        """Have one connection wait: the offer stands, and the others follow."""
        alone = not self._waiting
        first = await self._wait()
        if alone and self._brief:
            await self._prove(first)
        self._stood_at = self._outward.now()
        self._bundle = bundle = self._outward.bundle(self.end)
        self._say_where(alone)
        self._fill()
        return bundle

    def where(self) -> str:
        """:returns: the URL of the router, once it was tried to register there"""
        place = self._registrar.place
        return "" if place is None else place.front_door

    def end(self, reason: Reason) -> None:
        """End the connections that wait."""
        self._bundle = None
        for waiting in tuple(self._waiting):
            if waiting.session is not None:
                waiting.session.close(reason)

    # -- one connection --------------------------------------------------------------------------

    async def _wait(self) -> _Waiting:
        """Register once, and connect to where that leads.

        :returns: what waits, and is watched
        :raises RelayError: when there is none
        """
        address = await self._registrar.open_port()
        waiting = _Waiting()

        def handle(event: Event) -> None:
            if isinstance(event, Call):
                self._taken(waiting)
            elif isinstance(event, Accept):
                self._answered(waiting)

        link = WaitingLink(self._name(), self._tls is not None)
        try:
            session = await self._outward.tcp(address, link, handle, self._tls)
        except CannotConnect as error:
            raise self._unreachable(address, error) from None
        self._refused_in_a_row = 0
        waiting.session = session
        try:
            waiting.stream = session.stream()
        except RelayError as error:
            session.close(error.reason)
            raise
        self._waiting.add(waiting)
        self._outward.spawn(self._watch(waiting))
        return waiting

    def _unreachable(self, address: str, error: CannotConnect) -> RelayError:
        """A router that has just restarted has closed the port, too; that passes at once."""
        self._refused_in_a_row += 1
        if self._refused_in_a_row == 1 or not error.passing:
            return error
        return Refused(
            200,
            f"the router answers, but not at the port that it opened: {error.text}",
            error.reason,
            f"is {address} reached from here? the router's advertise says it",
        )

    async def _watch(self, waiting: _Waiting) -> None:
        assert waiting.session is not None
        ending = await waiting.session.when_closed()
        if not waiting.taken:
            self._lost(waiting, ending)
        elif not waiting.answered:
            why = f" ({ending.text})" if ending.text else ""
            error = TlsFailed(
                f"a caller did not complete the TLS handshake{why}",
                "does it speak TLS, and trust the certificate?",
            )
            self._outward.fault(f"call for {self._name()}", error)

    async def _prove(self, first: _Waiting) -> None:
        """:raises Refused: when a connection is closed again at once, time after time"""
        await self._outward.sleep(BRIEF_S)
        if first not in self._waiting and not first.taken:
            raise Refused(
                200,
                "the router closes connections that wait as soon as they stand",
                Reason.PEER_CLOSED,
                "is the label another host's, too? at most 21 connections wait for one",
            )

    # -- all of them -----------------------------------------------------------------------------

    def _fill(self) -> None:
        """Have as many wait as there shall be."""
        while (
            self._bundle is not None
            and self._filling < self._at_once
            and len(self._waiting) + self._filling < self._size
        ):
            self._filling += 1
            self._outward.spawn(self._add(self._bundle))

    async def _add(self, bundle: IBundle) -> None:
        try:
            await self._wait()
        except GoingAway:
            return
        except RelayError as error:
            if self._bundle is bundle:
                self._at_once = 1
                self._outward.fault("cannot have more connections wait", error)
                self._stands_no_more(Ending(error.reason, text=error.text))
            return
        finally:
            self._filling -= 1
        if len(self._waiting) >= self._size:
            self._at_once = self._size
        self._fill()

    def _taken(self, waiting: _Waiting) -> None:
        """Its first octet has come."""
        waiting.taken = True
        self._waiting.discard(waiting)
        self._fill()

    def _answered(self, waiting: _Waiting) -> None:
        """Its payload may flow."""
        waiting.answered = True
        if waiting.stream is not None:
            self._outward.spawn(self._serve(waiting.stream))

    def _lost(self, waiting: _Waiting, ending: Ending) -> None:
        """The router closed it, or is gone."""
        self._waiting.discard(waiting)
        if self._bundle is None:
            return
        if not self._waiting:
            self._brief = self._outward.now() - self._stood_at < BRIEF_S
            self._at_once = 1 if self._brief else self._size
            self._stands_no_more(ending)
        elif not self._replacing:
            self._replacing = True
            self._outward.spawn(self._replace())

    async def _replace(self) -> None:
        since_s = abs(self._outward.now() - self._replaced_at)
        await self._outward.sleep(max(LOST_S, LOST_AGAIN_S - since_s))
        self._replaced_at = self._outward.now()
        self._replacing = False
        self._fill()

    def _stands_no_more(self, ending: Ending) -> None:
        bundle, self._bundle = self._bundle, None
        if bundle is not None:
            bundle.over(ending)

    def _say_where(self, anew: bool) -> None:
        """:param anew: whether the label was out of reach before"""
        place = self._registrar.place
        if place is None or (not anew and self._said == place.url):
            return
        self._said = place.url
        far_tls = " --far-tls yes" if self._tls is not None else ""
        self._outward.report(
            f"{place.offer} stands for {self._target} at {place.address()} "
            f"(through {place.way.at}); reach it with a program that follows its redirect, or: "
            f"relay connect {place.full_name} --dialect taas --router {place.front_door}{far_tls}"
        )

    # -- a caller --------------------------------------------------------------------------------

    async def _serve(self, caller: IStream) -> None:
        """Carry one caller to its end."""
        name = self._name()
        try:
            target = await self._outward.connect(self._target)
        except RelayError as error:
            self._outward.fault(f"call for {name}", error)
            caller.reset(error.reason, None)
            return
        await self._outward.join(caller, target, name)

    def _name(self) -> OfferName:
        place = self._registrar.place
        return place.offer if place is not None else OfferName(self._settings.name)


def _far_tls(settings: TunnelSettings) -> ServesTls | None:
    certificate = cast("Path | None", settings.values.get(CERTIFICATE_KEY))
    key = cast("Path | None", settings.values.get(KEY_KEY))
    return ServesTls(certificate, key) if certificate and key else None
