"""The relay socket up to its 101 (section 5.1), and where both doors are."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.handshake import check_upgrade
from relay.dialects.session_relay.members import MemberLink, StatsLink
from relay.dialects.session_relay.paths import check_published, query_values, socket_topic
from relay.dialects.session_relay.router import SHOWN_CHARACTERS, Doors, SessionRelayFace
from relay.errors import (
    BadHandshake,
    BadRequest,
    GoingAway,
    NotFound,
    ProtocolError,
    RelayError,
    Revoked,
    TokenInvalid,
    TokenMissing,
    WrongName,
    WrongScope,
)
from relay.http import Response
from relay.vocabulary import OneTimeCode
from tests.dialects.session_relay_rooms import (
    CODE,
    HANDSHAKE,
    OWN_ACCESS,
    OWN_SOCKET,
    SHARED,
    TOPIC,
    V1,
    V2,
    V3,
    Room,
    request_of,
    token,
)

PATH = f"/session/{TOPIC}?code={CODE}"


def refused(room: Room, error: RelayError) -> Response:
    """What a handshake is answered."""
    return room.face.refusal(error, request_of("GET", PATH, b"", **HANDSHAKE))


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "topic"),
    [
        ("/session/x", "x"),
        ("/session/x/", "x"),
        ("//session//x", "x"),
        ("/session/a/b", "a/b"),
        ("/session/a%2Fb", "a/b"),
        ("/session%2Fx", "x"),
        ("/%73ession/x", "x"),
        ("/session/a.b_c-D9", "a.b_c-D9"),
        ("/session/%25&'()*+,-.", "%&'()*+,-."),
        ("/session/a:b", "a"),
        ("/session/a~b", "a"),
        ("/session/a%20b", "a"),
        ("/session/a@b", "a"),
        ("/session/a=b", "a"),
        ("/session/%C3%A9", ""),
        ("/session", ""),
        ("/session/", ""),
        ("/session:x/y", ""),
    ],
)
def test_a_topic_ends_before_what_none_may_have(path: str, topic: str) -> None:
    """Decoded and cleaned first."""
    assert socket_topic(path) == topic


@pytest.mark.parametrize("path", ["/", "/shell/x", "/sessions/x", "/sess%20ion/x", "/Session/x"])
def test_there_are_only_sessions(path: str) -> None:
    """Any other type is not found, and no upgrade is looked at."""
    with pytest.raises(NotFound):
        socket_topic(path)


@given(st.text(max_size=40))
def test_any_path_has_a_topic_or_none(path: str) -> None:
    """What is wrong with it is a peer's fault, and topics have only permitted characters."""
    try:
        topic = socket_topic(f"/session/{path}")
    except ProtocolError:
        return
    assert all(char.isascii() and (char.isalnum() or char in "_/%&'()*+,-.") for char in topic)


@given(st.one_of(st.text(max_size=20), st.text("ab/.%- ", max_size=9)))
def test_what_is_published_is_a_topic(topic: str) -> None:
    """A handshake can be for it, under that very name."""
    try:
        assert socket_topic(f"/session/{quote(check_published(topic), safe='')}") == topic
    except ValueError:
        return


def test_reports_are_not_published() -> None:
    """Nor is what has an end before its own, or nothing at one."""
    for topic in ("stats", "a//b", "/a", "a/", "a/../b", ".", "a b", "a:b", ""):
        with pytest.raises(ValueError, match="topic"):
            check_published(topic)
    assert check_published("rig07/st-data.x_1") == "rig07/st-data.x_1"


@given(st.text("ab=&;%2+ ", max_size=20), st.text(max_size=8))
def test_any_query_can_be_read(query: str, key: str) -> None:
    """Values are texts, whatever came."""
    for value in query_values(query, key):
        value.encode()


# -- codes -----------------------------------------------------------------------------------------


def test_a_code_makes_a_member() -> None:
    """With what the token allows; the same grant as the session had."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V1)
    link = room.joins()
    assert isinstance(link, MemberLink)
    assert link.seat.topic == TOPIC
    assert link.seat.scopes == ("write", "read")


def test_a_code_is_spent() -> None:
    """The second handshake has none."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V1)
    room.joins()
    with pytest.raises(TokenInvalid):
        room.joins()


def test_a_code_is_for_one_topic_and_spent_on_another() -> None:
    """Nobody tries it out."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V1)
    with pytest.raises(WrongName):
        room.joins(topic="other")
    with pytest.raises(TokenInvalid):
        room.joins()


def test_a_bad_handshake_spends_no_code() -> None:
    """Its headers are looked at first."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V1)
    with pytest.raises(BadRequest):
        room.enters(request_of("GET", PATH))
    room.joins()


