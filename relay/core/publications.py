"""Published calls: a call of one name that an offer of another answers, as the operator says.

A topic can be either: who enters one that is published is a caller, and a caller whom a topic
answers takes a seat in it.

The caller's grant is judged for the name that it asked for. Then the publication says who may go
on, and only then is looked for what answers. A caller hears of no other name than its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from twisted.logger import Logger

from relay.core.denials import Denial
from relay.errors import (
    HostAbsent,
    LimitReached,
    NoSuchOffer,
    RelayError,
    WrongName,
    WrongScope,
)
from relay.interfaces import IStream
from relay.settings.model import Callee, Publication
from relay.vocabulary import Call, Enter, Grant, OfferName, Reason, Role, TopicName

log = Logger()

_REFUSALS: tuple[tuple[type[RelayError], str], ...] = (
    (HostAbsent, "no host answers for"),
    (NoSuchOffer, "no host has the service behind"),
    (LimitReached, "no more calls are taken for"),
)
"""What a caller is told, who need not know where its call would have gone."""


class Published(NamedTuple):
    """A call on its way to another offer than the one that its caller named.

    :ivar publication: the section's name
    :ivar asked: what the caller named
    :ivar call: what it is given
    :ivar grant: the caller's
    :ivar enters: what it takes part in instead, where a topic answers
    :ivar refill_s: how long it waits for a host whose links are all taken
    """

    publication: str
    asked: Callee
    call: Call
    grant: Grant
    enters: Enter | None = None
    refill_s: float = 0.0

    @property
    def caller(self) -> str:
        """:returns: what the host is told of the caller: a subject, with its dialect unless that is
        the host's own, since another's subjects could be taken for those of the host's
        """
        subject, dialect = self.grant.subject, self.grant.dialect
        if dialect == self.call.name.partition(":")[0]:
            return subject
        return f"{dialect}:{subject}" if subject else dialect

    @property
    def offer(self) -> str:
        """:returns: where it goes, for the log"""
        return str(Callee(self.call.name, self.call.service))

    def waiting(self) -> Published:
        """:returns: the same, of a call that waits for a host to come back"""
        waits_s = max(self.call.waits_s, self.refill_s)
        return self._replace(call=self.call._replace(waits_s=waits_s))

    @contextmanager
    def asked_for(self, quiet: bool = False) -> Iterator[None]:
        """Refuse in terms of the name that was asked for; the log has the whole truth.

        :param quiet: the log has nothing of it
        :raises RelayError: from within
        """
        try:
            yield
        except (HostAbsent, NoSuchOffer, LimitReached) as error:
            if not quiet:
                self.log_refused(error.reason, error.text)
            raise self.refusal(error) from error

    def log_refused(self, reason: Reason, text: str) -> None:
        """Write the line that says why it came to nothing, which its caller is not to know."""
        log.info(
            "[publish {name}]: {call} of {caller} cannot go to {offer}: {reason}: {text}",
            event="published-call-refused",
            name=self.publication,
            call=self.asked,
            caller=party(self.grant),
            offer=self.offer,
            dialect=self.grant.dialect,
            reason=reason.value,
            text=text,
        )

    def refusal(self, error: RelayError) -> RelayError:
        """:returns: the error as the caller may see it"""
        for kind, text in _REFUSALS:
            if isinstance(error, kind):
                return kind(f"{text} {self.asked} now", retry_after_s=error.retry_after_s)
        return error

    def log_connected(self, caller: IStream, callee: IStream, host: str) -> None:
        """Write the line that says who reaches whom.

        :param host: whose the offer is
        """
        log.info(
            "[publish {name}]: {call} of {caller} goes to {offer} of {host} ({link} -> {partner})",
            event="published-call",
            name=self.publication,
            call=self.asked,
            caller=party(self.grant),
            offer=self.offer,
            host=host,
            link=caller.label,
            partner=callee.label,
            dialect=self.grant.dialect,
        )

    def is_meant(self, denial: Denial) -> bool:
        """:returns: whether a revocation means the caller, or one of the two names"""
        target = self.call.name
        if denial.matches(self.grant, (self.asked.offer, target)):
            return True
        # one that says the dialect of the name along with it, which need not be the caller's
        nobody = Grant(target.partition(":")[0], Role.CLIENT, "", target)
        return denial.offer == target and denial.matches(nobody)


class Publications:
    """What is published.

    :param publications: each of another source
    """

    def __init__(self, publications: Iterable[Publication] = ()) -> None:
        self._by_source = {one.source: one for one in publications}

    def has(self, name: OfferName) -> bool:
        """:returns: whether each call of that name is published"""
        return Callee(name) in self._by_source

    def find(self, event: Call | Enter, grant: Grant) -> Published | None:
        """Find what a call becomes; a publication of its service outweighs one of its name.

        :param grant: the caller's, good for the name that it asks for
        :returns: None: nothing else than what it names
        :raises WrongName: when it is published, and not for this caller
        :raises WrongScope: when who enters a topic may not do all that a caller does
        """
        if not self._by_source:
            return None
        if isinstance(event, Enter):
            asked = Callee(OfferName(event.topic), topic=True)
            found = self._by_source.get(asked)
        else:
            asked = Callee(event.name, event.service)
            found = self._by_source.get(asked) or self._by_source.get(Callee(event.name))
        if found is None:
            return None
        self._check_open(found, asked, grant)
        if found.target.topic:
            call = Call(found.target.offer, stream=event.stream)
            return Published(found.name, asked, call, grant, _seat(found.target, event))
        if isinstance(event, Enter):
            if not (event.reads and event.writes):
                raise WrongScope(f"{asked} is for those alone who may both read and write")
            event = Call(OfferName(event.topic), stream=event.stream)
        target = event._replace(
            name=found.target.offer, service=found.target.service or self._kept(found, event)
        )
        return Published(found.name, asked, target, grant, refill_s=found.refill_s)

    def _check_open(self, found: Publication, asked: Callee, grant: Grant) -> None:
        """:raises WrongName: when it is not for this caller"""
        if found.clients:
            allowed = grant.subject in found.clients
        else:
            allowed = found.public or bool(grant.subject)
        if not allowed:
            raise WrongName(
                f"{asked} is not open to {grant.subject or 'callers without a name'}",
                f"name the caller in clients of [publish {found.name}]",
            )

    def _kept(self, found: Publication, call: Call) -> str:
        """:returns: the caller's own service, where the other dialect's are of the same kind"""
        return call.service if found.source.dialect == found.target.dialect else ""


def _seat(target: Callee, event: Call | Enter) -> Enter:
    """:returns: what a caller takes part in: who came to enter another topic may do no more here"""
    topic = TopicName(target.offer)
    if isinstance(event, Enter):
        return event._replace(topic=topic)
    return Enter(topic, stream=event.stream)


def party(grant: Grant | None) -> str:
    """:returns: whose grant it is, for the log"""
    if grant is None:
        return "nobody"
    return f"{grant.dialect} {grant.subject}" if grant.subject else f"{grant.dialect} (nameless)"
