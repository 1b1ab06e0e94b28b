"""A reload: what is forgotten by it, and what goes on once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from relay.auth import mint
from relay.daemon import IReactor
from relay.dialects import dialect_keys
from relay.errors import RelayError, TokenInvalid
from relay.router import RouterService
from relay.settings import read_router
from relay.settings.model import RouterSettings
from tests.dialects.portal_samples import request

CONTROL = "/connect/host_control"
INI = """
[router]
listen = tcp:0
state-dir = .
[dialect:portal]
secret-file = portal.secret
"""
REPORTING = """
[router]
listen = tcp:0
state-dir = .
public-url = http://127.0.0.1
[dialect:session-relay]
"""
OLD, NEW = "old-" * 10, "new-" * 10


def test_a_reload_forgets_tokens(tmp_path: Path) -> None:
    """What the old secret has signed is refused from then on, and what the new one has is taken."""
    secret = tmp_path / "portal.secret"
    config = tmp_path / "relay.ini"
    config.write_text(INI)

    def write(text: str) -> None:
        secret.write_text(text)
        secret.chmod(0o600)

    def read() -> RouterSettings:
        return read_router({"config": str(config)}, {}, tmp_path, dialect_keys())

    write(OLD)
    router = RouterService(read(), cast(IReactor, Clock()), read)
    assert knock(router, OLD) is None
    assert len(router.broker.tokens) == 1
    write(NEW)
    assert knock(router, OLD) is None
    router.reload()
    assert len(router.broker.tokens) == 0
    assert isinstance(knock(router, OLD), TokenInvalid)
    assert knock(router, NEW) is None


def test_a_reload_starts_nothing_in_a_router_that_stops(tmp_path: Path) -> None:
    """What dialects do by themselves goes on with a reload, but not behind the end."""
    config = tmp_path / "relay.ini"
    config.write_text(REPORTING)

    def read() -> RouterSettings:
        return read_router({"config": str(config)}, {}, tmp_path, dialect_keys())

    clock = Clock()
    router = RouterService(read(), cast(IReactor, clock), read)
    for _ in range(2):
        router.reload()
        assert len(clock.getDelayedCalls()) == 1
    stopped: list[None] = []
    Deferred.fromCoroutine(router._stop()).addCallback(stopped.append)
    router.reload()
    assert stopped == [None]
    assert clock.getDelayedCalls() == []


def knock(router: RouterService, secret: str) -> RelayError | None:
    """Ask to be admitted with a token of that secret. :returns: the refusal"""
    claims = {"sub": "lab-host", "exp": 100, "role": "host", "portal_id": 1}
    wanted = request(CONTROL, mint(claims, secret.encode()))
    face = router._faces["portal"]
    knocked: Deferred[Any] = maybeDeferred(router._hall.reception.admit, face, wanted)
    outcome: list[Any] = []
    knocked.addBoth(outcome.append)
    (found,) = outcome
    return getattr(found, "value", None)
