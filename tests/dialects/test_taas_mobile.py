"""Those who look for a label: where they are sent, and what they are told instead; taas.md §7."""

from __future__ import annotations

import pytest

from relay.dialects.taas.labels import INDEX_AGE_S, INDEX_EVERY_S, READ_AT_ONCE, WAITING_PER_LABEL
from relay.dialects.taas.redirects import ADDRESSES, OPEN_S
from tests.dialects.taas_rooms import (
    CONFIG,
    MOBILE,
    SERVERS,
    STRANGER,
    Room,
    answered,
    header,
    port_of,
    request_of,
    stored,
)


@pytest.fixture
def room() -> Room:
    """A router with a host that waits for calls of ``alpha``."""
    room = Room()
    room.responder()
    return room


def location(room: Room, host: str, target: str = "/", method: str = "GET") -> str | None:
    """Where a request is sent."""
    return header(room.asks(request_of(method, target, host)), "location")


# -- redirects ---------------------------------------------------------------------------------


def test_a_redirect_has_host_port_path_and_query(room: Room) -> None:
    """As in the request, but for the port; it says that callers are kept waiting a moment."""
    response = room.seek(target="/x/y?q=1&r=%20")
    assert response.status == 307
    number = port_of(response)
    assert header(response, "location") == f"https://alpha.{SERVERS}:{number}/x/y?q=1&r=%20"
    assert header(response, "x-relay-waits") == "3"
    assert (response.body, response.content_type) == (b"", None)
    assert response.keep


@pytest.mark.parametrize(
    ("host", "sent"),
    [
        (f"alpha.{SERVERS}", f"alpha.{SERVERS}"),
        (f"alpha.{SERVERS}:18443", f"alpha.{SERVERS}"),
        (f"alpha.{SERVERS}.", f"alpha.{SERVERS}"),
        (f"alpha.{SERVERS}.:443", f"alpha.{SERVERS}"),
        (f"Alpha.{SERVERS.upper()}", f"Alpha.{SERVERS.upper()}"),
    ],
)
def test_a_label_is_known_in_every_spelling(room: Room, host: str, sent: str) -> None:
    """With a port, in any case, with a dot at the end: it is the same label, and the same port."""
    number = port_of(room.seek())
    assert location(room, host) == f"https://{sent}:{number}/"


def test_any_method_and_target_is_sent(room: Room) -> None:
    """What a fragment is, and ``*``, included; a front door without TLS sends to one without."""
    number = port_of(room.seek())
    base = f"https://alpha.{SERVERS}:{number}"
    assert location(room, f"alpha.{SERVERS}", "/a#b", "POST") == f"{base}/a#b"
    assert location(room, f"alpha.{SERVERS}", "/register/x", "PUT") == f"{base}/register/x"
    assert location(room, f"alpha.{SERVERS}", "*", "OPTIONS") == f"{base}/"
    assert (
        location(room, f"alpha.{SERVERS}", "//other.example/", "HEAD") == f"{base}//other.example/"
    )
    plain = request_of("GET", "/", f"alpha.{SERVERS}")._replace(secure=False)
    assert header(room.asks(plain), "location") == f"http://alpha.{SERVERS}:{number}/"


def test_callers_leave_ports_for_hosts() -> None:
    """However many labels are called by people who have shown nothing: a host can register."""
    room = Room(CONFIG._replace(numbers=range(20000, 20032)))
    labels = [f"label-{number}" for number in range(40)]
    room.lists(*labels)
    for label in labels:
        room.responder(label)
    answers = [room.seek(label).status for label in labels]
    assert answers == [307] * 24 + [500] * 16
    assert room.register("label-0").status == 200
    room.passes(OPEN_S)
    assert room.seek("label-39").status == 307


def test_a_label_has_one_port_however_often_it_is_asked_for(room: Room) -> None:
    """Ten thousand requests later it is still that one, and it is gone after its time."""
    numbers = {port_of(room.seek(peer=f"10.0.{n // 250}.{n % 250}")) for n in range(10_000)}
    assert len(numbers) == 1
    assert set(room.ports.open_ports) == numbers
    room.passes(OPEN_S - 1)
    assert set(room.ports.open_ports) == numbers
    room.passes(2)
    assert room.ports.open_ports == {}
    assert len(room.face.memory.redirects) == 0


def test_a_port_lasts_from_the_last_use_of_it(room: Room) -> None:
    """Redirects and connections count alike; afterwards there is another."""
    number = port_of(room.seek())
    room.passes(100)
    assert port_of(room.seek()) == number
    room.passes(100)
    room.connected(number)
    room.passes(100)
    assert number in room.ports.open_ports
    room.passes(21)
    assert room.ports.open_ports == {}
    room.responder()
    assert port_of(room.seek()) in room.ports.open_ports


