"""What the groups of measurements share: a plan, turns, and being run alone or as part of all.

A group is a module with ``measure(plan)``, which gives an :class:`Outcome`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from bench.report import Row, add_arguments, progress, publish

T = TypeVar("T")


class Plan(NamedTuple):
    """How much to measure.

    :ivar rounds: in each of which every side has its turn
    :ivar seconds: of one side in one round
    :ivar quick: whether a first impression is enough
    """

    rounds: int = 5
    seconds: float = 2.0
    quick: bool = False


QUICK = Plan(2, 0.6, True)


class Outcome(NamedTuple):
    """What a group has found.

    :ivar left: what was left out, and why
    """

    rows: Sequence[Row]
    left: Sequence[str] = ()


def turns(plan: Plan, sides: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Measure all sides in turn, round by round: A, B, A, B.

    :returns: by side, one result a round
    """
    results: dict[str, list[T]] = {name: [] for name in sides}
    for number in range(plan.rounds):
        for name, measure in sides.items():
            results[name].append(measure())
            progress(f"  round {number + 1}: {name}: {results[name][-1]}")
    return results


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Declare ``--quick``, ``--rounds``, ``--seconds`` and ``--json``."""
    parser.add_argument("--quick", action="store_true", help="a first impression, much shorter")
    parser.add_argument("--rounds", type=int, help=f"default: {Plan().rounds}")
    parser.add_argument("--seconds", type=float, help="of one side in one round")
    add_arguments(parser)


def read_plan(options: argparse.Namespace) -> Plan:
    """:returns: the plan that the options ask for."""
    base = QUICK if options.quick else Plan()
    return base._replace(
        rounds=options.rounds or base.rounds, seconds=options.seconds or base.seconds
    )


def run_alone(name: str, document: str | None, measure: Callable[[Plan], Outcome]) -> int:
    """Be ``python -m bench.NAME``. :returns: the exit status"""
    parser = argparse.ArgumentParser(f"bench.{name}", description=document)
    add_plan(parser)
    options = parser.parse_args()
    outcome = measure(read_plan(options))
    return publish(name, outcome.rows, options.json, outcome.left)
