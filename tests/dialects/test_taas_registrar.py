"""The registrar: every row of the table, every vector, and all that once ended the original.

Specification: taas.md §3 to §5, §10, §16 to §18.
"""

from __future__ import annotations

import itertools

import pytest

from relay.dialects.taas.hidden import OPEN_PER_ID
from relay.errors import CannotListen
from tests.dialects.taas_rooms import (
    CODE,
    CONFIG,
    HOST,
    ID,
    NOW,
    OTHER_ID,
    REGISTRAR,
    SECRET,
    SERVERS,
    STRANGER,
    Room,
    authorization,
    header,
    request_of,
    stored,
)

A = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The other secret of the vectors."""
RIGHT = authorization(CODE)


@pytest.fixture
def room() -> Room:
    """A router whose store has one record."""
    room = Room()
    room.lists("alpha", "cam.beta", "gw.alpha:62052")
    return room


# -- the table ---------------------------------------------------------------------------------

PUT_REST = ("PUT", "/register/alpha")
ROWS = [
    # method, path, Authorization, status
    (*PUT_REST, "", 401),
    ("GET", "/nonsense", "", 401),
    (*PUT_REST, "TOTP", 400),
    (*PUT_REST, "Basic dXNlcjpwYXNz", 400),
    (*PUT_REST, RIGHT.replace("TOTP", "totp"), 400),
    (*PUT_REST, f'TOTP username="{ID}"', 400),
    (*PUT_REST, authorization(CODE, ""), 400),
    (*PUT_REST, authorization("98251"), 400),
    (*PUT_REST, authorization(CODE, OTHER_ID), 400),
    (*PUT_REST, authorization(CODE, ID.upper()), 400),
    (*PUT_REST, authorization("000000"), 400),
    (*PUT_REST, authorization("898 251"), 400),
    (*PUT_REST, authorization("\u0668\u0669\u0668\u0662\u0665\u0661"), 400),
    ("GET", "/nonsense", authorization("000000"), 400),
    ("GET", "/", RIGHT, 404),
    ("GET", "/register/alpha", RIGHT, 404),
    ("GET", "/pairings", RIGHT, 404),
    ("GET", "/pairings/", RIGHT, 404),
    ("GET", "/pairings/beta", RIGHT, 404),
    ("GET", "/pairings/gw.alpha:62052", RIGHT, 404),
    ("GET", "/pairings/alpha", RIGHT, 200),
    ("GET", "/pairings/gw.alpha", RIGHT, 200),
    ("GET", "/pairings/alpha?x=y", RIGHT, 200),
    ("POST", "/register/alpha", RIGHT, 405),
    ("HEAD", "/pairings/alpha", RIGHT, 405),
    ("OPTIONS", "*", RIGHT, 405),
    ("DELETE", "/nonsense", RIGHT, 405),
    ("PATCH", "/register/constructor", RIGHT, 405),
    ("PUT", "/", RIGHT, 404),
    ("PUT", "/registers/alpha", RIGHT, 404),
    ("PUT", "/register", RIGHT, 404),
    ("PUT", "/register/", RIGHT, 404),
    ("PUT", "/register//alpha", RIGHT, 404),
    ("PUT", "//register/alpha", RIGHT, 404),
    ("PUT", "/register/alpha/", RIGHT, 404),
    ("PUT", "/register/%61lpha", RIGHT, 404),
    ("PUT", "/register/delta", RIGHT, 404),
    ("PUT", "/register/gw.alpha:62052", RIGHT, 404),
    ("PUT", "/register/__proto__", RIGHT, 404),
    ("PUT", "/register/constructor", RIGHT, 404),
    ("PUT", "/register/gw.alpha", RIGHT, 200),
    ("PUT", "/register/cam.beta", RIGHT, 200),
    ("PUT", "/register/ALPHA", RIGHT, 200),
    ("PUT", "/register/alpha?x=/../y", RIGHT, 200),
    (*PUT_REST, RIGHT, 200),
]


@pytest.mark.parametrize(("method", "path", "shown", "status"), ROWS)
def test_every_row_of_the_table(
    room: Room, method: str, path: str, shown: str, status: int
) -> None:
    """The status of the first row that fits; a refusal opens no port and says its reason."""
    response = room.register(method=method, path=path, shown=shown)
    assert response.status == status
    assert len(room.ports.open_ports) == (status == 200 and method == "PUT")
    assert (header(response, "www-authenticate") is not None) == (status == 401)
    assert header(response, "allow") == ("PUT" if status == 405 else None)
    if status == 200:
        assert response.headers == ()
    else:
        assert header(response, "x-relay-reason")
        assert header(response, "date") == "Tue, 14 Nov 2023 22:13:30 GMT"
        assert CODE not in response.body.decode()
    assert response.keep


# Conditions of the table in its order: whether each holds decides, whatever those below it say.
METHODS = {"GET": 404, "PUT": 404, "POST": 405, "HEAD": 405, "OPTIONS": 405, "DELETE": 405}
SHOWN = {"": 401, "TOTP x": 400, authorization("000000"): 400, RIGHT: 0}
PATHS = ("/", "/register/alpha", "/register/delta", "/pairings/alpha", "/pairings/delta", "//")
GRANTED = {("GET", "/pairings/alpha"), ("PUT", "/register/alpha")}


def test_who_asks_is_judged_before_the_method_and_that_before_the_path() -> None:
    """All combinations of what is shown, method and path."""
    for shown, method, path in itertools.product(SHOWN, METHODS, PATHS):
        expected = SHOWN[shown] or (200 if (method, path) in GRANTED else METHODS[method])
        response = Room().register(method=method, path=path, shown=shown)
        assert response.status == expected, (shown, method, path)


@pytest.mark.parametrize(
    "host", [REGISTRAR, f"{REGISTRAR}:443", REGISTRAR.upper(), f"{REGISTRAR}.", f"{REGISTRAR}.:1"]
)
def test_the_registrar_is_known_by_its_host(room: Room, host: str) -> None:
    """With a port or without, in any case, with a dot at the end."""
    request = request_of("PUT", "/register/alpha", host, authorization=RIGHT)
    assert room.asks(request).status == 200


def test_a_request_without_host_is_not_found(room: Room) -> None:
    """As HTTP/1.0 permits it; an empty one is none."""
    for host in (None, ""):
        request = request_of("PUT", "/register/alpha", host, authorization=RIGHT)
        assert not room.face.matches(request)
        assert room.asks(request).status == 404


def test_an_answer_is_address_and_port_and_nothing_else(room: Room) -> None:
    """Of the advertised address; that of IPv6 in brackets, since hosts read the port behind it."""
    response = room.register()
    assert (response.body, response.content_type) == (b"192.0.2.1:20000", "text/plain")
    room = Room(CONFIG._replace(advertise="2001:db8::1"))
    assert room.register().body == b"[2001:db8::1]:20000"


def test_ports_are_opened_where_the_router_listens(room: Room) -> None:
    """At its interface, in the dialect's name."""
    room.register()
    assert room.ports.asked == [(CONFIG.interface, "taas")]


