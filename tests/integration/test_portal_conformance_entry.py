"""The portal router, seen from the wire: checks 1-8 of portal.md §14, who gets in.

Each runs against our router, and against the original's demo router where that is at hand; what
demo is known to fail is marked with the reason.
"""

from __future__ import annotations

import json
import time

import pytest
import pytest_twisted

from tests.integration.portal_peers import BOTH, CONNECTED, Router, bearer, forge, mint
from tests.rawpeer import SAMPLE_KEY, accept_key, request_head

ENDPOINTS = ["/connect/host_control", "/connect/host_accept/7", "/connect/client/ssh"]
ROLES = ["host", "host", "client"]

pytest_plugins = ["tests.integration.portal_fixtures"]


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_01_valid_tokens_are_upgraded(router: Router) -> None:
    """A valid token gets a 101 that the strictest client takes, on each of the endpoints."""
    portal = router.portal()
    offers = {
        "Sec-WebSocket-Protocol": "portal",
        "Sec-WebSocket-Extensions": "permessage-deflate",
    }
    control, head = await router.ask("/connect/host_control", portal.host_token, offers)
    client = await portal.call()
    nexus = (await portal.incoming(control)).nexus
    host = await portal.accept(nexus)
    assert head.first_line.startswith("HTTP/1.1 101 ")
    assert (head.header("Upgrade") or "").lower() == "websocket"
    assert (head.header("Connection") or "").lower() == "upgrade"
    assert head.header("Sec-WebSocket-Accept") == accept_key(SAMPLE_KEY)
    assert head.header("Sec-WebSocket-Protocol") is None
    assert head.header("Sec-WebSocket-Extensions") is None
    assert await client.receive() == CONNECTED
    assert host.end is None


@BOTH
@pytest.mark.parametrize("fault", ["missing", "garbage", "wrong-secret", "hs512", "none"])
@pytest_twisted.ensureDeferred
async def test_check_02_bad_tokens_are_refused(router: Router, fault: str) -> None:
    """No token, garbage, another secret or another algorithm: 401 on all endpoints."""
    portal = router.portal()
    for target, role in zip(ENDPOINTS, ROLES, strict=True):
        claims = portal.claims(role)
        payload = json.dumps(claims).encode()
        token = {
            "missing": None,
            "garbage": "a.b.c",
            "wrong-secret": mint(claims, "another-secret-0123456789abcdefghijk"),
            "hs512": forge(payload, {"alg": "HS512", "typ": "JWT"}, "sha512"),
            "none": forge(payload, {"alg": "none", "typ": "JWT"}).rpartition(".")[0] + ".",
        }[fault]
        assert await router.status(target, token) == 401, target


@BOTH
@pytest.mark.parametrize("scheme", ["Basic {}", "{}", "Bearer", "Bearer\t{}", "Token {}"])
@pytest_twisted.ensureDeferred
async def test_check_02_other_schemes_are_refused(router: Router, scheme: str) -> None:
    """A valid token under another scheme than Bearer is no token."""
    headers = {"Authorization": scheme.format(router.portal().host_token)}
    assert await router.status("/connect/host_control", headers=headers) == 401


@BOTH
@pytest.mark.parametrize("scheme", ["bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "])
@pytest_twisted.ensureDeferred
async def test_check_02_the_scheme_may_be_sloppy(router: Router, scheme: str) -> None:
    """The scheme's case and additional spaces do not matter."""
    headers = {"Authorization": scheme.format(router.portal().host_token)}
    assert await router.status("/connect/host_control", headers=headers) == 101


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_03_wrong_roles_are_refused(router: Router) -> None:
    """A host's token is no client's and the other way round: 401, never 403."""
    portal = router.portal()
    await portal.control()
    assert await router.status("/connect/client/ssh", portal.host_token) == 401
    assert await router.status("/connect/host_control", portal.client_token) == 401
    assert await router.status("/connect/host_accept/7", portal.client_token) == 401


