"""From a request head to a conversation: the order of judgement, limits and delays."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure

from relay.auth import LOGINS_WAITING, mint
from relay.core.admission import Admission, Reception
from relay.core.broker import Broker
from relay.core.handshake import check_upgrade
from relay.core.services import Services
from relay.core.session import Session
from relay.dialects import find_dialects
from relay.dialects.session_relay.router import SessionRelayFace
from relay.errors import (
    BadRequest,
    HostAbsent,
    LimitReached,
    RelayError,
    Revoked,
    TokenExpired,
    TokenMissing,
    UpgradeRequired,
    WrongRole,
)
from relay.faces import IRouterFace
from relay.http import Request
from relay.settings.model import Limits
from relay.vocabulary import Reason
from tests.dialects.portal_samples import SAMPLES, request
from tests.dialects.session_relay_rooms import (
    HANDSHAKE,
    OWN_SOCKET,
    TOPIC,
    V4,
    V8,
    Room,
    finished,
    request_of,
)
from tests.dialects.test_portal_tokens import C1, EXP, H1, NOW, SECRET, X1
from tests.fakes import MemoryLink, World

CONTROL, CLIENT = "/connect/host_control", "/connect/client/ssh"


def token(subject: str, role: str = "host", **more: object) -> str:
    """A token of the same portal for somebody else."""
    claims = {"sub": subject, "exp": EXP, "role": role, "portal_id": 1234, **more}
    return mint(claims, SECRET)


def refusals(knocked: Deferred[Admission]) -> list[RelayError]:
    """A list that takes the refusal, now or later."""
    errors: list[RelayError] = []

    def refused(failure: Failure) -> None:
        assert isinstance(failure.value, RelayError)
        errors.append(failure.value)

    knocked.addErrback(refused)
    return errors


class Door:
    """A router's reception that speaks portal."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.world = World()
        self.world.clock.advance(NOW)
        self.metrics = self.world.metrics
        around = self.world.limited(limits)
        self.broker = Broker(around, lambda bits: 7)
        self.reception = Reception(self.broker, around)
        self.face: IRouterFace = find_dialects()["portal"].router_face(
            SAMPLES.settings, "wss://router.example"
        )

    def knock(self, wanted: Request) -> Deferred[Admission]:
        """Ask to be admitted."""
        admit: Any = self.reception.admit
        knocked: Deferred[Admission] = maybeDeferred(admit, self.face, wanted)
        return knocked

    def admit(self, wanted: Request) -> Admission:
        """Be admitted at once, and not be held."""
        admissions: list[Admission] = []
        self.knock(wanted).addCallback(admissions.append)
        (admission,) = admissions
        return admission

    def refuse(self, wanted: Request) -> RelayError:
        """Be refused at once."""
        (error,) = refusals(self.knock(wanted))
        return error

    def enter(self, wanted: Request) -> Session:
        """Be admitted and begin."""
        admission = self.admit(wanted)
        assert admission.conversation is not None
        link, around = MemoryLink(), self.world.around
        session = Session(
            link, admission.conversation, self.broker, around, "link", admission.grant
        )
        self.broker.add(session)
        session.opened()
        return session


def without(wanted: Request, header: str, value: str | None = None) -> Request:
    """The same request without a header, or with another value of it."""
    headers = [pair for pair in wanted.headers if pair[0] != header]
    if value is not None:
        headers.append((header, value))
    return wanted._replace(headers=tuple(headers))


def test_a_good_request_is_admitted() -> None:
    """With its route, grant and a conversation."""
    admission = Door().admit(request(CONTROL, H1))
    assert admission.route.name == "host_control"
    assert admission.grant is not None
    assert admission.grant.subject == "lab-host"
    assert admission.conversation is not None


