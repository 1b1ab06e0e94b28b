"""Registrations of taas from the wire (taas.md §3 to §6, checks 1 to 13, 27 and 28 of §17)."""

from __future__ import annotations

import re
import time

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from tests.integration.taas_peers import (
    ADVERTISED,
    BOTH,
    OURS,
    Router,
    closed_unused,
    host_of,
    original_differs,
)
from tests.integration.taas_wire import (
    FOREIGN_USER,
    INCOMPLETE,
    REGISTRAR,
    STEP_S,
    Identity,
    fresh,
    is_sent_alike,
    shown,
)
from tests.rawpeer import Ended, RawPeer, Response, read_response, request, the_reactor, together

POOL = 15
EARLY_S, LATE_S = 25.0, 35.0
METHODS = ("POST", "HEAD", "OPTIONS", "DELETE", "PATCH")
UNKNOWN = Identity("2f402f80-0000-11e1-9b23-000000000000", fresh().secret, "nothing", "x", 0)

CHUNKED = (("Transfer-Encoding: chunked",), b"0\r\n\r\n")
EMPTY = (("Content-Length: 0",), b"")
NOTHING_SAID: tuple[tuple[str, ...], bytes] = ((), b"")

BAD_CREDENTIALS = {
    "basic": "Basic dXNlcjpwYXNz",
    "bearer": "Bearer abc",
    "alone": "TOTP",
    "nothing-behind": "TOTP ",
    "no-parameters": "TOTP nothing",
    "no-response": 'TOTP username="{id}"',
    "empty-response": 'TOTP username="{id}", response=""',
    "no-username": 'TOTP response="{code}"',
    "empty-username": 'TOTP username="", response="{code}"',
    "lower-case": 'totp username="{id}", response="{code}"',
    "apostrophes": "TOTP username='{id}', response='{code}'",
    "space-within": 'TOTP username="{id}", response="{left} {right}"',
    "five-digits": 'TOTP username="{id}", response="{short}"',
    "upper-case-id": 'TOTP username="{upper}", response="{code}"',
}
GOOD_CREDENTIALS = {
    "as-sent": 'TOTP username="{id}", response="{code}"',
    "unquoted": "TOTP username={id} response={code}",
    "other-order": 'TOTP response="{code}", username="{id}"',
    "no-space": 'TOTP username="{id}",response="{code}"',
    "spaces": 'TOTP   username="{id}"   response="{code}"',
    "more": 'TOTP realm="taas", username="{id}", nc=1, response="{code}", qop=auth',
    "duplicates": 'TOTP username="x", response="000000", username="{id}", response="{code}"',
}

pytest_plugins = ["tests.integration.taas_fixtures"]


def written(pattern: str, who: Identity) -> str:
    """:returns: the pattern with what belongs to an ID now"""
    code = who.good_code(time.time())
    parts = {"code": code, "left": code[:3], "right": code[3:], "short": code[1:]}
    return pattern.format(id=who.name, upper=who.name.upper(), **parts)


async def put(taas: Router, who: Identity, credentials: str) -> Response:
    """:returns: the answer to a registration with those credentials"""
    return await taas.ask("PUT", f"/register/{who.label}", f"Authorization: {credentials}")


# -- ports -----------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_answer(taas: Router) -> None:
    """A good code is answered with the advertised address and a port; check 1."""
    answer = await taas.put(fresh())
    assert answer.status == 200
    assert ADVERTISED.fullmatch(answer.body)
    if taas.is_ours:
        assert answer.framing == "length"
        assert (answer.header("Content-Type") or "").startswith("text/plain")


@BOTH
@pytest_twisted.ensureDeferred
async def test_port_listens_before_the_answer_is_read(taas: Router) -> None:
    """The port accepts as soon as its number is there, before the answer is whole; check 2."""
    who = fresh()
    peer = await taas.knock()
    lines = (f"Authorization: {written(GOOD_CREDENTIALS['as-sent'], who)}", "Connection: close")
    peer.write(request("PUT", f"/register/{who.label}", *lines, host=REGISTRAR))
    seen = b""
    while not (found := re.search(rb"127\.0\.0\.1:([0-9]{4,5})(?![0-9])", seen)):
        seen += await peer.some()
    assert (await taas.dial(int(found[1]))).end is None


