"""How exchanges end: whoever goes first, each side is told once and nothing follows."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from relay.dialects.websocktunnel.router import WebsocktunnelFace
from relay.errors import CallFailed, GoingAway, HostAbsent, LimitReached, RelayError
from relay.links.responses import refusal
from relay.vocabulary import Carries, Data, Reason
from tests.unit.viewer_visit import CHUNKED, HELLO, OK, SWITCH, UPGRADE, Scene

UPLOAD = ("content-length", "1000")
PART = OK + b"Content-Length: 10\r\n\r\npart"


# -- hosts that end ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 100 Go\r\n\r\n"]
)
def test_a_host_that_ends_without_a_head(said: bytes) -> None:
    """The viewer is told that there is no answer."""
    scene = Scene()
    if said:
        scene.host.speak(said)
    scene.host.end()
    assert scene.told == ["failed protocol-error"]
    assert scene.sent == b""
    assert scene.reason() is Reason.PROTOCOL_ERROR


@pytest.mark.parametrize(
    "said", [PART, CHUNKED + b"4\r\npart\r\n", CHUNKED + b"4\r\npart\r\n0\r\n"]
)
def test_a_host_that_ends_in_mid_body(said: bytes) -> None:
    """The viewer's connection is broken off: no last chunk makes it whole."""
    scene = Scene()
    scene.host.speak(said)
    scene.host.end()
    assert scene.told == ["broken"]
    assert not scene.sent.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("said", [PART, CHUNKED, OK + b"\r\nhel"])
def test_a_link_that_is_lost_in_mid_body(said: bytes) -> None:
    """The same for a link's end, also where the body has no other end than the stream's."""
    scene = Scene()
    scene.host.speak(said)
    scene.host.hang_up(Reason.PEER_CLOSED)
    assert scene.told == ["broken"]
    assert not scene.sent.endswith(b"0\r\n\r\n")
    assert scene.reason() is Reason.PEER_CLOSED


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (OK + b"\r\nhel", "kept"),
        (PART, "broken"),
        (CHUNKED, "broken"),
        (b"", "failed protocol-error"),
    ],
)
def test_a_host_that_can_end_its_link_alone(said: bytes, told: str) -> None:
    """What is published of portal: such an end is that of the answer, where it may have one."""
    scene = Scene()
    scene.host.carries = Carries()
    if said:
        scene.host.speak(said)
    scene.host.hang_up(Reason.PEER_CLOSED)
    assert scene.told == [told]


def test_a_lost_link_is_no_end_of_an_answer() -> None:
    """Also where a host could have ended it by no other means."""
    scene = Scene()
    scene.host.carries = Carries()
    scene.host.speak(OK + b"\r\nhel")
    scene.host.hang_up(Reason.LOST)
    assert scene.told == ["broken"]


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", SWITCH])
def test_an_answer_that_is_none(said: bytes) -> None:
    """The viewer is told so, and the host's stream ends."""
    scene = Scene()
    scene.host.speak(said)
    assert scene.told == ["failed protocol-error"]
    assert scene.host.reset_reason() == "protocol-error"


def test_a_body_that_turns_bad() -> None:
    """Behind a head there is no other way to say so than to break off."""
    scene = Scene()
    scene.host.speak(CHUNKED)
    scene.host.speak(b"nonsense\r\n")
    assert scene.told == ["broken"]
    assert scene.host.reset_reason() == "protocol-error"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason.FINISHED, "failed target-refused"),
        (Reason.PEER_CLOSED, "failed target-refused"),
        (Reason.LOST, "failed lost"),
        (Reason.OVERRUN, "failed overrun"),
    ],
)
def test_a_stream_that_is_reset_before_the_head(reason: Reason, told: str) -> None:
    """An end that is clean for a stream is none for a request."""
    scene = Scene()
    scene.host.hang_up(reason)
    assert scene.told == [told]