def test_judgement_has_an_order() -> None:
    """Path, credential, WebSocket headers, role, then what is wanted: the first fault counts."""
    door = Door()
    bad_path = request("/connect/client/a.b", X1)
    bad_token = without(request(CLIENT, X1), "upgrade")
    bad_headers = without(request(CLIENT, H1), "upgrade")
    bad_role = request(CLIENT, H1)
    absent = request(CLIENT, C1)
    kinds = [type(door.refuse(wanted)) for wanted in (bad_path, bad_token, bad_headers, bad_role)]
    assert kinds == [BadRequest, TokenExpired, BadRequest, WrongRole]
    assert type(door.refuse(absent)) is HostAbsent


def test_refusals_disturb_nobody() -> None:
    """A registered host stays, whatever is refused; refusals are counted by reason."""
    door = Door()
    host = door.enter(request(CONTROL, H1))
    door.refuse(without(request(CONTROL, H1), "sec-websocket-key"))
    door.refuse(without(request(CONTROL, H1), "authorization"))
    assert host.reason is None
    assert door.metrics.refused_total["portal", Reason.TOKEN_MISSING] == 1
    assert door.metrics.failed_logins_total["portal"] == 1


def test_links_of_one_subject_are_counted_together() -> None:
    """Another token of the same subject is no way around the limit; others have their own."""
    door = Door(Limits(links_per_subject=1))
    session = door.enter(request(CONTROL, token("alice", jti="1")))
    second = request(CONTROL, token("alice", jti="2"))
    error = door.refuse(second)
    assert isinstance(error, LimitReached)
    assert error.retry_after_s == 5
    door.admit(request(CONTROL, token("bob")))
    session.link.abort()
    session.end(Reason.FINISHED)
    door.admit(second)


def test_links_without_a_name_keep_no_administrator_out() -> None:
    """What becomes no link, and is for no name, is not held to the number of links."""
    room = Room(without_booking=True)
    door = Door(Limits(links_per_subject=1))
    door.face, services = room.face, Services(door.broker, door.world.clock)
    session = request_of("POST", f"/session/{TOPIC}", authorization=V8)
    admission = door.admit(session)
    assert admission.grant is not None
    answer = door.face.answer(session, admission.route, admission.grant, services)
    code = json.loads(finished(answer).body)["uri"].partition("=")[2]
    door.face = SessionRelayFace(room.config, OWN_SOCKET)
    path = f"/session/{TOPIC}?code={code}"
    door.enter(request_of("GET", path, b"", **HANDSHAKE)._replace(http_version="1.1"))
    door.face = room.face
    assert isinstance(door.refuse(session), LimitReached)
    door.admit(request_of("POST", "/bids/deny?bid=x&exp=4102444800", authorization=V4))


def test_who_was_revoked_is_refused() -> None:
    """Before the handshake is over."""
    door = Door()
    door.broker.revoke(subject="lab-host", until=NOW + 10)
    assert isinstance(door.refuse(request(CONTROL, H1)), Revoked)
    door.world.clock.advance(11)
    door.admit(request(CONTROL, H1))


def test_a_token_is_remembered_until_a_revocation() -> None:
    """Each router for itself: what one knows another does not."""
    door, other = Door(), Door()
    for _ in range(2):
        door.admit(request(CONTROL, H1))
    assert (len(door.broker.tokens), len(other.broker.tokens)) == (1, 0)
    door.broker.revoke(subject="lab-host")
    assert len(door.broker.tokens) == 0
    assert isinstance(door.refuse(request(CONTROL, H1)), Revoked)


def test_a_remembered_token_expires() -> None:
    """For whoever comes after its time, to the second, leeway included."""
    door = Door()
    short = request(CONTROL, token("lab-host", exp=int(NOW) + 5))
    door.admit(short)
    door.world.clock.advance(65)
    door.admit(short)
    door.world.clock.advance(1)
    assert isinstance(door.refuse(short), TokenExpired)


