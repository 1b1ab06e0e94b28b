"""``relay monitor``: does a session relay deliver in time? If not, run a command.

Specification: session-relay.md §12. Unlike the original's, a monitor without a command kills
nothing: it says what is wrong, each time. Its links are kept up one by one, each with a token of
its own that lasts until it is renewed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IProcessTransport, IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from relay.commands.attendance import Attendee, Program, Waiting
from relay.commands.monitor_plan import OPTIONS, PREFIX, Minted, Plan, read_plan
from relay.commands.output import add_json, result
from relay.commands.session_options import add_way, begin_logging, way_settings
from relay.dialects.session_relay.monitoring import (
    Judgement,
    Seen,
    Watch,
    split_command,
    write_time,
)
from relay.outside import IOutward
from relay.vocabulary import Data

if TYPE_CHECKING:
    from relay.daemon import IReactor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay monitor`` takes; each may be a variable instead."""
    for option in OPTIONS:
        default = f", default {option.default}" if option.default else ""
        parser.add_argument(
            f"--{option.name}",
            metavar=option.name.rpartition("-")[2].upper(),
            help=f"{option.help}{default}; or {option.variable}",
        )
    parser.add_argument(
        "--secret-file",
        metavar="FILE",
        help=f"the router's secret, which signs the token; or {PREFIX}SECRET has it",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="end at the first message that comes in time (status 0), or at the first trigger "
        "(status 1); runs no command",
    )
    add_way(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Watch until a signal comes, or once.

    :returns: the exit status
    :raises RelayError, ConfigurationError, WrongUsage, OSError: when it cannot be, or not go on
    """
    plan = read_plan(arguments, os.environ, Path.cwd())
    token = Minted(plan)
    settings = way_settings(
        "monitor", plan.session, ("http", "https"), token, arguments, os.environ, Path.cwd()
    )
    level, log_format, file = plan.log
    begin_logging(log_format, level, file)
    from twisted.internet import reactor

    program = Program(settings, cast("IReactor", reactor), lambda: None)
    runner = Runner(plan.command, os.environ, cast(IReactorProcess, reactor))
    monitor = Monitor(program.outward, plan, runner, arguments.once)
    status = program.run(monitor.run)
    if arguments.once and monitor.last is not None:
        result(arguments.json, described(monitor.last, plan), in_words(monitor.last, plan))
    return status


class Monitor:
    """Sends time stamps, looks at those that come, and runs the command.

    :param once: whether the first judgement that counts is the last
    :ivar last: that judgement
    """

    log = Logger()

    def __init__(self, outward: IOutward, plan: Plan, runner: Runner, once: bool) -> None:
        self.last: Seen | None = None
        self._outward = outward
        self._plan = plan
        self._runner = runner
        self._once = once
        self._watch: Watch | None = None
        self._error: Exception | None = None
        self._waiting = Waiting(outward)
        self._tx = Attendee(
            outward, plan.session, lambda _: None, self._failed, self._waiting.stir, "tx"
        )
        self._rx = Attendee(
            outward, plan.session, self._heard, self._failed, self._waiting.stir, "rx"
        )

    async def run(self) -> int:
        """Watch until cancelled, or once.

        :returns: the exit status: 1 when it was once, and too slow
        :raises RelayError: when our token is refused at first
        """
        self._tx.start()
        self._rx.start()
        sending: Deferred[None] | None = None
        if self._once:
            # a relay that is not there at all is too slow for whoever asks
            self._watch = self._begun()
        try:
            while self.last is None:
                self._raise_any()
                stands = self._tx.member is not None and self._rx.member is not None
                if sending is None and stands:
                    self._watch = self._watch or self._begun()
                    sending = ensureDeferred(self._send())
                    sending.addErrback(lambda failure: failure.trap(CancelledError) and None)
                deadline = None if self._watch is None else self._watch.deadline()
                if self._watch is not None and self._outward.now() >= self._watch.deadline():
                    self._judged(self._watch.wake(self._outward.now()))
                else:
                    await self._waiting.until(deadline)
        finally:
            if sending is not None:
                sending.cancel()
            self._tx.leave()
            self._rx.leave()
        return 0 if self.last.judgement is Judgement.GOOD else 1

    def _begun(self) -> Watch:
        plan, now = self._plan, self._outward.now()
        return Watch(plan.threshold_s, plan.silence_s, plan.trigger_after, now)

    async def _send(self) -> None:
        while True:
            await self._outward.sleep(self._plan.interval_s)
            if self._tx.member is not None and self._tx.member.has_room():
                self._tx.member.say(write_time(time.time_ns()), text=False)
            await self._outward.sleep(self._plan.interval_s)

    def _heard(self, message: Data) -> None:
        if self._watch is not None:
            if message.text:
                self.log.warn("somebody else writes to the topic: a text is no time stamp")
            self._judged(self._watch.heard(message, self._outward.now(), time.time_ns()))
            self._waiting.stir()

    def _judged(self, seen: Seen) -> None:
        words = in_words(seen, self._plan)
        if seen.judgement is Judgement.GOOD:
            self.log.debug("{words}", words=words)
        elif seen.judgement is Judgement.MISS:
            self.log.warn("{words}", words=words)
        elif seen.judgement is Judgement.TRIGGER:
            self.log.error("{words}", words=words)
        if self._once:
            if seen.judgement in (Judgement.GOOD, Judgement.TRIGGER):
                self.last = self.last or seen
        elif seen.judgement is Judgement.TRIGGER:
            self._runner.run()

    def _failed(self, error: Exception) -> None:
        self._error = self._error or error
        self._waiting.stir()

    def _raise_any(self) -> None:
        if self._error is not None:
            raise self._error


def in_words(seen: Seen, plan: Plan) -> str:
    """:returns: a judgement as one line"""
    if seen.latency_s is None:
        what = f"no message for {plan.silence_s:g} s"
    else:
        what = f"latency {seen.latency_s * 1000:.1f} ms"
    if seen.judgement in (Judgement.GOOD, Judgement.IGNORED):
        return what
    return f"{what}, threshold {plan.threshold_s * 1000:g} ms: miss {seen.misses}"


def described(seen: Seen, plan: Plan) -> dict[str, object]:
    """:returns: a judgement for JSON"""
    return {
        "ok": seen.judgement is Judgement.GOOD,
        "latency_s": seen.latency_s,
        "threshold_s": plan.threshold_s,
        "misses": seen.misses,
    }


class Runner:
    """Runs the command, one at a time.

    :param command: as it was written; empty: none
    """

    log = Logger()

    def __init__(self, command: str, environ: Mapping[str, str], reactor: IReactorProcess) -> None:
        self._command = command
        self._environ = environ
        self._reactor = reactor
        self._runs = False

    def run(self) -> None:
        """Run it, unless it still does; what goes wrong is logged."""
        words = split_command(self._command, self._environ)
        if not words:
            self.log.error("there is no command to run")
        elif self._runs:
            self.log.error("the command still runs, and is not run again")
        else:
            self._start(words)

    def _start(self, words: list[str]) -> None:
        program = shutil.which(words[0], path=self._environ.get("PATH"))
        if program is None:
            self.log.error("there is no program {program}", program=words[0])
            return
        self.log.warn("running {program}", program=program)
        self._runs = True
        # what it prints goes to standard error
        descriptors: dict[int, int | str] = {0: "w", 1: 2, 2: 2}
        try:
            self._reactor.spawnProcess(
                _Command(self._ended), program, words, None, childFDs=descriptors
            )
        except OSError as error:
            self._ended(error.strerror or str(error))

    def _ended(self, why: str) -> None:
        self._runs = False
        if why:
            self.log.error("the command failed: {why}", why=why)


class _Command(ProcessProtocol):
    """One run of it.

    :param ended: called with what went wrong, in words; empty: nothing
    """

    def __init__(self, ended: Callable[[str], None]) -> None:
        self._ended = ended

    @override
    def connectionMade(self) -> None:
        """It has no input."""
        cast(IProcessTransport, self.transport).closeStdin()

    @override
    def processEnded(self, reason: Failure) -> None:
        """It has ended."""
        status = getattr(reason.value, "exitCode", None)
        number = getattr(reason.value, "signal", None)
        how = f"signal {number}" if status is None else f"status {status}"
        self._ended("" if status == 0 else f"it ended with {how}")
