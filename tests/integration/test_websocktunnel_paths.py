"""The websocktunnel router: checks 15-19 and 30, where a viewer's request goes, and how it arrives.

Each runs against our router, and against the original's server where that is at hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.websocktunnel_peers import BOTH, HELLO, OURS, Router
from tests.integration.websocktunnel_routers import Maker
from tests.rawpeer import PERFECT_HANDSHAKE, read_response, request

HEARTBEATS = ["/__heartbeat__", "/__lbheartbeat__", "/__heart%62eat__"]

pytest_plugins = ["tests.integration.websocktunnel_fixtures"]


# -- which host ----------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_15_nobody(wst: Router) -> None:
    """An unknown id is 504, an empty one 404."""
    for target in (
        "/nobody",
        "/nobody/",
        "/nobody/a?b=1",
        "/?x=1",
        "/__heartbeat__/",
        "/%6Eobody/",
    ):
        assert (await wst.fetch(target)).status == 504, target
    for target in ("/", "//", "//x", "///"):
        assert (await wst.fetch(target)).status == 404, target


@OURS
@pytest_twisted.ensureDeferred
async def test_check_15_nobody_is_explained(wst: Router) -> None:
    """Our router says in a header and on a short page why there is no answer."""
    answer = await wst.fetch("/nobody/")
    assert answer.header("X-Relay-Reason") == "host-absent"
    assert answer.body
    empty = await wst.fetch("/")
    assert empty.header("X-Relay-Reason")


@BOTH
@pytest.mark.parametrize("upgrade", [False, True], ids=["http", "websocket"])
@pytest.mark.parametrize(
    ("behind", "arrives"),
    [
        ("", "/"),
        ("/", "/"),
        ("/path?foo=bar&abc=def", "/path?foo=bar&abc=def"),
        ("/?q", "/?q"),
        ("/a?", "/a?"),
        ("//x", "//x"),
        ("/c%2Fd", "/c%2Fd"),
        ("/%2e%2e/%2E", "/%2e%2e/%2E"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("/..", "/.."),
        ("/a;b=c,d:e@f!$&'()*+", "/a;b=c,d:e@f!$&'()*+"),
        ("/?%zz", "/?%zz"),
        ("/?a=/b//c?d", "/?a=/b//c?d"),
        ("/%F0%9F%90%99%00", "/%F0%9F%90%99%00"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_check_16_paths(wst: Router, behind: str, arrives: str, upgrade: bool) -> None:
    """What stands behind the id arrives byte by byte, and climbs out of nothing."""
    host = await wst.host()
    fields = (f"{name}: {value}" for name, value in PERFECT_HANDSHAKE.items())
    _, _, head = await host.exchange(behind, *(fields if upgrade else ()))
    assert head.target == arrives
    assert head.first_line == f"GET {arrives} HTTP/1.1"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_16_absolute_form(wst: Router) -> None:
    """A target in absolute form is as good as its path; the Host header tells nothing."""
    host = await wst.host()
    viewer = await wst.dial()
    viewer.write(request("GET", f"http://any.example:7/{host.tunnel}/a?b", host="any.example:7"))
    stream = await host.link.accept()
    assert (await stream.head()).target == "/a?b"


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_16_encoded_ids(wst: Router) -> None:
    """An id is compared as it is sent: ``%2F`` in it is part of the id."""
    host = await wst.host("a%2Fb.escaped")
    _, _, head = await host.exchange("/c%2Fd")
    assert head.target == "/c%2Fd"
    assert (await wst.fetch("/a/b.escaped/c")).status == 504
    assert (await wst.fetch("/a%2fb.escaped/c")).status == 504


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_17_ids_in_targets(wst: Router) -> None:
    """No redirect for ``/demo``; a query is glued to an id without a slash; ``%7E`` is no ``~``."""
    host = await wst.host("~demo.17")
    _, _, head = await host.exchange("")
    assert head.target == "/"
    for target in ("/~demo.17?x=1", "/~demo.17?x=a/b", "/%7Edemo.17/", "/~Demo.17/", "/~demo.1/"):
        assert (await wst.fetch(target)).status == 504, target


@BOTH
@pytest.mark.parametrize(
    "target", ["/{}%2f", "/../{}/", "/./{}/", "/x/../{}/", "/%2e%2e/{}/", "/{}./"]
)
@pytest_twisted.ensureDeferred
async def test_climbing(wst: Router, target: str) -> None:
    """Dots and encoded slashes lead to no other id."""
    host = await wst.host()
    assert (await wst.fetch(target.format(host.tunnel))).status == 504
    assert host.link.frames == []
    await host.serves()


@BOTH
@pytest.mark.parametrize("target", ["/{}/%zz", "/{}/%", "/{}/%4", "/{}/a b"])
@pytest_twisted.ensureDeferred
async def test_bad_escapes(wst: Router, target: str) -> None:
    """A bad escape or a blank in a path is 400, and reaches nobody."""
    host = await wst.host()
    assert (await wst.fetch(target.format(host.tunnel))).status == 400
    assert host.link.frames == []


@OURS
@pytest.mark.parametrize("path", ["/{a}%2Fb", '/"quoted"', "/a|b^c`d"])
@pytest_twisted.ensureDeferred
async def test_targets_with_illegal_bytes(wst: Router, path: str) -> None:
    """Our router forwards bytes that a URL should have encoded as they are."""
    host = await wst.host()
    _, _, head = await host.exchange(path)
    assert head.target == path


# -- what the host is told -----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("behind", "shown"),
    [
        ("/a%20b?c=d", "/a b"),
        ("", ""),
        ("/", "/"),
        ("/c%2Fd//e", "/c/d//e"),
        ("/caf%C3%A9", "/café"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_check_18_original_path(wst: Router, behind: str, shown: str) -> None:
    """The host is told the decoded path with the id and without the query, and no forged one."""
    host = await wst.host()
    _, _, head = await host.exchange(behind, "x-websocktunnel-original-path: /forged")
    told = head.header("x-websocktunnel-original-path")
    assert told is not None
    assert told.encode("latin-1").decode() == f"/{host.tunnel}{shown}"


@BOTH
@pytest.mark.parametrize("behind", ["/%0D%0AX-Forged:%201", "/%00", "/%0A"])
@pytest_twisted.ensureDeferred
async def test_check_18_no_header_is_smuggled(wst: Router, behind: str) -> None:
    """A decoded line end in a path makes no further header line."""
    host = await wst.host()
    viewer = await host.view(behind)
    stream = await host.link.accept()
    try:
        head = await stream.head(1.0)
    finally:
        viewer.drop()
    assert head.header("X-Forged") is None
    assert head.target == behind


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_19_headers_pass(wst: Router) -> None:
    """Headers of the viewer arrive unchanged, hop-by-hop or not, and none is invented."""
    host = await wst.host()
    sent = {
        "Authorization": "Basic dTpw",
        "Cookie": "a=b; c=d",
        "Origin": "https://other.example",
        "X-Forwarded-For": "192.0.2.1, 192.0.2.2",
        "Forwarded": "for=192.0.2.1",
        "Via": "1.1 proxy",
        "Accept-Encoding": "br",
        "Te": "trailers",
        "Proxy-Authorization": "Basic eA==",
        "Upgrade": "h2c",
        "Connection": "keep-alive, x",
        "Keep-Alive": "timeout=5",
        "X-Api-Key": "k",
        "User-Agent": "viewer/1",
        "X-Websocktunnel-Id": "x",
    }
    _, _, head = await host.exchange("/", *(f"{name}: {value}" for name, value in sent.items()))
    for name, value in sent.items():
        assert head.header(name) == value, name
    assert head.header("Host") == "viewer.example"
    known = {name.lower() for name in sent} | {"host", "x-websocktunnel-original-path"}
    assert {name.lower() for name, _ in head.headers} == known


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_19_nothing_is_invented(wst: Router) -> None:
    """A viewer that sends no header gets none invented but User-Agent; duplicates stay apart."""
    host = await wst.host()
    _, _, head = await host.exchange("/", "X-Twice: 1", "X-Twice: 2", "X-Empty:")
    assert head.headers_named("X-Twice") == ["1", "2"]
    assert head.headers_named("X-Empty") == [""]
    names = {name.lower() for name, _ in head.headers}
    assert names - {"user-agent"} == {"host", "x-twice", "x-empty", "x-websocktunnel-original-path"}


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_19_host(wst: Router) -> None:
    """Two viewers' Host values arrive as they are; without one HTTP/1.1 is refused."""
    host = await wst.host()
    viewer = await wst.dial()
    viewer.write(request("GET", f"/{host.tunnel}/", host="Other.Example:8080"))
    assert (await (await host.link.accept()).head()).header("Host") == "Other.Example:8080"
    assert (await wst.send(request("GET", f"/{host.tunnel}/", host=None))).status == 400


