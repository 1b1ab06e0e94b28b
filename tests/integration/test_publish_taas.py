"""Labels of taas that another dialect's host answers, and calls of others that a label does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address

from tests.integration import portal_peers, taas_peers
from tests.integration.ini_services import section, write
from tests.integration.portal_ours import own_descriptors
from tests.integration.portal_peers import CONNECTED
from tests.integration.taas_ours import RouterMaker
from tests.integration.taas_wire import fresh, shown
from tests.rawpeer import Frame, Head, Op, RawPeer, connect, read_response, request, until

OWN = {"listen": "tcp:0:interface=127.0.0.1"}

pytest_plugins = ["tests.integration.taas_fixtures"]


class House:
    """A router of three dialects; one label of taas is a portal's service, and one answers.

    :ivar who: the ID whose label answers calls of ``portal:2/cam`` and of viewers of ``cam``
    """

    def __init__(self, maker: RouterMaker, folder: Path) -> None:
        self._maker = maker
        self._secret = write(folder / "portal.secret", portal_peers.SECRET)
        self.who = fresh()

    async def start(self) -> None:
        """Start it with the publications of all tests."""
        label = f"taas:{self.who.label}"
        more = [
            section("dialect:portal", {**OWN, "secret-file": self._secret}),
            section("dialect:websocktunnel", OWN),
            section("publish a", {"from": "taas:attic", "to": "portal:1/ssh", "public": "yes"}),
            section("publish b", {"from": "portal:2/cam", "to": label, "clients": "alice"}),
            section("publish c", {"from": "websocktunnel:cam", "to": label, "public": "yes"}),
            section("publish d", {"from": "taas:twin", "to": label, "public": "yes"}),
        ]
        self.taas = await self._maker.start(plain=True, more="\n".join(more))
        _, portal, self.viewers = (
            cast(IPv4Address, address).port for _, address in self._maker.services[0].addresses
        )
        self.portal = portal_peers.Router("ours", portal, own_descriptors)

    @property
    def broker(self) -> Any:
        """:returns: the router's own"""
        return self._maker.services[0].broker

    async def refusal(self) -> Head:
        """:returns: the answer to a call of that client"""
        claims = self.portal.portal(2).claims("client", sub="alice")
        return (await self.portal.ask("/connect/client/cam", portal_peers.mint(claims)))[1]

    async def alice(self) -> RawPeer:
        """:returns: the link of a client of portal 2 who may call the label"""
        claims = self.portal.portal(2).claims("client", sub="alice")
        link, head = await self.portal.ask("/connect/client/cam", portal_peers.mint(claims))
        assert head.status == 101
        return link


@pytest.fixture
def house(taas_routers: RouterMaker, tmp_path: Path) -> House:
    """A router of three dialects."""
    return House(taas_routers, tmp_path)


@pytest_twisted.ensureDeferred
async def test_a_label_to_a_portal(house: House) -> None:
    """Whoever knows the name reaches the service, with nobody registered in taas at all."""
    await house.start()
    behind = house.portal.portal(1)
    control = await behind.control()
    mobile = await house.taas.mobile("attic")
    call = await behind.incoming(control)
    assert (call.client_name, call.service_name) == ("taas", "ssh")
    host = await behind.accept(call.nexus)
    mobile.write(b"up")
    assert await host.receive() == Frame(Op.BINARY, b"up")
    host.send(Op.BINARY, b"down")
    assert await mobile.exactly(4) == b"down"
    host.send_close()
    await taas_peers.ended(mobile)


@pytest_twisted.ensureDeferred
async def test_a_label_without_a_host_behind(house: House) -> None:
    """The redirect is refused with a reason that names the label alone."""
    await house.start()
    answer = await house.taas.get("/", taas_peers.host_of("attic"))
    assert answer.status == 503
    assert b"portal" not in answer.body
    assert answer.header("Location") == f"https://{taas_peers.host_of('attic')}/"


