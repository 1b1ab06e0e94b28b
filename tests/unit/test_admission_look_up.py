"""Credentials that a face has to look up before they can be judged."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, ensureDeferred

from relay.auth import LOGIN_DELAY_S
from relay.core.admission import Admission, Reception
from relay.core.broker import Broker
from relay.core.services import Services
from relay.errors import AuthError, RelayError, StoreFailed, TokenInvalid
from relay.faces import ILookingUpFace, IServices, Route
from relay.http import Request
from relay.settings.model import Limits
from relay.vocabulary import Claims, Credential, Grant, Reason, Role, SharedSecret
from tests.fakes import World

ROUTE = Route("register", websocket=False, looks_up=True)


class Library:
    """A dialect whose secrets are in a store that takes its time."""

    name = "library"
    catch_all = False

    def __init__(self) -> None:
        self.asked: list[Deferred[Credential]] = []

    def look_up(self, request: Request, route: Route, services: IServices) -> Deferred[Credential]:
        """Wait until the test answers."""
        self.asked.append(Deferred())
        return self.asked[-1]

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """Whoever is known may do it."""
        return Grant(self.name, Role.HOST, str(claims["sub"]))


class Desk:
    """A reception with that face."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.world = World()
        around = self.world.limited(limits)
        broker = Broker(around, lambda bits: 7)
        self.face = Library()
        self.reception = Reception(broker, around)
        self.services = Services(broker, self.world.clock)

    def knock(self, peer: str = "192.0.2.1") -> list[Admission | RelayError]:
        """:returns: a list that takes what comes of it"""
        outcome: list[Admission | RelayError] = []
        request = Request("PUT", "/x", "/x", "", (), peer)
        face = cast(ILookingUpFace, self.face)  # as much of it as is asked for

        async def knocks() -> None:
            try:
                outcome.append(await self.reception.look_up(face, request, ROUTE, self.services))
            except RelayError as error:
                outcome.append(error)

        ensureDeferred(knocks())
        return outcome


def secret(presented: str) -> SharedSecret:
    """What the store knows, beside what is shown."""
    return SharedSecret("lab", presented, ("right",))


def test_a_request_waits_for_what_its_credential_is_judged_by() -> None:
    """Nothing is decided before the store has answered."""
    desk = Desk()
    outcome = desk.knock()
    assert outcome == []
    desk.face.asked.pop().callback(secret("right"))
    (admission,) = outcome
    assert isinstance(admission, Admission)
    assert admission.grant is not None
    assert admission.grant.subject == "lab"


def test_what_the_store_knows_may_be_too_little() -> None:
    """A wrong credential is a failed login like any other."""
    desk = Desk()
    outcome = desk.knock()
    desk.face.asked.pop().callback(secret("wrong"))
    (error,) = outcome
    assert isinstance(error, AuthError)
    assert desk.world.metrics.failed_logins_total["library"] == 1


def test_a_store_that_fails_refuses_and_is_counted() -> None:
    """It is no fault of the login."""
    desk = Desk()
    outcome = desk.knock()
    desk.face.asked.pop().errback(StoreFailed("it is not there"))
    assert [type(error) for error in outcome] == [StoreFailed]
    assert desk.world.metrics.refused_total["library", Reason.INTERNAL] == 1
    assert desk.world.metrics.failed_logins_total["library"] == 0


def test_guesses_for_one_name_are_slowed_down_wherever_they_come_from() -> None:
    """Each address made one guess; the answer to the next still waits."""
    desk = Desk(Limits(failed_logins_per_min=2))
    outcomes = []
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        outcomes.append(desk.knock(address))
        desk.face.asked.pop().callback(secret("wrong"))
    assert [len(outcome) for outcome in outcomes] == [1, 1, 0]
    right = desk.knock("192.0.2.4")
    desk.face.asked.pop().callback(secret("right"))
    assert isinstance(right[0], Admission)
    desk.world.passes(LOGIN_DELAY_S + 0.5)
    assert [type(error) for error in outcomes[2]] == [TokenInvalid]
