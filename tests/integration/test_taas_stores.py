"""Stores of taas routers: shared with the original's, gone and back; and routers that come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

import pytest
import pytest_twisted

from tests.integration.redis_server import OK, RedisServer
from tests.integration.taas_company import KINDS, ORIGINAL, OURS, RAW, Company, at_hand
from tests.integration.taas_ours import DATABASE, RouterMaker
from tests.integration.taas_peers import Router, ended, host_of, passes
from tests.integration.taas_wire import FOREIGN_USER, Identity, fresh, records

BACK_S = 30.0
CHANGED_S = 20.0
REFUSED = (400, 401)

pytest_plugins = ["tests.integration.taas_fixtures", "tests.integration.redis_fixtures"]


def keep(redis: RedisServer, who: Identity, record: dict[str, object] | None = None) -> None:
    """Put one record into a Redis, as an operator's page does."""
    text = json.dumps(who.record() if record is None else record)
    assert redis.say(b"SET", who.name.encode(), text.encode()) == OK


async def with_redis(company: Company, redis: RedisServer) -> Router:
    """:returns: a router of ours whose records are there"""
    return await company.start_router(OURS, dialect={"database": redis.url})


@pytest_twisted.ensureDeferred
async def test_redis(taas_company: Company, store_redis: RedisServer) -> None:
    """Records in a Redis count from the moment when they are written, until they are deleted."""
    taas = await with_redis(taas_company, store_redis)
    who = fresh()
    assert (await taas.put(who)).status in REFUSED
    keep(store_redis, who)
    circuit = await taas.circuit(who)
    store_redis.say(b"DEL", who.name.encode())
    assert (await taas.put(who)).status in REFUSED
    await circuit.passes()


@pytest_twisted.ensureDeferred
async def test_records_of_others(taas_company: Company, store_redis: RedisServer) -> None:
    """What is no record of ours in a Redis is refused like an unknown ID, and hurts nobody."""
    taas = await with_redis(taas_company, store_redis)
    who = fresh()
    odd = (b"", b"nothing", b"[]", b"{}", b'{"authParams":{}}', b"\xff\xfe", b'{"labels":7}')
    for text in odd:
        store_redis.say(b"SET", b"odd", text)
        assert (await taas.put(who._replace(name="odd"))).status in REFUSED
    store_redis.say(b"DEL", b"list")
    store_redis.say(b"RPUSH", b"list", b"x")
    assert (await taas.put(who._replace(name="list"))).status in (*REFUSED, 503)
    store_redis.say(b"SET", FOREIGN_USER.encode(), json.dumps(records()[FOREIGN_USER]).encode())
    keep(store_redis, who)
    await taas.circuit(who)


@pytest_twisted.ensureDeferred
async def test_redis_gone_and_back(
    taas_company: Company, store_redis: RedisServer, expected_log_errors: Callable[[], object]
) -> None:
    """Without its store a router refuses registrations with 503; the rest goes on, and all is well
    when the store is back.
    """
    taas = await with_redis(taas_company, store_redis)
    who = fresh()
    keep(store_redis, who)
    circuit = await taas.circuit(who)
    waiting = await taas.responder(who)
    store_redis.kill()
    assert (await taas.put(who)).status == 503
    await circuit.passes()
    await passes(await taas.mobile(who.label), waiting)
    store_redis.start()
    statuses = [503]
    while statuses[-1] == 503:
        statuses.append((await taas.put(who)).status)
        assert len(statuses) < 100
    assert statuses[-1] == 200
    await taas.circuit(who)
    expected_log_errors()


@pytest_twisted.ensureDeferred
async def test_two_servers_on_one_redis(taas_company: Company, store_redis: RedisServer) -> None:
    """Ours and the original's server may share a database, while records come and go."""
    if not at_hand():
        pytest.skip("did not run: the original's server is not at hand")
    port = str(store_redis.port)
    theirs = await taas_company.start_router(
        ORIGINAL, "--redis-host", "localhost", "--redis-port", port
    )
    ours = await with_redis(taas_company, store_redis)
    who = fresh()  # its record came with the original's
    for taas in (ours, theirs):
        await taas.circuit(who)
    store_redis.say(b"DEL", who.name.encode())
    for taas in (ours, theirs):
        assert (await taas.put(who)).status in REFUSED
    keep(store_redis, who, who.incomplete())
    for taas in (ours, theirs):
        await taas.circuit(who)


@pytest_twisted.ensureDeferred
async def test_record_that_goes(taas_company: Company, store_redis: RedisServer) -> None:
    """Whoever waits under a record that is deleted is let go, and others are not."""
    taas = await with_redis(taas_company, store_redis)
    gone, stays = fresh(), fresh()
    for who in (gone, stays):
        keep(store_redis, who)
    dropped, kept = await taas.responder(gone), await taas.responder(stays)
    store_redis.say(b"DEL", gone.name.encode())
    await ended(dropped, CHANGED_S)
    await passes(await taas.mobile(stays.label), kept)


@pytest.mark.parametrize("host", KINDS)
@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_router_that_comes_back(
    taas_company: Company, host: str, expected_log_errors: Callable[[], object]
) -> None:
    """Hosts of each kind register again with a router that was away, on its port."""
    folder = taas_company.folder / "kept"
    folder.mkdir()
    shutil.copy(taas_company.store, folder / DATABASE)
    maker: RouterMaker = taas_company.routers
    taas = await maker.start(folder=folder)
    taas_company.use(taas)
    await taas_company.start_host(host)
    await (await taas_company.circuit(RAW)).passes()
    await maker.stop()
    again = await maker.start(
        folder=folder, dialect={"listen": f"tcp:{taas.port}:interface=127.0.0.1"}
    )
    taas_company.use(again)
    await taas_company.is_reached(BACK_S)
    await (await taas_company.circuit(RAW)).passes()
    assert (await again.get("/", host_of(taas_company.who.label))).status == 307
    expected_log_errors()
