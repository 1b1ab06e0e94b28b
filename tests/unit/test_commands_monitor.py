"""When ``relay monitor`` runs its command, and what it is told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorProcess

from relay.auth import inspect
from relay.commands.monitor import Monitor, Runner, add_arguments, described, in_words
from relay.commands.monitor_plan import Minted, Plan, read_plan
from relay.commands.output import WrongUsage
from relay.dialects.session_relay.monitoring import Judgement, Seen, write_time
from relay.errors import ConfigurationError, TokenInvalid
from tests.conftest import Flush
from tests.unit.topic_house import REFUSED, House, failure_of

ENVIRON = {
    "RELAY_MONITOR_AUDIENCE": "http://relay.example.test/access",
    "RELAY_MONITOR_SECRET": "vector-secret",
}
NOW_NS = 1_767_225_600_000_000_000


def plan(words: str = "", **environ: str) -> Plan:
    """What a command line and variables mean."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return read_plan(parser.parse_args(words.split()), ENVIRON | environ, Path("."))


class Machine:
    """A reactor that runs nothing.

    :ivar runs: what it was to run
    """

    def __init__(self) -> None:
        self.runs: list[list[str]] = []
        self.protocols: list[Any] = []

    def spawnProcess(  # noqa: N802  # Twisted's name
        self, protocol: object, path: str, words: list[str], *_: object, **__: object
    ) -> None:
        """Record."""
        self.runs.append(words)
        self.protocols.append(protocol)


