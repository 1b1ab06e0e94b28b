"""Who is let in at a port that a dialect has opened, and who is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher

from relay.errors import TokenMissing
from relay.faces import Welcome
from relay.vocabulary import Grant, Reason, Role
from tests.fakes.raw_talks import RawHost
from tests.integration.raw_room import Quay, caller, host
from tests.rawpeer import together, until

OTHER_HOST = Grant("raw", Role.HOST, "cam-2")


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[str]]]:
    """What is logged of refusals."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("event") in ("refused", "login-failed"):
            lines.append(formatEvent(event))

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    yield lambda: lines
    globalLogPublisher.removeObserver(observer)


def refusals(quay: Quay) -> dict[tuple[str, Reason], int]:
    """:returns: how many were refused, by dialect and reason"""
    return dict(quay.around.metrics.refused_total)


@pytest_twisted.ensureDeferred
async def test_who_is_not_welcome(log_lines: Callable[[], list[str]]) -> None:
    """It is reset at once, counted and logged as a failed login; the port is not used up."""

    async def test(quay: Quay) -> None:
        strangers = True

        def welcome(address: str, port: int) -> Welcome:
            if strangers:
                raise TokenMissing("that came from another address")
            return host(address, port)

        port = quay.open(welcome)
        peer = await quay.dial(port)
        await peer.gone()
        assert peer.was_reset()
        assert refusals(quay) == {("raw", Reason.TOKEN_MISSING): 1}
        assert quay.around.metrics.failed_logins_total["raw"] == 1
        assert log_lines() == [
            f"login failed from 127.0.0.1: raw port {port.number}: token-missing: "
            "that came from another address"
        ]
        strangers = False
        await quay.dial(port)
        await until(lambda: quay.waiting() or None, "host")

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_failures_that_no_answer_waits_for() -> None:
    """However many fail, nobody's place among the answers that are held back is used up."""

    async def test(quay: Quay) -> None:
        def welcome(address: str, port: int) -> Welcome:
            raise TokenMissing("no")

        port = quay.open(welcome)
        for _ in range(quay.hall.limits.failed_logins_per_min + 3):
            peer = await quay.dial(port)
            await peer.gone()
        assert quay.hall.reception._failed_logins._waiting == 0

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_a_name_that_nobody_offers(log_lines: Callable[[], list[str]]) -> None:
    """The caller is refused before it is a link."""

    async def test(quay: Quay) -> None:
        peer = await quay.caller()
        await peer.gone()
        assert peer.was_reset()
        assert refusals(quay) == {("raw", Reason.HOST_ABSENT): 1}
        assert len(log_lines()) == 1
        assert not quay.hall.turns.visitors

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_callers_without_a_name_are_counted_by_address() -> None:
    """Above links-per-address they are refused; hosts, who have a name, are not counted."""

    async def test(quay: Quay) -> None:
        for _ in range(3):
            await quay.host()
        for _ in range(2):
            await quay.caller()
        await until(lambda: len(quay.broker.circuits) == 2 or None, "circuits")
        third = await quay.caller()
        await third.gone()
        assert third.was_reset()
        assert quay.waiting() == 1
        assert refusals(quay) == {("raw", Reason.LIMIT): 1}

    quay = Quay(links_per_address=2)
    await quay.run(test)
    assert not quay.hall.turns.visitors


@pytest_twisted.ensureDeferred
async def test_links_of_one_host() -> None:
    """Above links-per-subject it is refused."""

    async def test(quay: Quay) -> None:
        await quay.host()
        port = quay.open(host)
        peer = await quay.dial(port)
        await peer.gone()
        assert refusals(quay) == {("raw", Reason.LIMIT): 1}

    await Quay(links_per_subject=1).run(test)


@pytest_twisted.ensureDeferred
async def test_who_was_revoked() -> None:
    """A port that was opened before lets it in no more."""

    async def test(quay: Quay) -> None:
        port = quay.open(host)
        quay.broker.revoke("raw", subject="cam-1")
        peer = await quay.dial(port)
        await peer.gone()
        assert refusals(quay) == {("raw", Reason.REVOKED): 1}

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_a_fault_of_ours(expected_log_errors: Callable[..., list[Any]]) -> None:
    """It is logged, and ends that connection only."""

    async def test(quay: Quay) -> None:
        def welcome(address: str, port: int) -> Welcome:
            raise ZeroDivisionError

        peer = await quay.dial(quay.open(welcome))
        await peer.gone()
        assert peer.was_reset()
        assert expected_log_errors(ZeroDivisionError)
        await quay.host()

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_the_oldest_of_too_many_gives_way() -> None:
    """One more than may wait ends the one that has waited longest."""

    async def test(quay: Quay) -> None:
        hosts = [await quay.host() for _ in range(21)]
        newest = await quay.dial(quay.open(lambda *_: Welcome(OTHER_HOST, RawHost())))
        await hosts[0].gone()
        assert quay.waiting() == 21
        far = await quay.caller()
        far.write(b"hello")
        assert await hosts[1].exactly(5) == b"hello"
        assert newest.end is None

    await Quay().run(test)


@pytest_twisted.ensureDeferred
async def test_several_at_one_port() -> None:
    """They are links each of their own, in the order in which they came."""

    async def test(quay: Quay) -> None:
        hosts = [await quay.host() for _ in range(3)]
        port = quay.open(caller)
        callers = []
        for number in range(3):
            callers.append(await quay.dial(port))
            callers[-1].write(b"%d" % number)
            assert await hosts[number].exactly(1) == b"%d" % number
        labels = {session.label.rpartition("/")[2] for session in quay.sessions()}
        assert len(labels) == 6
        await together(*(each.write_all(b"bye") for each in callers))

    await Quay().run(test)
