"""Published calls at the broker: who may make them, where they go, how they end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from relay.core.publications import Publications
from relay.errors import HostAbsent, LimitReached, NoSuchOffer, RelayError, Revoked, WrongName
from relay.settings.model import Callee, Limits, Publication
from relay.vocabulary import Answer, Call, CallKey, Join, Offer, OfferName, Reason
from tests.fakes import ControlTalk, MuxTalk, Talk, grant
from tests.unit.broker_desk import NAME, OTHER, PENDING_S, Desk, Party, call
from tests.unit.test_broker_viewers import Host, Viewer

FAR = OfferName("far:app")


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """What is logged of published calls."""
    seen: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if str(event.get("event", "")).startswith("published-call"):
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


def publish(
    desk: Desk,
    target: Callee,
    service: str = "",
    clients: tuple[str, ...] = (),
    public: bool = False,
) -> None:
    """Publish ``target`` as NAME, and nothing else any more."""
    one = Publication("web", Callee(NAME, service), target, clients, public)
    desk.broker.publications = Publications([one])


def host(desk: Desk, name: OfferName = OTHER, services: tuple[str, ...] | None = None) -> Party:
    """A host of another name, which is told of calls."""
    return desk.party(ControlTalk(Offer(name, Answer.ANNOUNCE, services=services)), "bob")


def accepter(desk: Desk, party: Party, name: OfferName = OTHER) -> Party:
    """The host's link that joins the one call that it was told of."""
    (key,) = party.keys()
    return desk.party(Talk(Join(name, CallKey(key))), "bob")


def refused(desk: Desk, subject: str = "alice", service: str = "") -> RelayError | None:
    """How a call of NAME would be refused before the handshake is over."""
    try:
        desk.broker.judge(Call(NAME, service), grant(subject=subject))
    except RelayError as error:
        return error
    return None


# -- where a call goes -----------------------------------------------------------------------------


def test_a_published_call_goes_to_its_target(desk: Desk, events: list[LogEvent]) -> None:
    """The publication wins over a live offer of the name, and one line says who reached whom."""
    own, far = desk.host(), host(desk)
    publish(desk, Callee(OTHER, "web"))
    caller = desk.caller("ssh", "alice")
    assert own.keys() == []
    callee = accepter(desk, far)
    assert caller.accepted()
    caller.says(b"up")
    callee.says(b"down")
    assert (callee.payload(), caller.payload()) == (b"up", b"down")
    (event,) = events
    assert (event["event"], event["name"], event["offer"]) == (
        "published-call",
        "web",
        f"{OTHER}/web",
    )
    assert formatEvent(event) == (
        f"[publish web]: {NAME}/ssh of talk alice goes to {OTHER}/web of talk bob "
        f"({caller.session.label}#0 -> {callee.session.label}#0)"
    )


def test_the_most_specific_publication_wins(desk: Desk) -> None:
    """One of the service before one of all, and what is not published stays what it is."""
    third = OfferName("talk:3")
    desk.broker.publications = Publications(
        [
            Publication("all", Callee(NAME), Callee(OTHER, "web")),
            Publication("ssh", Callee(NAME, "ssh"), Callee(third, "sh")),
        ]
    )
    find = desk.broker.publications.find
    found = {
        service: published and (published.call.name, published.call.service)
        for service in ("ssh", "web")
        for published in [find(Call(NAME, service), grant())]
    }
    assert found == {"ssh": (third, "sh"), "web": (OTHER, "web")}
    assert find(Call(OTHER, "ssh"), grant()) is None


@pytest.mark.parametrize(
    ("target", "service"),
    [(Callee(OTHER), "ssh"), (Callee(OTHER, "sh"), "sh"), (Callee(FAR), "")],
    ids=["kept", "named", "foreign"],
)
def test_which_service_is_called(desk: Desk, target: Callee, service: str) -> None:
    """The one that is named, else the caller's own, which means nothing in another dialect."""
    publish(desk, target)
    published = desk.broker.publications.find(Call(NAME, "ssh"), grant())
    assert published is not None
    assert published.call.service == service


