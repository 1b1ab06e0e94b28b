"""How the wire protocols are found."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

import relay.dialects
from relay.dialects import find_dialects
from relay.errors import ConfigurationError


@pytest.fixture
def interrupt() -> Iterator[Callable[[object], None]]:
    """Sets what an interrupt does, until the test is over."""
    before = signal.getsignal(signal.SIGINT)

    def handle(handler: object) -> None:
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]  # one that was read before

    yield handle
    handle(before)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What an interrupt does while dialects are imported."""
    handlers: list[object] = []

    def none(*_: object) -> Iterator[object]:
        handlers.append(signal.getsignal(signal.SIGINT))
        return iter(())

    monkeypatch.setattr(relay.dialects, "getPlugins", none)
    return handlers


def test_an_interrupt_while_they_are_imported(
    seen: list[object], interrupt: Callable[[object], None]
) -> None:
    """It ends the program, rather than one dialect; behind that it is what it was."""
    interrupt(signal.default_int_handler)
    find_dialects()
    assert seen == [signal.SIG_DFL]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupt_that_somebody_handles(
    seen: list[object], interrupt: Callable[[object], None]
) -> None:
    """It stays theirs."""
    interrupt(signal.SIG_IGN)
    find_dialects()
    assert seen == [signal.SIG_IGN]


def test_one_that_is_missing(seen: list[object]) -> None:
    """It is named."""
    with pytest.raises(ConfigurationError) as failed:
        find_dialects(["portal"])
    assert "dialect portal is not installed" in failed.value.faults[0]
