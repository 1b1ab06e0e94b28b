"""Requests whose credential is looked up first, and whose body nobody looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted

from tests.integration.local_router_room import LOOPBACK
from tests.integration.looking_face import BODY_BYTES, LookingFace
from tests.integration.outward_room import Room
from tests.rawpeer import RawPeer, connect, noise, read_response, request, until

MiB = 1024 * 1024


class Desk:
    """A door at which credentials are looked up."""

    def __init__(self) -> None:
        self.face = LookingFace()
        self.port = 0
        self.peers: list[RawPeer] = []

    async def run(self, test: Callable[[Desk], Any]) -> None:
        """Do ``test``, and end what it began."""

        async def inner(room: Room) -> None:
            address = await room.outward.local_router(self.face).listen(LOOPBACK)
            self.port = int(address.rpartition(":")[2])
            try:
                await test(self)
            finally:
                for peer in self.peers:
                    peer.reset()
                    await peer.gone()

        await Room().run(inner)

    async def dial(self) -> RawPeer:
        """:returns: a connection to the door"""
        self.peers.append(await connect(self.port))
        return self.peers[-1]

    async def looks(self, count: int = 1) -> None:
        """Wait until so many look-ups have begun."""
        await until(lambda: len(self.face.looking) >= count or None, "look-up")


# -- bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Length: 3", b"abc"),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"0\r\n\r\n"),
        ("Content-Length: 0", b""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_body_within_the_limit(header: str, body: bytes) -> None:
    """It is read, and another request may follow."""

    async def test(desk: Desk) -> None:
        peer = await desk.dial()
        for path in ("/one", "/two"):
            peer.write(request("PUT", path, header, body=body))
            response = await read_response(peer)
            assert (response.status, response.body) == (200, path.encode())
        expected = b"abc" if b"abc" in body else b""
        assert desk.face.answered == [("/one", expected), ("/two", expected)]

    await Desk().run(test)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [BODY_BYTES + 1, 4 * MiB])
@pytest_twisted.ensureDeferred
async def test_a_body_that_nobody_wants(chunked: bool, size: int) -> None:
    """It is answered without the rest, and its sender, who sends all of it, sees the answer."""

    async def test(desk: Desk) -> None:
        peer = await desk.dial()
        peer.stays_half_open = True
        body = noise(size)
        if chunked:
            peer.write(request("POST", "/x", "Transfer-Encoding: chunked"))
            await peer.write_all(b"%x\r\n" % size + body + b"\r\n0\r\n\r\n")
        else:
            peer.write(request("POST", "/x", f"Content-Length: {size}"))
            await peer.write_all(body)
        response = await read_response(peer)
        assert (response.status, response.body) == (200, b"/x")
        assert response.header("Connection") == "close"
        peer.drop()
        await peer.gone()
        assert not peer.was_reset()
        assert desk.face.answered == [("/x", b"")]

    await Desk().run(test)


@pytest_twisted.ensureDeferred
async def test_a_sender_that_stops_in_the_midst() -> None:
    """The answer comes as soon as there is too much; it does not wait for the rest."""

    async def test(desk: Desk) -> None:
        peer = await desk.dial()
        peer.stays_half_open = True
        peer.write(request("POST", "/x", "Content-Length: 5000", body=noise(BODY_BYTES + 1)))
        assert (await read_response(peer)).status == 200
        await peer.half_ended()
        peer.write(noise(100))
        peer.drop()
        await peer.gone()
        assert not peer.was_reset()

    await Desk().run(test)


@pytest_twisted.ensureDeferred
async def test_a_sender_that_asks_first() -> None:
    """The answer itself is what it gets, and its body is not waited for."""

    async def test(desk: Desk) -> None:
        peer = await desk.dial()
        peer.write(request("PUT", "/x", "Content-Length: 10", "Expect: 100-continue"))
        response = await read_response(peer)
        assert (response.status, response.interim) == (200, ())
        assert response.header("Connection") == "close"
        await peer.gone()
        assert not peer.was_reset()

    await Desk().run(test)


@pytest_twisted.ensureDeferred
async def test_what_is_no_body() -> None:
    """It is refused as everywhere."""

    async def test(desk: Desk) -> None:
        peer = await desk.dial()
        peer.write(request("PUT", "/x", "Transfer-Encoding: chunked", body=b"xyz\r\n"))
        assert (await read_response(peer)).status == 400
        assert desk.face.answered == []

    await Desk().run(test)


# -- looking up ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), [("/missing", 401), ("/bad", 400), ("/good", 200)])
@pytest.mark.parametrize("holds", [False, True])
@pytest_twisted.ensureDeferred
async def test_what_is_found(path: str, status: int, holds: bool) -> None:
    """Whether at once or later, the credential is judged like any other."""

    async def test(desk: Desk) -> None:
        desk.face.holds = holds
        peer = await desk.dial()
        peer.write(request("PUT", path, "Content-Length: 0"))
        if holds:
            await desk.looks()
            assert peer.nothing_came()
            desk.face.looking[0].callback(None)
        assert (await read_response(peer)).status == status

    await Desk().run(test)


@pytest_twisted.ensureDeferred
async def test_one_that_leaves_while_it_is_looked_up() -> None:
    """The look-up is given up, and nothing comes of it."""

    async def test(desk: Desk) -> None:
        desk.face.holds = True
        peer = await desk.dial()
        peer.write(request("PUT", "/good", "Content-Length: 0"))
        await desk.looks()
        peer.reset()
        await until(lambda: desk.face.cancelled or None, "end of the look-up")
        assert desk.face.answered == []

    await Desk().run(test)


@pytest_twisted.ensureDeferred
async def test_one_that_says_no_more_while_it_is_looked_up() -> None:
    """A FIN says nothing about the answer."""

    async def test(desk: Desk) -> None:
        desk.face.holds = True
        peer = await desk.dial()
        peer.stays_half_open = True
        peer.write(request("PUT", "/good", "Content-Length: 0"))
        peer.half_close()
        await desk.looks()
        desk.face.looking[0].callback(None)
        assert (await read_response(peer)).status == 200
        await peer.half_ended()
        assert desk.face.cancelled == 0

    await Desk().run(test)


@pytest_twisted.ensureDeferred
async def test_requests_behind_one_that_is_looked_up() -> None:
    """Each has its turn once the one before is answered, and the answers keep the order."""

    async def test(desk: Desk) -> None:
        desk.face.holds = True
        peer = await desk.dial()
        paths = ["/one", "/missing", "/three"]
        peer.write(b"".join(request("PUT", path, "Content-Length: 0") for path in paths[:1]))
        await desk.looks()
        peer.write(b"".join(request("GET", path) for path in paths[1:]))
        for count, status in enumerate((200, 401), 1):
            await desk.looks(count)
            assert len(desk.face.looking) == count
            desk.face.looking[count - 1].callback(None)
            assert (await read_response(peer)).status == status
        assert desk.face.answered == [("/one", b"")]

    await Desk().run(test)