def test_a_code_without_reading_or_writing_is_refused() -> None:
    """Though the session got it."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", token(scopes=["relay:stats"]))
    with pytest.raises(WrongScope):
        room.joins()


def test_a_denied_booking_is_refused_here_too() -> None:
    """It was denied behind the session."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V2)
    room.services.broker.denied["bk-42"] = float("inf")
    with pytest.raises(Revoked):
        room.joins()


def test_the_first_code_counts() -> None:
    """In lower case; nobody was given an empty one."""
    face = Room(OWN_SOCKET).face
    for query, expected in (
        ("code=a&code=b", OneTimeCode("a")),
        ("x=1&code=%61", OneTimeCode("a")),
        ("Code=a", OneTimeCode("")),
        ("code=", OneTimeCode("")),
        ("", OneTimeCode("")),
    ):
        request = request_of("GET", f"/session/x?{query}", b"", **HANDSHAKE)
        assert face.credential(request, face.route(request)) == expected


# -- what is said of a bad handshake ---------------------------------------------------------------


def test_an_unknown_type_is_not_found_before_the_upgrade() -> None:
    """As the original says it."""
    for method in ("GET", "POST"):
        response = Room(OWN_SOCKET).ask(method, "/shell/x")
        assert (response.status, response.body) == (404, b"Not Found\n")
        assert response.content_type == "text/plain; charset=utf-8"
        assert ("X-Content-Type-Options", "nosniff") in response.headers


@pytest.mark.parametrize(
    ("changed", "status", "body"),
    [
        ({"upgrade": ""}, 400, b"Bad Request\n"),
        ({"connection": ""}, 400, b"Bad Request\n"),
        ({"sec-websocket-version": "12"}, 400, b"Bad Request\n"),
        ({"sec-websocket-key": ""}, 400, b"Bad Request\n"),
    ],
)
def test_a_bad_handshake_is_told(changed: dict[str, str], status: int, body: bytes) -> None:
    """With the version that is spoken, once."""
    request = request_of("GET", PATH, b"", **{**HANDSHAKE, **changed})
    face = Room(OWN_SOCKET).face
    assert face.route(request).websocket
    with pytest.raises(BadRequest) as caught:
        check_upgrade(request)
    response = face.refusal(caught.value, request)
    assert (response.status, response.body) == (status, body)
    named = [name for name, _ in response.headers]
    assert named.count("Sec-Websocket-Version") == 1


def test_a_handshake_is_a_get() -> None:
    """Any other method with its headers is a 405."""
    request = request_of("POST", PATH, b"", **HANDSHAKE)
    with pytest.raises(ProtocolError) as caught:
        check_upgrade(request)
    response = Room(OWN_SOCKET).face.refusal(caught.value, request)
    assert (response.status, response.body) == (405, b"Method Not Allowed\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TokenMissing("no credential was sent"), 401),
        (TokenInvalid("the one-time code is unknown, used or too old"), 401),
        (WrongName("Token Wrong Topic"), 401),
        (WrongScope("the token allows neither to read nor to write"), 401),
        (Revoked("the booking was cancelled"), 401),
        (GoingAway("the router stops"), 503),
        (BadHandshake("x"), 400),
    ],
)
def test_a_refused_code_is_told_in_a_sentence(error: RelayError, status: int) -> None:
    """Before the upgrade, so that the originals' clients wait before they ask again."""
    response = refused(Room(OWN_SOCKET), error)
    assert response.status == status == Room().face.wire_code(error)
    assert response.body == (b"Bad Request\n" if status == 400 else f"{error.text}\n".encode())
    assert ("X-Relay-Reason", error.reason.value) in response.headers
    assert not response.keep
    assert ("Retry-After" in dict(response.headers)) == (status == 503)


