"""One router with all five dialects, and hosts and clients of all five at it, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.five_house import FIVE, House, own_sockets
from tests.integration.five_lanes import Lane, PortalLane, RelayLane, WebLane
from tests.integration.five_session import SessionLane
from tests.integration.five_taas import TaasLane
from tests.integration.portal_peers import wait_for
from tests.integration.taas_wire import Certificate
from tests.rawpeer import together, until
from tests.relay_command import relay_beside

MiB = 1024 * 1024
BULK_BYTES = 2 * MiB
SOME_BYTES = MiB // 4
REST_S = 10.0
LANES: tuple[type[Lane], ...] = (PortalLane, WebLane, RelayLane, SessionLane, TaasLane)
"""In the order of the dialects; that is the order in which they are cut, too."""

EITHER = pytest.mark.parametrize("kind", ["ours", "original"])

pytest_plugins = ["tests.integration.taas_fixtures"]


@pytest.fixture
def house(
    tmp_path: Path,
    taas_store: Path,
    taas_certificate: Certificate,
    expected_log_errors: Callable[[], object],
) -> Iterator[House]:
    """The router; what hosts and clients say of those that are cut is expected."""
    made = House(tmp_path, taas_store, taas_certificate)
    wait_for(made.start())
    yield made
    wait_for(made.stop())
    expected_log_errors()


@pytest.fixture
def lanes(house: House, kind: str) -> Iterator[list[Lane]]:
    """A host and a client of each dialect, in the order of the dialects."""
    made = [make(kind, house) for make in LANES]
    yield made
    for lane in made:
        wait_for(lane.stop())


@EITHER
@pytest_twisted.ensureDeferred
async def test_all_five(house: House, lanes: list[Lane]) -> None:
    """Each carries bytes both ways while the others do, and the router tells of all of them; one
    that is revoked or killed disturbs none of the others, and nothing is left of any.
    """
    await together(*(lane.start() for lane in lanes))
    await together(*(lane.carries(BULK_BYTES) for lane in lanes))
    await tells_of_all(house)
    for number, lane in enumerate(lanes):
        others = lanes[number + 1 :]
        await together(lane.cut(), *(other.carries(SOME_BYTES) for other in others))
        await together(*(other.carries(SOME_BYTES) for other in others))
    for lane in lanes:
        await lane.stop()
    house.hang_up()
    await house.is_empty()
    await house.stop()
    await until(
        lambda: True if own_sockets() <= house.at_rest else None,
        lambda: f"rest: {own_sockets()} sockets are open, {house.at_rest} were before,",
        REST_S,
    )


async def tells_of_all(house: House) -> None:
    """Check that the admin address and ``relay status`` name the five."""
    told = await house.status()
    assert {link["dialect"] for link in told["links"]} == set(FIVE)
    metrics = await house.fetch("/metrics")
    for dialect in FIVE:
        assert f'relay_links{{dialect="{dialect}"' in metrics
        has_topics = dialect == "session-relay"
        named = told["topics"] if has_topics else told["offers"]
        names = [str(one["topic" if has_topics else "offer"]) for one in named]
        assert any(name.startswith(f"{dialect}:") for name in names), (dialect, names)
    done = await relay_beside("status", "--admin", house.admin)
    assert done.returncode == 0
    for dialect in FIVE:
        assert dialect in done.stdout.decode()
