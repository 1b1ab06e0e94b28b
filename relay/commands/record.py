"""``relay record``: write what is said on a topic of a session relay to a file.

Specification: session-relay.md §11. It receives and sends nothing, and goes on until a signal ends
it; after a lost link it connects again, with a fresh token.
"""

from __future__ import annotations

import argparse
import errno
import os
import select
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred

from relay.commands.attendance import Attendee, Program
from relay.commands.output import WrongUsage
from relay.commands.session_options import (
    add_session,
    add_way,
    begin_logging,
    flag,
    session_settings,
    told,
)
from relay.dialects.session_relay.recording import Recorder
from relay.errors import RelayError
from relay.outside import IOutward

if TYPE_CHECKING:
    from relay.daemon import IReactor

STDOUT = 1
STDOUT_WORD = "-"
FILE_MODE = 0o666
MODES = ("text", "binary")
_REMEDIES = {
    errno.ENOENT: "make its folder first",
    errno.EACCES: "who may write there?",
    errno.ENOSPC: "make room there; what came until now is in the file",
}
"""What to try where a file cannot be written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay record`` takes."""
    add_session(parser)
    parser.add_argument(
        "--file",
        metavar="FILE",
        help="written at its end, opened anew at SIGHUP; -: standard output; or RELAY_CLIENT_FILE",
    )
    parser.add_argument(
        "--mode",
        metavar="MODE",
        help="text: a line with the time for each message; binary: payload alone; "
        "or RELAY_CLIENT_MODE",
    )
    add_way(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record until a signal comes.

    :returns: the exit status
    :raises RelayError, ConfigurationError, WrongUsage, OSError: when it cannot be, or not go on
    """
    environ = os.environ
    settings = session_settings("record", arguments, environ, Path.cwd())
    binary = find_mode(arguments.mode, environ) == "binary"
    output = Output(told(arguments.file, environ, "RELAY_CLIENT_FILE"))
    development = flag(False, environ, "RELAY_CLIENT_DEVELOPMENT")
    begin_logging("text", "debug" if development else "info")
    from twisted.internet import reactor

    recording: Recording | None = None

    def hung_up() -> None:
        if recording is not None:
            recording.reopen()

    program = Program(settings, cast("IReactor", reactor), hung_up)
    recording = Recording(
        program.outward, settings.router, settings.token is not None, output, binary
    )
    return program.run(recording.run)


def find_mode(option: str | None, environ: Mapping[str, str]) -> str:
    """:returns: ``text`` or ``binary``. :raises WrongUsage: when it is neither"""
    mode = (told(option, environ, "RELAY_CLIENT_MODE") or MODES[0]).strip().lower()
    if mode not in MODES:
        raise WrongUsage(f"the mode is text or binary, not {mode!r}")
    return mode


def local_clock() -> tuple[int, int]:
    """:returns: Unix time in nanoseconds, and how far local time is east of UTC in seconds"""
    now_ns = time.time_ns()
    return now_ns, time.localtime(now_ns // 1_000_000_000).tm_gmtoff


class Output:
    """A file that is written at its end, or standard output.

    :param path: None or ``-`` is standard output
    :raises RelayError: when it cannot be opened
    """

    def __init__(self, path: str | None) -> None:
        self._path = None if path in (None, STDOUT_WORD) else path
        self._fd = STDOUT if self._path is None else _opened(self._path)

    def reopen(self) -> None:
        """Go on in a new file of the same name; standard output stays.

        :raises RelayError: when it cannot be opened
        """
        if self._path is not None:
            old, self._fd = self._fd, _opened(self._path)
            os.close(old)

    def write(self, data: bytes) -> None:
        """Write all of it.

        :raises RelayError: when the file takes no more
        :raises BrokenPipeError: when nobody reads standard output any more
        """
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                # somebody else who has this terminal or pipe open made it so
                select.select([], [self._fd], [])
            except BrokenPipeError:
                raise
            except OSError as error:
                raise _unwritable(self._path or "standard output", error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._path is not None:
            os.close(self._fd)


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(name: str, error: OSError) -> RelayError:
    why = error.strerror or str(error)
    return RelayError(f"cannot write to {name}: {why}", _REMEDIES.get(error.errno or 0, ""))


class Recording:
    """Writes what a topic says, for ever.

    :param clock: as :class:`~relay.dialects.session_relay.recording.Recorder` has it
    """

    def __init__(
        self,
        outward: IOutward,
        session_url: str,
        with_token: bool,
        output: Output,
        binary: bool,
        clock: Callable[[], tuple[int, int]] = local_clock,
    ) -> None:
        self._output = output
        self._over: Deferred[None] = Deferred()
        recorder = Recorder(output.write, clock, binary)
        self._attendee = Attendee(
            outward, session_url, recorder.heard, self._failed, with_token=with_token
        )

    async def run(self) -> int:
        """Record until cancelled.

        :raises RelayError: when a token is refused at first, or the file cannot be written
        """
        self._attendee.start()
        try:
            await self._over
        finally:
            self._attendee.leave()
            self._output.close()
        return 0

    def reopen(self) -> None:
        """The file was moved away: begin another."""
        try:
            self._output.reopen()
        except RelayError as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if not self._over.called:
            self._over.errback(error)
