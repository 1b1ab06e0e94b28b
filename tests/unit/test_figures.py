"""Medians, ratios, percentiles and tables of measurements."""

from __future__ import annotations

import math

import pytest

from relay.measuring.figures import Row, as_object, percentile, ratios, shown, table, times, verdict


def test_ratios_go_round_by_round() -> None:
    """What drifts from round to round cancels out."""
    assert ratios([2.0, 20.0], [1.0, 10.0]) == (2.0, 2.0)


def test_ratios_without_the_other() -> None:
    """A round in which the other measured nothing has no ratio."""
    assert ratios([2.0, 3.0], [0.0, 1.0]) == (3.0,)


def test_ratios_want_as_many() -> None:
    """Rounds that do not pair up are an error."""
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_percentile(share: float, value: float) -> None:
    """At least that share is no larger, whatever their order."""
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_percentile_of_nothing() -> None:
    """Nothing has no percentile."""
    assert math.isnan(percentile([], 0.5))


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (Row("a", "s", (1.0, 2.0, 9.0), 2.0), "median <= 2 met"),
        (Row("a", "s", (1.0, 2.0, 9.0), 2.0, "worst"), "worst <= 2 MISSED"),
        (Row("a", "", (1.0, 2.0, 9.0), 2.0, "least"), "least >= 2 MISSED"),
        (times("a", [1.0, 2.0, 9.0], [1.0, 1.0, 1.0], at_least=2.0), "median >= 2 met"),
        (times("a", [1.0, 1.0, 9.0], [1.0, 1.0, 1.0], at_least=2.0), "median >= 2 MISSED"),
        (times("a", [1.0, 1.0, 9.0], [1.0, 1.0, 1.0], at_most=2.0), "median <= 2 met"),
        (times("a", [5.0], [1.0]), ""),
    ],
)
def test_verdict(row: Row, text: str) -> None:
    """A target is met from the side on which it stands."""
    assert verdict(row) == text
    assert row.meets is not text.endswith("MISSED")


def test_nothing_measured_misses() -> None:
    """A target without any value is missed, from either side."""
    assert not Row("a", "s", (), 1.0).meets
    assert not times("a", [], [], at_least=1.0).meets


def test_only_ratios_are_ratios() -> None:
    """Absolute figures are none."""
    assert times("a", [1.0], [2.0]).is_ratio
    assert not Row("a", "GB/s", (1.0,)).is_ratio


def test_table() -> None:
    """Columns are aligned, and each group has its heading once."""
    rows = [
        Row("fast", "GB/s", (1.25, 1.5), group="bulk"),
        times("bulk, x socat", [1.0, 3.0], [2.0, 2.0], at_least=0.75)._replace(group="bulk"),
        Row("none", "ms", (), 1.0, note="why", group="small"),
    ]
    assert table(rows) == [
        "               n  median   min  max  unit  target",
        "",
        "bulk",
        "fast           2    1.38  1.25  1.5  GB/s",
        "bulk, x socat  2       1   0.5  1.5  x     median >= 0.75 met",
        "",
        "small",
        "none           0       -     -    -  ms    median <= 1 MISSED  why",
    ]


def test_table_without_groups() -> None:
    """Rows of one script alone have no headings."""
    assert len(table([Row("a", "s", (1.0,))])) == 2


def test_as_object() -> None:
    """JSON tells all that the table does."""
    row = times("a", [4.0], [2.0], at_least=1.5, note="n")._replace(group="g")
    assert as_object(row) == {
        "group": "g",
        "what": "a",
        "unit": "x",
        "values": [2.0],
        "median": 2.0,
        "target": 1.5,
        "of": "median",
        "at": "least",
        "met": True,
        "note": "n",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012345, "0.0123"), (1234.5, "1234"), (99.96, "100"), (float("nan"), "nan")],
)
def test_shown(value: float, text: str) -> None:
    """Three digits, no more."""
    assert shown(value) == text
