"""Calls of portal that websocktunnel answers, and the reverse, each where the INI says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from relay.settings.model import Door
from tests.integration import portal_peers
from tests.integration.portal_ours import TunnelMaker, own_descriptors
from tests.integration.portal_peers import CONNECTED
from tests.integration.websocktunnel_ours import HostMaker, RouterMaker, section, write
from tests.integration.websocktunnel_peers import MiB, Router, claims, mint
from tests.rawpeer import (
    PERFECT_HANDSHAKE,
    Frame,
    Op,
    RawPeer,
    RawServer,
    Response,
    connect,
    noise,
    read_head,
    read_response,
    request,
    request_head,
    together,
)

APP = "app"
NOTES = "notes"
BEHIND = 7
CALL = "/connect/client/ssh"
BULK_S = 30.0
BULK_BYTES = 8 * MiB
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")

pytest_plugins = [
    "tests.integration.portal_fixtures",
    "tests.integration.websocktunnel_fixtures",
]


class House:
    """A router that speaks both dialects.

    :ivar portal: a portal whose call is published
    :ivar behind: the one that answers viewers
    """

    def __init__(self, maker: RouterMaker, folder: Path) -> None:
        self._maker = maker
        self._secret = write(folder / "portal.secret", portal_peers.SECRET)

    async def start(self, *sections: str) -> None:
        """Start it with these publications."""
        portal = section("dialect:portal", {"secret-file": self._secret})
        self.wst = await self._maker.start(more="\n".join([portal, *sections]))
        self.ptl = portal_peers.Router("ours", self.wst.port, own_descriptors)
        self._maker.routers.append(cast(Router, self.ptl))
        self.portal = self.ptl.portal(1)
        self.behind = self.ptl.portal(BEHIND)

    def republish(self, *sections: str) -> None:
        """Have the router read these publications instead."""
        (service,), (folder,) = self._maker.services, self._maker.folders
        text = (folder / "relay.ini").read_text()
        write(folder / "relay.ini", "\n".join([text.partition("[publish")[0], *sections]))
        service.reload()

    def client(self, subject: str) -> str:
        """:returns: a token by which ``subject`` may call the portal"""
        return portal_peers.mint(self.portal.claims("client", sub=subject))

    async def refusal(self, subject: str) -> Response:
        """:returns: the answer to a call of ``subject``, as it stands"""
        shown = {**PERFECT_HANDSHAKE, **portal_peers.bearer(self.client(subject))}
        return await self.wst.send(request_head(CALL, shown))

    def revoke(self, **which: Any) -> int:
        """:returns: how many links and calls that ended"""
        return int(self._maker.services[0].broker.revoke(**which))

    async def answered(self) -> tuple[RawPeer, RawPeer, RawPeer]:
        """:returns: a viewer, the link of the portal host that answers it, its control link"""
        control = await self.behind.control()
        viewer = await self.wst.dial()
        viewer.write(request("GET", f"/{NOTES}/x"))
        call = await self.behind.incoming(control)
        return viewer, await self.behind.accept(call.nexus), control


def to_app(name: str = "app", service: str = "ssh", clients: str = "alice") -> str:
    """:returns: a publication of a portal's service, answered by a websocktunnel host"""
    return section(
        f"publish {name}",
        {"from": f"portal:1/{service}", "to": f"websocktunnel:{APP}", "clients": clients},
    )


def to_portal() -> str:
    """:returns: a publication of a viewer's id, answered by a portal host"""
    names = {"from": f"websocktunnel:{NOTES}", "to": f"portal:{BEHIND}/web"}
    return section("publish notes", {**names, "public": "yes"})