@BOTH
@pytest_twisted.ensureDeferred
async def test_viewers_of_http_1_0(wst: Router) -> None:
    """A viewer of HTTP/1.0 is asked for in 1.1, and answered until its connection ends."""
    host = await wst.host()
    viewer, stream, head = await host.exchange("/old", version="HTTP/1.0")
    assert head.first_line == "GET /old HTTP/1.1"
    assert "close" in (head.header("Connection") or "").lower()
    stream.respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    answer = await read_response(viewer)
    assert (answer.status, answer.body, answer.framing) == (200, b"abc", "close")


# -- pages of the router -------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
@pytest_twisted.ensureDeferred
async def test_check_30_heartbeats(wst: Router, method: str) -> None:
    """The heartbeat paths, however encoded, are 200 and empty for any method and query."""
    for target in [*HEARTBEATS, "/__heartbeat__?x=1"]:
        answer = await wst.fetch(target, method=method)
        assert (answer.status, answer.body) == (200, b""), target


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_30_heartbeat_with_a_body(wst: Router) -> None:
    """A body that nobody asked for is taken and dropped."""
    answer = await wst.fetch("/__heartbeat__", method="POST", body=b"are you there?")
    assert (answer.status, answer.body) == (200, b"")


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_30_no_version(wst: Router) -> None:
    """Without a version file its path is 404."""
    assert (await wst.fetch("/__version__")).status == 404