class Ended:
    """How a process ended."""

    def __init__(self, status: int) -> None:
        self.value = argparse.Namespace(exitCode=status, signal=None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Unix time in nanoseconds, as the test says."""
    now = [NOW_NS]
    monkeypatch.setattr("relay.commands.monitor.time.time_ns", lambda: now[0])
    return now


def started(house: House, machine: Machine, told: Plan, once: bool = False) -> Any:
    """A monitor at work: its first link sends, its second hears."""
    runner = Runner(told.command, {"PATH": "/usr/bin:/bin"}, cast(IReactorProcess, machine))
    running = house.run(Monitor(house.outward, told, runner, once).run())
    return running


def test_time_stamps_are_sent(clock: list[int]) -> None:
    """Two intervals apart, the first after one; on the link that does not listen."""
    house = House()
    started(house, Machine(), plan("--interval 1s"))
    house.pass_by(4.5, steps=9)
    assert house.topics[0].heard == [(write_time(NOW_NS), False)] * 2
    assert house.topics[1].heard == []


def test_late_messages_run_the_command_once_a_pause(
    clock: list[int], expected_log_errors: Flush
) -> None:
    """At the third in a row; while it runs, and while checks pause, not again."""
    house, machine = House(), Machine()
    started(house, machine, plan("--command true --no-retrigger-within 10s"))
    for _ in range(7):
        house.speak(write_time(NOW_NS - 300_000_000), text=False)
    assert machine.runs == [["true"]]
    house.pass_by(11)
    for _ in range(3):
        house.speak(write_time(NOW_NS - 300_000_000), text=False)
    assert len(machine.runs) == 1
    machine.protocols[0].processEnded(Ended(0))
    house.pass_by(11)
    for _ in range(3):
        house.speak(write_time(NOW_NS - 300_000_000), text=False)
    assert len(machine.runs) == 2
    assert expected_log_errors()


def test_silence_runs_the_command(clock: list[int], expected_log_errors: Flush) -> None:
    """After so many pauses without a message."""
    house, machine = House(), Machine()
    started(house, machine, plan("--command true --trigger-after-misses 2"))
    house.pass_by(60.0)
    house.pass_by(59.9)
    assert machine.runs == []
    house.pass_by(0.1)
    assert machine.runs == [["true"]]
    assert expected_log_errors()


def test_without_a_command_nothing_is_run(clock: list[int], expected_log_errors: Flush) -> None:
    """And nothing is killed."""
    house, machine = House(), Machine()
    started(house, machine, plan("--trigger-after-misses 1"))
    house.speak(write_time(NOW_NS - 10**9), text=False)
    assert machine.runs == []
    assert expected_log_errors()


@pytest.mark.parametrize(("late_ns", "status"), [(1_000_000, 0), (10**9, 1)])
def test_once_is_a_check(
    clock: list[int], late_ns: int, status: int, expected_log_errors: Flush
) -> None:
    """Status 0 when a message came in time, 1 when enough did not; it runs no command."""
    house, machine = House(), Machine()
    told = plan("--command true --trigger-after-misses 1")
    running = started(house, machine, told, once=True)
    house.speak(write_time(NOW_NS - late_ns), text=False)
    assert (running.result, machine.runs, house.left) == (status, [], 2)
    assert len(expected_log_errors()) == status


def test_once_does_not_wait_for_a_relay_that_is_not_there(
    clock: list[int], expected_log_errors: Flush
) -> None:
    """Silence counts from the start, so that a check ends with status 1."""
    house = House()

    async def away(*_: object) -> Any:
        await Deferred[None]()

    house.http = away  # type: ignore[method-assign, assignment]  # a server that says nothing
    told = plan("--trigger-after-misses 2 --no-retrigger-within 5s")
    running = started(house, Machine(), told, once=True)
    house.pass_by(10, 4)
    assert running.result == 1
    assert len(expected_log_errors()) == 1


def test_a_refused_token_ends_it(clock: list[int]) -> None:
    """It is our own: the secret is not the router's."""
    house = House(TokenInvalid("token invalid"))
    running = started(house, Machine(), plan())
    assert failure_of(running).text == REFUSED.replace("session/t ", "session/canary-st-data ")


def test_defaults_are_the_originals() -> None:
    """Of every option but the command."""
    told = plan()
    assert told.session == "http://relay.example.test/access/session/canary-st-data"
    assert (told.threshold_s, told.interval_s, told.trigger_after) == (0.2, 1.0, 3)
    assert (told.silence_s, told.renew_s, told.command) == (60.0, 86400, "")
    assert told.log == ("warn", "json", None)


def test_options_go_before_variables() -> None:
    """Each has one, with the original's name."""
    assert plan(RELAY_MONITOR_THRESHOLD="1s").threshold_s == 1.0
    assert plan("--threshold 2s", RELAY_MONITOR_THRESHOLD="1s").threshold_s == 2.0
    assert plan(RELAY_MONITOR_TOPIC="a/b").session.endswith("/session/a%2Fb")


@pytest.mark.parametrize(
    "words",
    [
        "--threshold soon",
        "--interval 0",
        "--trigger-after-misses 0",
        "--trigger-after-misses many",
        "--log-level loud",
        "--log-format xml",
    ],
)
def test_what_cannot_be_is_told(words: str) -> None:
    """In one line."""
    with pytest.raises(WrongUsage):
        plan(words)


def test_audience_and_secret_are_needed() -> None:
    """And the secret is not too short."""
    with pytest.raises(WrongUsage, match="audience"):
        plan(RELAY_MONITOR_AUDIENCE="")
    with pytest.raises(WrongUsage, match="secret"):
        plan(RELAY_MONITOR_SECRET="")
    with pytest.raises(ConfigurationError, match="fewer than 4"):
        plan(RELAY_MONITOR_SECRET="abc")


def test_the_token_is_made_at_each_use() -> None:
    """It names the topic and the audience, and no secret is shown."""
    token = Minted(plan())
    _, made = inspect(token.read().reveal())
    assert (made["aud"], made["topic"]) == ([ENVIRON["RELAY_MONITOR_AUDIENCE"]], "canary-st-data")
    assert "vector-secret" not in f"{token!r} {token.read()} {plan()!r}"


def test_a_judgement_is_one_line() -> None:
    """For a person, and for JSON."""
    late = Seen(Judgement.MISS, 0.3, 2)
    assert in_words(late, plan()) == "latency 300.0 ms, threshold 200 ms: miss 2"
    assert in_words(Seen(Judgement.TRIGGER, None, 3), plan()).startswith("no message for 60 s")
    assert described(late, plan()) == {
        "ok": False, "latency_s": 0.3, "threshold_s": 0.2, "misses": 2,
    }  # fmt: skip
