"""What the portal router answers over HTTP: portal.md §4, with demo's statuses and order."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import BOTH, OURS, Portal, Router, bearer, mint
from tests.rawpeer import PERFECT_HANDSHAKE, Head, request_head

CONTROL = "/connect/host_control"
ACCEPT = "/connect/host_accept/7"
CLIENT = "/connect/client/ssh"
KNOWN = [CONTROL, ACCEPT, CLIENT, "/connect/client/a.b", "/connect/host_accept/abc"]
UNKNOWN = [
    "/",
    "/connect",
    "/connect/",
    "/connect/host_control/",
    "/connect/host_accept",
    "/connect/host_accept/7/",
    "/connect/client",
    "/connect/client/ssh/",
    "//connect/client/ssh",
    "/connect//client/ssh",
    "/Connect/client/ssh",
    "/connect/CLIENT/ssh",
    "/favicon.ico",
]

pytest_plugins = ["tests.integration.portal_fixtures"]


def token_for(portal: Portal, target: str) -> str:
    """:returns: the token that has the role for ``target``"""
    return portal.client_token if "client" in target else portal.host_token


@BOTH
@pytest_twisted.ensureDeferred
async def test_unknown_paths(router: Router) -> None:
    """Everything but the three endpoints is 404, whatever the token and method."""
    token = router.portal().host_token
    for target in UNKNOWN:
        assert await router.status(target, token) == 404, target
    assert await router.status("/nowhere") == 404
    assert await router.status("/nowhere", token, method="POST") == 404


@BOTH
@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS", "DELETE", "PATCH"])
@pytest_twisted.ensureDeferred
async def test_other_methods(router: Router, method: str) -> None:
    """Another method than GET and HEAD is 405 before anything else about a known path is judged."""
    portal = router.portal()
    for target in KNOWN:
        for token in (None, token_for(portal, target)):
            _, head = await router.ask(target, token, method=method)
            assert head.status == 405, target
            allowed = (head.header("Allow") or "").replace(" ", "").split(",")
            assert sorted(allowed) == ["GET", "HEAD"]


@BOTH
@pytest_twisted.ensureDeferred
async def test_head(router: Router) -> None:
    """HEAD: a malformed path is 400, bad credentials are 401, all else is 405 without ``Allow``."""
    portal = router.portal()
    assert await router.status("/connect/client/a.b", method="HEAD") == 400
    assert await router.status("/connect/host_accept/abc", method="HEAD") == 400
    assert await router.status(CLIENT, method="HEAD") == 401
    assert await router.status(CLIENT, "a.b.c", method="HEAD") == 401
    for target in (CONTROL, ACCEPT, CLIENT):
        _, head = await router.ask(target, token_for(portal, target), method="HEAD")
        assert head.status == 405
        assert head.header("Allow") is None


@BOTH
@pytest_twisted.ensureDeferred
async def test_http_1_0(router: Router) -> None:
    """An upgrade over HTTP/1.0 is 426."""
    portal = router.portal()
    assert await router.status(CONTROL, portal.host_token, version="HTTP/1.0") == 426


@BOTH
@pytest.mark.parametrize(
    "changes",
    [
        {"Connection": "close"},
        {"Connection": None},
        {"Upgrade": "h2c"},
        {"Upgrade": None},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Key": None},
    ],
    ids=str,
)
@pytest_twisted.ensureDeferred
async def test_requests_that_are_no_websocket(
    router: Router, changes: dict[str, str | None]
) -> None:
    """A missing or wrong header of the handshake is 400, and nothing is registered."""
    portal = router.portal()
    merged = {**PERFECT_HANDSHAKE, **bearer(portal.host_token), **changes}
    headers = {name: value for name, value in merged.items() if value is not None}
    peer = await router.dial()
    peer.write(request_head(CONTROL, headers))
    assert (await peer.response()).status == 400
    assert await router.status(CLIENT, portal.client_token) == 502


@BOTH
@pytest_twisted.ensureDeferred
async def test_connection_may_name_more_than_upgrade(router: Router) -> None:
    """Browsers and proxies write ``keep-alive, Upgrade``."""
    headers = {"Connection": "keep-alive, Upgrade"}
    token = router.portal().host_token
    assert await router.status(CONTROL, token, headers=headers) == 101


@BOTH
@pytest_twisted.ensureDeferred
async def test_order_of_checks(router: Router) -> None:
    """Path parameters, then token, then the handshake's headers, then role, then lookup."""
    portal = router.portal()
    assert await router.status("/connect/client/a.b") == 400
    assert await router.status("/connect/host_accept/abc") == 400
    peer = await router.dial()
    peer.write(request_head(CONTROL))
    assert (await peer.response()).status == 401
    for target, token in ((CONTROL, portal.client_token), (CLIENT, portal.host_token)):
        peer = await router.dial()
        peer.write(request_head(target, bearer(token)))
        assert (await peer.response()).status == 400, target
        assert await router.status(target, token) == 401
    assert await router.status(ACCEPT, portal.client_token) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_of_several_tokens_the_first_counts(router: Router) -> None:
    """Only the first of several ``Authorization`` headers is read."""
    portal = router.portal()
    good, bad = f"Bearer {portal.host_token}", "Bearer a.b.c"
    for first, second, status in ((good, bad, 101), (bad, good, 401)):
        headers = {**PERFECT_HANDSHAKE, "Authorization": first, "authorization": second}
        peer = await router.dial()
        peer.write(request_head(CONTROL, headers))
        assert (await peer.response()).status == status