@pytest.mark.parametrize("wst_routers", ["ours"], indirect=True)
@pytest_twisted.ensureDeferred
async def test_check_30_version(wst_routers: Maker, tmp_path: Path) -> None:
    """With one it is served as it is; the original's lies in its image alone."""
    text = '{"version": "v106.0.0"}\n'
    (tmp_path / "version.json").write_text(text)
    wst = await wst_routers.start(dialect={"version-file": tmp_path / "version.json"})
    answer = await wst.fetch("/__version__")
    assert (answer.status, answer.body.decode()) == (200, text)


# -- connections of viewers ----------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_keep_alive_goes_anywhere(wst: Router) -> None:
    """Each request of a kept connection goes its own way: to two hosts, and to nobody."""
    one, two = await wst.host(), await wst.host()
    viewer = await wst.dial()
    for host in (one, two, one):
        viewer.write(request("GET", f"/{host.tunnel}/"))
        stream = await host.link.accept()
        stream.respond(HELLO)
        assert (await read_response(viewer)).body == b"hello"
    viewer.write(request("GET", "/nobody/"))
    assert (await read_response(viewer)).status == 504


@BOTH
@pytest_twisted.ensureDeferred
async def test_pipelined_requests(wst: Router) -> None:
    """Requests sent ahead are answered one by one, in order, over streams of their own."""
    host = await wst.host()
    viewer = await wst.dial()
    viewer.write(b"".join(request("GET", f"/{host.tunnel}/{n}") for n in range(3)))
    for number in range(3):
        stream = await host.link.accept()
        assert (await stream.head()).target == f"/{number}"
        stream.respond(HELLO.replace(b"hello", b"no. %d" % number))
        assert (await read_response(viewer)).body == b"no. %d" % number


@BOTH
@pytest.mark.parametrize("body", [b"", b"body"])
@pytest_twisted.ensureDeferred
async def test_keep_alive_behind_a_refusal(wst: Router, body: bytes) -> None:
    """Behind a refusal the connection goes on, or the answer says that it does not."""
    viewer = await wst.dial()
    viewer.write(request("POST", "/nobody/", f"Content-Length: {len(body)}", body=body))
    answer = await read_response(viewer)
    assert answer.status == 504
    if answer.header("Connection") == "close":
        await viewer.everything()
        return
    viewer.write(request("GET", "/__heartbeat__"))
    assert (await read_response(viewer)).status == 200
