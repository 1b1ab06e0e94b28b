"""The access API of session-relay from the wire: checks 1 to 20, and the table of §3.2."""

from __future__ import annotations

import json
import re
import time

import pytest
import pytest_twisted

from relay.auth import mint
from tests.integration.session_relay_peers import BOTH, UUID4, Router, go_differs
from tests.integration.session_relay_routers import KINDS, Maker
from tests.integration.session_relay_vectors import (
    AUDIENCE,
    OTHER_AUDIENCE,
    SECRET,
    SIGNATURES,
    TARGET,
    TOPIC,
    V1,
    V1_CLAIMS,
    V2,
    V4,
    V5,
    V6,
    V7,
    V8,
    V9,
    V10,
    claims,
    sign,
)
from tests.integration.session_relay_wire import fresh

INVALID = (500, 500, "token invalid")
NOT_FOUND = "path {} was not found"
JSON = "application/json"
ROUTES = ("/session/x", "/bids/allow", "/bids/deny", "/status")
FAR_S = 60
MISSING = "Token Missing Required Claims"

pytest_plugins = ["tests.integration.session_relay_fixtures"]


def test_check_01_vectors() -> None:
    """The claims of §2 in their order make the tokens of §17, byte for byte."""
    assert [token.rpartition(".")[2] for token in SIGNATURES] == list(SIGNATURES.values())
    assert mint(V1_CLAIMS, SECRET.encode()) == V1


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_02_session(sr: Router) -> None:
    """A good token gets a URI with a code, as V1 does, and the connection ends behind it."""
    answer = await sr.session(TOPIC, V1)
    value = answer.data()
    assert list(value) == ["uri"]
    start, _, code = value["uri"].partition("?code=")
    assert start == f"{TARGET}/session/{TOPIC}"
    assert UUID4.fullmatch(code)
    assert answer.closed
    assert answer.header("Content-Length") == "102"


@BOTH
@pytest.mark.parametrize("token", [None, ""])
@pytest_twisted.ensureDeferred
async def test_check_03_no_token(sr: Router, token: str | None) -> None:
    """A request that shows nothing gets 401."""
    answer = await sr.ask("POST", f"/session/{TOPIC}", token)
    assert answer.is_framework(401, 401, "unauthenticated for invalid credentials")
    assert answer.closed


INVALID_TOKENS = {
    "04-bearer": f"Bearer {V2}",
    "05-expired": V6,
    "07-secret": sign(claims(), "another-secret-that-nobody-has-given"),
    "07-none": sign(claims(), algorithm="none"),
    "07-signature": V2[:-3] + "AAA",
    "10-scopes": V9,
    "word": "hello",
    "dots": "..",
    "topic-number": sign(claims(topic=7)),
    "audience-number": sign(claims(aud=7)),
    "scopes-numbers": sign(claims(scopes=[1])),
    "array": sign(claims()).split(".")[0] + ".W10." + "AAAA",
}


@BOTH
@pytest.mark.parametrize("token", INVALID_TOKENS.values(), ids=INVALID_TOKENS.keys())
@pytest_twisted.ensureDeferred
async def test_checks_04_to_10_invalid_tokens(sr: Router, token: str) -> None:
    """A token that cannot be taken gets the same 500 whatever is wrong with it."""
    assert (await sr.session(TOPIC, token)).is_framework(*INVALID)


@go_differs("digits in a text are a number to it")
@pytest_twisted.ensureDeferred
async def test_check_10_end_as_text(sr: Router) -> None:
    """A token whose end is a text is malformed."""
    assert (await sr.session(TOPIC, sign(claims(exp="4102444800")))).is_framework(*INVALID)


@BOTH
@pytest.mark.parametrize("path", ROUTES[1:])
@pytest_twisted.ensureDeferred
async def test_invalid_tokens_on_other_routes(sr: Router, path: str) -> None:
    """Every route judges a token before anything else."""
    assert (await sr.ask("GET", path, V6)).is_framework(*INVALID)
    answer = await sr.ask("GET", path)
    assert answer.is_framework(401, 401, "unauthenticated for invalid credentials")
    assert (await sr.ask("GET", path, V7)).status == 500


@BOTH
@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest_twisted.ensureDeferred
async def test_check_06_dated_later(sr: Router, claim: str) -> None:
    """A token that is issued, or begins, in a minute is not taken yet."""
    token = sign(claims(**{claim: int(time.time()) + FAR_S}))
    assert (await sr.session(TOPIC, token)).is_framework(*INVALID)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_06_issued_now(sr: Router) -> None:
    """A token that was issued in this second is taken."""
    now = int(time.time())
    assert UUID4.fullmatch(await sr.code("now", sr.token("now", iat=now, nbf=now)))


