"""Labels whose calls another offer answers, and labels that answer calls of others; taas.md §7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from relay.core.publications import Publications
from relay.dialects.taas.notions import GRACE_S
from relay.settings.model import Callee, Publication
from relay.vocabulary import Call, OfferName
from tests.dialects.taas_rooms import (
    MOBILE,
    SERVERS,
    Room,
    answered,
    header,
    port_of,
)
from tests.fakes import Talk
from tests.unit.broker_desk import Desk


@pytest.fixture
def refused_calls() -> Iterator[list[str]]:
    """Where published calls were to go that went nowhere, as the log has it."""
    seen: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") == "published-call-refused":
            seen.append(event["offer"])

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    yield seen
    globalLogPublisher.removeObserver(observer)


def published(room: Room, source: str, target: str, public: bool = True) -> None:
    """Callers of one label get another offer."""
    refill_s = GRACE_S if target.startswith("taas:") else 0.0
    names = Callee(OfferName(source)), Callee(OfferName(target))
    one = Publication("x", *names, (), public, refill_s)
    room.broker.publications = Publications([one])


def test_a_published_label_needs_no_host_of_its_own() -> None:
    """Whoever answers the other offer answers, and may come within the grace."""
    room = Room()
    published(room, "taas:lab", "taas:alpha")
    waiting = room.seeks("lab")
    assert not waiting.called
    host = room.responder()
    room.passes(0.25)
    caller = room.connected(port_of(answered(waiting)), MOBILE)
    caller.say(b"hello")
    assert host.heard() == b"hello"


def test_a_published_label_whose_host_is_absent(refused_calls: list[str]) -> None:
    """It is told so after the grace, though no record lists it; the log has one line of it."""
    room = Room()
    published(room, "taas:lab", "talk:9")
    waiting = room.seeks("lab")
    room.passes(GRACE_S + 0.5)
    response = answered(waiting)
    assert (response.status, header(response, "x-relay-reason")) == (503, "host-absent")
    assert response.body == b"no host answers for taas:lab now\n"
    assert header(response, "location") == f"https://lab.{SERVERS}/"
    assert refused_calls == ["talk:9"]
    room.broker.publications = Publications()
    assert header(room.seek("lab"), "x-relay-reason") == "no-such-offer"


def test_while_the_pool_of_a_published_label_refills() -> None:
    """Nobody has to wait twice: the connection does, not the request."""
    room = Room()
    published(room, "taas:lab", "taas:alpha")
    room.responder()
    room.mobile("lab")
    late = room.mobile("lab")
    host = room.responder()
    late.say(b"hello")
    assert host.heard() == b"hello"


def test_the_fixed_port_of_a_published_label() -> None:
    """It is not opened: who looks there looks for the host of the record."""
    room = Room()
    room.lists("alpha:62052")
    published(room, "taas:alpha", "taas:beta")
    room.responder()
    assert 62052 not in room.ports.open_ports
    room.broker.publications = Publications()
    room.responder()
    assert 62052 in room.ports.open_ports


def test_a_label_that_is_not_published_to_all_is_refused() -> None:
    """Callers here have no name."""
    room = Room()
    published(room, "taas:lab", "taas:alpha", public=False)
    room.responder()
    response = room.seek("lab")
    assert (response.status, header(response, "x-relay-reason")) == (403, "wrong-name")


def test_a_caller_of_another_dialect_takes_the_head_of_the_queue() -> None:
    """Pairings name who that was."""
    room = Room()
    published(room, "talk:9", "taas:alpha")
    host = room.responder()
    desk = Desk(world=room.world)
    desk.broker = room.broker
    party = desk.party(Talk(Call(OfferName("talk:9"))), "somebody")
    party.says(b"hello")
    assert host.heard() == b"hello"
    (pairing,) = room.face.memory.pairings.of("alpha")
    assert (pairing.initiator, pairing.pathname) == ("talk:somebody", "")
