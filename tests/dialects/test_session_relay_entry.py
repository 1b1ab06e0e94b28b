"""How our ends get into a topic, and what the answers of an access API mean to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.auth import mint
from relay.dialects.session_relay.entry import judge, open_session
from relay.dialects.session_relay.topic_link import WHOLE_BYTES, TopicLink
from relay.errors import (
    Misconfigured,
    NotARouter,
    Refused,
    RelayError,
    Revoked,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    WrongName,
)
from relay.outside import HttpAnswer, IOutward
from relay.vocabulary import Close, Data, Message, Reason

SESSION = "https://relay.example.test/access/session/rig07-st-data"
CODE = "6f1c2d1e-7a55-4c0b-9d3e-2f64b1a0c9d8"
URI = f"wss://relay.example.test/ws/session/rig07-st-data?code={CODE}"
NOW = 1_800_000_000.0
TOKEN = mint({"topic": "rig07-st-data", "exp": 4102444800}, b"vector-secret")
OLD_TOKEN = mint({"topic": "rig07-st-data", "exp": 1_700_003_600}, b"vector-secret")


def answer(status: int, body: object, **headers: str) -> HttpAnswer:
    """An answer with a body of JSON, or with these bytes."""
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(status, {k.replace("_", "-"): v for k, v in headers.items()}, encoded)


def refused(given: HttpAnswer, token: str = TOKEN, session: str = SESSION) -> RelayError:
    """The error that an answer becomes."""
    with pytest.raises(RelayError) as caught:
        judge(given, session, token, NOW)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 401, 500])
def test_the_address_counts_and_the_status_does_not(status: int) -> None:
    """As the originals judge (check 42)."""
    assert judge(answer(status, {"uri": URI}), SESSION, TOKEN, NOW) == URI


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"code": 401, "message": "unauthenticated for invalid credentials"}, TokenMissing),
        (500, {"code": 500, "message": "token invalid"}, TokenInvalid),
        (500, {"code": 500, "message": "aud [x] does not match this host y"}, TokenInvalid),
        (401, "Token Wrong Topic", WrongName),
        (401, "Token Missing Required Claims", TokenInvalid),
        (400, {"code": "400", "message": "empty bookingID field is not permitted"}, TokenInvalid),
        (
            400,
            {
                "code": "400",
                "message": "bookingID has been deny-listed, probably because the session was "
                "cancelled",
            },
            Revoked,
        ),
        (403, {"message": "something new"}, TokenInvalid),
    ],
)
def test_a_refusal_is_told_in_the_routers_words(
    status: int, body: Any, kind: type[RelayError]
) -> None:
    """Each of the three shapes of a refusal becomes the error that it means."""
    error = refused(answer(status, body))
    assert type(error) is kind
    assert error.text == (body if isinstance(body, str) else body["message"])


def test_a_token_that_is_over_is_told_apart() -> None:
    """The router calls both invalid; the token itself says when it ended."""
    error = refused(answer(500, {"code": 500, "message": "token invalid"}), OLD_TOKEN)
    assert type(error) is TokenExpired
    assert error.text.startswith("token invalid: it expired ")


def test_a_busy_router_says_when_to_come_back() -> None:
    """429 and 503 are not the token's fault, whatever their words are."""
    error = refused(answer(503, {"message": "token invalid"}, retry_after="7"))
    assert isinstance(error, Refused)
    assert (error.reason, error.retry_after_s) == (Reason.GOING_AWAY, 7)
    error = refused(answer(429, {"message": "slowly"}, retry_after="soon"))
    assert (error.reason, error.retry_after_s) == (Reason.LIMIT, None)


def test_a_proxy_without_its_router_may_pass() -> None:
    """A page of HTML with a gateway's status is a router that is away for now."""
    error = refused(answer(502, b"<html>Bad Gateway</html>"))
    assert isinstance(error, Refused)
    assert error.reason is Reason.GOING_AWAY


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"uri":""}', b'{"uri":7}', b"1"])
def test_what_is_no_access_api_is_named_so(body: bytes) -> None:
    """Neither an address nor a message: something else answers there."""
    assert type(refused(answer(200, body))) is NotARouter


@pytest.mark.parametrize(
    "uri",
    [
        "https://relay.example.test/ws",
        "wss://user:word@relay.example.test/ws",
        "wss:///ws",
        "wss://relay.example.test:99999/ws",
        "wss://relay.example.test/a b",
        "wss://relay.example.test/\r\nX: y",
        "wss://relay.example.test/#part",
        "wss://" + "a" * 20_000,
        "ws://relay.example.test/ws",
    ],
)
def test_not_every_address_is_dialled(uri: str) -> None:
    """Nor is it shown, since a code is in it; TLS is not given up on the way."""
    error = refused(answer(200, {"uri": f"{uri}{CODE}"}))
    assert type(error) is Misconfigured
    assert CODE not in f"{error.text} {error.remedy}"


