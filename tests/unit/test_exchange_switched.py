"""Exchanges that became bytes both ways, and how they end."""

from __future__ import annotations

import pytest

from relay.links.viewer.exchange import GOODBYE_S
from relay.vocabulary import Reason
from tests.unit.viewer_visit import SWITCH, UPGRADE, Scene

TICKS_S = 0.5
"""Timers are late by so much at most."""


def switched(waiting: bytes = b"", secure: bool = False) -> Scene:
    """An exchange whose host has answered 101."""
    scene = Scene(*UPGRADE, waiting=waiting, secure=secure)
    scene.host.speak(SWITCH + b"down")
    assert scene.sent.endswith(b"\r\n\r\ndown")
    return scene


def test_bytes_are_bytes_both_ways() -> None:
    """Neither side is read any more, whatever it looks like."""
    scene = switched(waiting=b"early")
    assert scene.exchange.received(b"GET / HTTP/1.1\r\n\r\n") == b""
    assert scene.asked() == b"earlyGET / HTTP/1.1\r\n\r\n"
    scene.host.speak(b"HTTP/1.1 500 No\r\n\r\n")
    assert scene.sent.endswith(b"downHTTP/1.1 500 No\r\n\r\n")
    assert scene.told == []


def test_slow_ends() -> None:
    """Each side stops the other."""
    scene = switched()
    scene.wire.stuck = True
    scene.host.speak(b"more")
    assert scene.host.paused
    scene.wire.take()
    assert not scene.host.paused
    scene.host.stop_reading()
    assert not scene.wire.reading
    scene.host.read_on()
    assert scene.wire.reading


def test_a_viewer_that_has_said_everything() -> None:
    """The host hears of it, and may go on; its end is the end."""
    scene = switched()
    scene.exchange.read_ended()
    assert scene.host.events[-1] == "finish"
    scene.host.speak(b"!")
    assert scene.sent.endswith(b"down!")
    scene.host.end()
    assert scene.told == ["closed"]
    assert scene.reason() is Reason.FINISHED


def test_a_viewer_that_had_said_everything_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that came before the 101 is told behind it."""
    scene = Scene(*UPGRADE)
    monkeypatch.setattr(type(scene.exchange), "has_left", lambda self: False)
    scene.exchange.read_ended()
    assert "finish" not in scene.host.events
    scene.host.speak(SWITCH)
    assert scene.host.events[-1] == "finish"
    scene.host.end()
    assert scene.told == ["closed"]


def test_a_host_that_has_said_everything() -> None:
    """Its end is told at once; a viewer that answers nothing is let go a moment later."""
    scene = switched()
    scene.host.end()
    assert scene.wire.calls[-1] == "half-close"
    assert scene.told == []
    scene.world.passes(GOODBYE_S + TICKS_S)
    assert scene.told == ["closed"]
    assert scene.reason() is Reason.FINISHED
    assert scene.host.events[-1] == "reset finished"


def test_a_viewer_that_goes_on_speaking() -> None:
    """It has its moment anew for as long as it speaks."""
    scene = switched()
    scene.host.end()
    for _ in range(5):
        scene.world.passes(GOODBYE_S - TICKS_S)
        scene.exchange.received(b"x")
    assert scene.told == []
    assert scene.asked() == b"xxxxx"
    scene.world.passes(2 * (GOODBYE_S + TICKS_S))
    assert scene.told == ["closed"]


@pytest.mark.parametrize("how", ["end", "lost"])
def test_a_viewer_that_answers_the_goodbye(how: str) -> None:
    """Nobody waits any more, and no timer is left."""
    scene = switched()
    scene.host.end()
    if how == "end":
        scene.exchange.read_ended()
    else:
        scene.exchange.lost()
    told = ["closed"] if how == "end" else []
    assert scene.told == told
    scene.world.passes(2 * GOODBYE_S)
    assert scene.told == told


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (Reason.FINISHED, "closed"),
        (Reason.PEER_CLOSED, "closed"),
        (Reason.LOST, "broken"),
        (Reason.GOING_AWAY, "broken"),
    ],
)
def test_a_host_that_is_gone(reason: Reason, told: str) -> None:
    """A clean end closes behind what was sent; any other breaks off."""
    scene = switched()
    scene.host.hang_up(reason)
    assert scene.told == [told]


def test_tls_without_half_close() -> None:
    """Where TLS is Twisted's, the host's end closes the connection behind what was sent."""
    scene = switched(secure=True)
    scene.host.speak(b"last")
    scene.host.end()
    assert scene.wire.calls.count("half-close") == 0
    assert scene.told == ["closed"]
    assert scene.reason() is Reason.FINISHED
