"""Those who look for a label: they are sent to its port; taas.md §7.

Which label is in the Host, and nothing else of a request matters.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from relay.dialects.taas.labels import refusal
from relay.dialects.taas.notions import DIALECT, GRACE_S, offer_name, parse_label
from relay.dialects.taas.pairings import origin_of
from relay.dialects.taas.registrar import RETRY_S, NoPort
from relay.dialects.taas.state import Config, Memory
from relay.errors import (
    CannotListen,
    HostAbsent,
    LimitReached,
    NoSuchOffer,
    RelayError,
    StoreFailed,
)
from relay.faces import IServices
from relay.http import Request, Response
from relay.vocabulary import Call, Grant, OfferName

WAITS_HEADER = "X-Relay-Waits"
"""Of a redirect by us: who connects there is kept for so many seconds, should nobody be free."""


def sent_host(request: Request) -> str:
    """:returns: the Host without port and a dot at its end; empty: there is none. It counts
    whatever the target says, as at the original's (§3)
    """
    host = request.header("host") if request.sent_host is None else request.sent_host
    return (host or "").partition(":")[0].removesuffix(".")


def host_of(request: Request) -> str:
    """:returns: the same without case"""
    return sent_host(request).lower()


def label_of(host: str, servers: str) -> str:
    """:returns: what stands before ``servers`` in a host name; empty: it is of another form"""
    label, found, rest = host.rpartition(f".{servers}")
    return label if found and not rest else ""


class Mobile(NamedTuple):
    """Serves those who look for a label."""

    config: Config
    memory: Memory

    async def answer(
        self, request: Request, label: str, grant: Grant, services: IServices
    ) -> Response:
        """Send somebody to a label's port, once the label can be called.

        :param label: empty: the Host names none
        :raises NoSuchOffer, HostAbsent: when it cannot
        :raises NoPort, LimitReached: when too many want something
        :raises GoingAway, AuthError: as the broker
        """
        try:
            parse_label(label)
        except ValueError:
            raise NoSuchOffer(f"names here are LABEL.{self.config.servers}") from None
        name = offer_name(label)

        def judge(quiet: bool = True) -> None:
            services.broker.judge(Call(name), grant, quiet)

        published = services.broker.is_published(name)
        error = refusal(judge)
        if error is not None and (published or name in self.memory.known):
            error = await self.memory.grace.wait(name, judge, services)
        if error is not None and published:
            error = refusal(partial(judge, quiet=False))
        if error is not None:
            # of a published label no record need know
            raise error if published else await self._absent(label, services) from error
        if not published:
            self.memory.known.add(name)
        return self._redirect(request, name, services)

    def _redirect(self, request: Request, name: OfferName, services: IServices) -> Response:
        config = self.config
        try:
            number = self.memory.redirects.send(
                name, request.peer, origin_of(request), config.numbers, config.interface, services
            )
        except (LimitReached, CannotListen) as error:
            raise NoPort(error.text, error.remedy, RETRY_S) from error
        host = sent_host(request)
        target = request.target if request.target.startswith("/") else "/"
        scheme = "https" if request.secure else "http"
        headers = (
            ("Location", f"{scheme}://{host}:{number}{target}"),
            (WAITS_HEADER, f"{GRACE_S:g}"),
        )
        return Response(307, b"", headers, content_type=None)

    async def _absent(self, label: str, services: IServices) -> RelayError:
        """:returns: why a label cannot be called"""
        try:
            records = services.records(DIALECT, self.config.database)
            listed = await self.memory.index.may_list(label, records, services)
        except StoreFailed:
            listed = True  # nobody can tell, and there is no host in any case
        if listed:
            return HostAbsent(f"no host is there for {label} now", "start it, or look at its log")
        return NoSuchOffer(f"{label} is the name of no host here", "is it spelled right?")