@pytest_twisted.ensureDeferred
async def test_a_portal_to_a_label(house: House) -> None:
    """The client that is named reaches the host that waits; each call takes one connection."""
    await house.start()
    waiting = await house.taas.responders(house.who, 2)
    for number, hidden in enumerate(waiting):
        alice = await house.alice()
        assert await alice.receive() == CONNECTED
        said = b"call %d" % number
        alice.send(Op.BINARY, said)
        assert await hidden.exactly(len(said)) == said
        hidden.write(b"answer")
        assert await alice.receive() == Frame(Op.BINARY, b"answer")
        alice.send_close()
        await taas_peers.ended(hidden)


@pytest_twisted.ensureDeferred
async def test_while_all_links_of_a_label_are_taken(house: House) -> None:
    """A call waits for the next, whose early octets it gets; pairings say who each was."""
    await house.start()
    assert (await house.refusal()).status == 502
    await house.taas.responder(house.who)
    first = await house.alice()
    assert await first.receive() == CONNECTED
    late = await house.alice()
    viewer = await connect(house.viewers)
    viewer.write(request("GET", "/cam/late"))
    hidden = await house.taas.dial(await house.taas.opened(house.who))
    hidden.write(b"early")
    assert await late.receive() == CONNECTED
    assert await late.receive() == Frame(Op.BINARY, b"early")
    other = await house.taas.responder(house.who)
    assert (await other.head()).target == "/late"
    other.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (await read_response(viewer)).status == 204
    credentials = f"Authorization: {shown(house.who.name, house.who.good_code(time.time()))}"
    answer = await house.taas.ask("GET", f"/pairings/{house.who.label}", credentials)
    told = [pairing["initiator"] for pairing in json.loads(answer.body)]
    assert told == ["portal:alice", "portal:alice", "websocktunnel"]


@pytest_twisted.ensureDeferred
async def test_a_label_that_is_not_there_again(house: House) -> None:
    """A call ends once it has waited for its host in vain."""
    await house.start()
    hidden = await house.taas.responder(house.who)
    hidden.half_close()
    await taas_peers.ended(hidden)
    alice = await house.alice()
    ending = await alice.ending()
    assert ending.close is not None
    assert ending.close.reason == "host-absent"


@pytest.mark.parametrize("which", ["from", "to"])
@pytest_twisted.ensureDeferred
async def test_a_revocation(house: House, which: str) -> None:
    """Of either name ends what is connected, and whoever comes next is refused."""
    await house.start()
    await house.taas.responder(house.who)
    mobile = await house.taas.mobile("twin")
    await until(lambda: house.broker.circuits or None, "circuit")
    name = "twin" if which == "from" else house.who.label
    assert house.broker.revoke(offer=f"taas:{name}") >= 1
    await taas_peers.ended(mobile)
    answer = await house.taas.get("/", taas_peers.host_of("twin"))
    assert (answer.status, answer.header("X-Relay-Reason")) == (403, "revoked")


@pytest_twisted.ensureDeferred
async def test_a_viewer_to_a_label(house: House) -> None:
    """A request comes to the host as plain HTTP; its answer may end with the connection."""
    await house.start()
    hidden = await house.taas.responder(house.who)
    viewer = await connect(house.viewers)
    viewer.write(request("GET", "/cam/picture?size=2"))
    line = b"GET /picture?size=2 HTTP/1.1\r\n"
    assert await hidden.exactly(len(line)) == line
    hidden.write(b"HTTP/1.1 200 OK\r\n\r\npicture")
    hidden.half_close()
    answer = await read_response(viewer)
    assert (answer.status, answer.body) == (200, b"picture")


@pytest_twisted.ensureDeferred
async def test_a_label_to_a_label(house: House) -> None:
    """All passes that passes without a publication: the end of each direction by itself."""
    await house.start()
    hidden = await house.taas.responder(house.who)
    mobile = await house.taas.mobile("twin")
    await taas_peers.passes(mobile, hidden)
    mobile.half_close()
    await hidden.half_ended()
    await taas_peers.passes(hidden, mobile, b"still here")
    hidden.half_close()
    await mobile.half_ended()
