"""Too much of anything at a taas router: bounded, refused, and nothing stays (taas.md §16)."""

from __future__ import annotations

import time

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from tests.integration.taas_ours import RouterMaker
from tests.integration.taas_peers import (
    BOTH,
    OURS,
    Router,
    ended,
    host_of,
    original_differs,
    passes,
)
from tests.integration.taas_wire import Identity, fresh
from tests.rawpeer import Ended, RawPeer, read_response, request, the_reactor, together

REPLAYS, LEAST_USES = 300, 256
MOST_UNCONNECTED = 64
MOST_WAITING = 256
BUSY = (429, 503)
REDIRECTS, FEW_REDIRECTS = 10_000, 50
MOST_LEFT = 1
"""The one port of the label itself."""

STRANGER = "127.0.0.2"
Q_CLOSES_S = 120.0
pytest_plugins = ["tests.integration.taas_fixtures"]

on_plain = pytest.mark.parametrize("plain_taas", ["ours"], indirect=True)


# -- codes -----------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_replays(taas: Router) -> None:
    """A code works 256 times at least; beyond that ours refuses, and other IDs go on."""
    who = fresh()
    code = who.good_code(time.time())
    statuses = []
    for _ in range(REPLAYS):
        answer = await taas.put(who, response=code)
        statuses.append(answer.status)
        if answer.status == 200:
            await leave(await taas.dial(int(answer.body.partition(b":")[2])))
        else:
            assert answer.header("Retry-After")
    assert statuses.count(200) >= LEAST_USES
    if taas.is_ours:
        assert set(statuses[LEAST_USES:]) <= {*BUSY}
    await taas.works()


async def leave(waiting: RawPeer) -> None:
    """Close a connection that waits, and see it closed."""
    waiting.half_close()
    await ended(waiting)
    waiting.drop()
    await waiting.gone()


@BOTH
@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_pairs_give_uses_back(taas: Router) -> None:
    """A host whose connections are used may go on with its code: 300 callers are served."""
    who = fresh()
    code = who.good_code(time.time())
    for _ in range(REPLAYS):
        answer = await taas.put(who, response=code)
        assert answer.status == 200
        hidden = await taas.dial(int(answer.body.partition(b":")[2]))
        mobile = await taas.mobile(who.label)
        await passes(mobile, hidden)
        await taas.left([mobile, hidden])


@OURS
@pytest_twisted.ensureDeferred
async def test_unconnected_ports(taas: Router) -> None:
    """An ID has 64 ports that nobody has connected to, no more, until one is used."""
    who = fresh()
    ports = [await taas.opened(who) for _ in range(MOST_UNCONNECTED)]
    assert (await taas.put(who)).status in BUSY
    await taas.dial(ports[0])
    await taas.settles()
    assert (await taas.put(who)).status == 200
    await taas.works()


@original_differs("a code may come from anywhere")
@pytest_twisted.ensureDeferred
async def test_code_of_another_address(taas: Router) -> None:
    """A code belongs to the address that has used it first."""
    who = fresh()
    code = who.good_code(time.time())
    assert (await taas.put(who, response=code)).status == 200
    assert (await taas.put(who, response=code, source=STRANGER)).status in (400, 401)
    assert (await taas.put(who, response=code)).status == 200


@original_differs("whoever connects first is the hidden server")
@pytest_twisted.ensureDeferred
async def test_port_guessed(taas: Router) -> None:
    """A connection from another address than the registration's ends, and uses nothing up."""
    who = fresh()
    port = await taas.opened(who)
    for _ in range(5):
        guess = await taas.dial(port, source=STRANGER)
        await ended(guess)
        assert guess.nothing_came()
    hidden = await taas.dial(port)
    await passes(await taas.mobile(who.label), hidden)


@pytest_twisted.ensureDeferred
async def test_addresses_may_differ(taas_routers: RouterMaker) -> None:
    """With ``same-address = no``, a host may register and connect from different addresses."""
    taas = await taas_routers.start(dialect={"same-address": "no"})
    who = fresh()
    code = who.good_code(time.time())
    assert (await taas.put(who, response=code)).status == 200
    answer = await taas.put(who, response=code, source=STRANGER)
    assert answer.status == 200
    hidden = await taas.dial(int(answer.body.partition(b":")[2]))
    await passes(await taas.mobile(who.label), hidden)


