"""The local HTTP API of a session-relay host: requests in, answers out.

Specification: session-relay.md §9.2; the answers were taken from the original host v0.9.3.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.host.cutting import Cutter
from relay.dialects.session_relay.host.destinations import DESTINATIONS
from relay.dialects.session_relay.host.feed_link import FeedLink
from relay.dialects.session_relay.host.rules import FEEDS
from relay.dialects.session_relay.host.streams import STREAMS
from relay.errors import BadRequest, LimitReached, RelayError, TooLarge
from relay.http import Request
from relay.vocabulary import Data, Enter, Message, TopicName
from tests.dialects.session_relay_machine import Desk

EMPTY = b'{"id":"","stream":"","destination":"","token":"","file":""}'
NOT_FOUND = (404, b"404 page not found\n")
TRICKY = b'{"id":"a<b&c\\u2028\\b\\f\\n\\u0001\\ud800\x7f\xff","stream":"//x","extra":1}'
TRICKY_SHOWN = (
    b'{"id":"a\\u003cb\\u0026c\\u2028\\b\\f\\n\\u0001\xef\xbf\xbd\x7f\xef\xbf\xbd",'
    b'"stream":"/x","destination":"","token":"","file":""}'
)


def request_for(method: str, path: str, headers: tuple[tuple[str, str], ...] = ()) -> Request:
    """A request of a program beside the host."""
    return Request(method, path, path, "", (("host", "localhost"), *headers), "::1")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("GET", "/healthcheck", b"", 200, b'"ok"\n'),
        ("POST", "/healthcheck", b"", 405, b""),
        ("HEAD", "/healthcheck", b"", 405, b""),
        ("GET", "/", b"", *NOT_FOUND),
        ("GET", "/api", b"", 200, b""),
        ("DELETE", "/api", b"x", 200, b""),
        ("GET", "/api/", b"", *NOT_FOUND),
        ("GET", "/api/feeds", b"", *NOT_FOUND),
        ("POST", "/ws", b"", *NOT_FOUND),
        ("GET", "/ts/", b"", *NOT_FOUND),
        ("GET", "/api/destinations/all", b"", 200, b"{}"),
        ("GET", "/api/destinations", b"", 405, b""),
        ("PATCH", "/api/destinations", b"{}", 405, b""),
        ("PUT", "/api/streams/all", b"", 405, b""),
        ("OPTIONS", "/api/streams", b"", 405, b""),
        ("POST", "/api/destinations", TRICKY, 200, TRICKY_SHOWN),
        ("PUT", "/api/destinations", b"null", 200, EMPTY),
        ("UPDATE", "/api/destinations", b"{}", 200, EMPTY),
        ("GET", "/api/destinations/nope", b"", 200, EMPTY),
        ("GET", "/api/destinations/a%2Fb", b"", 200, EMPTY),
        ("GET", "/api/destinations/b/", b"", 200, EMPTY),
        ("GET", "/api/destinations/a%20b", b"", *NOT_FOUND),
        ("GET", "/api/streams/all", b"", 200, b"{}"),
        ("GET", "/api/streams/nope", b"", 404, b"Stream not found\n"),
        (
            "POST", "/api/streams", b'{"stream":"/stream/x","feeds":["a","b",null]}',
            200, b'{"stream":"stream/x","feeds":["a","b",""]}',
        ),
        ("POST", "/api/streams", b'{"stream":"q"}', 200, b'{"stream":"q","feeds":null}'),
        ("PUT", "/api/streams", b'{"STREAM":"z","feeds":[]}', 200, b'{"stream":"z","feeds":[]}'),
        ("DELETE", "/api/streams/nope", b"", 200, b'"nope"'),
        ("DELETE", "/api/streams/all", b"", 200, b'"all"'),
        ("DELETE", "/api/streams/deleteAll", b"", 200, b'"deleteAll"'),
        ("DELETE", "/api/destinations/nope", b"", 200, b'"nope"'),
        ("DELETE", "/api/destinations/all", b"", 200, b'"all"'),
    ],
)  # fmt: skip
def test_answers_are_those_of_the_original(
    method: str, path: str, body: bytes, status: int, answer: bytes
) -> None:
    """Byte for byte, to a host that has no rules yet."""
    assert Desk().said(method, path, body) == (status, answer)


def test_what_answers_say_of_themselves() -> None:
    """JSON is said to be JSON, text is text, and nothing is nothing."""
    desk = Desk()
    assert desk.ask("GET", "/healthcheck").content_type == "text/plain; charset=utf-8"
    assert desk.ask("GET", "/api/streams/all").content_type == "application/json"
    assert desk.ask("GET", "/api").content_type is None
    assert desk.ask("PATCH", "/api/streams").content_type is None
    unknown = desk.ask("GET", "/nowhere")
    assert unknown.content_type == "text/plain; charset=utf-8"
    assert ("X-Content-Type-Options", "nosniff") in unknown.headers


@pytest.mark.parametrize("path", ["/api/destinations", "/api/streams"])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b'{"stream":"1"} x', "no JSON"),
        (b'{"stream":NaN}', "no JSON"),
        (b"[" * 60_000, "nested too deep"),
        (b'{"stream":' + b"9" * 5000 + b"}", "a number"),
        (b"[1]", "an array"),
        (b'"x"', "a string"),
        (b'{"stream":1}', '"stream" is a string, and this is a number'),
        (b'{"stream":{}}', "an object"),
        (b'{"stream":true}', "a boolean"),
    ],
)
def test_a_body_that_is_no_rule_is_told_so(path: str, body: bytes, words: str) -> None:
    """As an internal error, which is what the original calls it; nothing is changed."""
    desk = Desk()
    status, answer = desk.said("POST", path, body)
    assert status == 500
    assert words in answer.decode()
    assert answer.count(b"\n") == 1
    assert desk.said("GET", f"{path}/all") == (200, b"{}")


def test_the_feed_that_is_no_name_is_told() -> None:
    """By its place, from 0."""
    status, answer = Desk().said("POST", "/api/streams", b'{"stream":"s","feeds":["a",1]}')
    assert (status, answer) == (500, b'"feeds[1]" is a string, and this is a number\n')


@given(st.binary(max_size=200))
def test_no_body_breaks_it(body: bytes) -> None:
    """It is a rule, or no rule."""
    desk = Desk()
    for path in ("/api/destinations", "/api/streams"):
        assert desk.said("POST", path, body)[0] in (200, 400, 500)


@given(st.text(max_size=60), st.sampled_from(["GET", "DELETE", "POST", "x"]))
def test_no_path_breaks_it(path: str, method: str) -> None:
    """It leads somewhere, or nowhere; where it is moved to leads there at once."""
    desk = Desk()
    path = "/" + path.encode("ascii", "ignore").decode().split("?")[0]
    if path.startswith(("/ts/", "/ws/")):
        return
    answer = desk.ask(method, path)
    assert answer.status in (200, 301, 404, 405)
    if answer.status == 301:
        (place,) = [value for name, value in answer.headers if name == "Location"]
        assert place.isascii()
        assert place.isprintable()
        assert desk.ask(method, place.partition("?")[0]).status in (200, 404, 405)


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("//healthcheck", "/healthcheck"),
        ("/api/../healthcheck", "/healthcheck"),
        ("/api/destinations//b", "/api/destinations/b"),
        ("/api/destinations/./b?x=1", "/api/destinations/b?x=1"),
        ("/api/streams//", "/api/streams/"),
        ("/api/%2e%2e/a%0d%0ab", "/a%0D%0Ab"),
    ],
)
def test_a_path_that_is_not_clean_is_moved(target: str, place: str) -> None:
    """As in the original; whatever it holds ends no header."""
    answer = Desk().ask("GET", target)
    assert (answer.status, answer.body) == (301, b"")
    assert ("Location", place) in answer.headers


def test_rules_are_read_back_without_their_tokens() -> None:
    """Who adds a rule is told what was sent; who asks later does not see the token."""
    desk = Desk()
    rule = b'{"id":"1","stream":"/f","destination":"ws://h/x?a=1&b=2","token":"t","file":""}'
    added = rule.replace(b"/f", b"f").replace(b"&", b"\\u0026")
    assert desk.said("POST", "/api/destinations", rule) == (200, added)
    shown = added.replace(b'"t"', b'"***"')
    assert desk.said("GET", "/api/destinations/1") == (200, shown)
    desk.ask("POST", "/api/destinations", b'{"id":"0"}')
    first = EMPTY.replace(b'"id":""', b'"id":"0"')
    everything = b'{"0":' + first + b',"1":' + shown + b"}"
    assert desk.said("GET", "/api/destinations/all") == (200, everything)


def test_streams_are_read_back() -> None:
    """Each as its feeds, in order of names; nothing said is ``null``."""
    desk = Desk()
    for body in (b'{"stream":"stream/x","feeds":["b","a"]}', b'{"stream":"q"}'):
        desk.ask("POST", "/api/streams", body)
    everything = b'{"q":null,"stream/x":["b","a"]}'
    assert desk.said("GET", "/api/streams/all") == (200, everything)
    assert desk.said("GET", "/api/streams/stream/x") == (200, b'["b","a"]')
    assert desk.said("GET", "/api/streams/q") == (200, b"null")


def test_what_was_created_can_be_reached() -> None:
    """Names with underscores and dots, too, which the original never finds again."""
    desk = Desk()
    desk.ask("POST", "/api/destinations", b'{"id":"my_cam.1","destination":"ws://h/"}')
    assert b"ws://h/" in desk.ask("GET", "/api/destinations/my_cam.1").body
    desk.ask("DELETE", "/api/destinations/my_cam.1")
    assert desk.said("GET", "/api/destinations/all") == (200, b"{}")


@pytest.mark.parametrize("everything", ["all", "deleteAll"])
@pytest.mark.parametrize("kind", ["destinations", "streams"])
def test_all_is_deleted(kind: str, everything: str) -> None:
    """By both names; the original means it, and does it by one."""
    desk = Desk()
    desk.ask("POST", f"/api/{kind}", b'{"id":"1","stream":"f","destination":"ws://h/"}')
    assert desk.said("DELETE", f"/api/{kind}/{everything}") == (200, b'"%s"' % everything.encode())
    assert desk.said("GET", f"/api/{kind}/all") == (200, b"{}")


@pytest.mark.parametrize("kind", ["destinations", "streams"])
def test_the_reserved_name_is_no_rule(kind: str) -> None:
    """It is told back, and not kept."""
    desk = Desk()
    body = b'{"id":"deleteAll","stream":"deleteAll"}'
    assert desk.said("POST", f"/api/{kind}", body)[0] == 200
    assert desk.said("GET", f"/api/{kind}/all") == (200, b"{}")
    assert desk.machine.kept == []


def test_there_are_bounds() -> None:
    """So many rules, and so many feeds of one stream; what is there may still be replaced."""
    desk = Desk()
    for number in range(DESTINATIONS):
        desk.ask("POST", "/api/destinations", b'{"id":"%d"}' % number)
    for number in range(STREAMS):
        desk.ask("POST", "/api/streams", b'{"stream":"%d"}' % number)
    status, answer = desk.said("POST", "/api/destinations", b'{"id":"more"}')
    assert (status, answer) == (400, b"there are 1000 destinations already: delete one first\n")
    status, answer = desk.said("POST", "/api/streams", b'{"stream":"more"}')
    assert (status, answer) == (400, b"there are 1000 streams already: delete one first\n")
    assert desk.said("POST", "/api/destinations", b'{"id":"7"}')[0] == 200
    many = b",".join([b'"f"'] * (FEEDS + 1))
    status, answer = desk.said("POST", "/api/streams", b'{"stream":"7","feeds":[%s]}' % many)
    assert (status, answer) == (400, b"a stream has at most 100 feeds, and this one 101\n")


@pytest.mark.parametrize(
    ("feed", "writes"), [("video", True), ("a/b", True), ("stream/x", False), ("my_feed.1", True)]
)
def test_a_socket_is_a_member_of_its_feed(feed: str, writes: bool) -> None:
    """Of a stream it only hears: what is said there goes nowhere, as in the original."""
    face = Desk().face
    request = request_for("GET", f"/ws/{feed}", (("sec-websocket-protocol", "null"),))
    route = face.route(request)
    assert route.websocket
    grant = face.grant({}, request, route)
    link = face.conversation(request, route, grant)
    assert isinstance(link, FeedLink)
    topic = TopicName(f"feed:{feed}")
    assert grant.name == topic
    assert tuple(link.opened(0.0)) == (Enter(topic, writes=writes),)
    assert link.upgrade_headers == {"Sec-WebSocket-Protocol": "null"}
    plain = face.conversation(request_for("GET", f"/ws/{feed}"), route, grant)
    assert plain.upgrade_headers == {}


def test_a_feeds_link_keeps_boundaries_and_kinds() -> None:
    """Both ways, parts of messages included."""
    link = FeedLink(Enter(TopicName("feed:f")), {})
    for message in (Message(b"a", True), Message(b"", False), Message(b"b", True, False)):
        (data,) = link.receive(message, 0.0)
        assert isinstance(data, Data)
        assert link.encode(data) == message


def test_bytes_become_messages_of_their_feed() -> None:
    """They are heard by whoever listens there, as binary."""
    desk = Desk()
    request = request_for("POST", "/ts/video")
    route = desk.face.route(request)
    assert route.feeds
    heard: list[Data] = []
    desk.hub.reside(TopicName("feed:video"), heard.append)
    sink = desk.face.sink(request, route, desk.hub.services)
    assert isinstance(sink, Cutter)
    sink.finish()
    assert heard == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequest("odd"), 400),
        (TooLarge("the body is over 65536 bytes"), 413),
        (LimitReached("too many", retry_after_s=5), 503),
        (RelayError("odd"), 500),
    ],
)
def test_other_refusals_are_sentences(error: RelayError, status: int) -> None:
    """With the reason in a header, and when to try again where that is known."""
    answer = Desk().face.refusal(error, request_for("GET", "/api"))
    assert (answer.status, answer.body) == (status, f"{error.text}\n".encode())
    assert ("X-Relay-Reason", error.reason.value) in answer.headers
    assert (("Retry-After", "5") in answer.headers) is (error.retry_after_s is not None)


def test_a_handshake_that_is_none_names_the_version() -> None:
    """As the original does at its sockets."""
    answer = Desk().face.refusal(BadRequest("no handshake"), request_for("GET", "/ws/x"))
    assert answer.status == 400
    assert ("Sec-Websocket-Version", "13") in answer.headers
