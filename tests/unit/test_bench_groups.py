"""How the measurements of the checkout take turns, and what their command line means."""

from __future__ import annotations

import argparse
import sys
from types import ModuleType

import pytest

import bench.__main__ as everything
from bench.groups import QUICK, Outcome, Plan, add_plan, read_plan, turns
from bench.report import Row
from relay.measuring.processes import Late
from relay.measuring.runs import Inexact


def plan_of(*words: str) -> Plan:
    """:returns: what the words ask for"""
    parser = argparse.ArgumentParser()
    add_plan(parser)
    return read_plan(parser.parse_args(words))


def install(monkeypatch: pytest.MonkeyPatch, name: str, outcome: Outcome | Exception) -> None:
    """Put a group in the place of one."""

    def measure(plan: Plan) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    module = ModuleType(f"bench.{name}")
    vars(module)["measure"] = measure
    monkeypatch.setitem(sys.modules, f"bench.{name}", module)


def test_turns_alternate() -> None:
    """Every side has its turn in every round."""
    order: list[str] = []
    sides = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    turns(Plan(rounds=3), sides)
    assert "".join(order) == "ababab"


def test_turns_keep_results() -> None:
    """Results stay with their side, one a round."""
    numbers = iter(range(4))
    assert turns(Plan(rounds=2), {"a": lambda: next(numbers), "b": lambda: next(numbers)}) == {
        "a": [0, 2],
        "b": [1, 3],
    }


def test_plan() -> None:
    """Options win over the quick plan, which wins over the usual one."""
    assert plan_of() == Plan()
    assert plan_of("--quick") == QUICK
    assert plan_of("--quick", "--rounds", "7") == QUICK._replace(rounds=7)
    assert plan_of("--seconds", "0.5").seconds == 0.5


def test_all_groups_exist() -> None:
    """Each group that is listed is a module with what is asked of it."""
    for name in everything.GROUPS:
        module = __import__(f"bench.{name}", fromlist=["measure"])
        assert callable(module.measure)


def test_rows_have_their_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of several groups are one table."""
    install(monkeypatch, "bulk", Outcome([Row("a", "s", (1.0,))], ["b: left out"]))
    install(monkeypatch, "small", Outcome([Row("c", "s", (2.0,))]))
    rows, left = everything.measured(["bulk", "small"], Plan())
    assert [row.group.partition(":")[0] for row in rows] == ["bulk", "small"]
    assert left == ["b: left out"]


@pytest.mark.parametrize("error", [Late("stuck"), Inexact("one byte is missing")])
def test_a_group_that_fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """It is told, it counts as missed, and the others go on."""
    install(monkeypatch, "bulk", error)
    install(monkeypatch, "small", Outcome([Row("c", "s", (2.0,))]))
    rows, left = everything.measured(["bulk", "small"], Plan())
    assert [row.meets for row in rows] == [False, True]
    assert str(error) in left[0]


def test_an_unknown_group(capsys: pytest.CaptureFixture[str]) -> None:
    """It is wrong usage, and the known ones are named."""
    with pytest.raises(SystemExit) as ended:
        everything.main(["--only", "warp"])
    assert ended.value.code == 2
    assert "handshakes" in capsys.readouterr().err


def test_plot_is_checked_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is measured for a picture that cannot be drawn."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as ended:
        everything.main(["--plot", "ratios.png"])
    assert ended.value.code == 2
    assert "pip install '.[bench]'" in capsys.readouterr().err
