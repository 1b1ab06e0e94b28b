"""Peers that break the rules before the portal handshake is over: the router ends them only.

Behind each of them a circuit on the same router works and no descriptor is left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
import pytest_twisted
import trustme

from relay.settings.model import Limits
from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import (
    BOTH,
    CONNECTED,
    END_S,
    OURS,
    Router,
    bearer,
    forge,
    mint,
    unharmed,
)
from tests.rawpeer import PERFECT_HANDSHAKE, Ended, Late, PeerError, RawPeer, request_head

MiB = 1024 * 1024
CONTROL = "/connect/host_control"
CLIENT = "/connect/client/ssh"
SHORT_S = 0.3

pytest_plugins = ["tests.integration.portal_fixtures"]


@BOTH
@pytest.mark.parametrize("fault", ["garbage", "expired", "foreign", "wrong-role", "algorithm"])
@pytest_twisted.ensureDeferred
async def test_bad_tokens(router: Router, fault: str) -> None:
    """A token that is no good is 401 and leaves nothing behind."""
    portal = router.portal()
    claims = portal.claims("host")
    token = {
        "garbage": "\u00ff" * 100,
        "expired": mint(portal.claims("host", exp=1)),
        "foreign": mint(claims, "another-secret-0123456789abcdefghijk"),
        "wrong-role": portal.client_token,
        "algorithm": forge(b"{}", {"alg": "HS512", "typ": "JWT"}, "sha512"),
    }[fault]
    async with unharmed(router):
        for _ in range(20):
            assert await router.status(CONTROL, token) == 401


@BOTH
@pytest_twisted.ensureDeferred
async def test_endless_head(router: Router) -> None:
    """A head that grows and grows is refused, or cut off, before it is a MiB long."""
    async with unharmed(router):
        peer = await router.dial()
        with pytest.raises((Ended, Refused)):
            await pour_headers(peer)


async def pour_headers(peer: RawPeer) -> None:
    """Send a MiB of headers. :raises Ended, Refused: as soon as the router has had enough"""
    peer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    line = b"X-Filler: " + b"x" * 4086 + b"\r\n"
    for _ in range(MiB // len(line)):
        await peer.writable()
        peer.write(line)
        await refused_with(peer, 431, 400)
    await peer.until(lambda: None if peer.nothing_came() else True, "refusal")
    await refused_with(peer, 431, 400)


@OURS
@pytest.mark.parametrize("where", ["header", "target"])
@pytest_twisted.ensureDeferred
async def test_oversized_head(router: Router, where: str) -> None:
    """A complete head above the limit is refused, or cut off, and nothing comes of it."""
    portal = router.portal()
    filler = "x" * 40_000
    headers = {**PERFECT_HANDSHAKE, **bearer(portal.host_token)}
    async with unharmed(router):
        peer = await router.dial()
        if where == "header":
            peer.write(request_head(CONTROL, {"X-Filler": filler, **headers}))
        else:
            peer.write(request_head(f"{CONTROL}?{filler}", headers))
        with suppress(Ended):
            assert (await peer.response()).status in (431, 414)
        assert await router.status(CLIENT, portal.client_token) == 502


class Refused(PeerError):
    """The router answered with the expected refusal."""


async def refused_with(peer: RawPeer, *statuses: int) -> None:
    """:raises Refused: when a refusal with one of these statuses has come"""
    if not peer.nothing_came():
        assert (await peer.response()).status in statuses
        raise Refused


@BOTH
@pytest.mark.parametrize(
    "opening",
    [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        bytes(512),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 2000 + b"x\r\n\r\n",
    ],
    ids=["tls", "ssh", "zeros", "short", "version", "header", "target", "lines"],
)
@pytest_twisted.ensureDeferred
async def test_no_http(router: Router, opening: bytes) -> None:
    """What is no HTTP request is refused or cut off at once."""
    async with unharmed(router):
        peer = await router.dial()
        peer.write(opening)
        try:
            status = (await peer.response(END_S)).status
        except Ended:
            return
        assert status in (400, 404, 431, 505)


@pytest.mark.parametrize("pace", ["silent", "half", "trickle"])
@pytest_twisted.ensureDeferred
async def test_slow_head(start_router: RouterMaker, pace: str) -> None:
    """A head that is not complete in time ends the connection, however steadily it comes."""
    router, _ = await start_router.start(Limits(head_s=SHORT_S, failed_logins_per_min=0))
    head = request_head(CONTROL, bearer(router.portal().host_token))
    async with unharmed(router):
        peer = await router.dial()
        if pace == "trickle":
            with pytest.raises((Ended, Refused)):
                await trickle(peer, head)
            return
        if pace == "half":
            peer.write(head[:40])
        await ended_or_refused(peer, 408)


async def trickle(peer: RawPeer, head: bytes) -> None:
    """Send a head byte by byte. :raises Ended, Refused: when the router has had enough"""
    expiry = peer.clock.seconds() + SHORT_S + END_S
    for byte in head:
        peer.write(bytes([byte]))
        await refused_with(peer, 408)
        with suppress(Late, Ended):
            await peer.until(lambda: None if peer.nothing_came() else True, "answer", SHORT_S / 10)
        assert peer.clock.seconds() < expiry


async def ended_or_refused(peer: RawPeer, status: int) -> None:
    """Check that the connection ends, after a refusal or without a word."""
    try:
        assert (await peer.response(SHORT_S + END_S)).status == status
    except Ended:
        return
    await peer.gone()


@pytest_twisted.ensureDeferred
async def test_tls_handshake_never_finished(
    start_router: RouterMaker, tls_authority: trustme.CA
) -> None:
    """A peer that connects to a TLS listener and says nothing, or no TLS, is cut off."""
    limits = Limits(head_s=SHORT_S, handshake_s=SHORT_S, failed_logins_per_min=0)
    router, _ = await start_router.start(limits, authority=tls_authority)
    plain = Router("ours", router.port, router.descriptors)
    async with unharmed(router):
        for opening in (b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
            peer = await plain.dial()
            peer.write(opening)
            await peer.gone(SHORT_S + END_S)


@BOTH
@pytest.mark.parametrize("sent", [0, 20, -1])
@pytest.mark.parametrize("leave", [RawPeer.drop, RawPeer.reset], ids=["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_leaves_in_the_handshake(
    router: Router, leave: Callable[[RawPeer], None], sent: int
) -> None:
    """Peers that leave before, within or right behind their head leave nothing behind."""
    portal = router.portal()
    head = request_head(CONTROL, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)})
    async with unharmed(router):
        for _ in range(20):
            peer = await router.dial()
            peer.write(head[:sent] if sent >= 0 else head)
            leave(peer)
            await peer.gone()


@OURS
@pytest_twisted.ensureDeferred
async def test_host_leaves_behind_its_accept(router: Router) -> None:
    """A host that asks to accept and leaves takes the client with it."""
    portal = router.portal()
    async with unharmed(router):
        control = await portal.control()
        client = await portal.call()
        call = await portal.incoming(control)
        target = f"/connect/host_accept/{call.nexus}"
        host = await router.dial()
        host.write(request_head(target, {**PERFECT_HANDSHAKE, **bearer(portal.host_token)}))
        host.drop()
        ending = await client.ending(END_S)
        assert ending.frames in ([], [CONNECTED])
