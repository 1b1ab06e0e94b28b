"""What the three services share: options, log, signals, systemd, exit status."""

from __future__ import annotations

import gc
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized
from typing_extensions import override

from relay.errors import ConfigurationError
from relay.lifecycle import MainService
from relay.logs import make_observer
from relay.settings import CONFIG_KEY
from relay.settings.faults import UNSAFE, nearest, quoted
from relay.settings.schema import Key
from relay.systemd import notify, watchdog_s

YOUNG_OBJECTS = 5000
"""So many more objects than before make the garbage collector look at them."""


class IReactor(IReactorCore, IReactorTime, IReactorFromThreads):
    """What a service needs of the reactor."""


class RelayOptions(usage.Options):
    """Options made from the declared keys; what was said is in ``said``.

    :ivar names: of all options
    """

    names: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.said: dict[str, str | list[str] | None] = {}

    @override
    def parseOptions(self, options: list[str] | None = None) -> None:
        """One line for a wrong option, not the whole help."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            refuse_to_start([f"{self._explain(str(error))}; --help lists the options"])

    @override
    def parseArgs(self, *words: str) -> None:
        """:raises usage.UsageError: every setting is an option."""
        if words:
            raise usage.UsageError(f"{quoted(words[0])} is no option")

    def _explain(self, text: str) -> str:
        if match := re.fullmatch(r"option --(\S+) not recognized", text):
            known = [f"--{name}" for name in self.names]
            return f"unknown option --{match[1]}{nearest(f'--{match[1]}', known)}"
        return text

    def say(self, key: Key, value: str) -> None:
        """Take an option's value."""
        if key.repeatable:
            values = self.said.setdefault(key.name, [])
            cast("list[str]", values).append(value)
        else:
            self.said[key.name] = value


def make_options(keys: Iterable[Key], described: str) -> type[RelayOptions]:
    """:returns: an Options class with one option a key, ``--config`` among them."""
    keys = (CONFIG_KEY, *keys)
    names = tuple(key.name for key in keys)
    body: dict[str, object] = {"longdesc": described, "names": names}
    for key in keys:
        body["opt_" + key.name.replace("-", "_")] = _option(key)
    if "secret-file" in names:
        # else it would pass for --secret-file, and the secret for a file that does not exist
        body["opt_secret"] = _refuse_secret
    return type("Options", (RelayOptions,), body)


def _option(key: Key) -> Callable[[RelayOptions, str], None]:
    def option(self: RelayOptions, value: str) -> None:
        self.say(key, value)

    option.__doc__ = key.help + (f" [{key.default}]" if key.default else "")
    return option


def _refuse_secret(self: RelayOptions, value: str) -> None:
    """(never: see --secret-file)"""
    raise usage.UsageError(UNSAFE)


def refuse_to_start(faults: Iterable[str]) -> NoReturn:
    """Say what is wrong, one line a fault, and exit with status 1; nothing listens yet."""
    for fault in faults:
        print(fault, file=sys.stderr)
    raise SystemExit(1)


def here() -> Path:
    """:returns: the working directory."""
    return Path.cwd()


class Daemon(MultiService):
    """One process around its main service.

    :param main: started and stopped with the daemon
    :param options: those of twistd are looked up for where the log goes
    :param log_out: where it goes otherwise; None: standard output
    """

    log = Logger()

    def __init__(
        self,
        main: MainService,
        reactor: IReactor,
        options: usage.Options,
        log_format: str,
        log_level: str,
        log_out: IO[str] | None = None,
    ) -> None:
        super().__init__()
        self._main = main
        self._reactor = reactor
        self._options = options
        self._log_format = log_format
        self._log_level = log_level
        self._log_out = log_out or sys.stdout
        self._stopping = False
        self._watchdog: LoopingCall | None = None
        main.setServiceParent(self)

    @override
    def setServiceParent(self, parent: Any) -> None:  # Twisted passes an Application here
        """Put our log in the place of twistd's, unless the user chose one."""
        outer: Any = getattr(self._options, "parent", None) or {}
        chosen = any(outer.get(name) for name in ("logfile", "syslog", "logger"))
        if isinstance(parent, Componentized) and outer.get("nodaemon") and not chosen:
            parent.setComponent(ILogObserver, self._make_observer())
        super().setServiceParent(parent)

    def _make_observer(self) -> ILogObserver:
        return make_observer(self._log_format, self._log_level, self._log_out)

    @override
    def startService(self) -> None:
        """Start; READY once everything listens."""
        # Now, since SIGHUP would end us before the reactor runs; and once more when it does,
        # since it installs handlers of its own first.
        self._install_signals()
        self._reactor.callWhenRunning(self._install_signals)
        super().startService()
        self._main.when_ready().addCallback(self._ready)
        self._main.when_over().addCallback(self._over)

    @override
    def stopService(self) -> Deferred[None]:
        """Stop; a second signal cuts the drain short."""
        self._stopping = True
        notify("STOPPING=1")
        if self._watchdog is not None and self._watchdog.running:
            self._watchdog.stop()
        stopped: Deferred[None] = super().stopService()
        return stopped

    def _ready(self, _: None) -> None:
        # whoever hears of it may send a signal at once
        self._reactor.callWhenRunning(self._say_ready)

    def _say_ready(self) -> None:
        if self._stopping:
            return
        self.log.info("ready", event="ready")
        notify("READY=1")
        _settle_memory()
        seconds = watchdog_s()
        if seconds:
            # one that cannot be sent at once is not worth waiting for: the next will do
            self._watchdog = LoopingCall(notify, "WATCHDOG=1", 0.0)
            self._watchdog.clock = self._reactor
            self._watchdog.start(seconds)

    def _over(self, status: int) -> None:
        self._reactor.addSystemEventTrigger("after", "shutdown", _exit, status)
        if not self._stopping:
            self._stopping = True
            # it may be over before the reactor runs
            self._reactor.callWhenRunning(self._reactor.stop)

    def _install_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._asked_to_reload)

    def _asked_to_stop(self, *_: object) -> None:
        self._reactor.callFromThread(self._stop_or_hurry)

    def _stop_or_hurry(self) -> None:
        if self._stopping:
            self._main.hurry()
        else:
            self._stopping = True
            self._reactor.stop()

    def _asked_to_reload(self, *_: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        notify("RELOADING=1")
        try:
            self._main.reload()
        except ConfigurationError as error:
            for fault in error.faults:
                self.log.error("not reloaded, all stays as it was: {fault}", fault=fault)
        else:
            self.log.info("reloaded", event="reloaded")
        notify("READY=1")


def _settle_memory() -> None:
    """What stands now, modules above all, stays: the garbage collector need not look at it again,
    which would hold everybody up for a tenth of a second each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


def _exit(status: int) -> None:
    """Leave with ``status``: twistd itself would leave with 0."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue
    os._exit(status)
