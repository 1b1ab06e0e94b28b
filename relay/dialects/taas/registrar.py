"""The registrar: who asks, and what hosts are given; taas.md §3 to §6 and §9.

Whoever asks for anything shows who it is first; only then it matters what was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

from relay.addresses import unmapped, with_port
from relay.dialects.taas.conversations import Responder
from relay.dialects.taas.credentials import parse_authorization
from relay.dialects.taas.notions import DIALECT, WAITING, Label, is_id, offer_name
from relay.dialects.taas.pairings import paired, tag
from relay.dialects.taas.records import Record
from relay.dialects.taas.state import Config, Memory
from relay.dialects.taas.uses import Code
from relay.errors import CannotListen, LimitReached, MethodNotAllowed, NotFound
from relay.faces import IServices, Welcome
from relay.http import Request, Response
from relay.vocabulary import (
    Answer,
    Call,
    Claims,
    Credential,
    Grant,
    Missing,
    Offer,
    OfferName,
    Role,
    Totp,
)

REGISTER = "/register/"
PAIRINGS = "/pairings/"
PLAIN = "text/plain"
JSON = "application/json"
RETRY_S = 5
"""When a host may try again for which there was no port."""


class NoPort(LimitReached):
    """None of the ports that may be opened is free."""


@dataclass(frozen=True, slots=True)
class HostGrant(Grant):
    """What a code allows.

    :ivar code: which one it was
    :ivar labels: of its ID's record
    """

    code: Code | None = None
    labels: tuple[Label, ...] = ()


async def look_up(config: Config, request: Request, services: IServices) -> Credential:
    """Read what a request shows, and find the secret for it.

    A record by which nobody can log in is one that does not exist.

    :raises BadRequest: when it is malformed
    :raises StoreFailed: when the store cannot be asked
    """
    text = request.header("authorization")
    if not text:
        return Missing()
    name, code = parse_authorization(text)
    if not is_id(name):
        return Totp(name, code, None)
    stored = await services.records(DIALECT, config.database).get(name)
    record = None if stored is None else Record.read(stored)
    if record is None:
        return Totp(name, code, None)
    known: Claims = {"labels": record.labels, "step": record.step_s}
    return Totp(name, code, record.base32, record.step_s, known)


def grant_of(claims: Claims) -> HostGrant:
    """:param claims: of a code that was found right"""
    subject, counter = str(claims["sub"]), cast(int, claims["counter"])
    code = Code(subject, counter, cast(int, claims["step"]))
    labels = cast("tuple[Label, ...]", claims["labels"])
    return HostGrant(DIALECT, Role.HOST, subject, code=code, labels=labels)


class Registrar(NamedTuple):
    """Serves those who have shown who they are."""

    config: Config
    memory: Memory

    def answer(self, request: Request, grant: HostGrant, services: IServices) -> Response:
        """Do what a host asks for.

        :raises CodeElsewhere: when its code came from another address before
        :raises MethodNotAllowed, NotFound: in the original's order
        :raises TooManyUses, NoPort: when it cannot have a port
        :raises GoingAway, Revoked: as the broker
        """
        code = grant.code
        assert code is not None, "every grant for the registrar is for a code"
        address = unmapped(request.peer)
        self.memory.uses.bind(code, address, not self.config.same_address, services.now())
        if request.method == "GET":
            (label, *_) = _owned(request.path, PAIRINGS, grant.labels)
            text = self.memory.pairings.to_json(label.name)
            return Response(200, text.encode(), content_type=JSON)
        if request.method != "PUT":
            raise MethodNotAllowed("hosts register by PUT", "PUT")
        entries = _owned(request.path, REGISTER, grant.labels)
        name = offer_name(entries[0].name)
        services.broker.judge(
            Offer(name, Answer.QUEUE, waiting=WAITING), of_link(grant.subject, name)
        )
        self.memory.hidden.check(grant.subject)
        self.memory.uses.take(code, address, self.config.uses, services.now())
        number = self._open(request, grant.subject, entries, services)
        where = with_port(self.config.advertise, number)
        return Response(200, where.encode(), content_type=PLAIN)

    def _open(
        self, request: Request, subject: str, entries: list[Label], services: IServices
    ) -> int:
        """:returns: the number of a hidden port. :raises NoPort: when there is none"""
        config, memory = self.config, self.memory
        label = entries[0].name
        name, responder = offer_name(label), tag(request)

        def joined(call: Call, now: float) -> None:
            memory.uses.give_back(subject)
            origin = call.origin or call.caller or "unknown"
            memory.pairings.note(label, paired(responder, origin, now))

        def arrived(address: str, port: int) -> Welcome:
            memory.known.add(name)
            for entry in entries:
                # its callers ask for a name whose calls go elsewhere: nobody would look there
                if entry.fixed_port and not services.broker.is_published(name):
                    memory.fixed.open(entry, subject, config.interface, services)
            return Welcome(of_link(subject, name), Responder(subject, name, joined))

        source = unmapped(request.peer) if config.same_address else ""
        try:
            return memory.hidden.open(
                subject, source, arrived, config.numbers, config.interface, services
            )
        except (LimitReached, CannotListen) as error:
            memory.uses.give_back(subject)
            raise NoPort(error.text, error.remedy, RETRY_S) from error


def _owned(path: str, prefix: str, labels: tuple[Label, ...]) -> list[Label]:
    """:returns: the entries of the label that a path names. :raises NotFound: when there is none"""
    wanted = path.removeprefix(prefix).lower() if path.startswith(prefix) else ""
    entries = [label for label in labels if label.name == wanted]
    if not entries:
        raise NotFound(f"this path is none of {prefix} and a label of yours")
    return entries


def of_link(subject: str, name: OfferName) -> Grant:
    """:returns: what a responder's link may ask for"""
    return Grant(DIALECT, Role.HOST, subject, name)
