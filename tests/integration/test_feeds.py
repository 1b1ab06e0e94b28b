"""Bodies that go to a sink as they come."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.local_router_room import Lab
from tests.integration.topic_face import Sink
from tests.rawpeer import RawPeer, read_response, request, until


async def sink_of(lab: Lab) -> Sink:
    """:returns: the first sink, once there is one"""
    return await until(lambda: lab.face.sinks[0] if lab.face.sinks else None, "sink")


async def has(sink: Sink, payload: bytes) -> None:
    """Wait until all that came is ``payload``."""
    await until(lambda: b"".join(sink.parts) == payload or None, "payload")


async def answer(peer: RawPeer) -> tuple[int, bytes]:
    """:returns: status and body; the connection is over behind it"""
    response = await read_response(peer)
    await peer.gone()
    return response.status, response.body


@pytest.mark.parametrize("method", ["POST", "PUT", "UPDATE"])
@pytest_twisted.ensureDeferred
async def test_chunks_as_they_come(method: str) -> None:
    """Each is handed on before the next; the answer is an empty 200 behind the last."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request(method, "/ts/cam", "Transfer-Encoding: chunked"))
        sink = await sink_of(lab)
        peer.write(b"3\r\nabc\r\n")
        await has(sink, b"abc")
        peer.write(b"2\r\nde\r\n")
        await has(sink, b"abcde")
        assert sink.over == []
        peer.write(b"0\r\n\r\n")
        assert await answer(peer) == (200, b"")
        assert sink.over == ["finish"]

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_body_of_a_known_length() -> None:
    """It may come with the head; a pause in it harms nothing."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("POST", "/ts/cam", "Content-Length: 6", body=b"abc"))
        sink = await sink_of(lab)
        await has(sink, b"abc")
        peer.write(b"def")
        assert await answer(peer) == (200, b"")
        await has(sink, b"abcdef")

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_no_body_at_all() -> None:
    """It is over at once."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("GET", "/ts/cam"))
        assert await answer(peer) == (200, b"")
        assert lab.face.sinks[0].over == ["finish"]
        assert lab.face.sinks[0].parts == []

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_sender_that_asks_first() -> None:
    """``Expect: 100-continue`` is answered before the body comes."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("PUT", "/ts/cam", "Content-Length: 2", "Expect: 100-continue"))
        assert (await peer.head()).status == 100
        peer.write(b"ok")
        assert await answer(peer) == (200, b"")

    await Lab().work(test)


@pytest.mark.parametrize("half", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_sender_that_leaves_in_the_midst(half: bool) -> None:
    """The sink is told once that no more comes."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("POST", "/ts/cam", "Content-Length: 6", body=b"abc"))
        sink = await sink_of(lab)
        await has(sink, b"abc")
        if half:
            peer.half_close()
        else:
            peer.reset()
        await until(lambda: sink.over or None, "end")
        await peer.gone()
        assert sink.over == ["lost"]

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_sender_that_breaks_the_framing() -> None:
    """It is refused, and the sink told."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("POST", "/ts/cam", "Transfer-Encoding: chunked"))
        peer.write(b"3\r\nabc\r\nxyz\r\n")
        assert (await answer(peer))[0] == 400
        assert lab.face.sinks[0].over == ["lost"]
        assert b"".join(lab.face.sinks[0].parts) in (b"", b"abc")

    await Lab().work(test)


@pytest.mark.parametrize(
    ("target", "header", "status"),
    [
        ("/ts/", "Content-Length: 3", 404),
        ("/ts/cam", "Expect: miracles", 417),
        ("/ts/cam", "Transfer-Encoding: gzip", 501),
        ("/elsewhere", "Content-Length: 3", 404),
    ],
)
@pytest_twisted.ensureDeferred
async def test_bodies_that_are_not_taken(target: str, header: str, status: int) -> None:
    """The refusal comes at once, and no sink is left without an end."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("POST", target, header))
        assert (await answer(peer))[0] == status
        assert lab.face.sinks == []

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_host_that_stops_in_the_midst() -> None:
    """The sender is cut off, and the sink told."""

    async def test(lab: Lab) -> None:
        peer = await lab.dial()
        peer.write(request("POST", "/ts/cam", "Transfer-Encoding: chunked"))
        sink = await sink_of(lab)
        await lab.outward.stop(0)
        await peer.gone()
        assert sink.over == ["lost"]

    await Lab().work(test)
