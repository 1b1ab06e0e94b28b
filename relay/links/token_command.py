"""A tunnel's token, where a command may have to be run for it: without a shell, and without waiting
for it longer than :data:`COMMAND_S`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from typing_extensions import override

from relay.errors import NoToken, Refused, TokenMissing
from relay.settings.model import SecretSource
from relay.settings.secrets import CommandSecret, read_token
from relay.wire.tokens import peek_claims

COMMAND_S = 60.0
"""How long a command may take."""
OUTPUT_BYTES = 64 * 1024
"""What it may print."""
ERROR_LINES = 20
ERROR_LINE_BYTES = 1000
"""What of its complaints is logged, for each run."""
AHEAD_S = 10
"""A token that ends so soon is over: a handshake takes time, and clocks differ."""
FORGETTING_STATUSES = (400, 401, 403)

_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)


class Tokens:
    """Where one tunnel's token comes from.

    :param source: None: there is none
    :param report: logs one line
    """

    def __init__(
        self, source: SecretSource | None, reactor: IReactorTime, report: Callable[[str], None]
    ) -> None:
        self._source = source
        self._reactor = reactor
        self._report = report

    async def read(self) -> str:
        """Read the token afresh; what a command has printed counts until it is over.

        :raises TokenMissing, TokenInvalid: when there is none
        :raises NoToken: when the command fails
        """
        source = self._source
        if isinstance(source, CommandSecret) and not in_date(
            source.kept(), self._reactor.seconds()
        ):
            source.feed(await run(source, self._reactor, self._report))
        return read_token(source)

    def refused(self, error: Refused) -> None:
        """A router did not want us: the next attempt asks the command again."""
        if isinstance(self._source, CommandSecret) and error.status in FORGETTING_STATUSES:
            self._source.feed("")


def in_date(token: str, now: float) -> bool:
    """:returns: whether a token names its beginning and its end, and now is between them

    :param now: Unix seconds
    """
    claims = peek_claims(token)
    begins, ends = claims.get("nbf"), claims.get("exp")
    if not isinstance(begins, int | float) or not isinstance(ends, int | float):
        return False
    return begins <= now < ends - AHEAD_S


def run(
    source: CommandSecret, reactor: IReactorTime, report: Callable[[str], None]
) -> Deferred[str]:
    """Run the command once; cancelled, it is killed.

    :param report: logs a line of its standard error
    :returns: the first line of its output; fails with NoToken
    :raises TokenMissing: when there is no such program
    """
    program = source.command[0]
    if "/" in program:
        program = str(source.directory / program)
    path = shutil.which(program)
    if path is None:
        raise TokenMissing(f"there is no program {source.command[0]}", "correct token-command")
    running = _Running(source.origin, report)
    try:
        cast(IReactorProcess, reactor).spawnProcess(
            running, path, source.command, None, str(source.directory)
        )
    except OSError as error:
        raise NoToken(f"{source.origin} cannot be run: {error.strerror}") from error
    running.over.addTimeout(COMMAND_S, reactor, running.too_slow)
    return running.over


class _Running(ProcessProtocol):
    """One run."""

    def __init__(self, origin: str, report: Callable[[str], None]) -> None:
        self.over: Deferred[str] = Deferred(self._cancelled)
        self._origin = origin
        self._report = report
        self._output = bytearray()
        self._errors = b""
        self._said = 0

    @override
    def connectionMade(self) -> None:
        """It is not to wait for input."""
        self._process().closeStdin()

    @override
    def outReceived(self, data: bytes) -> None:
        """A part of what may be the token."""
        self._output += data
        if len(self._output) > OUTPUT_BYTES:
            self._fail(NoToken(f"{self._origin} printed more than {OUTPUT_BYTES} bytes"))

    @override
    def errReceived(self, data: bytes) -> None:
        """It complains."""
        *lines, rest = (self._errors + data).split(b"\n")
        # what is cut off here is not looked at again, so that it costs no memory
        self._errors = rest[: ERROR_LINE_BYTES + 1]
        for line in lines:
            self._complain(line)

    @override
    def processEnded(self, reason: Failure) -> None:
        """It has ended, and nobody holds its output any more."""
        if self._errors:
            self._complain(self._errors)
        if self.over.called:
            return
        status = getattr(reason.value, "exitCode", None)
        if status != 0:
            signal = getattr(reason.value, "signal", None)
            how = f"status {status}" if status is not None else f"signal {signal}"
            self._fail(NoToken(f"{self._origin} ended with {how}", "its complaints are above"))
            return
        line = bytes(self._output).partition(b"\n")[0].decode("utf-8", "replace").strip()
        if line:
            self.over.callback(line)
        else:
            self._fail(NoToken(f"the first line that {self._origin} printed is empty"))

    def too_slow(self, result: object, timeout_s: float) -> str:
        """:raises NoToken: the run took too long, and was killed"""
        raise NoToken(f"{self._origin} took longer than {timeout_s:g} s")

    def _process(self) -> IProcessTransport:
        return cast(IProcessTransport, self.transport)

    def _complain(self, line: bytes) -> None:
        self._said += 1
        if self._said <= ERROR_LINES:
            text = _TOKEN.sub("***", line[:ERROR_LINE_BYTES].decode("utf-8", "replace").rstrip())
            self._report(f"{self._origin} says: {text}")
        elif self._said == ERROR_LINES + 1:
            self._report(f"{self._origin} says more, which is left out")

    def _fail(self, error: NoToken) -> None:
        if not self.over.called:
            self._kill()
            self.over.errback(error)

    def _cancelled(self, over: Deferred[str]) -> None:
        self._kill()
        over.errback(NoToken(f"{self._origin} was stopped"))

    def _kill(self) -> None:
        process = self._process()
        with suppress(ProcessExitedAlready):
            process.signalProcess("KILL")
        # those that it has started may still hold its output
        process.loseConnection()
