"""Labels with a port of their own, and what was paired (taas.md §9, checks 25 and 26 of §17)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted

from tests.integration.taas_peers import (
    BOTH,
    OURS,
    Router,
    closed_unused,
    original_differs,
    passes,
)
from tests.integration.taas_wire import ADDRESS, Identity, fresh, shown
from tests.rawpeer import Ended, RawPeer, Response

GRACE_S = 8.0
KEPT = 100

pytest_plugins = ["tests.integration.taas_fixtures"]


async def pairings(taas: Router, who: Identity, label: str) -> Response:
    """:returns: the answer to a question for what was paired"""
    credentials = f"Authorization: {shown(who.name, who.good_code(time.time()))}"
    return await taas.ask("GET", f"/pairings/{label}", credentials)


async def paired(taas: Router, who: Identity, label: str) -> list[dict[str, Any]]:
    """:returns: what was paired, of a label that is known"""
    answer = await pairings(taas, who, label)
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").startswith("application/json")
    found: list[dict[str, Any]] = json.loads(answer.body)
    return found


@BOTH
@pytest_twisted.ensureDeferred
async def test_fixed_port(taas: Router) -> None:
    """A label's own port opens with its first responder, and pairs without HTTP; check 25."""
    who = fresh()
    with pytest.raises(Ended):
        await taas.dial(who.fixed_port)
    first = await taas.responder(who, who.gateway)
    second = await taas.responder(who, who.gateway)
    for hidden in (first, second):
        caller = await taas.dial(who.fixed_port)
        await passes(caller, hidden)
        await passes(hidden, caller)
    await closed_unused(await taas.dial(who.fixed_port), GRACE_S)


@BOTH
@pytest_twisted.ensureDeferred
async def test_fixed_port_and_redirect_share_a_queue(taas: Router) -> None:
    """Callers of the port and those that were redirected take from one queue, in its order."""
    who = fresh()
    first = await taas.responder(who, who.gateway)
    second = await taas.responder(who, who.gateway)
    await passes(await taas.dial(who.fixed_port), first)
    await passes(await taas.mobile(who.gateway), second)


@BOTH
@pytest_twisted.ensureDeferred
async def test_first_label_opens_no_port(taas: Router) -> None:
    """The port belongs to its own label alone."""
    who = fresh()
    await taas.responder(who)
    with pytest.raises(Ended):
        await taas.dial(who.fixed_port)


@BOTH
@pytest_twisted.ensureDeferred
async def test_pairings(taas: Router) -> None:
    """What was paired tells both ends, and when, the oldest first; check 26."""
    who = fresh()
    assert await paired(taas, who, who.gateway) == []
    began = time.time() * 1000
    ends: list[tuple[RawPeer, RawPeer]] = []
    for path in (None, "/a/b?c"):
        hidden = await taas.responder(who, who.gateway)
        port = await taas.redirect(who.gateway, path) if path else who.fixed_port
        caller = await taas.dial(port)
        await passes(caller, hidden)
        ends.append((caller, hidden))
    direct, redirected = await paired(taas, who, who.gateway)
    for pair in (direct, redirected):
        words = pair["responder"].split()
        assert (words[0], words[1], words[3]) == (taas.scheme, ADDRESS, "PUT")
        assert int(words[2])
        assert began - 1000 <= pair["timestamp"] <= time.time() * 1000 + 1000
    source = ends[0][0].transport.getHost().port  # type: ignore[union-attr]  # it stands
    assert direct["initiator"] == f"tcp {ADDRESS} {source}"
    assert "pathname" not in direct
    scheme, address, _, method = redirected["initiator"].split()
    assert (scheme, address, method) == (taas.scheme, ADDRESS, "GET")
    assert redirected["pathname"] == "/a/b"


@original_differs("only labels with a port of their own are found (taas.md §3, row 7)")
@pytest_twisted.ensureDeferred
async def test_pairings_of_any_label(taas: Router) -> None:
    """What was paired is told of every label of an ID."""
    who = fresh()
    assert await paired(taas, who, who.label) == []
    await taas.circuit(who)
    (pair,) = await paired(taas, who, who.label)
    assert {"responder", "initiator", "pathname", "timestamp"} == set(pair)


@BOTH
@pytest_twisted.ensureDeferred
async def test_pairings_of_others(taas: Router) -> None:
    """Labels of others, and none, are not found; without credentials nothing is told."""
    who, other = fresh(), fresh()
    await taas.circuit(other)
    for label in (other.label, other.gateway, "", "nothing", f"{who.gateway}:{who.fixed_port}"):
        assert (await pairings(taas, who, label)).status == 404
    assert (await taas.ask("GET", f"/pairings/{who.gateway}")).status == 401


@OURS
@pytest_twisted.ensureDeferred
async def test_most_pairings(taas: Router) -> None:
    """The last hundred are kept."""
    who = fresh()
    for _ in range(KEPT + 3):
        hidden = await taas.responder(who)
        caller = await taas.mobile(who.label)
        await passes(caller, hidden)
        await taas.left([caller, hidden])
    told = await paired(taas, who, who.label)
    assert len(told) == KEPT
    times = [pair["timestamp"] for pair in told]
    assert times == sorted(times)


@original_differs("it ends where a port of a label is in use")
@pytest_twisted.ensureDeferred
async def test_port_in_use(taas: Router, expected_log_errors: Callable[[], list[Any]]) -> None:
    """A label's port that another program has is told in the log; redirects work all the same."""
    who = fresh()
    with socket.create_server((ADDRESS, who.fixed_port)):
        hidden = await taas.responder(who, who.gateway)
        await passes(await taas.mobile(who.gateway), hidden)
        await taas.works()
    assert not taas.is_ours or expected_log_errors()