@pytest_twisted.ensureDeferred
async def test_wrong_codes(taas_routers: RouterMaker) -> None:
    """Wrong codes for one ID are answered late, from wherever they come; right ones are not."""
    taas = await taas_routers.start(limits={"failed-logins-per-min": 3})
    who = fresh()
    wrong = fresh().good_code(0)
    for number in range(3):
        source = STRANGER if number % 2 else ""
        assert (await taas.put(who, response=wrong, source=source)).status in (400, 401)
    began = time.monotonic()
    answers = together(*(taas.put(who, response=wrong, source=f"127.0.0.{n}") for n in (3, 4)))
    assert (await taas.put(who)).status == 200
    assert time.monotonic() - began < 0.5
    assert {answer.status for answer in await answers} <= {400, 401}
    assert time.monotonic() - began > 0.5


# -- redirects -------------------------------------------------------------------------------------


async def redirects(taas: Router, who: Identity, count: int) -> None:
    """Ask for so many redirects, one behind the other, on one connection."""
    peer = await taas.knock()
    asked = request("GET", "/", host=host_of(who.label))
    for _ in range(count):
        peer.write(asked)
        assert (await read_response(peer)).status == 307
    peer.drop()
    await peer.gone()


@original_differs("each redirect leaves a port open for ever")
@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_many_redirects(taas: Router) -> None:
    """Ten thousand redirects of a live label leave no descriptor but that of its one port."""
    who = fresh()
    hidden = await taas.responder(who)
    at_rest = taas.descriptors()
    await redirects(taas, who, REDIRECTS if taas.is_ours else FEW_REDIRECTS)
    await taas.comes_to_rest(at_rest + MOST_LEFT)
    await passes(await taas.mobile(who.label), hidden)


@on_plain
@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_many_redirects_of_as_many_callers(plain_taas: Router) -> None:
    """Nor do ten thousand callers, each with a connection of its own."""
    who = fresh()
    hidden = await plain_taas.responder(who)
    at_rest = plain_taas.descriptors()
    for _ in range(REDIRECTS // 100):
        await together(*(redirects(plain_taas, who, 1) for _ in range(100)))
    await plain_taas.comes_to_rest(at_rest + MOST_LEFT)
    await passes(await plain_taas.mobile(who.label), hidden)


@original_differs("each redirect leaves a port open for ever")
@pytest_twisted.ensureDeferred
async def test_some_redirects(taas: Router) -> None:
    """Redirects of a live label leave no descriptor but that of its one port."""
    who = fresh()
    await taas.responder(who)
    at_rest = taas.descriptors()
    await redirects(taas, who, FEW_REDIRECTS)
    await taas.comes_to_rest(at_rest + MOST_LEFT)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_mobile_port_closes(hurried_taas_routers: RouterMaker) -> None:
    """A mobile port closes two minutes behind its last use, and leaves nothing."""
    taas = await hurried_taas_routers.start()
    who = fresh()
    hidden = await taas.responder(who)
    at_rest = taas.descriptors()
    port = await taas.redirect(who.label)
    await deferLater(the_reactor(), (Q_CLOSES_S - 20) / 10)
    (await taas.dial(port)).drop()
    await ended(hidden)
    await deferLater(the_reactor(), (Q_CLOSES_S - 20) / 10)
    await leave(await taas.dial(port))
    await deferLater(the_reactor(), (Q_CLOSES_S + 20) / 10)
    with pytest.raises(Ended):
        await taas.dial(port)
    hidden.drop()
    await taas.comes_to_rest(at_rest)


@on_plain
@pytest_twisted.ensureDeferred
async def test_redirects_that_wait(plain_taas: Router) -> None:
    """So many callers of a label wait for its hosts; the others are told at once."""
    who = fresh()
    hidden = await plain_taas.responder(who)
    await passes(await plain_taas.mobile(who.label), hidden)
    began = time.monotonic()
    soon: list[float] = []

    async def ask() -> int:
        answer = await plain_taas.get("/", host_of(who.label))
        soon.append(time.monotonic() - began)
        return answer.status

    statuses = await together(*(ask() for _ in range(MOST_WAITING + 44)))
    assert set(statuses) == {503}
    assert sum(1 for seconds in soon if seconds < 2.0) >= 44
    await plain_taas.works()


@OURS
@pytest_twisted.ensureDeferred
async def test_callers_that_never_speak(taas: Router) -> None:
    """Connections to the front door and to ports that say nothing keep nobody from being served."""
    who = fresh()
    await taas.responder(who)
    port = await taas.redirect(who.label)
    for _ in range(50):
        await taas.dial(taas.port)
        try:
            await taas.dial(port)
        except Ended:
            break
    await taas.works()