# -- vectors -----------------------------------------------------------------------------------

VECTORS = [
    (A, 59, "287082", "", "94287082"),
    (A, 1111111109, "081804", "", "07081804"),
    (A, 1234567890, "005924", "", "89005924"),
    (A, 20000000000, "353130", "", "65353130"),
    (SECRET, 1700000000, "014899", "9014899", "69014899"),
    (SECRET, 1700000010, "898251", "0898251", "40898251"),
    (SECRET, 1700000040, "766901", "6766901", "26766901"),
    (SECRET, 1767225600, "400692", "4400692", "44400692"),
    (SECRET, 1800000000, "257771", "9257771", "49257771"),
    (SECRET, 1700091510, "035518", "0035518", "00035518"),
]


@pytest.mark.parametrize(("secret", "now", "six", "seven", "eight"), VECTORS)
def test_codes_of_six_to_eight_digits_are_taken(
    secret: str, now: float, six: str, seven: str, eight: str
) -> None:
    """Those of section 18, with zeros in front where the number is short."""
    room = Room()
    room.world.clock.rightNow = now
    room.records.texts[ID] = stored("alpha", base32=secret)
    for code in filter(None, (six, seven, eight)):
        assert room.register(shown=authorization(code)).status == 200


WINDOWS = [
    (30, ("014899", "898251", "766901"), ("584571", "417101")),
    (None, ("014899", "898251", "766901"), ("584571", "417101")),
    (60, ("271817", "910757"), ()),
    (20, ("154965", "639566", "954551"), ()),
]