def test_a_fault_in_the_middle_of_the_request() -> None:
    """A host that is gone when the head goes out gets nothing more, and the viewer no 100."""
    scene = Scene(UPLOAD, ("expect", "100-continue"), method="PUT", joined=False)
    send = scene.host.send

    def gone(data: object) -> None:
        scene.host.send = send  # type: ignore[method-assign]
        scene.host.hang_up(Reason.LOST)

    scene.host.send = gone  # type: ignore[method-assign]
    scene.join()
    assert scene.told == ["failed lost"]
    assert scene.sent == b""


# -- viewers that end ----------------------------------------------------------------------------


def waiting(scene: Scene) -> None:
    """Nothing has come from the host."""


def answering(scene: Scene) -> None:
    """A part of the answer has come."""
    scene.host.speak(PART)


@pytest.mark.parametrize("headers", [(), (UPLOAD,)], ids=["asked", "uploading"])
@pytest.mark.parametrize("stage", [waiting, answering])
def test_a_viewer_that_is_gone(
    headers: tuple[tuple[str, str], ...], stage: Callable[[Scene], None]
) -> None:
    """The host's stream ends at once, whatever was going on."""
    scene = Scene(*headers, method="PUT")
    stage(scene)
    scene.exchange.lost()
    assert scene.host.reset_reason() == "peer-closed"
    assert scene.reason() is Reason.PEER_CLOSED
    assert scene.told == []


def test_a_viewer_that_is_gone_before_the_call_is_answered() -> None:
    """A stream that comes then is ended, and nobody is told anything."""
    scene = Scene(joined=False)
    scene.exchange.lost()
    assert scene.exchange.reason is Reason.PEER_CLOSED
    scene.exchange.refuse(0, HostAbsent("too late"))
    assert scene.told == []