@BOTH
@pytest_twisted.ensureDeferred
async def test_header_names_have_no_case(router: Router) -> None:
    """The Rust programs write ``authorization``, others ``AUTHORIZATION``."""
    token = router.portal().host_token
    for name in ("authorization", "AUTHORIZATION"):
        headers = {name: f"Bearer {token}"}
        assert await router.status(CONTROL, headers=headers) == 101


@BOTH
@pytest_twisted.ensureDeferred
async def test_tokens_come_in_the_header_only(router: Router) -> None:
    """Neither query nor cookie is looked at for a token."""
    token = router.portal().host_token
    assert await router.status(f"{CONTROL}?token={token}&access_token={token}") == 401
    assert await router.status(CONTROL, headers={"Cookie": f"token={token}"}) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_target_may_be_long(router: Router) -> None:
    """A head of half the limit is no reason to refuse."""
    portal = router.portal()
    control = await portal.control()
    service = "x" * 16_000
    await portal.call(service)
    assert (await portal.incoming(control)).service_name == service


# -- why: ours says it in a header and a sentence ------------------------------------------------


def assert_refused(head: Head, status: int, reason: str, *secrets: str) -> None:
    """Check status, reason and the sentence behind it, which must not repeat any secret."""
    assert (head.status, head.header("X-Relay-Reason")) == (status, reason)
    text = head.body.decode().strip()
    assert text
    assert "\n" not in text
    assert len(text) < 300
    assert not any(secret in text for secret in secrets)
    assert (head.header("Content-Type") or "").startswith("text/plain")
    assert head.header("WWW-Authenticate") is None


@OURS
@pytest_twisted.ensureDeferred
async def test_refused_tokens_say_why(router: Router) -> None:
    """Each way for a token to be wrong has its word."""
    portal = router.portal()
    foreign = mint(portal.claims("host"), "another-secret-0123456789abcdefghijk")
    expired = mint(portal.claims("host", exp=1600000000))
    for token, reason in (
        (None, "token-missing"),
        ("a.b.c", "token-invalid"),
        (foreign, "token-invalid"),
        (expired, "token-expired"),
        (portal.client_token, "wrong-role"),
    ):
        _, head = await router.ask(CONTROL, token)
        assert_refused(head, 401, reason, *([token] if token else []))


@OURS
@pytest_twisted.ensureDeferred
async def test_refused_calls_say_why(router: Router) -> None:
    """An absent host, a service that it does not offer and a call that is gone are told apart."""
    portal = router.portal()
    _, head = await router.ask(CLIENT, portal.client_token)
    assert_refused(head, 502, "host-absent")
    _, head = await router.ask(ACCEPT, portal.host_token)
    assert_refused(head, 404, "no-such-offer")
    control = await portal.control("?services=web,ssh")
    _, head = await router.ask("/connect/client/smtp", portal.client_token)
    assert_refused(head, 502, "no-such-offer")
    for service in ("web", "ssh"):
        await portal.call(service)
        assert (await portal.incoming(control)).service_name == service


@OURS
@pytest_twisted.ensureDeferred
async def test_malformed_requests_say_why(router: Router) -> None:
    """What is malformed is ``protocol-error``."""
    portal = router.portal()
    for target in ("/connect/client/a.b", "/connect/host_accept/abc"):
        _, head = await router.ask(target, token_for(portal, target))
        assert_refused(head, 400, "protocol-error")
    peer = await router.dial()
    peer.write(request_head(CONTROL, bearer(portal.host_token)))
    assert_refused(await peer.response(), 400, "protocol-error")


@pytest_twisted.ensureDeferred
async def test_a_host_that_announced_nothing_is_asked(start_router: RouterMaker) -> None:
    """Without ``services`` any name is passed on, and an empty list means the same."""
    router, _ = await start_router.start()
    for query in ("", "?services=", "?other=1"):
        portal = router.portal()
        control = await portal.control(query)
        await portal.call("anything")
        assert (await portal.incoming(control)).service_name == "anything"