@BOTH
@pytest.mark.parametrize("audience", [OTHER_AUDIENCE, AUDIENCE + "/"])
@pytest_twisted.ensureDeferred
async def test_check_08_audience(sr: Router, audience: str) -> None:
    """Another audience gets 500, which names both; a slash more makes another."""
    answer = await sr.session(TOPIC, sign(claims(aud=[audience])))
    text = f"aud [{audience}] does not match this host {AUDIENCE}"
    assert answer.is_framework(500, 500, text)


@BOTH
@pytest.mark.parametrize(
    ("audience", "told"),
    [(["a", "b"], "[a b]"), ([], "[]"), ([""], "[]"), (..., "[]")],
    ids=["two", "none", "empty", "missing"],
)
@pytest_twisted.ensureDeferred
async def test_check_08_odd_audiences(sr: Router, audience: object, told: str) -> None:
    """Several, none, an empty one: each is told as it is."""
    answer = await sr.session(TOPIC, sign(claims(aud=audience)))
    assert answer.is_framework(500, 500, f"aud {told} does not match this host {AUDIENCE}")


@BOTH
@pytest.mark.parametrize(
    "token",
    [
        sign(claims(aud=AUDIENCE)),
        sign(claims(aud=[OTHER_AUDIENCE, AUDIENCE])),
        sign(claims(), algorithm="HS384"),
        V10,
        sign(claims(iss="x", sub="y", jti="z", unknown={"a": [1]})),
        sign(claims(exp=4102444800.9)),
    ],
    ids=["text", "one-of-two", "HS384", "V10", "more", "fraction"],
)
@pytest_twisted.ensureDeferred
async def test_check_09_other_forms(sr: Router, token: str) -> None:
    """A text as audience, one of several, other digests and unknown claims are taken."""
    assert (await sr.session(TOPIC, token)).data()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_11_wrong_topic(sr: Router) -> None:
    """A path that names another topic than the token gets 401 with a bare text."""
    assert (await sr.session("rig08-st-data", V1)).is_word(401, "Token Wrong Topic")


@BOTH
@pytest.mark.parametrize(
    "changes",
    [
        {"topic": ...},
        {"topic": ""},
        {"prefix": ...},
        {"prefix": ""},
        {"scopes": []},
        {"scopes": ...},
    ],
)
@pytest_twisted.ensureDeferred
async def test_check_12_missing_claims(sr: Router, changes: dict[str, object]) -> None:
    """A token without topic, prefix or scopes gets 401 with a bare text."""
    assert (await sr.session(TOPIC, sign(claims(**changes)))).is_word(401, MISSING)


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_13_no_booking(sr_routers: Maker) -> None:
    """A token without a booking gets 400, unless the router is told to take it."""
    strict = await sr_routers.start()
    text = "empty bookingID field is not permitted"
    assert (await strict.session(TOPIC, V8)).is_handlers(400, text)
    lenient = await sr_routers.start(no_booking=True)
    assert (await lenient.session(TOPIC, V8)).data()
    assert "" in await lenient.bookings("allow")


@go_differs("the connection ends without an answer")
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest_twisted.ensureDeferred
async def test_check_14_missing_times(sr: Router, claim: str) -> None:
    """A token without one of its times gets 401."""
    answer = await sr.session(TOPIC, sign(claims(**{claim: ...})))
    assert answer.status == 401
    assert (await sr.session(TOPIC, V2)).data()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_15_bodies(sr: Router) -> None:
    """A body has to say that it is JSON; what it says is nobody's business."""
    for body in (b"{}", b"junk"):
        answer = await sr.session(TOPIC, V2, headers={"Content-Type": JSON}, body=body)
        assert answer.data()
    text = 'unsupported media type "{}", only [application/json] are allowed'
    for kind, name in (("text/plain", "text/plain"), (None, "application/octet-stream")):
        headers = {"Content-Type": kind} if kind else {}
        answer = await sr.session(TOPIC, V2, headers=headers, body=b"{}")
        assert answer.is_framework(415, 415, text.format(name))


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_15_accept(sr: Router) -> None:
    """A client that takes no JSON gets 406, unless its request has a body of JSON."""
    text = "unsupported media type requested, only [application/json] are available"
    answer = await sr.session(TOPIC, V2, headers={"Accept": "text/html", "Content-Length": "0"})
    assert answer.is_framework(406, 406, text)
    for accept in ("*/*", "application/*", JSON):
        answer = await sr.session(TOPIC, V2, headers={"Accept": accept, "Content-Length": "0"})
        assert answer.data()
    answer = await sr.session(
        TOPIC, V2, headers={"Accept": "text/html", "Content-Type": JSON}, body=b"{}"
    )
    assert answer.status == 200


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_16_methods_and_paths(sr: Router) -> None:
    """A method that a route has not gets 405, a path that nothing is at 404."""
    answer = await sr.ask("GET", f"/session/{TOPIC}", V2)
    assert answer.is_framework(405, 405, "method GET is not allowed, but [POST] are")
    assert answer.header("Allow") == "POST"
    answer = await sr.ask("DELETE", "/bids/deny", V4)
    assert answer.status == 405
    assert sorted((answer.header("Allow") or "").split(",")) == ["GET", "POST"]
    found = re.fullmatch(
        r"method DELETE is not allowed, but \[(.*)\] are", json.loads(answer.body)["message"]
    )
    assert found
    assert found[1] == answer.header("Allow")
    for path in ("/x", "/bids", "/session"):
        answer = await sr.ask("GET", path, V4)
        assert answer.is_framework(404, 404, NOT_FOUND.format(path))