@pytest.mark.parametrize(("left", "goes_on"), [(True, False), (False, True), (None, False)])
def test_a_half_closed_viewer(
    left: bool | None, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has said everything gets the answer only if it can be seen to listen."""
    scene = Scene()
    monkeypatch.setattr(type(scene.exchange), "has_left", lambda self: left)
    scene.exchange.read_ended()
    if goes_on:
        scene.host.speak(HELLO)
        assert scene.sent == HELLO
        assert scene.reason() is Reason.FINISHED
    else:
        assert scene.told == ["closed"]
        assert scene.host.reset_reason() == "peer-closed"


def test_a_viewer_that_is_gone_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a host takes nothing, its viewer is not read from: it is looked after all the same."""
    scene = Scene(UPLOAD, method="PUT")
    scene.host.stop_reading()
    scene.world.passes(10)
    assert scene.told == []
    monkeypatch.setattr(type(scene.exchange), "has_left", lambda self: True)
    scene.host.read_on()
    scene.world.passes(10)
    assert scene.told == []
    scene.host.stop_reading()
    scene.world.passes(10)
    assert scene.told == ["broken"]
    assert scene.host.reset_reason() == "peer-closed"


def test_a_viewer_that_ends_in_its_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a body is no body: no end of it is made up for the host."""
    scene = Scene(("transfer-encoding", "chunked"), method="PUT")
    monkeypatch.setattr(type(scene.exchange), "has_left", lambda self: False)
    scene.exchange.received(b"4\r\nbo")
    scene.exchange.read_ended()
    assert scene.told == ["closed"]
    assert not scene.asked().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("stage", "told"), [(waiting, "failed protocol-error"), (answering, "broken")]
)
def test_a_viewer_whose_body_is_none(stage: Callable[[Scene], None], told: str) -> None:
    """It is told where that can be; the host's stream ends in any case."""
    scene = Scene(("transfer-encoding", "chunked"), method="PUT")
    stage(scene)
    assert scene.exchange.received(b"nonsense\r\n") == b""
    assert scene.told == [told]
    assert scene.host.reset_reason() == "protocol-error"
    assert scene.exchange.has_circuit


# -- every order ---------------------------------------------------------------------------------

ENDS: dict[str, Callable[[Scene], None]] = {
    "viewer gone": lambda scene: scene.exchange.lost(),
    "viewer silent": lambda scene: scene.exchange.read_ended(),
    "host done": lambda scene: scene.exchange.finish(),
    "host reset": lambda scene: scene.exchange.reset(Reason.LOST, None),
    "call refused": lambda scene: scene.exchange.refuse(0, HostAbsent("none")),
    "answer": lambda scene: scene.exchange.send(Data(HELLO)),
    "nonsense": lambda scene: scene.exchange.send(Data(b"no\r\n\r\n")),
    "taken": lambda scene: scene.wire.take(),
    "paused": lambda scene: scene.exchange.pause(),
    "resumed": lambda scene: scene.exchange.resume(),
}
BEHIND = ("answer", "nonsense")
"""What no stream delivers behind its end."""
ORDERS = [
    order
    for order in itertools.permutations(ENDS, 2)
    if not (order[0] == "host done" and order[1] in BEHIND)
]


@pytest.mark.parametrize("stuck", [False, True])
@pytest.mark.parametrize("said", [b"", PART, OK + b"\r\n", SWITCH], ids=["", "part", "open", "raw"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_ends_in_every_order(order: tuple[str, ...], said: bytes, stuck: bool) -> None:
    """The visit is told at most once, the circuit ends once, no producer and no timer is left."""
    scene = Scene(*UPGRADE)
    scene.wire.stuck = stuck
    if said:
        scene.host.speak(said)
    for end in order:
        ENDS[end](scene)
    scene.exchange.lost()
    scene.world.passes(10)
    assert len(scene.told) <= 1
    assert scene.exchange.closed
    assert scene.exchange.reason is not None
    # those that the exchange ends by itself, rather than being told of
    assert scene.reason() is not None or set(order) & {"host reset", "call refused"}


# -- reasons -------------------------------------------------------------------------------------


def test_no_reason_is_without_a_status() -> None:
    """Each reason of a call that failed has a status of 5xx, and is named in the header."""
    face = WebsocktunnelFace((b"a", b"b"))
    for reason in Reason:
        scene = Scene(joined=False)
        scene.exchange.end_stream(0, reason)
        (error,) = scene.visit.errors
        response = refusal(error, face)
        assert 500 <= response.status < 600
        assert dict(response.headers)["X-Relay-Reason"] == error.reason.value


@pytest.mark.parametrize(
    ("reason", "status", "word"),
    [
        (Reason.HOST_ABSENT, 504, "host-absent"),
        (Reason.HOST_SILENT, 504, "host-silent"),
        (Reason.GOING_AWAY, 503, "going-away"),
        (Reason.LIMIT, 503, "limit"),
        (Reason.OVERRUN, 503, "overrun"),
        (Reason.TOO_LARGE, 502, "too-large"),
        (Reason.TARGET_REFUSED, 502, "target-refused"),
        (Reason.FINISHED, 502, "target-refused"),
        (Reason.PEER_CLOSED, 502, "target-refused"),
        (Reason.LOST, 502, "lost"),
        (Reason.REPLACED, 502, "replaced"),
        (Reason.REVOKED, 502, "revoked"),
        (Reason.PROTOCOL_ERROR, 502, "protocol-error"),
        (Reason.INTERNAL, 500, "internal"),
    ],
)
def test_statuses(reason: Reason, status: int, word: str) -> None:
    """What viewers are told of a call that failed."""
    scene = Scene(joined=False)
    scene.exchange.end_stream(0, reason, detail="why")
    (error,) = scene.visit.errors
    assert isinstance(error, CallFailed)
    response = refusal(error, WebsocktunnelFace((b"a", b"b")))
    assert response.status == status
    assert dict(response.headers)["X-Relay-Reason"] == word
    assert ("Retry-After" in dict(response.headers)) == (reason is Reason.GOING_AWAY)
    original = refusal(error, WebsocktunnelFace((b"a", b"b"), original_statuses=True))
    assert original.status == (504 if reason is Reason.HOST_ABSENT else 500)


@pytest.mark.parametrize("error", [LimitReached("full"), GoingAway("going"), HostAbsent("none")])
def test_refusals_pass_as_they_are(error: RelayError) -> None:
    """A call that is refused outright says so in its own words."""
    scene = Scene(joined=False)
    scene.exchange.refuse(0, error)
    assert scene.visit.errors == [error]
    assert not scene.exchange.has_circuit