@BOTH
@pytest_twisted.ensureDeferred
async def test_port_takes_one(taas: Router) -> None:
    """A second connection to a port is refused, or ends without data; check 3."""
    port = await taas.opened(fresh())
    first = await taas.dial(port)
    await taas.settles()
    try:
        second = await taas.dial(port)
    except Ended:
        pass
    else:
        await closed_unused(second)
    assert first.end is None
    assert first.nothing_came()


@BOTH
@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_port_ends_unused(taas: Router) -> None:
    """An unused port accepts after 25 s, and no more after 35; check 4."""
    who, other = fresh(), fresh()
    used, unused = await taas.opened(who), await taas.opened(other)
    await deferLater(the_reactor(), EARLY_S)
    assert (await taas.dial(used)).end is None
    await deferLater(the_reactor(), LATE_S - EARLY_S)
    with pytest.raises(Ended):
        await taas.dial(unused)


@BOTH
@pytest_twisted.ensureDeferred
async def test_pool(taas: Router) -> None:
    """Fifteen registrations at once, with one code, get fifteen ports; check 9."""
    who = fresh()
    code = who.good_code(time.time())
    answers = await together(*(taas.put(who, response=code) for _ in range(POOL)))
    assert [answer.status for answer in answers] == [200] * POOL
    ports = {int(answer.body.partition(b":")[2]) for answer in answers}
    assert len(ports) == POOL
    for port in ports:
        assert (await taas.dial(port)).end is None


# -- credentials -----------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_challenge(taas: Router) -> None:
    """Without credentials comes a challenge, whatever the method and path; check 5."""
    for method, path in (("PUT", "/register/x"), ("GET", "/"), ("POST", "/pairings/x")):
        answer = await taas.ask(method, path)
        assert answer.status == 401
        challenge = answer.header("WWW-Authenticate") or ""
        assert challenge.startswith("TOTP ")
        assert 'realm="taas"' in challenge
        assert answer.header("Access-Control-Allow-Origin") is None


@BOTH
@pytest.mark.parametrize("pattern", BAD_CREDENTIALS.values(), ids=BAD_CREDENTIALS.keys())
@pytest_twisted.ensureDeferred
async def test_bad_credentials(taas: Router, pattern: str) -> None:
    """What is no pair of name and code is refused; checks 6, 7 and 10."""
    who = fresh()
    answer = await put(taas, who, written(pattern, who))
    assert answer.status in ((400, 401) if taas.is_ours else (400,))
    assert ADVERTISED.search(answer.body) is None
    await taas.works()


@BOTH
@pytest.mark.parametrize("pattern", GOOD_CREDENTIALS.values(), ids=GOOD_CREDENTIALS.keys())
@pytest_twisted.ensureDeferred
async def test_good_credentials(taas: Router, pattern: str) -> None:
    """Parameters may come in any order, unquoted, twice and among others; check 10."""
    who = fresh()
    assert (await put(taas, who, written(pattern, who))).status == 200


@BOTH
@pytest_twisted.ensureDeferred
async def test_wrong_credentials(taas: Router) -> None:
    """An unknown ID and a wrong code are refused, and open no port; check 7."""
    who = fresh()
    answers = [await taas.put(UNKNOWN), await taas.put(who, response=fresh().good_code(0))]
    assert {answer.status for answer in answers} <= {400, 401}
    assert (await taas.get("/", host_of(who.label))).status == 503


@BOTH
@pytest_twisted.ensureDeferred
async def test_window(taas: Router) -> None:
    """The codes of the steps beside this one are taken, those beyond are not; check 8."""
    who = fresh()
    expected = {-2: False, -1: True, 0: True, 1: True, 2: False}
    for shift, good in expected.items():
        assert await is_taken(taas, who, shift) == good, shift