def test_an_unencrypted_address_is_fine_where_nothing_was_encrypted() -> None:
    """And on the machine itself."""
    plain = "ws://relay.example.test/ws/session/t?code=c"
    assert judge(answer(200, {"uri": plain}), "http://relay.example.test/session/t", "", 0) == plain
    local = "ws://127.0.0.1:3001/session/t?code=c"
    assert judge(answer(200, {"uri": local}), SESSION, TOKEN, NOW) == local


@given(st.integers(200, 599), st.binary(max_size=60) | st.text(max_size=60))
def test_any_other_answer_is_an_error(status: int, body: bytes | str) -> None:
    """Which does not repeat the token."""
    said = body if isinstance(body, bytes) else json.dumps({"message": f"{body}{TOKEN}"}).encode()
    error = refused(HttpAnswer(status, {}, said))
    assert TOKEN not in f"{error.text} {error.remedy} {error}"
    assert error.text.isprintable()


class Machine:
    """What opening a session may do to the world, done at once."""

    def __init__(self, given: HttpAnswer) -> None:
        self.given = given
        self.asked: list[tuple[str, str, Mapping[str, str]]] = []
        self.dialled: list[str] = []

    def now(self) -> float:
        return NOW

    async def http(
        self, method: str, url: str, headers: Mapping[str, str], limit_bytes: int
    ) -> HttpAnswer:
        assert 0 < limit_bytes <= 1 << 20
        self.asked.append((method, url, headers))
        return self.given

    async def websocket_at(
        self,
        url: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], TopicLink],
        handle: object,
    ) -> TopicLink:
        assert dict(headers) == {}
        self.dialled.append(url)
        return conversation({})


def opened(machine: Machine, url: str, token: str) -> object:
    """Open a session there."""
    errand = open_session(cast(IOutward, machine), url, token, TopicLink)
    with pytest.raises(StopIteration) as ended:
        errand.send(None)
    return ended.value.value


def test_the_bare_token_is_shown_and_the_address_dialled() -> None:
    """No ``Bearer`` stands before it (§2)."""
    machine = Machine(answer(200, {"uri": URI}))
    assert isinstance(opened(machine, SESSION, TOKEN), TopicLink)
    assert machine.asked == [("POST", SESSION, {"Authorization": TOKEN})]
    assert machine.dialled == [URI]


@pytest.mark.parametrize(("token", "words"), [(TOKEN, "its target"), ("", "the session URL")])
def test_a_code_that_is_refused_asks_for_no_token(token: str, words: str) -> None:
    """What helps is another address, or the way by the access API."""
    machine = Machine(answer(200, {"uri": URI}))

    async def refuse(*_: object) -> TopicLink:
        raise Refused(401, "no such code", Reason.TOKEN_INVALID, "mint one")

    machine.websocket_at = refuse  # type: ignore[method-assign, assignment]  # a relay socket that does not take it
    errand = open_session(cast(IOutward, machine), SESSION, token, TopicLink)
    with pytest.raises(Refused) as caught:
        errand.send(None)
    assert words in caught.value.remedy
    assert "mint" not in caught.value.remedy


def test_without_a_token_the_address_is_dialled_as_it_is() -> None:
    """As a host's rules may say (§8)."""
    machine = Machine(answer(500, {}))
    opened(machine, "ws://127.0.0.1:8888/ws/data", "")
    assert (machine.asked, machine.dialled) == ([], ["ws://127.0.0.1:8888/ws/data"])


# -- the link ----------------------------------------------------------------------------------


@given(st.binary(max_size=40), st.booleans(), st.booleans())
def test_messages_pass_as_they_are(payload: bytes, text: bool, final: bool) -> None:
    """Of any kind and content, and in parts; text need not be UTF-8 (check 44)."""
    link = TopicLink()
    assert list(link.opened(0)) == []
    (data,) = link.receive(Message(payload, text, final), 0)
    assert data == Data(payload, 0, text, final)
    assert link.encode(Data(payload, 0, text, final)) == Message(payload, text, final)
    assert not link.utf8


def test_only_whole_messages_have_a_limit() -> None:
    """What is handed on in parts may be of any length; an original glues what waited."""
    assert (TopicLink().whole_messages, TopicLink().message_bytes) == (False, 0)
    assert (TopicLink(whole=True).whole_messages, TopicLink(whole=True).message_bytes) == (
        True,
        WHOLE_BYTES,
    )


@pytest.mark.parametrize("reason", list(Reason))
def test_every_end_is_the_same(reason: Reason) -> None:
    """1000, since the originals treat all alike."""
    assert TopicLink().end(reason, Close(4000, "other")) == Close(1000)
