"""What the groups beside the originals share: two names, their ratio, and what a guest costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from bench.programs import Program, Workshop
from bench.report import Row
from relay.measuring.figures import times

OURS, THEIRS = "relay", "the originals"
FIRST = 30
SETTLE_S = 1.0


def left_out(dialect: str) -> str:
    """:returns: what is said where the originals of a dialect are not at hand"""
    return f"beside the originals: left out, RELAY_PEERS names no folder with {dialect}/*"


def over_theirs(
    what: str,
    found: Mapping[str, Sequence[object]],
    figure: Callable[..., float],
    least: float | None = None,
) -> list[Row]:
    """:returns: ours over theirs, where they are at hand

    :param figure: of one result
    :param least: a target from below
    """
    if not {OURS, THEIRS} <= found.keys():
        return []
    ours, theirs = ([figure(one) for one in found[name]] for name in (OURS, THEIRS))
    return [times(what, ours, theirs, at_least=least)]


def kib_each(
    shop: Workshop, router: Program, come: Callable[[str, int], Program], count: int
) -> float:
    """:returns: what each of ``count`` costs the router, once all have come to stay

    :param come: lets so many register, with that at the beginning of their names; the router
        meets ``first`` of :data:`FIRST`, who leave again, then ``then``
    """
    # the first ones pay for what all share
    shop.end(come("first", FIRST))
    time.sleep(SETTLE_S)
    base = router.rss_kib()
    come("then", count)
    time.sleep(SETTLE_S)
    return (router.rss_kib() - base) / count
