"""A viewer's request and a host's answer: what passes, when, and what keeps the connection."""

from __future__ import annotations

import pytest

from relay.links.linger import STALL_S
from relay.vocabulary import Reason
from tests.unit.viewer_visit import CHUNKED, HELLO, OK, Scene

UPLOAD = ("content-length", "4")
CHUNKS = ("transfer-encoding", "chunked")


# -- one after the other -------------------------------------------------------------------------


def test_a_request_and_its_answer() -> None:
    """The head goes out when the call is answered; the answer keeps the connection."""
    scene = Scene(joined=False)
    assert scene.host.payload() == b""
    scene.join()
    assert scene.host.payload() == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    scene.host.speak(HELLO)
    assert scene.sent == HELLO
    assert scene.told == ["kept"]
    assert scene.reason() is Reason.FINISHED
    assert scene.host.events[-1] == "reset finished"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_parts_pass_as_they_come(size: int) -> None:
    """However the answer is cut, the viewer has of each part what can be had."""
    scene = Scene()
    for start in range(0, len(HELLO), size):
        scene.host.speak(HELLO[start : start + size])
    assert scene.sent == HELLO
    assert scene.told == ["kept"]


def test_an_upload_passes_as_it_comes() -> None:
    """What came with the head goes first, each part follows; the answer comes behind it."""
    scene = Scene(UPLOAD, method="PUT", waiting=b"bo")
    assert scene.asked() == b"bo"
    assert scene.exchange.received(b"dy") == b""
    assert scene.asked() == b"body"
    scene.host.speak(HELLO)
    assert scene.told == ["kept"]


def test_both_directions_at_once() -> None:
    """A host may answer while it is still asked; the viewer's connection ends with it."""
    scene = Scene(CHUNKS, method="POST")
    scene.host.speak(CHUNKED)
    for number in range(3):
        scene.exchange.received(b"1\r\n%d\r\n" % number)
        scene.host.speak(b"1\r\n%d\r\n" % number)
    assert scene.asked() == b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n"
    assert scene.sent.endswith(b"\r\n1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n")
    scene.exchange.received(b"0\r\n\r\n")
    scene.host.speak(b"0\r\n\r\n")
    assert b"Connection: close\r\n" in scene.sent
    assert scene.told == ["closed"]
    assert "forget" not in scene.host.events


def test_an_early_answer_to_an_unfinished_upload() -> None:
    """The host's FIN comes behind it; what it has not taken is forgotten, the viewer told so."""
    scene = Scene(("content-length", "1000"), method="PUT", waiting=b"some")
    scene.host.speak(OK + b"Content-Length: 2\r\n\r\nno")
    assert b"Connection: close\r\n" in scene.sent
    assert scene.told == ["closed"]
    assert scene.host.events[-2:] == ["forget", "reset finished"]
    assert scene.exchange.received(b"more") == b"more"
    assert scene.asked() == b"some"


def test_interim_answers_of_the_host_are_dropped() -> None:
    """The viewer sees the final one alone."""
    scene = Scene()
    scene.host.speak(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO)
    assert scene.sent == HELLO


def test_a_100_is_ours_to_say() -> None:
    """It is said when there is a host; the host's own is dropped."""
    scene = Scene(UPLOAD, ("expect", "100-continue"), method="PUT", joined=False)
    assert scene.sent == b""
    scene.join()
    assert scene.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    scene.host.speak(b"HTTP/1.1 100 Continue\r\n\r\n")
    scene.exchange.received(b"body")
    assert scene.asked() == b"body"
    scene.host.speak(HELLO)
    assert scene.sent == b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO


@pytest.mark.parametrize("headers", [(), (UPLOAD,), (CHUNKS,)])
def test_a_pipelined_request_is_kept(headers: tuple[tuple[str, str], ...]) -> None:
    """What follows the body is of the next request, and stays with the connection."""
    body = {"content-length": b"body", "transfer-encoding": b"4\r\nbody\r\n0\r\n\r\n"}
    own = b"".join(body[name] for name, _ in headers)
    scene = Scene(*headers, method="POST", waiting=own + b"GET /next")
    assert scene.asked() == own
    assert scene.visit.waiting == b"GET /next"
    assert scene.exchange.received(b" HTTP/1.1") == b" HTTP/1.1"


def test_pipelined_behind_a_later_part() -> None:
    """The same for a body whose end comes later."""
    scene = Scene(UPLOAD, method="POST", waiting=b"bo")
    assert scene.exchange.received(b"dyGET /next") == b"GET /next"
    assert scene.asked() == b"body"