@BOTH
@pytest.mark.parametrize("role", ["host", "client"])
@pytest_twisted.ensureDeferred
async def test_check_04_expired_tokens_are_refused(router: Router, role: str) -> None:
    """A token is over two minutes after ``exp`` at the latest; ``iat`` and ``nbf`` say nothing."""
    portal = router.portal()
    await portal.control()
    target = {"host": "/connect/host_control", "client": "/connect/client/ssh"}[role]
    now = int(time.time())
    for exp in (now - 86400, now - 120):
        assert await router.status(target, mint(portal.claims(role, exp=exp))) == 401
    future = portal.claims(role, iat=now + 86400, nbf=now + 86400)
    assert await router.status(target, mint(future)) in ((101,) if role == "host" else (101, 502))


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        {"portal_id": "1234"},
        {"portal_id": True},
        {"portal_id": 1234.0},
        {"portal_id": -1},
        {"portal_id": 2**64},
        {"portal_id": None},
        {"sub": None},
        {"sub": 7},
        {"role": "Host"},
        {"role": ["host"]},
        {"role": None},
        {"exp": None},
        {"exp": "4102444800"},
        {"exp": 4102444800.5},
        {"exp": True},
        {"exp": -1},
    ],
    ids=str,
)
@pytest_twisted.ensureDeferred
async def test_check_05_mistyped_claims_are_refused(
    router: Router, fault: dict[str, object]
) -> None:
    """A claim of another type, out of range or missing: 401."""
    claims = router.portal().claims("host", **fault)
    token = forge(json.dumps(claims).encode())
    assert await router.status("/connect/host_control", token) == 401


@BOTH
@pytest.mark.parametrize("name", ["sub", "exp", "role", "portal_id"])
@pytest_twisted.ensureDeferred
async def test_check_05_a_claim_may_come_once_only(router: Router, name: str) -> None:
    """One claim twice in the JSON: 401, whichever of the two is meant."""
    claims = router.portal().claims("host")
    doubled = json.dumps(claims)[:-1] + f", {json.dumps(name)}: {json.dumps(claims[name])}}}"
    assert await router.status("/connect/host_control", forge(doubled.encode())) == 401


@BOTH
@pytest.mark.parametrize("payload", [b"[]", b"7", b"null", b"{", b"", b"\xff"], ids=repr)
@pytest_twisted.ensureDeferred
async def test_check_05_claims_are_an_object(router: Router, payload: bytes) -> None:
    """A rightly signed token whose payload is no JSON object: 401."""
    assert await router.status("/connect/host_control", forge(payload)) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_06_service_names(router: Router) -> None:
    """ASCII letters, digits, ``-`` and ``_`` make a service of any length; all else is 400."""
    for service in ("a", "A-Z_09", "x" * 200):
        portal = router.portal()
        control = await portal.control()
        await portal.call(service)
        assert (await portal.incoming(control)).service_name == service
    portal = router.portal()
    for service in ("a.b", "a%20b", "%C3%A9", "a%2Fb", "%"):
        assert await router.status(f"/connect/client/{service}", portal.client_token) == 400
    for service in ("", "a/", "a/b", "/a"):
        assert await router.status(f"/connect/client/{service}", portal.client_token) == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_06_the_query_is_no_part_of_the_name(router: Router) -> None:
    """Queries are ignored where they mean nothing."""
    portal = router.portal()
    control = await portal.control("?a=b")
    await portal.call("ssh?name=web")
    assert (await portal.incoming(control)).service_name == "ssh"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_07_nexus(router: Router) -> None:
    """A nexus is a decimal number of 64 bits; an unknown one is 404, and none of these is 101."""
    token = router.portal().host_token
    for nexus in ("abc", "-1", str(2**64), "0x7", "7.0", "%2D7", "++7"):
        assert await router.status(f"/connect/host_accept/{nexus}", token) == 400, nexus
    for nexus in ("0", "7", str(2**64 - 1), "+7", "007"):
        assert await router.status(f"/connect/host_accept/{nexus}", token) == 404, nexus
    assert await router.status("/connect/host_accept/", token) == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_07_a_nexus_may_be_padded(router: Router) -> None:
    """Leading zeros and a plus sign change nothing about a number."""
    portal = router.portal()
    control = await portal.control()
    client = await portal.call()
    nexus = (await portal.incoming(control)).nexus
    await portal.accept(f"+00{nexus}")
    assert await client.receive() == CONNECTED


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_08_plain_get_has_no_effect(router: Router) -> None:
    """A GET without upgrade is 400 on each endpoint, and disturbs neither host nor pending call."""
    portal = router.portal()
    control = await portal.control()
    for target, role in zip(ENDPOINTS, ROLES, strict=True):
        token = portal.host_token if role == "host" else portal.client_token
        peer = await router.dial()
        peer.write(request_head(target, bearer(token)))
        assert (await peer.response()).status == 400, target
    await portal.call("after")
    assert (await portal.incoming(control)).service_name == "after"
