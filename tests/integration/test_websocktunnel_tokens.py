"""The websocktunnel router, seen from the wire: checks 6-12, what a token is worth.

Each runs against our router, and against the original's server where that is at hand; what the
latter is known to fail is marked with the reason.
"""

from __future__ import annotations

import secrets
import time

import pytest
import pytest_twisted

from tests.integration.websocktunnel_peers import (
    BOTH,
    MONTH_S,
    SECRET_B,
    Router,
    claims,
    go_differs,
    mint,
)
from tests.integration.websocktunnel_routers import KINDS, Maker

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


@BOTH
@pytest.mark.parametrize("tid", ["other", "Demo", "demo ", "", 7, None, ["demo"], ...], ids=repr)
@pytest_twisted.ensureDeferred
async def test_check_06_tid(wst: Router, tid: object) -> None:
    """A token for another id than the header's: 401."""
    assert await wst.status("demo", mint(claims("demo", tid=tid))) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_07_secrets(wst: Router) -> None:
    """Either secret signs; a third does not, and nobody is told how to log in."""
    tunnel = f"t{secrets.token_hex(4)}"
    assert await wst.status(tunnel, mint(claims(tunnel))) == 101
    assert await wst.status(tunnel, mint(claims(tunnel), SECRET_B)) == 101
    _, head = await wst.ask(tunnel, mint(claims(tunnel), "charlie-secret-charlie-secret-32"))
    assert head.status == 401
    assert head.header("WWW-Authenticate") is None


@BOTH
@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "none"])
@pytest_twisted.ensureDeferred
async def test_check_08_algorithms(wst: Router, algorithm: str) -> None:
    """Only HS256 counts."""
    assert await wst.status("demo", mint(claims("demo"), algorithm=algorithm)) == 401


@BOTH
@pytest.mark.parametrize("token", ["a", "a.b", "a.b.c", "a.b.c.d", "...", "_"])
@pytest_twisted.ensureDeferred
async def test_check_08_no_token(wst: Router, token: str) -> None:
    """What looks like a token and is none: 401."""
    assert await wst.status("demo", token) == 401


@BOTH
@pytest.mark.parametrize("claim", ["exp", "nbf"])
@pytest.mark.parametrize("value", [..., 0, "{}", None, ["{}"]], ids=repr)
@pytest_twisted.ensureDeferred
async def test_check_09_mistyped_times(wst: Router, claim: str, value: object) -> None:
    """``exp`` and ``nbf`` are needed, are numbers, and are not 0: otherwise 401."""
    moment = str(claims("demo")[claim])
    if value == "{}":
        value = moment
    elif isinstance(value, list):
        value = [int(moment)]
    assert await wst.status("demo", mint(claims("demo", **{claim: value}))) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_09_times(wst: Router) -> None:
    """A token counts from its ``nbf`` on, and no longer at its ``exp``."""
    for change in ({"exp": 0}, {"exp": -1}, {"exp": -60}, {"nbf": 60}):
        now = int(time.time())
        moved = {name: now + seconds for name, seconds in change.items()}
        assert await wst.status("demo", mint(claims("demo", **moved))) == 401, change
    tunnel = f"t{secrets.token_hex(4)}"
    assert await wst.status(tunnel, mint(claims(tunnel, nbf=int(time.time())))) == 101
    assert await wst.status(tunnel, mint(claims(tunnel, nbf=time.time() - 5.5))) == 101


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_10_iat(wst: Router) -> None:
    """Nobody looks at ``iat``, ``iss`` and ``sub``."""
    tunnel = f"t{secrets.token_hex(4)}"
    for more in ({"iat": time.time() + 900}, {"iat": "x"}, {"iss": 7, "sub": ["x"]}):
        assert await wst.status(tunnel, mint(claims(tunnel, **more))) == 101, more


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_11_a_month(wst: Router) -> None:
    """A token may be for exactly 31 days."""
    tunnel = f"t{secrets.token_hex(4)}"
    nbf = int(time.time()) - 300
    assert await wst.status(tunnel, mint(claims(tunnel, nbf=nbf, exp=nbf + MONTH_S))) == 101


@go_differs("the bound is in nanoseconds, the claims in seconds")
@pytest.mark.parametrize("life_s", [MONTH_S + 1, 2_402_444_800])
@pytest_twisted.ensureDeferred
async def test_check_11_longer_than_a_month(wst: Router, life_s: int) -> None:
    """A token for longer is 401."""
    nbf = int(time.time()) - 300
    assert await wst.status("demo", mint(claims("demo", nbf=nbf, exp=nbf + life_s))) == 401


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_12_no_audience(wst_routers: Maker) -> None:
    """A router without an audience refuses tokens that have one."""
    wst = await wst_routers.start()
    rows: list[tuple[object, int]] = [
        (..., 101), (None, 101), (7, 101), ({}, 101), ("", 101), ([], 101),
        ("x", 401), (["x"], 401), ([7], 401), (["x", 7], 401),
    ]  # fmt: skip
    for audience, status in rows:
        assert await wst.status("demo", mint(claims("demo", aud=audience))) == status, audience


@KINDS
@pytest_twisted.ensureDeferred
async def test_check_12_audience(wst_routers: Maker) -> None:
    """A router with an audience refuses tokens for another, and takes those that have none."""
    wst = await wst_routers.start(audience="ws")
    rows: list[tuple[object, int]] = [
        (..., 101), (None, 101), (7, 101), ({}, 101), ("", 101), ([], 101),
        ("ws", 101), (["a", "ws"], 101), ("other", 401), (["a"], 401), (["ws", 7], 401),
        ("WS", 401),
    ]  # fmt: skip
    for audience, status in rows:
        assert await wst.status("demo", mint(claims("demo", aud=audience))) == status, audience
