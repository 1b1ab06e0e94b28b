"""Credentials that come inside a conversation: nothing is granted before, and little is waited."""

from __future__ import annotations

import pytest
from zope.interface import implementer

from relay.core.admission import Reception
from relay.core.broker import Broker
from relay.core.liveness import TICK_S
from relay.core.session import Session
from relay.errors import ProtocolError, WrongRole
from relay.interfaces import IGreeting
from relay.settings.model import Limits
from relay.vocabulary import (
    Answer,
    Claims,
    Close,
    Event,
    Grant,
    Granted,
    Hello,
    Message,
    Offer,
    OfferName,
    Outputs,
    Reason,
    Role,
    SharedSecret,
)
from tests.fakes import ControlTalk, MemoryLink, World, pump

SECRET = "a secret that is long enough for all"


@implementer(IGreeting)
class GreetingTalk(ControlTalk):
    """A host that sends ``NAME SECRET`` first, then hears ``welcome`` and offers its name.

    ``offer`` at any time asks for the offer at once; a subject of ``client`` has the wrong role.
    """

    hello_bytes = 1024

    def receive(self, message: Message, now: float) -> Outputs:
        """A Hello, or an impatient Offer."""
        if message.payload == b"offer":
            return (Offer(OfferName("talk:x"), Answer.ANNOUNCE),)
        name, _, secret = message.payload.decode().partition(" ")
        return (Hello(SharedSecret(name, secret, (SECRET,))),)

    def grant(self, claims: Claims) -> Grant:
        """:raises WrongRole: for the subject ``client``."""
        if claims["sub"] == "client":
            raise WrongRole("hosts only")
        return Grant("talk", Role.HOST, str(claims["sub"]), OfferName(f"talk:{claims['sub']}"))

    def perform(self, event: Event, now: float) -> Outputs:
        """Welcome, then offer."""
        if isinstance(event, Granted):
            offer = Offer(OfferName(f"talk:{event.grant.subject}"), Answer.ANNOUNCE)
            return (Message(b"welcome", text=True), offer)
        return super().perform(event, now)


class Porch:
    """A router where strangers stand."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.world = World()
        self.limits = limits or Limits()
        around = self.world.limited(self.limits)
        self.broker = Broker(around, lambda bits: 7)
        self.reception = Reception(self.broker, around)
        self.told = 0

    def stranger(self) -> tuple[MemoryLink, Session]:
        """A link that has shown nothing yet."""
        link = MemoryLink()
        label = "192.0.2.1:5000/1"
        session = Session(link, GreetingTalk(), self.reception, self.world.around, label)
        self.broker.add(session)
        self.reception.expect_hello(session, "talk", "192.0.2.1", self._told)
        session.opened()
        return link, session

    def _told(self) -> None:
        self.told += 1

    def knows_nobody(self) -> bool:
        """Whether nothing is remembered of strangers, and no answer is being delayed."""
        return not self.reception._strangers and not self.reception._failed_logins._waiting


def test_a_hello_is_granted_and_then_offers() -> None:
    """The link learns of its grant, and may ask from then on."""
    porch = Porch()
    link, session = porch.stranger()
    assert porch.told == 0
    link.arrive(Message(f"web {SECRET}".encode()))
    assert link.texts() == [b"welcome"]
    assert session.grant is not None
    assert session.grant.subject == "web"
    assert porch.broker.offers() == {"talk:web": session}
    assert porch.told == 1
    porch.world.passes(porch.limits.handshake_s + 1)
    assert session.reason is None
    assert porch.knows_nobody()


def test_nothing_may_be_asked_for_before() -> None:
    """An Offer ahead of the Hello ends the link."""
    porch = Porch()
    link, session = porch.stranger()
    link.arrive(Message(b"offer"))
    assert session.reason is Reason.PROTOCOL_ERROR
    assert porch.broker.offers() == {}
    assert porch.told == 1


def test_a_grant_holds_for_its_name_only() -> None:
    """Whoever is welcome as one cannot offer as another."""
    porch = Porch()
    link, session = porch.stranger()
    link.arrive(Message(f"web {SECRET}".encode()), Message(b"offer"))
    assert session.reason is Reason.WRONG_NAME
    assert porch.broker.offers() == {}


def test_a_refusal_names_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no port: whoever looks for failed logins in the log expects it as at the door."""
    porch = Porch()
    told: list[str] = []
    monkeypatch.setattr(porch.reception, "tell_refusal", lambda _, peer, *rest: told.append(peer))
    link, _ = porch.stranger()
    link.arrive(Message(f"web {SECRET}".encode()), Message(b"offer"))
    assert told == ["192.0.2.1"]


