"""Our taas client: each local connection asks for a redirect, and goes where that leads.

Specification: taas.md §7, §8, §12 and §14.
"""

from __future__ import annotations

from typing import NamedTuple, cast
from urllib.parse import urlsplit

from relay.addresses import is_loopback, with_port
from relay.dialects.taas.answers import ANSWER_BYTES, WAITS_HEADER, refusal
from relay.dialects.taas.keys import FAR_TLS_KEY, LABEL_KEY
from relay.dialects.taas.raw_conversations import CallingLink
from relay.errors import (
    Misconfigured,
    NotARouter,
    Refused,
    RelayError,
    TargetRefused,
    TlsFailed,
)
from relay.interfaces import IStream
from relay.outside import (
    ExpectsTls,
    HttpAnswer,
    IOutward,
    ITunnelSession,
    Way,
    call_again,
)
from relay.settings.model import TunnelSettings
from relay.vocabulary import Event, Reason

REDIRECTING = (301, 302, 307, 308)
LOOKED_UP_S = 60.0
"""How long it counts whether the name is in DNS."""

DRAINED_S = (0.02, 0.25)
"""How long the original may take to close a connection for which no host waits, besides two round
trips; and at most. Until then nothing is handed on, so that the call can be made again (§14)."""

NO_HEADERS: dict[str, str] = {}
_DEFAULT_PORTS = {True: 443, False: 80}
_SCHEMES = {True: "https", False: "http"}


async def run_client(settings: TunnelSettings, outward: IOutward) -> None:
    """Accept local connections until cancelled."""
    client = _Client(settings, outward)
    for door in settings.doors:
        address = await outward.listen(door.endpoint, client.accepted)
        outward.report(f"{address} leads to {client.what}")
    await outward.serve()


class _FrontDoor(NamedTuple):
    """Where redirects are asked for.

    :ivar host: the router's, name or address; empty: nobody said it
    """

    secure: bool
    host: str
    port: int

    @property
    def at(self) -> str:
        """:returns: where it is connected to, should the label's name not lead there"""
        return with_port(self.host, self.port) if self.host else ""


class _Client:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._outward = outward
        self._name = cast(str, settings.values[LABEL_KEY])
        self._door = _front_door(settings.router)
        self._tls = ExpectsTls(self._name) if settings.values[FAR_TLS_KEY] else None
        self._at = self._door.at
        self._looked_up_until = 0.0
        port = "" if self._door.port == _DEFAULT_PORTS[self._door.secure] else f":{self._door.port}"
        self.what = f"{_SCHEMES[self._door.secure]}://{self._name}{port}/"

    def accepted(self, local: IStream) -> None:
        """A local connection was accepted."""
        self._outward.spawn(self._serve(local))

    async def _serve(self, local: IStream) -> None:
        """Carry one local connection to its end."""
        try:
            remote = (await call_again(self._outward, local, self._call)).stream()
        except RelayError as error:
            self._outward.fault(f"call for {self._name}", error)
            local.reset(error.reason, None)
            return
        await self._outward.join(local, remote, self._name)

    async def _call(self) -> ITunnelSession:
        """Ask for a redirect, and follow it.

        :raises Refused: when there is no host
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """
        at = await self._way_in()
        answer = await self._outward.http(
            "GET", self.what, NO_HEADERS, ANSWER_BYTES, Way(at=at, follow=False)
        )
        address = self._redirection(answer, at)
        link = CallingLink()
        began = self._outward.now()
        try:
            session = await self._outward.tcp(address, link, _ignore, self._tls)
        except TlsFailed as error:
            # that of the router stood: the names are the same, the certificates are not
            raise TlsFailed(f"behind the router: {error.text}", error.remedy) from None
        try:
            session.stream()
        except RelayError as error:
            session.close(error.reason)
            raise
        if WAITS_HEADER not in answer.headers:
            await self._stays(session, self._outward.now() - began)
        link.unsent = False
        return session

    async def _way_in(self) -> str:
        """:returns: where to connect instead of to the name; empty: to the name"""
        now = self._outward.now()
        if self._door.host in ("", self._name):
            return ""
        if is_loopback(self._name):
            return self._door.at  # below localhost there is nothing to look up (RFC 6761, 6.3)
        if not now < self._looked_up_until <= now + LOOKED_UP_S:
            # calls that come meanwhile go where the last ones went, or to the router
            self._looked_up_until = now + LOOKED_UP_S
            try:
                await self._outward.resolve(self._name)
                self._at = ""
            except TargetRefused:
                self._at = self._door.at
        return self._at

    def _redirection(self, answer: HttpAnswer, at: str) -> str:
        """Read where a redirect leads: of its URL host and port count alone (§12).

        :param at: where it was asked for, instead of at the name; may be empty
        :returns: ``HOST:PORT``
        """
        if answer.status not in REDIRECTING:
            if answer.status < 400:
                raise NotARouter(
                    f"what answers at {self.what} is no router of taas (status {answer.status})",
                    "is the name one of its labels, in full?",
                )
            # an original's 503 says no more, whether it ever heard of the label or not
            absent = Reason.HOST_ABSENT if answer.status == 503 else Reason.PROTOCOL_ERROR
            raise refusal(answer, absent)
        try:
            there = urlsplit(answer.headers.get("location", ""))
            host, port = (there.hostname or "").removesuffix("."), there.port
        except ValueError:
            raise NotARouter("the router redirects to what is no URL") from None
        if not port:
            raise NotARouter("the router redirects without a port to connect to")
        if host == self._name:
            return with_port(self._door.host if at else self._name, port)
        if host and host == self._door.host:
            return with_port(host, port)
        raise Misconfigured(
            f"the router redirects to another host than {self._name}", "that is not gone to"
        )

    async def _stays(self, session: ITunnelSession, connecting_s: float) -> None:
        """Wait as long as an original might take to say that no host waits.

        :raises Refused: when it does
        """
        least_s, most_s = DRAINED_S
        ended: list[Reason] = []
        watch = self._outward.spawn(_watch(session, ended))
        await self._outward.sleep(min(2 * max(0.0, connecting_s) + least_s, most_s))
        watch.cancel()
        if ended:
            raise Refused(
                503,
                "the router has no connection of a host left",
                Reason.HOST_ABSENT,
                "is the host running, and does it register in time?",
            )


async def _watch(session: ITunnelSession, ended: list[Reason]) -> None:
    ended.append((await session.when_closed()).reason)


def _ignore(event: Event) -> None:
    """A raw link asks for nothing."""


def _front_door(router: str) -> _FrontDoor:
    """:param router: URL, checked by settings; empty: HTTPS at the label's own name"""
    parts = urlsplit(router)
    secure = parts.scheme in ("", "https", "wss")
    return _FrontDoor(secure, parts.hostname or "", parts.port or _DEFAULT_PORTS[secure])
