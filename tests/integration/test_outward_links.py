"""Links of one tunnel to servers that it is sent to, several of them kept."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred

from relay.errors import CannotConnect, GoingAway, Misconfigured, Refused
from relay.outside import ITunnelSession
from relay.vocabulary import Event, Reason
from tests.integration.outward_room import Room, talk
from tests.rawpeer import RawPeer


def ignore(_event: Event) -> None:
    """What is no stream's means nothing here."""


def dial(room: Room, path: str = "/") -> Deferred[ITunnelSession]:
    """:returns: a link to the room's server, once it stands"""
    dialling = room.outward.websocket_at(room.url(path, "ws"), {"X-A": "b"}, talk, ignore)
    return Deferred.fromCoroutine(dialling)


@pytest_twisted.ensureDeferred
async def test_a_link_to_an_absolute_url() -> None:
    """Path and query go as they are; the link carries payload and ends in order."""

    async def test(room: Room) -> None:
        dialling = dial(room, "/session/a%2Fb?code=c")
        peer, head = await room.server.accept_upgrade()
        assert head.target == "/session/a%2Fb?code=c"
        assert head.header("X-A") == "b"
        session = await dialling
        session.close(Reason.FINISHED)
        ending = await peer.ending()
        assert ending.close is not None
        assert ending.close.code == 1000

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_a_handshake_that_is_refused() -> None:
    """The status is told."""

    async def test(room: Room) -> None:
        dialling = dial(room)
        peer, _ = await room.server.accept_request()
        peer.refuse(401)
        with pytest.raises(Refused) as refused:
            await dialling
        assert refused.value.status == 401

    await Room().run(test)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.example/", 'unknown scheme "http"'),
        ("ws:///path", "names no host"),
        ("", "has no scheme"),
        ("wss://user:secret@a.example/", "no place in this URL"),
        ("ws://a.example/ b", "white space"),
        ("ws://a.example:x/", "is no URL"),
        ("ws://a.example/" + "a" * 10_000, "of 10015 bytes is too long"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_urls_that_cannot_be_dialled(url: str, why: str) -> None:
    """They are told in a sentence, without what stands in them for a password."""

    async def test(room: Room) -> None:
        with pytest.raises(Misconfigured, match=why) as failed:
            await room.outward.websocket_at(url, {}, talk, ignore)
        assert "secret" not in failed.value.text

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_a_tunnel_without_a_router() -> None:
    """It cannot be asked for a path of that."""

    async def test(room: Room) -> None:
        with pytest.raises(Misconfigured, match="has no router"):
            await room.outward.websocket("/path", {}, talk, ignore)

    await Room().run(test)


def keep(room: Room, name: str) -> Deferred[None]:
    """:returns: an errand that is kept until it is cancelled"""
    kept = room.outward.keep(lambda: dial(room, f"/{name}"), gives_up=False, name=name)
    return Deferred.fromCoroutine(kept)


async def accept_both(room: Room) -> dict[str, RawPeer]:
    """:returns: the two links that are kept, by their paths"""
    found = {}
    for _ in range(2):
        peer, head = await room.server.accept_upgrade()
        found[head.target] = peer
    return found


@pytest_twisted.ensureDeferred
async def test_one_errand_of_two_is_given_up() -> None:
    """Its link is closed and not made again; the other's is."""

    async def test(room: Room) -> None:
        first, second = keep(room, "one"), keep(room, "two")
        peers = await accept_both(room)
        await room.until_stood(2)
        first.cancel()
        with pytest.raises(CancelledError):
            await first
        ending = await peers["/one"].ending()
        assert ending.close is not None
        peers["/two"].drop()
        _, head = await room.server.accept_upgrade()
        assert head.target == "/two"
        second.cancel()
        with pytest.raises(CancelledError):
            await second

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_a_tunnel_that_stops_ends_them_all() -> None:
    """Each link is closed, and nothing is dialled any more."""

    async def test(room: Room) -> None:
        kept = [keep(room, "one"), keep(room, "two")]
        peers = await accept_both(room)
        await room.until_stood(2)
        stopping = Deferred.fromCoroutine(room.outward.stop(0))
        for peer in peers.values():
            assert (await peer.ending()).close is not None
        await stopping
        with pytest.raises(GoingAway):
            await dial(room)
        for errand in kept:
            errand.cancel()
            with pytest.raises(CancelledError):
                await errand

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_an_errand_is_given_up_while_it_dials() -> None:
    """The connection is closed, and that is no failure worth a line."""

    async def test(room: Room) -> None:
        kept = keep(room, "one")
        peer, _ = await room.server.accept_request()
        kept.cancel()
        with pytest.raises(CancelledError):
            await kept
        await peer.gone()

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_refusals_are_final_for_those_who_give_up() -> None:
    """With ``reconnect = no`` the first failure ends the errand."""

    async def test(room: Room) -> None:
        await room.server.close()
        with pytest.raises(CannotConnect):
            await room.outward.keep(lambda: dial(room))

    await Room(reconnect="no").run(test)