def test_where_no_port_is_free_callers_are_told_so() -> None:
    """500 as the original, with the way back."""
    room = Room(CONFIG._replace(numbers=range(20000, 20001)))
    room.responder()
    room.port()
    response = room.seek()
    assert response.status == 500
    assert header(response, "x-relay-reason") == "limit"
    assert header(response, "retry-after") == "5"
    assert header(response, "location") == f"https://alpha.{SERVERS}/"


def test_pairings_say_who_was_sent(room: Room) -> None:
    """Of several requests from one address the last; who was not sent has an address alone."""
    number = port_of(room.seek(target="/one"))
    room.seek(target="/two?x")
    for party in (room.connected(number, MOBILE), room.connected(number, STRANGER)):
        assert party.reason is None
        room.responder()
    first, second = room.face.memory.pairings.of("alpha")
    assert (first.initiator, first.pathname) == (f"https {MOBILE} 54300 GET", "/two")
    assert second.initiator.startswith(f"tcp {STRANGER} 4")
    assert second.pathname == ""


def test_who_was_sent_is_forgotten_in_order(room: Room) -> None:
    """More addresses than are remembered: the first ones came from nowhere, then."""
    peers = [f"10.0.{n // 250}.{n % 250}" for n in range(ADDRESSES + 1)]
    (number,) = {port_of(room.seek(peer=peer)) for peer in peers}
    for peer in (peers[0], peers[1]):
        room.connected(number, peer)
        room.responder()
    first, second = room.face.memory.pairings.of("alpha")
    assert first.initiator.startswith("tcp ")
    assert second.initiator.startswith("https ")


# -- refusals ----------------------------------------------------------------------------------

FOREIGN = f"https://{SERVERS}/"
REFUSALS = [
    ("127.0.0.1", "no-such-offer", FOREIGN),
    ("[::1]:443", "no-such-offer", FOREIGN),
    (SERVERS, "no-such-offer", FOREIGN),
    (f".{SERVERS}", "no-such-offer", FOREIGN),
    ("example.org", "no-such-offer", FOREIGN),
    (f"alpha{SERVERS}", "no-such-offer", FOREIGN),
    (f"alpha.{SERVERS}.example.org", "no-such-offer", FOREIGN),
    (f"constructor.{SERVERS}", "no-such-offer", f"https://constructor.{SERVERS}/"),
    (f"__proto__.{SERVERS}", "no-such-offer", f"https://__proto__.{SERVERS}/"),
    (f"x.alpha.{SERVERS}", "no-such-offer", f"https://x.alpha.{SERVERS}/"),
    (f"a..b.{SERVERS}", "no-such-offer", f"https://a..b.{SERVERS}/"),
    (f"{'x' * 64}.{SERVERS}", "no-such-offer", f"https://{'x' * 64}.{SERVERS}/"),
    (f"alpha.{SERVERS}", "host-absent", f"https://alpha.{SERVERS}/"),
    (f"ALPHA.{SERVERS}:8899", "host-absent", f"https://alpha.{SERVERS}/"),
]


@pytest.mark.parametrize(("host", "reason", "way_back"), REFUSALS)
def test_whom_nobody_waits_for_is_told_so_at_once(host: str, reason: str, way_back: str) -> None:
    """503 with the reason, a sentence, and a Location, without which clients end."""
    response = Room().asks(request_of("GET", "/", host))
    assert response.status == 503
    assert header(response, "x-relay-reason") == reason
    assert header(response, "location") == way_back
    assert response.body.endswith(b"\n")
    assert response.content_type == "text/plain; charset=utf-8"
    assert response.keep


def test_a_registration_alone_is_no_host() -> None:
    """Before the host has connected there is nobody to send anybody to."""
    room = Room()
    number = room.port()
    assert room.seek().status == 503
    room.connected(number)
    assert room.seek().status == 307


def test_a_label_whose_hosts_are_taken_has_a_moment() -> None:
    """Whoever registers within three seconds is found; else it is 503 then."""
    room = Room()
    room.responder()
    room.mobile()
    waiting = room.seeks()
    room.passes(2.5)
    assert not waiting.called
    room.responder()
    room.passes(0.25)
    assert answered(waiting).status == 307
    room.mobile()
    waiting = room.seeks()
    room.passes(2.75)
    assert not waiting.called
    room.passes(0.5)
    response = answered(waiting)
    assert (response.status, header(response, "x-relay-reason")) == (503, "host-absent")
    assert header(response, "location") == f"https://alpha.{SERVERS}/"
    assert room.face.memory.grace.waiting() == 0