def test_a_target_is_not_translated_again(desk: Desk) -> None:
    """Two names that are published as each other do not go round in circles."""
    desk.broker.publications = Publications(
        [
            Publication("there", Callee(NAME), Callee(OTHER)),
            Publication("back", Callee(OTHER), Callee(NAME)),
        ]
    )
    own, far = desk.host(), host(desk)
    desk.caller("ssh")
    assert (len(own.keys()), len(far.keys())) == (0, 1)


@pytest.mark.parametrize(
    ("target", "subject", "expected"),
    [(OTHER, "alice", "alice"), (FAR, "alice", "talk:alice"), (FAR, "", "talk")],
)
def test_what_the_host_is_told_of_the_caller(
    desk: Desk, target: OfferName, subject: str, expected: str
) -> None:
    """A subject of another dialect says so, lest it is taken for one of the host's own."""
    publish(desk, Callee(target, "web"), public=True)
    published = desk.broker.publications.find(Call(NAME), grant(subject=subject))
    assert published is not None
    assert published.caller == expected


def test_a_call_on_a_shared_link(desk: Desk, events: list[LogEvent]) -> None:
    """Caller and host with a stream each: the same, and the other streams stay."""
    far = desk.party(MuxTalk(Offer(OTHER, Answer.STREAM)), "bob")
    publish(desk, Callee(OTHER))
    client = desk.party(MuxTalk(), "alice")
    call(client, 7)
    (stream,) = far.frames(b"O")
    far.frame(b"A", stream)
    assert client.frames(b"A") == [7]
    assert [event["event"] for event in events] == ["published-call"]


# -- who may call ----------------------------------------------------------------------------------


def test_only_those_who_are_named(desk: Desk) -> None:
    """Another's call is refused before anybody looks for the target, and its host hears nothing."""
    publish(desk, Callee(OTHER), clients=("alice",))
    error = refused(desk, "mallory")
    assert isinstance(error, WrongName)
    assert error.text == f"{NAME} is not open to mallory"
    far = host(desk)
    assert desk.caller("ssh", "mallory").reason is Reason.WRONG_NAME
    assert far.keys() == []
    assert desk.caller("ssh", "alice").reason is None


@pytest.mark.parametrize("clients", [(), ("alice",)])
def test_callers_without_a_name(desk: Desk, clients: tuple[str, ...]) -> None:
    """They are refused unless the publication is public."""
    host(desk)
    publish(desk, Callee(OTHER), clients=clients)
    error = refused(desk, "")
    assert isinstance(error, WrongName)
    assert error.text == f"{NAME} is not open to callers without a name"
    publish(desk, Callee(OTHER), public=True)
    assert refused(desk, "") is None


def test_the_callers_own_grant_comes_first(desk: Desk) -> None:
    """It is judged for the name that was asked for, and need not be good for the target."""
    host(desk)
    publish(desk, Callee(OTHER))
    desk.broker.judge(Call(NAME), grant(name=NAME))
    with pytest.raises(WrongName, match="this credential is not for"):
        desk.broker.judge(Call(NAME), grant(name=OTHER))


# -- refusals --------------------------------------------------------------------------------------


def test_an_absent_host(desk: Desk, events: list[LogEvent]) -> None:
    """The caller hears of the name that it knows, the log of both; a live host of it is no help."""
    desk.host()
    publish(desk, Callee(FAR, "web"))
    error = refused(desk, service="ssh")
    assert isinstance(error, HostAbsent)
    assert error.text == f"no host answers for {NAME}/ssh now"
    (event,) = events
    assert formatEvent(event) == (
        f"[publish web]: {NAME}/ssh of talk alice cannot go to {FAR}/web: host-absent: "
        f"no host is registered for {FAR}"
    )
    assert Viewer(desk).told == ["failed host-absent"]


def test_a_quiet_judgement(desk: Desk, events: list[LogEvent]) -> None:
    """Whoever asks again and again does not fill the log."""
    publish(desk, Callee(FAR))
    with pytest.raises(HostAbsent):
        desk.broker.judge(Call(NAME), grant(), quiet=True)
    assert events == []
    assert isinstance(refused(desk), HostAbsent)
    assert len(events) == 1


def test_which_names_are_published(desk: Desk) -> None:
    """Those of which each call is; one service alone is not."""
    publish(desk, Callee(OTHER))
    assert desk.broker.is_published(NAME)
    assert not desk.broker.is_published(OTHER)
    publish(desk, Callee(OTHER), "ssh")
    assert not desk.broker.is_published(NAME)


