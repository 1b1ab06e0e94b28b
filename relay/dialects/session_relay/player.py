"""Plays a file: what is sent when, what is waited for, and what of the answers is logged.

Specification: session-relay.md §11.1. Pure: time is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from relay.dialects.session_relay.patterns import Pattern
from relay.dialects.session_relay.playing import (
    Comment,
    Expect,
    Sift,
    Step,
    Verb,
    Wait,
)
from relay.dialects.session_relay.recording import Recorder, content
from relay.vocabulary import Data

STEPS_AT_ONCE = 64
"""So many, then others have their turn."""


class Filters:
    """What is logged: all without filters; else what no filter denies and one accepts."""

    def __init__(self) -> None:
        self._accept: dict[bytes, Pattern] = {}
        self._deny: dict[bytes, Pattern] = {}

    def apply(self, step: Sift) -> None:
        """Add a filter, or forget all."""
        if step.pattern is None:
            self._accept.clear()
            self._deny.clear()
        elif step.verb is Verb.ACCEPT:
            self._accept[step.text] = step.pattern
        else:
            self._deny[step.text] = step.pattern

    def passes(self, line: bytes) -> bool:
        """:returns: whether a message is logged"""
        if not self._accept and not self._deny:
            return True
        if any(pattern.matches(line) for pattern in self._deny.values()):
            return False
        return any(pattern.matches(line) for pattern in self._accept.values())


class _Expectation:
    """A condition that is waited for, until it holds or its timeout was noticed.

    :param gap_from: when the present silence began
    """

    def __init__(
        self, step: Expect, pattern: Pattern, now: float, gap_from: float, interval_s: float
    ) -> None:
        self._pattern = pattern
        self._missing = step.wanted
        self._stop = now + step.timeout_s
        self._interval_s = interval_s
        self.notices = self._looks_after(gap_from)

    def heard(self, line: bytes, now: float) -> None:
        """A message came; it breaks the silence after which the timeout is looked at."""
        if self.over(now):
            return
        self.notices = self._looks_after(now)
        if self._pattern.matches(line):
            self._missing -= 1

    def over(self, now: float) -> bool:
        """:returns: whether nothing more is waited for"""
        return self._missing <= 0 or now >= self.notices

    def _looks_after(self, gap_from: float) -> float:
        """:returns: the first look behind the timeout; there is one at each interval of silence"""
        looks = max(1, math.floor((self._stop - gap_from) / self._interval_s) + 1)
        return gap_from + looks * self._interval_s


class Player:
    """Plays the steps of a file, one after the other.

    :param steps: read as they are needed
    :param recorder: takes what is logged; None: nothing is
    :param interval_s: the silence after which a condition's timeout is looked at, above 0
    :param now: seconds, in any clock that does not jump
    :ivar finished: whether all was sent
    """

    def __init__(
        self, steps: Iterator[Step], recorder: Recorder | None, interval_s: float, now: float
    ) -> None:
        self.finished = False
        self._steps = steps
        self._recorder = recorder
        self._interval_s = interval_s
        self._filters = Filters()
        self._gap_from = now
        self._looked = now
        self._until: float | None = None
        self._expectation: _Expectation | None = None
        self._ready: bytes | None = None

    def heard(self, message: Data, now: float) -> None:
        """A whole message came from the topic.

        :raises OSError: when it cannot be logged
        """
        line = content(message.payload, message.text)
        if self._expectation is not None:
            self._expectation.heard(line, now)
        self._gap_from = now
        if self._recorder is not None and self._filters.passes(line):
            self._recorder.note(line)

    def advance(self, now: float, room: Callable[[], bool], say: Callable[[bytes], None]) -> None:
        """Go on as far as time and link allow.

        :param room: whether the link takes a message
        :param say: sends a text message
        :raises OSError: when a comment cannot be logged
        :raises RelayError, ValueError: as the steps do
        """
        self._looked = now
        for _ in range(STEPS_AT_ONCE):
            if self.finished or self._waits(now):
                return
            if self._ready is not None:
                if not room():
                    return
                payload, self._ready = self._ready, None
                say(payload)
            else:
                step = next(self._steps, None)
                if step is None:
                    self.finished = True
                    return
                self._begin(step, now)

    def deadline(self) -> float | None:
        """:returns: when :meth:`advance` is wanted next; None: once the link has room"""
        if self._until is not None:
            return self._until
        if self._expectation is not None:
            return (
                self._looked if self._expectation.over(self._looked) else self._expectation.notices
            )
        return None if self.finished or self._ready is not None else self._looked

    def _waits(self, now: float) -> bool:
        if self._until is not None:
            if now < self._until:
                return True
            self._until = None
        if self._expectation is not None:
            if not self._expectation.over(now):
                return True
            self._expectation = None
        return False

    def _begin(self, step: Step, now: float) -> None:
        if isinstance(step, Comment):
            if step.echo and self._recorder is not None:
                self._recorder.note(step.text)
        elif isinstance(step, Sift):
            self._filters.apply(step)
        elif isinstance(step, Wait):
            self._until = now + step.delay_s
        elif isinstance(step, Expect):
            self._ready = step.payload
            if step.pattern is not None and step.wanted > 0 and step.timeout_s > 0:
                self._expectation = _Expectation(
                    step, step.pattern, now, self._gap_from, self._interval_s
                )
        else:
            self._ready = step.payload
            self._until = now + step.delay_s if step.delay_s else None