async def is_taken(taas: Router, who: Identity, shift: int) -> bool:
    """:returns: whether the code of that step is taken; asks anew where a step ended meanwhile"""
    while True:
        counter = int(time.time() // STEP_S)
        alike = is_sent_alike(who.secret, counter + shift)
        user = who if alike or taas.is_ours else fresh()
        answer = await taas.put(user, response=user.code((counter + shift) * STEP_S))
        if int(time.time() // STEP_S) == counter:
            return answer.status == 200


@BOTH
@pytest_twisted.ensureDeferred
async def test_incomplete_record(taas: Router) -> None:
    """A record of nothing but a secret and labels has steps of 30 s; check 27."""
    assert (await taas.put(INCOMPLETE)).status == 200
    circuit = await taas.circuit(INCOMPLETE)
    await circuit.passes()


# -- methods and paths -----------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_other_labels_and_paths(taas: Router) -> None:
    """A label of another ID, none, and another path are not found; check 11."""
    who, other = fresh(), fresh()
    for label in (other.label, "", "nothing", f"{who.gateway}:{who.fixed_port}", "cam%2d000"):
        assert (await taas.put(who, label)).status == 404, label
    credentials = f"Authorization: {shown(who.name, who.good_code(time.time()))}"
    for path in ("/", "/registers/x", f"/registers/{who.label}", "//", f"/{who.label}"):
        assert (await taas.ask("PUT", path, credentials)).status == 404, path
    for path in ("/", f"/register/{who.label}", f"/pairings/{other.label}", "/pairings/"):
        assert (await taas.ask("GET", path, credentials)).status == 404, path


@BOTH
@pytest_twisted.ensureDeferred
async def test_query_is_ignored(taas: Router) -> None:
    """A query behind the label is no part of it."""
    who = fresh()
    assert (await taas.put(who, f"{who.label}?a=b")).status == 200


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest_twisted.ensureDeferred
async def test_other_methods(taas: Router, method: str) -> None:
    """Other methods are not allowed, whatever the path; PUT is named; check 12."""
    who = fresh()
    credentials = f"Authorization: {shown(who.name, who.good_code(time.time()))}"
    for path in (f"/register/{who.label}", "/", "/nothing"):
        answer = await taas.ask(method, path, credentials)
        assert answer.status == 405
        assert "PUT" in (answer.header("Allow") or "")


@BOTH
@pytest.mark.parametrize(
    ("headers", "body"), [CHUNKED, EMPTY, NOTHING_SAID], ids=["chunked", "empty", "nothing"]
)
@pytest_twisted.ensureDeferred
async def test_empty_bodies(taas: Router, headers: tuple[str, ...], body: bytes) -> None:
    """A body that is empty, however that is said, is no hindrance; check 13."""
    who = fresh()
    lines = [f"authorization: {written(GOOD_CREDENTIALS['as-sent'], who)}", *headers]
    path = f"/register/{who.label}"
    answer = await taas.ask("PUT", path, *lines, body=body, host=f"{REGISTRAR}:{taas.port}")
    assert answer.status == 200


@OURS
@pytest_twisted.ensureDeferred
async def test_registrar_in_any_case(taas: Router) -> None:
    """The registrar's name is known in any case, with a dot at its end, and with a port."""
    for host in (REGISTRAR.upper(), f"{REGISTRAR}.", f"{REGISTRAR}.:{taas.port}"):
        assert (await taas.ask("PUT", "/register/x", host=host)).status == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_kept_connection(taas: Router) -> None:
    """Registrations and redirects may follow one another on a connection."""
    who = fresh()
    peer = await taas.knock()

    async def ask(method: str, path: str, host: str, *headers: str) -> Response:
        peer.write(request(method, path, *headers, host=host))
        return await read_response(peer)

    credentials = f"Authorization: {written(GOOD_CREDENTIALS['as-sent'], who)}"
    for _ in range(3):
        answer = await ask("PUT", f"/register/{who.label}", REGISTRAR, credentials)
        assert answer.status == 200
        waiting: RawPeer = await taas.dial(int(answer.body.partition(b":")[2]))
        await taas.settles()
        assert (await ask("GET", "/", host_of(who.label))).status == 307
        assert waiting.end is None


# -- remote kills of the original ------------------------------------------------------------------


@original_differs("names of Object.prototype are taken for labels and IDs, and end it")
@pytest_twisted.ensureDeferred
async def test_names_of_a_prototype(taas: Router) -> None:
    """Names that mean something in JavaScript, and foreign records, are refused; check 28."""
    who = fresh()
    for label in ("constructor", "__proto__", "toString", "hasOwnProperty"):
        assert (await taas.put(who, label)).status == 404
        assert (await taas.get("/", host_of(label))).status == 503
    for name in (FOREIGN_USER, "__proto__", "constructor"):
        odd = Identity(name, who.secret, "x", "x", 0)
        assert (await taas.put(odd)).status in (400, 401)
    await taas.works()
