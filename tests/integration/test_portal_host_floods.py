"""Our portal host against a router that asks too much of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import pytest_twisted
from twisted.logger import LogEvent, formatEvent

from relay.dialects.portal import host
from tests.integration.portal_daemon import OURS_ONLY, Daemon, announce, answers
from tests.rawpeer import Op

pytest_plugins = ["tests.integration.portal_fixtures"]


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_calls_at_once(
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    expected_log_errors: Callable[[], list[LogEvent]],
) -> None:
    """Calls beyond the cap are ignored, which is said once; those answered make room for others."""
    monkeypatch.setattr(host, "ANSWERED_AT_ONCE", 4)
    control = await daemon.host()
    for nexus in range(7):
        announce(control, nexus)
    requests = [await daemon.router.accept_request() for _ in range(4)]
    asked = sorted(request.target.rpartition("/")[2] for _, request in requests)
    assert asked == ["0", "1", "2", "3"]
    assert daemon.target.arrivals == 4
    for data, request in requests:
        data.answer_upgrade(request)
        data.send(Op.BINARY, b"joined")
    for _ in requests:
        assert await (await daemon.target.accept()).exactly(6) == b"joined"
    announce(control, 7)
    _, request = await daemon.router.accept_request()
    assert request.target == "/connect/host_accept/7"
    (line,) = map(formatEvent, expected_log_errors())
    assert line is not None
    assert "further calls are ignored (limit: 4 are being answered already)" in line


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_a_call_announced_twice(daemon: Daemon) -> None:
    """A call that is announced again while it is being answered is answered once."""
    control = await daemon.host()
    for nexus in (7, 7, 7, 8):
        announce(control, nexus)
    requests = [await daemon.router.accept_request() for _ in range(2)]
    assert sorted(request.target[-1] for _, request in requests) == ["7", "8"]
    await answers(control)
    assert daemon.target.arrivals == 2
