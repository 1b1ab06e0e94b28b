"""The websocktunnel router: check 22 and §5.4, hosts and viewers that fail each other.

Each runs against our router, and against the original's server where that is at hand; what the
latter is known to fail is marked with the reason.
"""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.websocktunnel_ours import RouterMaker
from tests.integration.websocktunnel_peers import (
    BOTH,
    HELLO,
    OURS,
    KiB,
    MiB,
    Router,
    go_differs,
)
from tests.rawpeer import (
    MUX_WINDOW_BYTES,
    Ended,
    Late,
    Mux,
    noise,
    read_chunk,
    read_head,
    read_response,
    together,
    until,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LEAVING = pytest.mark.parametrize("how", ["fin", "reset"])
SOON_S = 2.0
LINGERS = "a viewer that left while it waits is never noticed"

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- hosts ---------------------------------------------------------------------------------------


@go_differs("the stream is not closed on the paths that end in a 500")
@pytest_twisted.ensureDeferred
async def test_check_22_refused_streams_end(wst: Router) -> None:
    """A host that ends a stream without an answer gets FIN, too."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.fin()
    await read_response(viewer)
    await stream.finished(SOON_S)
    await host.serves()
    assert stream.fins == 1


@BOTH
@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=repr,
)
@pytest_twisted.ensureDeferred
async def test_check_22_no_answer(wst: Router, response: bytes) -> None:
    """A stream that ends before there is a head: 500 of the original, 502 with a reason of ours."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    if response:
        stream.send(response)
    stream.fin()
    answer = await read_response(viewer)
    assert answer.status == wst.says(502)
    if wst.is_ours:
        assert answer.header("X-Relay-Reason")
        assert answer.body
    await host.serves()


@BOTH
@pytest.mark.parametrize("accepted", [False, True])
@pytest_twisted.ensureDeferred
async def test_the_link_is_lost_before_the_head(wst: Router, accepted: bool) -> None:
    """Viewers without a head learn at once that the host is gone."""
    host = await wst.host(window=MUX_WINDOW_BYTES if accepted else None)
    viewer = await host.view()
    await host.link.accept()
    host.link.peer.reset()
    answer = await read_response(viewer)
    assert answer.status == wst.says(502)


@BOTH
@pytest.mark.parametrize("how", ["link", "stream"])
@pytest_twisted.ensureDeferred
async def test_truncated_bodies_of_known_length(wst: Router, how: str) -> None:
    """A body that is cut off, by the loss of the link or by FIN, is not made whole."""
    await see_truncated(wst, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart", how)


@go_differs("a body that is cut off looks whole")
@pytest.mark.parametrize("how", ["link", "stream"])
@pytest_twisted.ensureDeferred
async def test_truncated_chunked_bodies(wst: Router, how: str) -> None:
    """A chunked body that is cut off gets no last chunk."""
    await see_truncated(wst, CHUNKED + b"4\r\npart\r\n", how)


@go_differs("a body that is cut off looks whole")
@pytest_twisted.ensureDeferred
async def test_truncated_close_delimited_bodies(wst: Router) -> None:
    """A body that only the loss of the link has ended does not look whole either."""
    await see_truncated(wst, b"HTTP/1.1 200 OK\r\n\r\npart", "link")


async def see_truncated(wst: Router, response: bytes, how: str) -> None:
    """Check that a viewer sees the head, the bytes, and an end of the connection in between."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(response)
    head, _ = await read_head(viewer)
    assert head.status == 200
    if how == "link":
        host.link.peer.reset()
    else:
        stream.fin()
    await viewer.gone(SOON_S)
    assert b"part" in viewer.left()
    assert not viewer.left().endswith(b"0\r\n\r\n")


@go_differs("reads no answer before the whole request is written")
@pytest.mark.parametrize("fin", [False, True])
@pytest_twisted.ensureDeferred
async def test_early_answers(wst: Router, fin: bool) -> None:
    """A host may refuse an upload that it does not read: the viewer gets the answer."""
    host = await wst.host(window=KiB, refunds=False)
    viewer = await host.view("/", f"Content-Length: {16 * MiB}", method="PUT", body=noise(MiB))
    stream = await host.link.accept()
    await stream.head()
    stream.respond(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno", fin=fin)
    answer = await read_response(viewer, deadline_s=SOON_S)
    assert (answer.status, answer.body) == (413, b"no")
    await stream.finished()
    assert stream.arrived <= KiB


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_host_that_stops_reading(wst: Router) -> None:
    """A host that grants nothing more gets its window and no more; its other streams go on."""
    host = await wst.host(window=64 * KiB, refunds=False)
    viewer = await host.view("/", f"Content-Length: {256 * MiB}", method="PUT")
    stream = await host.link.accept()
    writing = together(viewer.write_all(bytes(256 * MiB)))
    await host.link.until(lambda: True if stream.arrived == 64 * KiB else None, "a full window")
    for _ in range(3):
        await host.serves()
    assert stream.arrived == 64 * KiB
    assert not writing.called
    writing.addErrback(lambda failure: failure.trap(Ended, Late) and None)
    viewer.reset()
    await writing


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_viewer_that_stops_reading(wst: Router) -> None:
    """A viewer that stops reading stops its stream alone; what it was sent it gets at last."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    viewer.pause()
    size = 32 * MiB
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    sending = together(stream.send_all(bytes(size), 30.0))
    await host.link.until(lambda: True if stream.credit == 0 else None, "the end of the credit")
    for _ in range(3):
        await host.serves()
    assert not sending.called
    viewer.resume()
    answer = await read_response(viewer, deadline_s=30.0)
    assert len(answer.body) == size
    await sending


# -- viewers that leave --------------------------------------------------------------------------


@go_differs(LINGERS)
@LEAVING
@pytest_twisted.ensureDeferred
async def test_a_viewer_leaves_while_it_waits(wst: Router, how: str) -> None:
    """A viewer that leaves before the head frees its stream at once."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    (viewer.drop if how == "fin" else viewer.reset)()
    await stream.finished(SOON_S)
    stream.fin()
    await host.serves()
    assert stream.fins == 1


@go_differs("a viewer that breaks its upload off leaves the stream open")
@LEAVING
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest_twisted.ensureDeferred
async def test_a_viewer_leaves_in_its_upload(wst: Router, how: str, framing: str) -> None:
    """A viewer that breaks its upload off frees its stream; no end of the body is made up."""
    host = await wst.host()
    how_long = "Content-Length: 100000" if framing == "length" else "Transfer-Encoding: chunked"
    viewer, stream, _ = await host.exchange("/", how_long, method="PUT")
    viewer.write(b"2000\r\n" + b"x" * 8192 + b"\r\n")
    await stream.exactly(100)
    (viewer.drop if how == "fin" else viewer.reset)()
    assert not (await stream.finished(SOON_S)).endswith(b"0\r\n\r\n")
    stream.fin()
    await host.serves()


@go_differs("a viewer that left is noticed several writes later")
@LEAVING
@pytest_twisted.ensureDeferred
async def test_a_viewer_leaves_in_its_download(wst: Router, how: str) -> None:
    """A viewer that leaves in mid-body frees its stream at once, without another write."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    stream.send(CHUNKED + b"3\r\none\r\n")
    await read_head(viewer)
    await read_chunk(viewer)
    (viewer.drop if how == "fin" else viewer.reset)()
    await stream.finished(SOON_S)
    stream.fin()
    await host.serves()


@OURS
@pytest_twisted.ensureDeferred
async def test_what_a_viewer_left_behind_is_taken(wst: Router) -> None:
    """Behind its FIN our router goes on granting what the host still sends, until its FIN."""
    host = await wst.host()
    viewer, stream, _ = await host.exchange()
    size = 4 * MUX_WINDOW_BYTES
    stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    await read_head(viewer)
    viewer.reset()
    await stream.finished(SOON_S)
    await stream.send_all(bytes(size))
    stream.fin()
    await host.serves()
    assert stream.fins == 1


@OURS
@pytest_twisted.ensureDeferred
async def test_a_viewer_leaves_before_the_ack(wst: Router) -> None:
    """A stream whose viewer has gone is ended as soon as it is accepted, and asks for nothing."""
    host = await wst.host(window=None)
    viewer = await host.view()
    stream = await host.link.accept()
    viewer.reset()
    await wst.works()
    assert [f.kind for f in host.link.frames if f.stream == stream.number] == [Mux.SYN]
    stream.accept()
    await stream.finished()
    kinds = [f.kind for f in host.link.frames if f.stream == stream.number]
    assert kinds == [Mux.SYN, Mux.FIN]


@LEAVING
@pytest_twisted.ensureDeferred
async def test_viewers_that_left_wait_for_nothing(start_wst: RouterMaker, how: str) -> None:
    """Viewers that leave while they wait for their turn never reach the host."""
    wst = await start_wst.start(limits={"pending-calls": 2})
    host = await wst.host(window=None)
    first = [await host.view(f"/{number}") for number in range(2)]
    streams = [await host.link.accept() for _ in first]
    waiting = [await host.view(f"/late{number}") for number in range(5)]
    await wst.works()
    for viewer in waiting:
        (viewer.drop if how == "fin" else viewer.reset)()
        await viewer.gone()
    await wst.works()
    for stream in streams:
        stream.accept()
        stream.respond(HELLO)
    assert [a.status for a in await together(*map(read_response, first))] == [200, 200]
    host.link.window = MUX_WINDOW_BYTES
    await host.serves()
    await until(lambda: True if host.link.streams else None, "streams")
    asked = [bytes(s.received[:20]) for s in host.link.streams.values()]
    assert not any(b"/late" in text for text in asked)