@BOTH
@pytest_twisted.ensureDeferred
async def test_paths_are_cleaned(sr: Router) -> None:
    """Double slashes and one at the end make no other path."""
    for path in (f"/session/{TOPIC}/", f"//session//{TOPIC}"):
        assert (await sr.ask("POST", path, V2, headers={"Content-Length": "0"})).data()


@BOTH
@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ("?exp=4102444800", 602, "bid in query is required"),
        ("?bid=&exp=4102444800", 602, "bid in query is required"),
        ("?bid=x", 602, "exp in query is required"),
        ("?bid=x&exp=", 602, "exp in query is required"),
        ("?exp=soon", 602, "bid in query is required"),
        ("?bid=x&exp=soon", 601, 'exp in query must be of type int64: "soon"'),
        ("?bid=x&exp=1.5", 601, 'exp in query must be of type int64: "1.5"'),
        ("?bid=x&exp=9223372036854775808", 601, None),
        ("", 602, "bid in query is required"),
    ],
)
@pytest.mark.parametrize("route", ["deny", "allow"])
@pytest_twisted.ensureDeferred
async def test_check_17_parameters(
    sr: Router, route: str, query: str, code: int, text: str | None
) -> None:
    """Parameters that are missing or no numbers get 422, also where the scope is missing, too."""
    value = query.rpartition("=")[2]
    text = text or f'exp in query must be of type int64: "{value}"'
    for token in (V4, V5):
        answer = await sr.ask("POST", f"/bids/{route}{query}", token)
        assert answer.is_framework(422, code, text)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_17_past(sr: Router) -> None:
    """An end that is over gets 400."""
    answer = await sr.ask("POST", "/bids/deny?bid=x&exp=123", V4)
    assert answer.is_handlers(400, "booking expiry time (exp) of [123] missing or in the past")
    answer = await sr.ask("POST", "/bids/allow?bid=x&exp=123", V4)
    assert answer.is_handlers(400, "exp (booking expiry time) missing or in the past")


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_18_scopes(sr: Router) -> None:
    """Only an admin cancels; the answer to it has neither body nor media type."""
    path = f"/bids/{{}}?bid={fresh('bk')}&exp=4102444800"
    answer = await sr.ask("POST", path.format("deny"), V5)
    text = "is token missing relay:admin scope? missing relay:admin Scope"
    assert answer.is_handlers(401, text)
    answer = await sr.ask("POST", path.format("deny"), sign(claims(scopes=[])))
    text = "is token missing relay:admin scope? token Missing Required Claims"
    assert answer.is_handlers(401, text)
    for method, target in (
        ("POST", path.format("allow")),
        ("GET", "/bids/allow"),
        ("GET", "/bids/deny"),
    ):
        answer = await sr.ask(method, target, V5)
        assert answer.is_handlers(401, "token missing relay:admin scope")
    for route in ("deny", "allow"):
        answer = await sr.ask("POST", path.format(route), V4)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.header("Content-Type") is None
        assert answer.closed


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_19_and_20_denied(sr: Router) -> None:
    """A cancelled booking gets no session, and is listed as denied, no longer as allowed."""
    booking, topic = fresh("bk"), fresh("topic")
    token = sr.token(topic, booking=booking)
    assert (await sr.session(topic, token)).data()
    assert booking in await sr.bookings("allow")
    assert booking not in await sr.bookings("deny")
    await sr.deny(booking)
    text = "bookingID has been deny-listed, probably because the session was cancelled"
    assert (await sr.session(topic, token)).is_handlers(400, text)
    assert booking in await sr.bookings("deny")
    assert booking not in await sr.bookings("allow")
    await sr.allow(booking)
    assert booking in await sr.bookings("allow")
    assert booking not in await sr.bookings("deny")
    assert (await sr.session(topic, token)).data()


@BOTH
@pytest_twisted.ensureDeferred
async def test_request_in_single_bytes(sr: Router) -> None:
    """A request that comes byte by byte is answered like any other."""
    assert (await sr.session(TOPIC, V2, pieces=1)).data()


@go_differs("the connection ends without an answer")
@pytest_twisted.ensureDeferred
async def test_admin_without_an_end(sr: Router) -> None:
    """An admin's token that never ends gets 401."""
    answer = await sr.ask("GET", "/bids/deny", sign(claims(scopes=["relay:admin"], exp=...)))
    assert answer.status == 401