def test_a_service_that_the_host_does_not_have(desk: Desk) -> None:
    """The caller is not told which there are."""
    host(desk, services=("secret-service",))
    publish(desk, Callee(OTHER, "web"))
    error = refused(desk)
    assert isinstance(error, NoSuchOffer)
    assert error.text == f"no host has the service behind {NAME} now"


def test_a_host_with_too_many_streams() -> None:
    """What is found out only when the call is put to it is told in the same terms."""
    desk = Desk(Limits(streams=1))
    Host(desk)
    publish(desk, Callee(NAME))
    Viewer(desk)
    (error,) = Viewer(desk).visit.errors
    assert isinstance(error, LimitReached)
    assert error.text == f"no more calls are taken for {NAME} now"


def test_a_silent_host(desk: Desk) -> None:
    """The detail of the end names what was asked for, not the target."""
    host(desk)
    publish(desk, Callee(OTHER))
    viewer = Viewer(desk)
    desk.world.passes(PENDING_S + 1)
    (error,) = viewer.visit.errors
    assert error.reason is Reason.HOST_SILENT
    assert error.text == f"{NAME} did not answer within {PENDING_S:g} s"


def test_what_a_host_says_of_its_refusal(desk: Desk, events: list[LogEvent]) -> None:
    """It may name the target: the log has it, and the caller the reason alone."""
    far = desk.party(MuxTalk(Offer(OTHER, Answer.STREAM)), "bob")
    publish(desk, Callee(OTHER))
    viewer = Viewer(desk)
    (stream,) = far.session.streams().values()
    stream.peer_reset(Reason.TARGET_FORBIDDEN, None, "10.0.0.1:80 is not in this list")
    (error,) = viewer.visit.errors
    assert (error.reason, error.text) == (Reason.TARGET_FORBIDDEN, "target-forbidden")
    (event,) = events
    assert event["event"] == "published-call-refused"
    assert event["text"] == "10.0.0.1:80 is not in this list"


# -- revocation and reload -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "which",
    [
        {"offer": NAME},
        {"offer": OTHER},
        {"subject": "alice"},
        {"subject": "bob"},
        {"offer": NAME, "dialect": "talk"},
        {"offer": OTHER, "dialect": "talk"},
    ],
    ids=str,
)
def test_a_revocation_of_either_side_ends_the_call(desk: Desk, which: dict[str, Any]) -> None:
    """Names and subjects of both; and the next call is refused or finds nobody."""
    far = host(desk)
    publish(desk, Callee(OTHER))
    caller = desk.caller("", "alice")
    callee = accepter(desk, far)
    desk.broker.revoke(**which)
    assert caller.reason is not None
    assert callee.reason is not None
    assert not desk.broker.circuits
    assert isinstance(refused(desk), Revoked | HostAbsent)


def test_a_target_that_was_revoked_in_another_dialect(desk: Desk) -> None:
    """A revocation that says the target's dialect holds for callers of another, too."""
    host(desk, FAR)
    publish(desk, Callee(FAR, "web"))
    desk.broker.revoke(dialect="far", offer=FAR)
    assert isinstance(refused(desk), Revoked)


def test_a_revocation_of_a_name_that_no_link_stands_for(desk: Desk) -> None:
    """Calls of callers without a link end with it, those that wait as those that are connected."""
    far = desk.party(MuxTalk(Offer(OTHER, Answer.STREAM)), "bob")
    publish(desk, Callee(OTHER))
    connected, waiting = Viewer(desk), Viewer(desk)
    far.frame(b"A", far.frames(b"O")[0])
    assert desk.broker.revoke(offer=NAME) == 2
    assert connected.told == waiting.told == ["failed revoked"]
    assert far.reason is None
    assert desk.broker.pending_calls() == 0
    assert not desk.broker.circuits


def test_other_publications_disturb_no_circuit(desk: Desk) -> None:
    """What is connected stays; the next call goes where it is published now."""
    own, far = desk.host(), host(desk)
    publish(desk, Callee(OTHER))
    caller = desk.caller()
    callee = accepter(desk, far)
    desk.broker.publications = Publications()
    caller.says(b"still there")
    assert callee.payload() == b"still there"
    desk.caller()
    assert len(own.keys()) == 1
    callee.link.lose()
    assert not desk.broker.circuits
