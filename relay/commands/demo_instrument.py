"""The instrument of a demo: a wheel whose speed can be set by messages, as JSON."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable

from relay.vocabulary import Data

FASTEST = 10.0
"""Speed, forwards or backwards; a speed of 1 is a turn in :data:`TURN_S`."""

TURN_S = 10.0
COMMAND_BYTES = 1000
"""Longest command."""

REMEMBERED = 32
"""So many answers are kept."""

SET_SPEED = '{"set":"speed","to":3}'
GET_STATE = '{"get":"state"}'
HELP = f"say {GET_STATE}, or {SET_SPEED} with a speed from -{FASTEST:g} to {FASTEST:g}"


class Wheel:
    """A wheel that turns.

    :param now: seconds, of any clock
    :ivar speed: -FASTEST to FASTEST
    """

    def __init__(self, now: Callable[[], float], speed: float = 1.0) -> None:
        self.speed = speed
        self._now = now
        self._since = now()
        self._turned = 0.0

    def turned(self) -> float:
        """:returns: whole turns so far"""
        return self._turned + self.speed * (self._now() - self._since) / TURN_S

    def set_speed(self, speed: float) -> None:
        """From now on it turns as fast as that."""
        self._turned = self.turned()
        self._since = self._now()
        self.speed = speed


class Instrument:
    """Answers what is asked of a wheel.

    :param wheel: which it sets
    :param say: takes each answer, a text
    :ivar answers: the last ones
    """

    def __init__(self, wheel: Wheel, say: Callable[[bytes], None]) -> None:
        self.answers: deque[bytes] = deque(maxlen=REMEMBERED)
        self._wheel = wheel
        self._say = say

    def heard(self, message: Data) -> None:
        """Somebody said something; what is no command is answered by how to give one."""
        answer = json.dumps(self._obey(message.payload), separators=(",", ":")).encode()
        self.answers.append(answer)
        self._say(answer)

    def _obey(self, payload: bytes) -> dict[str, object]:
        try:
            command = json.loads(payload[: COMMAND_BYTES + 1])
        except (ValueError, RecursionError):
            command = None
        if len(payload) > COMMAND_BYTES or not isinstance(command, dict):
            return {"error": HELP}
        if command.get("set") == "speed" and (speed := _speed(command.get("to"))) is not None:
            self._wheel.set_speed(speed)
        elif command.get("get") != "state":
            return {"error": HELP}
        return {"speed": self._wheel.speed, "angle": round(self._wheel.turned() % 1 * 360) % 360}


def _speed(value: object) -> float | None:
    """:returns: a speed that the wheel can have; None for anything else"""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and abs(value) <= FASTEST else None