@pytest.fixture
def house(start_wst: RouterMaker, tmp_path: Path) -> House:
    """A router of both dialects."""
    return House(start_wst, tmp_path)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the log that tell of published calls."""
    seen: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("event") == "published-call":
            seen.append(formatEvent(event).partition(" (")[0])

    globalLogPublisher.addObserver(observe)
    yield seen
    globalLogPublisher.removeObserver(observe)


# -- from portal to websocktunnel ------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_our_programs(
    house: House, tunnels: TunnelMaker, wst_hosts: HostMaker, lines: list[str]
) -> None:
    """Our portal client reaches what stands behind our websocktunnel host, bit for bit."""
    await house.start(to_app())
    service = RawServer()
    token = mint(claims(APP))
    host = await wst_hosts.start(house.wst.url, APP, token, await service.listen())
    await host.when_connected("x")
    port = await tunnels.client(house.ptl.url, house.client("alice"), "ssh")
    user = await connect(port)
    callee = await service.accept()
    up, down = noise(BULK_BYTES), noise(BULK_BYTES)
    sending = together(user.write_all(up), callee.write_all(down))
    assert await callee.exactly(len(up), BULK_S) == up
    assert await user.exactly(len(down), BULK_S) == down
    await sending
    callee.stays_half_open = True
    user.half_close()
    assert await callee.half_ended() == b""
    callee.write(b"the last of it")
    callee.drop()
    assert await user.everything() == b"the last of it"
    assert lines == [
        f"[publish app]: portal:1/ssh of portal alice goes to websocktunnel:{APP} "
        f"of websocktunnel {APP}"
    ]
    await service.close()


@pytest_twisted.ensureDeferred
async def test_who_may_call(house: House) -> None:
    """Only the named client; a refusal is told before anybody looks whether there is a host."""
    await house.start(to_app())
    for _ in range(2):
        answer = await house.refusal("mallory")
        assert (answer.status, answer.header("X-Relay-Reason")) == (401, "wrong-name")
        assert b"portal:1/ssh is not open to mallory" in answer.body
        host = await house.wst.host(APP)
    assert await house.ptl.status(CALL, house.client("alice")) == 101
    assert (await host.link.accept()) is not None
    other = house.ptl.portal(2)
    assert await house.ptl.status(CALL, other.client_token) == 502


@pytest_twisted.ensureDeferred
async def test_an_absent_websocktunnel_host(house: House) -> None:
    """The status of an absent host, without a word of where the call would have gone."""
    await house.start(to_app())
    answer = await house.refusal("alice")
    assert (answer.status, answer.header("X-Relay-Reason")) == (502, "host-absent")
    assert b"no host answers for portal:1/ssh now" in answer.body
    assert b"websocktunnel" not in answer.body


@pytest_twisted.ensureDeferred
async def test_what_is_not_published_goes_on(house: House) -> None:
    """Another service of the same portal is answered by its own host, which hears of no other."""
    await house.start(to_app())
    host = await house.wst.host(APP)
    control = await house.portal.control()
    circuit = await house.portal.circuit("web", control)
    circuit.client.send(Op.BINARY, b"own")
    assert await circuit.host.receive() == Frame(Op.BINARY, b"own")
    alice = await house.portal.call("ssh", house.client("alice"))
    stream = await host.link.accept()
    assert await alice.receive() == CONNECTED
    alice.send(Op.BINARY, b"published")
    assert await stream.exactly(9) == b"published"
    assert control.nothing_came()


@pytest_twisted.ensureDeferred
async def test_a_reload(house: House) -> None:
    """It replaces the publications, and what is connected stays; a wrong file changes nothing."""
    await house.start(to_app())
    host = await house.wst.host(APP)
    alice = await house.portal.call("ssh", house.client("alice"))
    stream = await host.link.accept()
    assert await alice.receive() == CONNECTED
    house.republish(to_app(clients="bob"))
    assert await house.ptl.status(CALL, house.client("alice")) == 401
    assert await house.ptl.status(CALL, house.client("bob")) == 101
    with pytest.raises(Exception, match="portl"):
        house.republish(section("publish x", {"from": "portl:1", "to": "portal:2"}))
    assert await house.ptl.status(CALL, house.client("bob")) == 101
    house.republish()
    assert await house.ptl.status(CALL, house.client("bob")) == 502
    alice.send(Op.BINARY, b"still here")
    assert await stream.exactly(10) == b"still here"


@pytest.mark.parametrize("which", ["from", "to", "caller"])
@pytest_twisted.ensureDeferred
async def test_a_revocation(house: House, which: str) -> None:
    """Of either name, or of the caller, ends the call."""
    await house.start(to_app())
    host = await house.wst.host(APP)
    alice = await house.portal.call("ssh", house.client("alice"))
    stream = await host.link.accept()
    assert await alice.receive() == CONNECTED
    meant = {
        "from": {"offer": "portal:1"},
        "to": {"offer": f"websocktunnel:{APP}"},
        "caller": {"subject": "alice"},
    }
    assert house.revoke(**meant[which]) >= 1
    ending = await alice.ending()
    assert ending.close is not None
    if which != "to":
        await stream.finished()
    assert await house.ptl.status(CALL, house.client("alice")) == 401


# -- from websocktunnel to portal ------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_a_viewer_reaches_our_portal_host(
    house: House, tunnels: TunnelMaker, lines: list[str]
) -> None:
    """A web service behind our portal host: requests and answers with bodies, one call each."""
    await house.start(to_portal())
    service = RawServer()
    door = Door("web", f"tcp:127.0.0.1:{await service.listen()}")
    await tunnels.host(house.ptl.url, house.behind.host_token, door)
    viewer = await house.wst.dial()
    body = noise(BULK_BYTES)
    for _ in range(2):
        viewer.write(request("PUT", f"/{NOTES}/file", f"Content-Length: {len(body)}"))
        writing = together(viewer.write_all(body))
        web, head = await service.accept_request()
        assert head.target == "/file"
        assert await web.exactly(len(body), BULK_S) == body
        await writing
        web.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        writing = together(web.write_all(body))
        answer = await read_response(viewer, deadline_s=BULK_S)
        await writing
        assert (answer.status, answer.body == body) == (200, True)
        await web.gone()
    assert lines == 2 * [f"[publish notes]: websocktunnel:{NOTES} of websocktunnel"]
    await service.close()


@pytest.mark.parametrize("end", ["close", "drop"])
@pytest_twisted.ensureDeferred
async def test_an_answer_that_ends_with_the_link(house: House, end: str) -> None:
    """A portal host has no other way to end one without a length: it is whole all the same."""
    await house.start(to_portal())
    viewer, host, _ = await house.answered()
    await host.receive()
    host.send(Op.BINARY, b"HTTP/1.1 200 OK\r\n\r\nall ")
    host.send(Op.BINARY, b"of it")
    host.send_close() if end == "close" else host.drop()
    answer = await read_response(viewer)
    assert (answer.status, answer.body, answer.whole) == (200, b"all of it", True)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_cut_off(house: House) -> None:
    """One with a length is known to lack something, and is never shown as whole."""
    await house.start(to_portal())
    viewer, host, _ = await house.answered()
    await host.receive()
    host.send(Op.BINARY, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    assert (await read_head(viewer))[0].status == 200
    assert await viewer.exactly(4) == b"half"
    host.send_close()
    await viewer.gone()
    assert viewer.was_reset()


@pytest_twisted.ensureDeferred
async def test_a_host_that_answers_nothing(house: House) -> None:
    """One that ends its link at once is a 502."""
    await house.start(to_portal())
    viewer, host, _ = await house.answered()
    host.send_close()
    answer = await read_response(viewer)
    assert answer.status == 502


@pytest_twisted.ensureDeferred
async def test_a_websocket_through_portal(house: House) -> None:
    """A switched connection carries bytes both ways, and ends with the viewer."""
    await house.start(to_portal())
    control = await house.behind.control()
    viewer = await house.wst.dial()
    viewer.write(request("GET", f"/{NOTES}/socket", *UPGRADE))
    host = await house.behind.accept((await house.behind.incoming(control)).nexus)
    await host.receive()
    host.send(Op.BINARY, SWITCH)
    assert (await read_head(viewer))[0].status == 101
    up, down = noise(MiB), noise(MiB)
    sending = together(viewer.write_all(up), host.send_all(down))
    assert await host.receive_bytes(len(up), BULK_S) == up
    assert await viewer.exactly(len(down), BULK_S) == down
    await sending
    viewer.drop()
    assert (await host.ending()).close is not None


@pytest_twisted.ensureDeferred
async def test_a_slow_viewer_stops_the_portal_host(house: House) -> None:
    """What it does not read waits with the host, and all of it comes once it reads on."""
    await house.start(to_portal())
    viewer, host, _ = await house.answered()
    await host.receive()
    viewer.pause()
    body = noise(4 * BULK_BYTES)
    host.send(Op.BINARY, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    sending = together(host.send_all(body))
    await house.wst.works()
    assert not sending.called
    viewer.resume()
    answer = await read_response(viewer, deadline_s=BULK_S)
    await sending
    assert answer.body == body


@pytest_twisted.ensureDeferred
async def test_what_a_portal_host_is_told_of_a_viewer(house: House) -> None:
    """The service that is published, and the dialect of a caller who has no name."""
    await house.start(to_portal())
    control = await house.behind.control()
    viewer = await house.wst.dial()
    viewer.write(request("GET", f"/{NOTES}/"))
    call = await house.behind.incoming(control)
    assert (call.client_name, call.service_name) == ("websocktunnel", "web")


@pytest_twisted.ensureDeferred
async def test_an_absent_portal_host(house: House) -> None:
    """A viewer is told 504 as of its own dialect's, and not whom it would have reached."""
    await house.start(to_portal())
    answer = await house.wst.fetch(f"/{NOTES}/")
    assert (answer.status, answer.header("X-Relay-Reason")) == (504, "host-absent")
    assert b"portal" not in answer.body
    await house.behind.control("?services=other")
    answer = await house.wst.fetch(f"/{NOTES}/")
    assert (answer.status, answer.header("X-Relay-Reason")) == (502, "no-such-offer")
    assert b"other" not in answer.body


@pytest_twisted.ensureDeferred
async def test_a_viewers_call_is_revoked(house: House) -> None:
    """By the name under which it was made, for which no link stands."""
    await house.start(to_portal())
    viewer, host, control = await house.answered()
    assert house.revoke(offer=f"websocktunnel:{NOTES}") == 1
    answer = await read_response(viewer)
    assert answer.header("X-Relay-Reason") == "revoked"
    await host.ending()
    assert (await house.wst.fetch(f"/{NOTES}/")).header("X-Relay-Reason") == "revoked"
    assert control.nothing_came()
