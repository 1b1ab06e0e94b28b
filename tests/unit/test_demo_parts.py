"""The camera, the instrument and the witness of the demo of topics."""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer
from twisted.internet.task import Clock
from twisted.web.iweb import IBodyProducer
from zope.interface.verify import verifyObject

from relay.commands.demo_camera import EVERY_S, Camera
from relay.commands.demo_instrument import COMMAND_BYTES, TURN_S, Instrument, Wheel
from relay.commands.demo_witness import PICTURES, Seen, Witness
from relay.errors import RelayError
from relay.vocabulary import Data


class Rig:
    """An instrument, its wheel, and what it has said."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock.seconds)
        self.said: list[bytes] = []
        self.instrument = Instrument(self.wheel, self.said.append)

    def asked(self, command: bytes) -> bytes:
        """:returns: the only answer to a command"""
        self.said.clear()
        self.instrument.heard(Data(command, text=True))
        (answer,) = self.said
        return answer


def test_a_wheel_turns() -> None:
    """It has turned as fast as it was told to, before and after it was told otherwise."""
    rig = Rig()
    rig.clock.advance(TURN_S)
    assert rig.wheel.turned() == pytest.approx(1.0)
    rig.wheel.set_speed(-2)
    rig.clock.advance(TURN_S / 4)
    assert rig.wheel.turned() == pytest.approx(0.5)


def test_commands() -> None:
    """The speed can be set, and the state asked for; every answer is remembered."""
    rig = Rig()
    assert rig.asked(b'{"get":"state"}') == b'{"speed":1.0,"angle":0}'
    assert rig.asked(b'{"set":"speed","to":-2.5}') == b'{"speed":-2.5,"angle":0}'
    rig.clock.advance(TURN_S / 10)
    assert rig.asked(b' {"get": "state"} ') == b'{"speed":-2.5,"angle":270}'
    assert len(rig.instrument.answers) == 3


@pytest.mark.parametrize(
    "command",
    [
        b"",
        b"hello",
        b"\xff",
        b"[]",
        b"{}",
        b'{"set":"speed"}',
        b'{"set":"speed","to":true}',
        b'{"set":"speed","to":"3"}',
        b'{"set":"speed","to":10.1}',
        b'{"set":"speed","to":NaN}',
        b'{"set":"speed","to":1e999}',
        b'{"get":"state"}' + b" " * COMMAND_BYTES,
        b"[" * COMMAND_BYTES,
    ],
)
def test_what_is_no_command(command: bytes) -> None:
    """It is answered by what would be one, and changes nothing."""
    rig = Rig()
    assert b'"error"' in rig.asked(command)
    assert rig.wheel.speed == 1.0


class Consumer:
    """Takes what is filmed."""

    def __init__(self) -> None:
        self.took: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take it."""
        self.took.append(data)


def test_a_film() -> None:
    """A picture each time, until somebody ends it; none while they do not get away."""
    clock = Clock()
    camera = Camera(cast(Any, clock), Wheel(clock.seconds))
    assert verifyObject(IBodyProducer, camera)
    consumer = Consumer()
    film = camera.startProducing(cast(IConsumer, consumer))
    clock.pump([EVERY_S] * 3)
    assert consumer.took == list(camera.pictures)
    assert len(set(consumer.took)) == 4
    camera.pauseProducing()
    clock.pump([EVERY_S] * 3)
    camera.resumeProducing()
    clock.advance(EVERY_S)
    assert len(consumer.took) == 5
    assert not film.called
    camera.stopProducing()
    camera.stopProducing()
    assert clock.getDelayedCalls() == []


def seen(witness: Witness) -> list[Any]:
    """:returns: what is told, once it is"""
    told: list[Any] = []
    waiting: Deferred[Seen] = witness.seen()
    waiting.addCallbacks(told.append, lambda failure: told.append(failure.value))
    return told


def test_a_witness() -> None:
    """Pictures and an answer are enough, in whatever order they come."""
    pictures = [bytes([number]) * 10 for number in range(PICTURES)]
    witness = Witness(pictures, [b"yes"])
    told = seen(witness)
    for one in pictures[1:]:
        witness.saw(Data(one))
    witness.heard(Data(b"yes", text=True))
    assert witness.answered
    assert told == []
    witness.saw(Data(pictures[0]))
    (found,) = told
    assert found[:3] == (PICTURES, PICTURES * 10, "yes")
    witness.saw(Data(pictures[0]))


@pytest.mark.parametrize("payload", [b"ab", b"a", b"", b"aa"])
def test_a_witness_of_something_else(payload: bytes) -> None:
    """What was sent by nobody, in part or glued together, is no picture and no answer."""
    witness = Witness([b"abc"], [b"abc"])
    told = seen(witness)
    witness.saw(Data(payload))
    (error,) = told
    assert isinstance(error, RelayError)
    assert f"{len(payload)} bytes came" in error.text
    witness.heard(Data(payload))
    assert not witness.answered