def test_before_the_call_is_answered_nothing_is_taken() -> None:
    """It waits in front of the exchange, which asks for it."""
    scene = Scene(UPLOAD, method="POST", joined=False)
    assert scene.exchange.received(b"body") == b"body"


def test_trailers_of_a_request_pass() -> None:
    """They stand behind the last chunk."""
    scene = Scene(CHUNKS, ("trailer", "x-sum"), method="POST")
    scene.exchange.received(b"1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n")
    assert scene.asked() == b"1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n"


def test_a_close_delimited_answer() -> None:
    """Its end is the host's; the viewer gets chunks, and the connection is kept."""
    scene = Scene()
    scene.host.speak(OK + b"\r\nhel")
    scene.host.speak(b"lo")
    assert scene.told == []
    scene.host.end()
    assert scene.sent.endswith(b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n")
    assert scene.told == ["kept"]
    assert scene.reason() is Reason.FINISHED


def test_a_close_delimited_answer_for_http_1_0() -> None:
    """The end of the connection is the end of the body."""
    scene = Scene(version="1.0")
    scene.host.speak(OK + b"\r\nhello")
    scene.host.end()
    assert scene.sent.endswith(b"\r\n\r\nhello")
    assert scene.told == ["closed"]


def test_what_follows_an_answer_is_nobodys() -> None:
    """A host that goes on behind its answer is not heard."""
    scene = Scene()
    scene.host.speak(HELLO + HELLO)
    assert scene.sent == HELLO
    assert scene.told == ["kept"]


# -- slow ends -----------------------------------------------------------------------------------


def test_a_viewer_that_takes_nothing_stops_the_host() -> None:
    """The host's stream is paused, and goes on when the viewer has taken everything."""
    scene = Scene()
    scene.wire.stuck = True
    scene.host.speak(CHUNKED)
    assert scene.host.paused
    scene.wire.take()
    assert not scene.host.paused
    assert scene.told == []


def test_a_host_that_takes_nothing_stops_the_viewer() -> None:
    """Nothing more is read of an upload until the host goes on."""
    scene = Scene(UPLOAD, method="PUT")
    scene.host.stop_reading()
    assert not scene.wire.reading
    assert scene.exchange.is_paused()
    scene.host.read_on()
    assert scene.wire.reading
    assert scene.wire.calls == []


def test_a_host_that_goes_on_wants_nothing_of_the_next_request() -> None:
    """Whether more is read behind the request is for the connection to say."""
    scene = Scene()
    before = scene.wire.calls.count("read on")
    scene.host.stop_reading()
    scene.host.read_on()
    assert scene.wire.calls.count("read on") == before + 1


def test_a_host_that_is_full_when_it_accepts() -> None:
    """The request waits for it, and goes out once."""
    scene = Scene(joined=False)
    scene.host.paused = False
    scene.exchange.pause()
    scene.join()
    assert scene.host.payload() == b""
    scene.exchange.resume()
    scene.exchange.pause()
    scene.exchange.resume()
    assert scene.host.payload().count(b"GET / ") == 1


def test_an_answer_that_is_whole_and_not_taken() -> None:
    """The host is let go at once; the connection goes on when the viewer has it."""
    scene = Scene()
    scene.wire.stuck = True
    scene.host.speak(HELLO)
    assert scene.reason() is Reason.FINISHED
    assert scene.told == []
    assert scene.exchange.received(b"GET /next") == b"GET /next"
    scene.wire.take()
    assert scene.told == ["kept"]


def test_a_viewer_that_never_takes_the_tail() -> None:
    """After a minute in which nothing moved it is let go; one that goes on is waited for."""
    scene = Scene()
    scene.wire.stuck = True
    scene.host.speak(HELLO)
    for left in range(5, 0, -1):
        scene.wire.dataBuffer = bytes(left)
        scene.world.passes(STALL_S)
        assert scene.told == []
    scene.world.passes(2 * STALL_S)
    assert scene.told == ["broken"]
    scene.exchange.lost()
    scene.world.passes(2 * STALL_S)
    assert scene.told == ["broken"]


def test_a_viewer_that_has_said_everything_may_take_the_tail() -> None:
    """Its end is no reason to forget what it has yet to take, nor to tell anything twice."""
    scene = Scene()
    scene.wire.stuck = True
    scene.host.speak(HELLO)
    scene.exchange.read_ended()
    assert scene.told == []
    scene.wire.take()
    assert scene.told == ["kept"]


def test_a_viewer_that_leaves_an_answer_untaken() -> None:
    """Nothing is told twice of an exchange that is over."""
    scene = Scene()
    scene.wire.stuck = True
    scene.host.speak(HELLO)
    scene.exchange.lost()
    assert scene.told == []
    assert scene.reason() is Reason.FINISHED