def test_a_second_hello_ends_the_link() -> None:
    """One credential a link."""
    porch = Porch()
    link, session = porch.stranger()
    link.arrive(Message(f"web {SECRET}".encode()), Message(f"web {SECRET}".encode()))
    assert session.reason is Reason.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("hello", "reason"),
    [(b"web wrong", Reason.TOKEN_INVALID), (f"client {SECRET}".encode(), Reason.WRONG_ROLE)],
)
def test_a_false_hello_ends_the_link(hello: bytes, reason: Reason) -> None:
    """With the reason, which is counted as a failed login."""
    porch = Porch()
    link, session = porch.stranger()
    link.arrive(Message(hello))
    assert session.reason is reason
    pump(link)
    assert link.close_sent == Close(1000, reason.value)
    assert porch.world.metrics.failed_logins_total["talk"] == 1
    assert porch.world.metrics.refused_total["talk", reason] == 1
    assert porch.knows_nobody()


def test_silence_is_not_waited_for() -> None:
    """Without a Hello within handshake-s the link ends."""
    porch = Porch(Limits(handshake_s=3))
    _, session = porch.stranger()
    porch.world.passes(3 - TICK_S)
    assert session.reason is None
    porch.world.passes(3 * TICK_S)
    assert session.reason is Reason.PROTOCOL_ERROR
    assert porch.told == 1


def test_the_eleventh_false_hello_waits() -> None:
    """Its link is not read meanwhile, so that nothing can be tried behind it."""
    porch = Porch()
    for _ in range(porch.limits.failed_logins_per_min):
        porch.stranger()[0].arrive(Message(b"web wrong"))
    link, session = porch.stranger()
    link.arrive(Message(b"web wrong"))
    assert session.reason is None
    assert not link.reading
    porch.world.passes(1.5)
    assert session.reason is Reason.TOKEN_INVALID
    assert porch.knows_nobody()


def test_who_leaves_while_its_answer_waits_is_forgotten() -> None:
    """Answers that nobody waits for do not use up the places of those who do."""
    porch = Porch()
    for _ in range(porch.limits.failed_logins_per_min):
        porch.stranger()[0].arrive(Message(b"web wrong"))
    link, session = porch.stranger()
    link.arrive(Message(b"web wrong"))
    session.link_lost(None, Reason.LOST, "")
    assert porch.knows_nobody()
    porch.world.passes(2)
    assert porch.told == porch.limits.failed_logins_per_min + 1


def test_who_was_revoked_is_not_welcome() -> None:
    """Nor while the router drains."""
    porch = Porch()
    porch.broker.revoke(subject="web")
    link, session = porch.stranger()
    link.arrive(Message(f"web {SECRET}".encode()))
    assert session.reason is Reason.REVOKED
    porch.broker.drain(lambda: None)
    link, session = porch.stranger()
    link.arrive(Message(f"ssh {SECRET}".encode()))
    assert session.reason is Reason.GOING_AWAY


def test_a_link_that_was_admitted_says_no_hello() -> None:
    """Its credential was in the request head."""
    porch = Porch()
    link = MemoryLink()
    session = Session(
        link,
        GreetingTalk(),
        porch.reception,
        porch.world.around,
        "link",
        Grant("talk", Role.HOST, "web"),
    )
    session.opened()
    with pytest.raises(ProtocolError):
        porch.reception.requested(session, Hello(SharedSecret("web", SECRET, (SECRET,))))
