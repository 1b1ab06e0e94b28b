"""``relay play``: send the messages of a play file to a topic of a session relay, when it says so.

Specification: session-relay.md §11.1. Unlike the original it begins once it is a member of the
topic, and ends when all that it said has left.
"""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from relay.commands.attendance import Attendee, Program, Waiting
from relay.commands.output import WrongUsage, add_json, event, result
from relay.commands.record import Output, local_clock
from relay.commands.session_options import (
    EXAMPLE,
    add_session,
    add_way,
    begin_logging,
    flag,
    session_settings,
    told,
)
from relay.dialects.session_relay.durations import duration_s
from relay.dialects.session_relay.patterns import is_linear
from relay.dialects.session_relay.player import Player
from relay.dialects.session_relay.playing import LongLine, Malformed, Step, read_steps
from relay.dialects.session_relay.recording import Recorder
from relay.errors import ConfigurationError, RelayError
from relay.outside import IOutward
from relay.settings.faults import printable
from relay.vocabulary import Data

if TYPE_CHECKING:
    from relay.daemon import IReactor

INTERVAL = "1s"
SETTLE_S = 1.0
"""An original hears a new member only some time after its handshake (§5.1): what is said before
would be lost."""

STAND_IN = (
    "google-re2 is not installed: Python's own patterns stand in, which nested repetitions can "
    "make slow; install it with: pip install google-re2"
)
FAULTS = 1000
"""So many are told of one file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay play`` takes."""
    parser.add_argument(
        "file", nargs="?", metavar="PLAYFILE", help="what to play; or RELAY_CLIENT_FILE_PLAY"
    )
    add_session(parser)
    parser.add_argument(
        "--log",
        metavar="FILE",
        help="what comes back is written at its end; -: standard output; or RELAY_CLIENT_FILE_LOG",
    )
    parser.add_argument(
        "--check-only",
        action="store_true",
        help="look for faults in the file and send nothing; or RELAY_CLIENT_CHECK_ONLY",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="leave out lines with faults and play the rest; or RELAY_CLIENT_FORCE",
    )
    parser.add_argument(
        "--interval",
        metavar="DURATION",
        help="silence after which the timeout of a condition is looked at, default 1s; "
        "or RELAY_CLIENT_INTERVAL",
    )
    add_way(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the file, then play it.

    :returns: the exit status
    :raises RelayError, ConfigurationError, WrongUsage, OSError: when it cannot be, or not go on
    """
    environ = os.environ
    path = told(arguments.file, environ, "RELAY_CLIENT_FILE_PLAY")
    if path is None:
        raise WrongUsage(
            f'name a play file, as in "relay play {EXAMPLE} PLAYFILE"; '
            '"relay record" is what records without one'
        )
    interval_s = find_interval(arguments.interval, environ)
    check_only = flag(arguments.check_only, environ, "RELAY_CLIENT_CHECK_ONLY")
    settings = None if check_only else session_settings("play", arguments, environ, Path.cwd())
    with open_play_file(path) as file:
        checked = check(path, file)
        force = flag(arguments.force, environ, "RELAY_CLIENT_FORCE")
        if checked.patterns and not is_linear():
            event(f"relay play: {STAND_IN}")
        if settings is None and (arguments.json or force or not checked.faults):
            text = f"{path}: {checked.lines} lines, {len(checked.faults) or 'no'} faults"
            result(arguments.json, checked.described(), text)
        _tell(path, checked, force)
        if settings is None:
            return 0
        log = told(arguments.log, environ, "RELAY_CLIENT_FILE_LOG")
        output = None if log is None else Output(log)
        development = flag(False, environ, "RELAY_CLIENT_FILE_DEVELOPMENT")
        begin_logging("text", "debug" if development else "warn")
        from twisted.internet import reactor

        playing: Playing | None = None

        def hung_up() -> None:
            if playing is not None:
                playing.reopen()

        program = Program(settings, cast("IReactor", reactor), hung_up)
        file.seek(0)
        playing = Playing(
            program.outward,
            settings.router,
            settings.token is not None,
            sound_steps(path, file),
            output,
            interval_s,
        )
        return program.run(playing.run)


def find_interval(option: str | None, environ: Mapping[str, str]) -> float:
    """:returns: seconds above 0. :raises WrongUsage: when that is no such duration"""
    text = told(option, environ, "RELAY_CLIENT_INTERVAL") or INTERVAL
    try:
        interval_s = duration_s(text)
    except ValueError as error:
        raise WrongUsage(f"the interval: {error}") from None
    if interval_s <= 0:
        raise WrongUsage("the interval must be greater than 0")
    return interval_s


class Checked(NamedTuple):
    """What a look at a play file has found.

    :ivar faults: line number and what is wrong, the first :data:`FAULTS`
    :ivar patterns: whether there are any
    """

    lines: int
    faults: list[tuple[int, str]]
    patterns: bool = False

    def described(self) -> dict[str, object]:
        """:returns: the same, for JSON"""
        faults = [{"line": number, "fault": text} for number, text in self.faults]
        return {"lines": self.lines, "faults": faults}


def open_play_file(path: str) -> BinaryIO:
    """:raises RelayError: when it is no file, or cannot be read"""
    try:
        # of a pipe nobody waits for the other end
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise RelayError(f"{path}: {error.strerror}", "name a play file") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise RelayError(f"{path} is no regular file", "it is read twice: put it into one")
    return file


def check(path: str, file: BinaryIO) -> Checked:
    """Read a play file to its end.

    :raises RelayError: when a line is too long
    """
    lines, faults, patterns = 0, list[tuple[int, str]](), False
    try:
        for lines, step in read_steps(file):
            if isinstance(step, Malformed) and len(faults) < FAULTS:
                faults.append((lines, str(step)))
            patterns |= getattr(step, "pattern", None) is not None
    except LongLine as error:
        raise RelayError(f"{path}: {error}") from None
    return Checked(lines, faults, patterns)


def sound_steps(path: str, file: BinaryIO) -> Iterator[Step]:
    """Read a play file while it is played; lines with faults are left out.

    :raises RelayError: when a line has become too long
    """
    try:
        for _, step in read_steps(file):
            if not isinstance(step, Malformed):
                yield step
    except LongLine as error:
        raise RelayError(f"{path}: {error}") from None


def _tell(path: str, checked: Checked, force: bool) -> None:
    """:raises ConfigurationError: when there are faults, and they are not to be left out"""
    faults = [f"{path}: line {number}: {text}" for number, text in checked.faults]
    if faults and not force:
        raise ConfigurationError(faults)
    for fault in faults:
        event(printable(f"relay play: left out: {fault}"))


class Playing:
    """Plays a file on a topic.

    :param output: where what comes back is written; None: nowhere
    """

    def __init__(
        self,
        outward: IOutward,
        session_url: str,
        with_token: bool,
        steps: Iterator[Step],
        output: Output | None,
        interval_s: float,
    ) -> None:
        self._outward = outward
        self._steps = steps
        self._output = output
        self._interval_s = interval_s
        self._recorder = None if output is None else Recorder(output.write, local_clock)
        self._error: Exception | None = None
        self._waiting = Waiting(outward)
        self._player: Player | None = None
        self._attendee = Attendee(
            outward,
            session_url,
            self._heard,
            self._failed,
            self._waiting.stir,
            with_token=with_token,
        )

    async def run(self) -> int:
        """Play to the end; what was said last still leaves, with the link's own end behind it.

        :raises RelayError: when a token is refused at first, or the log cannot be written
        """
        self._attendee.start()
        try:
            await self._settled()
            player = Player(self._steps, self._recorder, self._interval_s, self._outward.now())
            self._player = player
            while not player.finished:
                self._raise_any()
                player.advance(self._outward.now(), self._has_room, self._say)
                if not player.finished:
                    await self._waiting.until(self._deadline(player))
            self._raise_any()
        finally:
            self._attendee.leave()
        return 0

    def reopen(self) -> None:
        """The log was moved away: begin another."""
        try:
            if self._output is not None:
                self._output.reopen()
        except OSError as error:
            self._failed(error)

    async def _settled(self) -> None:
        while True:
            self._raise_any()
            member = self._attendee.member
            settled_at = self._attendee.stood_at + SETTLE_S
            if member is None or member.closed:
                await self._waiting.until(None)
            elif self._outward.now() < settled_at:
                await self._waiting.until(settled_at)
            else:
                return

    def _deadline(self, player: Player) -> float | None:
        settled_at = self._attendee.stood_at + SETTLE_S
        wanted = player.deadline()
        if wanted is None and self._outward.now() < settled_at:
            return settled_at
        return wanted

    def _has_room(self) -> bool:
        member = self._attendee.member
        settled = self._outward.now() >= self._attendee.stood_at + SETTLE_S
        return settled and member is not None and member.has_room()

    def _say(self, payload: bytes) -> None:
        if self._attendee.member is not None:
            self._attendee.member.say(payload, text=True)

    def _heard(self, message: Data) -> None:
        if self._player is not None:
            self._player.heard(message, self._outward.now())
            self._waiting.stir()
        elif self._recorder is not None:
            # no filter stands before the first line is played
            self._recorder.heard(message)

    def _failed(self, error: Exception) -> None:
        self._error = self._error or error
        self._waiting.stir()

    def _raise_any(self) -> None:
        if self._error is not None:
            raise self._error