@pytest.mark.parametrize(("step", "right", "wrong"), WINDOWS)
def test_codes_of_half_a_minute_before_and_behind_are_taken(
    step: int | None, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    """Of 30 seconds whatever the step is, which is 30 where the record does not say it."""
    room = Room()
    room.records.texts[ID] = stored("alpha", step=step)
    for code in right:
        assert room.register(shown=authorization(code)).status == 200
    for code in (*wrong, "1669014899", "0240898251"):
        assert room.register(shown=authorization(code)).status == 400


def test_a_record_needs_a_secret_and_labels_only() -> None:
    """Secrets in lower case too; an ID need not be a UUID."""
    room = Room()
    room.records.texts["Cam-1"] = stored("alpha", base32=SECRET.lower())
    assert room.register(subject="Cam-1").status == 200


# -- what ended the original, and other nonsense ---------------------------------------------------

BCRYPT = '{"username":"owntracks/alpha/bob","authParams":{"protocol":"bcrypt","hash":"$2a$08$x"}}'


@pytest.mark.parametrize(
    "text",
    [
        BCRYPT,
        "",
        "null",
        "[]",
        "no JSON",
        "{" * 5000,
        '{"authParams":null,"labels":["alpha"]}',
        stored("alpha", base32=None),
        stored("alpha", base32=""),
        stored("alpha", base32="no base32!"),
        stored("alpha", step=0),
        stored("alpha", step=-30),
        stored("alpha", step="30"),
    ],
)
def test_a_record_that_cannot_log_in_is_none(text: str) -> None:
    """It is a wrong code, as for an ID that does not exist."""
    room = Room()
    room.records.texts[ID] = text
    for code in (CODE, "000000", "328482"):
        assert room.register(shown=authorization(code)).status == 400


@pytest.mark.parametrize(
    "name",
    [
        "owntracks/alpha/bob",
        "__proto__",
        "constructor",
        "a b",
        "'",
        "*",
        "\xe4",
        "../" * 9,
        "x" * 9999,
    ],
)
def test_strange_names_are_wrong_ones(name: str) -> None:
    """Whether the store has a key of that name or not; it is not even asked for most of them."""
    room = Room()
    room.records.texts[name] = BCRYPT
    assert room.register(shown=authorization(CODE, name)).status == 400
    assert room.records.asked["get"] <= (name == "constructor")


def test_a_store_that_fails_is_not_the_hosts_fault(room: Room) -> None:
    """503, and later again."""
    room.records.fails = True
    response = room.register()
    assert (response.status, header(response, "retry-after")) == (503, "5")
    assert header(response, "location") is None
    room.records.fails = False
    assert room.register().status == 200


# -- limits ------------------------------------------------------------------------------------


def test_fifteen_registrations_with_one_code_have_fifteen_ports(room: Room) -> None:
    """As hidden servers register, all at once."""
    numbers = [room.port() for _ in range(15)]
    assert len(set(numbers)) == 15
    assert all(room.connect(number) for number in numbers)


def test_a_code_is_good_for_one_address(room: Room) -> None:
    """Wherever it is used for, unless the operator says otherwise."""
    assert room.register().status == 200
    for method, path in (("PUT", None), ("GET", "/pairings/alpha"), ("POST", None)):
        assert room.register(method=method, path=path, peer=STRANGER).status == 400
    room.passes(30)
    assert room.register(peer=STRANGER).status == 200
    room = Room(CONFIG._replace(same_address=False))
    assert [room.register(peer=peer).status for peer in (HOST, STRANGER)] == [200, 200]


def test_an_address_counts_in_either_spelling(room: Room) -> None:
    """That of IPv4 at a socket for both."""
    number = room.port(peer=f"::ffff:{HOST}")
    assert room.register(peer=HOST).status == 200
    assert room.connect(number, HOST)
    assert room.connect(room.port(), f"::ffff:{HOST}")


def test_a_flood_with_one_code_ends_in_refusals(room: Room) -> None:
    """After 256 that came to nothing; each that finds a partner makes room for another."""
    for _ in range(256):
        room.responder()
    response = room.register()
    assert response.status == 429
    assert header(response, "x-relay-reason") == "limit"
    assert header(response, "retry-after") == "30"
    room.mobile()
    assert room.register().status == 200
    assert room.register().status == 429
    room.passes(30)
    assert room.register().status == 200


def test_an_id_has_a_bounded_number_of_ports_that_wait(room: Room) -> None:
    """One more is refused until one of them is taken, or its time is up."""
    room.records.texts[OTHER_ID] = stored("alpha")
    numbers = [room.port() for _ in range(OPEN_PER_ID)]
    assert room.register().status == 429
    assert room.register(subject=OTHER_ID).status == 200
    assert room.connect(numbers[0])
    assert room.register().status == 200
    assert room.register().status == 429
    room.passes(31)
    assert room.ports.open_ports == {}
    assert room.register().status == 200


def test_where_no_port_is_free_the_host_is_told_so() -> None:
    """500 as the original; the attempt costs no use of the code."""
    room = Room(CONFIG._replace(numbers=range(20000, 20002), uses=256))
    room.port()
    room.port()
    for _ in range(300):
        response = room.register()
        assert response.status == 500
    assert header(response, "x-relay-reason") == "limit"
    assert header(response, "retry-after") == "5"
    room.passes(30)
    assert room.register().status == 200
    room.ports.failing = CannotListen("no such address")
    assert room.register().status == 500


def test_wrong_codes_are_counted_and_a_right_one_is_never_delayed(room: Room) -> None:
    """The eleventh failure of a minute waits, from whichever address it comes."""
    wrong = authorization("000000")
    for number in range(10):
        assert room.register(shown=wrong, peer=f"203.0.113.{number}").status == 400
    request = request_of("PUT", "/", REGISTRAR, "203.0.113.99", authorization=wrong)
    waiting = room.begins(request)
    assert not waiting.called
    assert room.register().status == 200
    room.passes(2)
    assert waiting.called
    assert room.around.metrics.failed_logins_total["taas"] == 11


def test_a_revoked_id_is_refused(room: Room) -> None:
    """So is one whose label was revoked."""
    room.broker.revoke("taas", subject=ID, until=NOW + 5)
    response = room.register()
    assert (response.status, header(response, "x-relay-reason")) == (403, "revoked")
    room.passes(6)
    room.broker.revoke("taas", offer="taas:alpha")
    assert room.register().status == 403
    assert room.register("cam.beta").status == 200


def test_a_router_that_drains_takes_no_hosts(room: Room) -> None:
    """503, and a word that it goes away."""
    room.broker.drain(lambda: None)
    response = room.register()
    assert (response.status, header(response, "x-relay-reason")) == (503, "going-away")
    assert room.ports.open_ports == {}


def test_nothing_but_the_registrar_needs_a_record(room: Room) -> None:
    """Requests for labels show nothing, and what they show does not matter."""
    request = request_of("PUT", "/register/alpha", f"alpha.{SERVERS}", authorization="nonsense")
    assert room.asks(request).status == 503
    assert room.records.asked["get"] == 0
