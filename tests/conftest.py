"""What every test gets: no error may be left in the log, and a certificate authority."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator

import pytest
import trustme
from hypothesis import settings
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

from tests import gears

Flush = Callable[..., list[LogEvent]]

# the same examples each time; --hypothesis-profile=default searches new ones
settings.register_profile("steady", derandomize=True, deadline=None)
# --hypothesis-profile=long: new ones, and many times as many
settings.register_profile("long", max_examples=4000, deadline=None)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the gear be chosen."""
    parser.addoption(
        "--gear",
        choices=gears.GEARS,
        default=gears.CUT_THROUGH,
        help="what carries payload in routers, hosts and clients, in process or not",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the gear."""
    config.addinivalue_line("markers", "cut_through: of that gear alone; not run in another")
    config.addinivalue_line("markers", "slow: takes a minute or so; -m 'not slow' leaves it out")
    gears.choose(config.getoption("--gear"))
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # as in the background of a shell: programs that tests start would never hear of Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about a gear that is not used."""
    if config.getoption("--gear") == gears.CUT_THROUGH:
        return
    alone = [item for item in items if item.get_closest_marker("cut_through")]
    config.hook.pytest_deselected(items=alone)
    items[:] = [item for item in items if item not in alone]


@implementer(ILogObserver)
class _ErrorCollector:
    """Keeps what is logged at level error or critical."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_level") in (LogLevel.error, LogLevel.critical) or event.get("isError"):
            self.events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[LogEvent]:
        """Take away the errors with a failure of these kinds, or all; returns them."""
        gc.collect()
        taken = [
            event
            for event in self.events
            if not kinds or ("log_failure" in event and event["log_failure"].check(*kinds))
        ]
        self.events = [event for event in self.events if event not in taken]
        return taken


@pytest.fixture(autouse=True)
def _logged_errors() -> Iterator[_ErrorCollector]:
    """Fail a test that leaves an error in Twisted's log."""
    collector = _ErrorCollector()
    globalLogPublisher.addObserver(collector)
    try:
        yield collector
        # a Deferred logs its unhandled failure only when it is collected; full collections are slow
        gc.collect(1)
    finally:
        globalLogPublisher.removeObserver(collector)
    texts = [
        event["log_failure"].getTraceback() if "log_failure" in event else formatEvent(event)
        for event in collector.events
    ]
    if texts:
        pytest.fail("errors in the log:\n" + "\n".join(texts), pytrace=False)


@pytest.fixture
def expected_log_errors(_logged_errors: _ErrorCollector) -> Flush:
    """Call it, perhaps with exception classes, to take the errors so far out of the log."""
    return _logged_errors.flush


@pytest.fixture(scope="session")
def tls_authority() -> trustme.CA:
    """A certificate authority that nothing trusts unless told so."""
    return trustme.CA()