def test_a_flapping_host_is_held_and_judged_again() -> None:
    """The fourth newcomer in a row waits a second; what was revoked meanwhile is refused."""
    door = Door()
    for _ in range(4):
        door.enter(request(CONTROL, H1))
    admissions: list[Admission] = []
    door.knock(request(CONTROL, H1)).addCallback(admissions.append)
    assert admissions == []
    door.world.passes(1.5)
    assert len(admissions) == 1
    errors = refusals(door.knock(request(CONTROL, H1)))
    door.broker.revoke(subject="somebody-else")
    assert errors == []
    door.broker.denials.add(None, "lab-host", None, None, None)
    door.world.passes(3)
    assert [type(error) for error in errors] == [Revoked]


def test_failed_logins_are_slowed_down() -> None:
    """From the eleventh per address and minute the answer to a failed login waits a second."""
    door = Door()
    for _ in range(10):
        assert isinstance(door.refuse(without(request(CLIENT, C1), "authorization")), TokenMissing)
    errors = refusals(door.knock(without(request(CLIENT, C1), "authorization")))
    assert errors == []
    door.admit(request(CONTROL, H1))
    door.world.passes(1.5)
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("header", "value", "kind"),
    [
        ("connection", None, BadRequest),
        ("connection", "close", BadRequest),
        ("upgrade", "h2c", BadRequest),
        ("sec-websocket-version", "8", BadRequest),
        ("sec-websocket-key", None, BadRequest),
        ("sec-websocket-key", "c2hvcnQ=", BadRequest),
        ("sec-websocket-key", "no base64!", BadRequest),
        ("connection", "keep-alive, Upgrade", None),
        ("upgrade", "WebSocket", None),
    ],
)
def test_handshake_headers(header: str, value: str | None, kind: type | None) -> None:
    """RFC 6455 section 4.2.1, case and lists as HTTP has them."""
    wanted = without(request(CLIENT, C1), header, value)
    if kind is None:
        check_upgrade(wanted)
    else:
        with pytest.raises(kind):
            check_upgrade(wanted)


def test_an_old_protocol_is_asked_to_upgrade() -> None:
    """HTTP/1.0 has no handshake."""
    with pytest.raises(UpgradeRequired):
        check_upgrade(request(CLIENT, C1)._replace(http_version="1.0"))


def test_who_leaves_while_its_refusal_waits_is_forgotten() -> None:
    """Answers that nobody waits for do not use up the places of those who do."""
    door = Door()
    wrong = without(request(CLIENT, C1), "authorization")
    for _ in range(10):
        door.refuse(wrong)
    for _ in range(LOGINS_WAITING + 1):
        knocked = door.knock(wrong)
        knocked.addErrback(lambda failure: failure.trap(CancelledError))
        knocked.cancel()
    errors = refusals(door.knock(wrong))
    assert errors == []
    door.world.passes(1.5)
    assert len(errors) == 1


@given(
    st.binary(max_size=20).map(lambda key: base64.b64encode(key).decode())
    | st.text("AZaz09+/=-_ \u00e9", max_size=28)
    | st.from_regex("[A-Z]{20,24}={0,3}", fullmatch=True)
)
def test_a_key_is_the_base64_of_16_bytes(key: str) -> None:
    """Padding and all (RFC 6455 section 4.1), as the library reads it."""
    try:
        good = len(base64.b64decode(key.strip(), validate=True)) == 16
    except ValueError:
        good = False
    wanted = without(request(CLIENT, C1), "sec-websocket-key", key)
    if good:
        check_upgrade(wanted)
    else:
        with pytest.raises(BadRequest, match="Sec-WebSocket-Key"):
            check_upgrade(wanted)


def test_who_needs_not_wait_is_admitted_at_once() -> None:
    """Without a Deferred, and without a second look for the route."""
    door = Door()
    wanted = request(CONTROL, H1)
    route = door.face.route(wanted)
    admission = door.reception.admit(door.face, wanted, route)
    assert isinstance(admission, Admission)
    assert admission.route is route