# -- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        ("null", {"Sec-WebSocket-Protocol": "null"}),
        ("a, null", {"Sec-WebSocket-Protocol": "null"}),
        ("NULL", {}),
        ("a", {}),
        (None, {}),
    ],
)
def test_null_is_agreed_where_it_is_offered(offered: str | None, said: dict[str, str]) -> None:
    """And nothing else is."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V1)
    offer = {} if offered is None else {"sec-websocket-protocol": offered}
    request = request_of("GET", PATH, b"", **HANDSHAKE, **offer)
    assert room.enters(request).upgrade_headers == said


def test_pages_of_any_origin_may_join_unless_some_are_listed() -> None:
    """Programs send no origin."""
    listed = Room(OWN_SOCKET, origins=("https://lab.example.org",)).face
    for origin, fine in (("https://LAB.example.org", True), ("https://evil.example.org", False)):
        request = request_of("GET", PATH, b"", **HANDSHAKE, origin=origin)
        assert Room(OWN_SOCKET).face.route(request).parameters == (TOPIC,)
        if fine:
            listed.route(request)
            continue
        with pytest.raises(BadRequest) as caught:
            listed.route(request)
        assert listed.refusal(caught.value, request).status == 403
    listed.route(request_of("GET", PATH, b"", **HANDSHAKE))


def test_what_a_member_says_of_itself_is_kept() -> None:
    """Address and agent as they came, bytes as UTF-8; the topic stats has links of its own."""
    room = Room()
    room.ask("POST", "/session/stats", V3)
    link = room.joins(
        topic="stats", **{"x-forwarded-for": "203.0.113.9, x", "user-agent": "b\xc3\xa9/\xff"}
    )
    assert isinstance(link, StatsLink)
    assert link.seat.address == "203.0.113.9, x"
    assert link.seat.agent == "bé/\ufffd"


def test_what_a_member_says_of_itself_has_a_cap() -> None:
    """A report names every member, so that 32 KiB of each would be too much."""
    room = Room()
    room.ask("POST", f"/session/{TOPIC}", V1)
    link = room.joins(**{"x-forwarded-for": "1" * 30_000, "user-agent": "\xc3\xa9" * 15_000})
    assert isinstance(link, MemberLink)
    assert link.seat.address == "1" * SHOWN_CHARACTERS
    assert link.seat.agent == "é" * SHOWN_CHARACTERS


# -- doors -----------------------------------------------------------------------------------------


def where(doors: Doors, path: str, upgrade: bool = False) -> tuple[bool, str]:
    """Whether a path is ours, and the name of its route."""
    face = Room(doors).face
    headers = HANDSHAKE if upgrade else {}
    request = request_of("GET", path, b"", **headers)
    try:
        name = face.route(request).name
    except ProtocolError as error:
        name = error.text
    return face.matches(request), name


def test_shared_listeners_have_prefixes() -> None:
    """The paths of audience and target."""
    assert where(SHARED, "/access/status") == (True, "status")
    assert where(SHARED, "/ws/session/x") == (True, "socket")
    assert where(SHARED, "/access") == (True, "path / was not found")
    assert where(SHARED, "/access/x") == (True, "path /x was not found")
    assert where(SHARED, "/accessible") == (False, "path /accessible was not found")
    assert where(SHARED, "/status") == (False, "status")


def test_of_two_prefixes_the_longer_one_counts() -> None:
    """One may be below the other."""
    doors = Doors("/relay", "/relay/ws")
    assert where(doors, "/relay/status") == (True, "status")
    assert where(doors, "/relay/ws/session/x") == (True, "socket")
    doors = Doors("", "/ws")
    assert where(doors, "/status") == (True, "status")
    assert where(doors, "/ws/session/x") == (True, "socket")
    assert where(doors, "/elsewhere")[0] is False


@pytest.mark.parametrize("path", ["//session/x", "///session//x"])
def test_the_root_may_be_written_with_more_slashes(path: str) -> None:
    """A ``target`` that ends with a slash gives such addresses away."""
    assert where(Doors("/access", ""), path, upgrade=True) == (True, "socket")
    assert where(Doors("", ""), path, upgrade=True) == (True, "socket")
    assert where(Doors("", ""), "//elsewhere")[0] is False


@pytest.mark.parametrize("prefix", ["", "/r0"])
def test_of_equal_prefixes_a_handshake_is_for_the_socket(prefix: str) -> None:
    """And everything else for the access API."""
    doors = Doors(prefix, prefix)
    assert where(doors, f"{prefix}/session/x", upgrade=True) == (True, "socket")
    assert where(doors, f"{prefix}/session/x")[1].startswith("method GET")
    assert where(doors, f"{prefix}/status") == (True, "status")


def test_listeners_of_their_own_have_none() -> None:
    """And take everything."""
    assert where(OWN_ACCESS, "/access/status")[0]
    assert where(OWN_ACCESS, "/status", upgrade=True) == (True, "status")
    assert where(OWN_SOCKET, "/session/x") == (True, "socket")
    shared = Room(SHARED).face
    for key, doors in (("listen-access", OWN_ACCESS), ("listen-relay", OWN_SOCKET)):
        face = shared.placed(key)
        assert isinstance(face, SessionRelayFace)
        assert face.memory is shared.memory
        for path in ("/status", "/session/x"):
            request = request_of("GET", path)
            assert face.matches(request)
            assert face.refusal(NotFound("x"), request) == Room(doors).face.refusal(
                NotFound("x"), request
            )