def test_who_leaves_while_waiting_is_forgotten() -> None:
    """The connection that asked is gone."""
    room = Room()
    room.responder().fin()
    waiting = room.seeks()
    assert room.face.memory.grace.waiting() == 1
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    assert room.face.memory.grace.waiting() == 0


def test_a_bounded_number_waits_for_one_label() -> None:
    """One more is refused at once, while another label is not affected; all are answered."""
    room = Room()
    room.lists("alpha", "beta")
    for label in ("alpha", "beta"):
        room.responder(label).fin()
    waiting = [room.seeks() for _ in range(WAITING_PER_LABEL)]
    response = room.seek()
    assert (response.status, header(response, "x-relay-reason")) == (503, "limit")
    assert header(response, "location") == f"https://alpha.{SERVERS}/"
    other = room.seeks("beta")
    assert not other.called
    room.responder()
    room.passes(0.25)
    assert {answered(one).status for one in waiting} == {307}
    room.passes(4)
    assert answered(other).status == 503


def test_a_drain_ends_the_waiting() -> None:
    """With the reason."""
    room = Room()
    room.responder().fin()
    waiting = room.seeks()
    room.broker.drain(lambda: None)
    room.passes(0.25)
    response = answered(waiting)
    assert (response.status, header(response, "x-relay-reason")) == (503, "going-away")


def test_a_revoked_label_is_refused(room: Room) -> None:
    """With the way back, for when it is permitted again."""
    room.broker.revoke(offer="taas:alpha")
    response = room.seek()
    assert (response.status, header(response, "x-relay-reason")) == (403, "revoked")
    assert header(response, "location") == f"https://alpha.{SERVERS}/"


# -- the index ---------------------------------------------------------------------------------


def test_the_store_is_asked_for_all_labels_once_in_a_while() -> None:
    """However many ask for labels that nobody has."""
    room = Room()
    for number in range(50):
        assert header(room.seek(f"label-{number}"), "x-relay-reason") == "no-such-offer"
    assert room.records.asked == {"get": 0, "all": 1}
    room.lists("alpha", "Beta:77")
    assert header(room.seek("beta"), "x-relay-reason") == "no-such-offer"
    room.passes(INDEX_EVERY_S)
    assert header(room.seek("beta"), "x-relay-reason") == "host-absent"
    assert room.records.asked["all"] == 2


@pytest.mark.parametrize(("reads_s", "rests_s"), [(4.0, 40.0), (60.0, INDEX_AGE_S)])
def test_a_store_that_has_much_to_say_is_asked_less_often(reads_s: float, rests_s: float) -> None:
    """Anybody can make the router ask, which costs it most of that time."""
    room = Room()
    room.records.slow = lambda: room.services.sleep(reads_s)
    waiting = room.seeks("gamma")
    room.passes(reads_s)
    assert header(answered(waiting), "x-relay-reason") == "no-such-offer"
    room.lists("gamma")
    room.passes(rests_s - 1)
    assert header(room.seek("gamma"), "x-relay-reason") == "no-such-offer"
    room.passes(1)
    waiting = room.seeks("gamma")
    room.passes(reads_s)
    assert header(answered(waiting), "x-relay-reason") == "host-absent"
    assert room.records.asked["all"] == 2


def test_what_others_keep_in_the_store_is_not_read() -> None:
    """Keys that can be no IDs are theirs, whatever lies under them."""
    room = Room()
    room.records.texts["cache:1"] = stored("gamma")
    assert header(room.seek("gamma"), "x-relay-reason") == "no-such-offer"


def test_a_store_that_fails_changes_no_status() -> None:
    """Nobody knows then whether there is such a label; what was known counts on."""
    room = Room()
    room.records.fails = True
    response = room.seek("beta")
    assert (response.status, header(response, "x-relay-reason")) == (503, "host-absent")
    room.passes(INDEX_EVERY_S)
    room.records.fails = False
    assert header(room.seek("beta"), "x-relay-reason") == "no-such-offer"
    room.passes(INDEX_EVERY_S)
    room.records.fails = True
    assert header(room.seek("beta"), "x-relay-reason") == "no-such-offer"


def test_a_large_store_is_read_in_turns() -> None:
    """Others get their answers meanwhile, from what was known before."""
    room = Room()
    for number in range(READ_AT_ONCE + 1):
        room.records.texts[f"id-{number}"] = stored(f"label-{number}")
    room.records.texts["foreign"] = "no record"
    first = room.seeks("beta")
    assert not first.called
    assert header(room.seek("gamma"), "x-relay-reason") == "host-absent"
    room.world.clock.advance(0)
    assert header(answered(first), "x-relay-reason") == "no-such-offer"
    assert header(room.seek(f"label-{READ_AT_ONCE}"), "x-relay-reason") == "host-absent"
