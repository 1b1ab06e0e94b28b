"""Texts in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol
from typing_extensions import override
from zope.interface.verify import verifyObject

from relay.errors import StoreFailed
from relay.faces import IRecords
from relay.store.notions import TEXT_BYTES
from relay.store.opening import open_records
from relay.store.redis import ASKED_AT_ONCE, Address, RedisRecords
from tests.integration.redis_server import RedisServer

pytest_plugins = ("tests.integration.redis_fixtures",)

PASSWORD = "open%20sesame%2F1"


def opened(url: str, answer_s: float = 5.0) -> RedisRecords:
    """A store of that URL."""
    from twisted.internet import reactor

    store = open_records(url, Path("unused"), "taas", reactor)
    assert isinstance(store, RedisRecords)
    verifyObject(IRecords, store)
    store._answer_s = answer_s
    return store


async def failure(store: RedisRecords) -> StoreFailed:
    """Why a store cannot be asked."""
    with pytest.raises(StoreFailed) as caught:
        await store.get("a")
    return caught.value


class _Says(Protocol):
    """A server that answers whatever comes with the same bytes, perhaps none."""

    def __init__(self, answer: bytes, all_of_them: list[_Says]) -> None:
        self._answer = answer
        all_of_them.append(self)

    @override
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self._answer)

    def hang_up(self) -> None:
        """End the connection."""
        assert self.transport is not None
        self.transport.loseConnection()


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """The URL of such a server."""
    from twisted.internet import reactor

    running: Any = reactor  # its type is a module's
    links: list[_Says] = []
    factory = Factory.forProtocol(lambda: _Says(answer, links))
    port = running.listenTCP(0, factory, interface="127.0.0.1")
    yield f"redis://127.0.0.1:{port.getHost().port}"
    for link in links:
        link.hang_up()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_texts_by_key(store_redis: RedisServer) -> None:
    """What is kept is found, by its key and among all, and gone once it was deleted."""
    store = opened(store_redis.url)
    assert await store.get("a") is None
    await store.put("b_1", "zwei ü")
    await store.put_all({"a": "{}", "c/d/e": "3"})
    assert await store.get("b_1") == "zwei ü"
    assert await store.all() == {"a": "{}", "b_1": "zwei ü", "c/d/e": "3"}
    assert list(await store.all()) == ["a", "b_1", "c/d/e"]
    assert await store.delete("a")
    assert not await store.delete("a")
    assert await store.get("a") is None
    await store.close()
    assert "closed" in (await failure(store)).text


@pytest_twisted.ensureDeferred
async def test_another_database(store_redis: RedisServer) -> None:
    """The number in the URL is the database's, and others are not seen."""
    first, second = opened(store_redis.url), opened(store_redis.url.removesuffix("0") + "7")
    await first.put("a", "1")
    assert await second.all() == {}
    await second.put("a", "2")
    assert await first.get("a") == "1"
    await first.close()
    await second.close()


@pytest_twisted.ensureDeferred
async def test_two_at_once(store_redis: RedisServer) -> None:
    """Two routers on one store see each other's writes at once."""
    first, second = opened(store_redis.url), opened(store_redis.url)
    for text in map(str, range(50)):
        await first.put("a", text)
        assert await second.get("a") == text
    await second.delete("a")
    assert await first.get("a") is None
    await first.close()
    await second.close()


@pytest_twisted.ensureDeferred
async def test_many(store_redis: RedisServer) -> None:
    """A store with many more keys than are asked for at once is listed whole."""
    store = opened(store_redis.url)
    texts = {f"key-{number:05}": str(number) for number in range(10 * ASKED_AT_ONCE + 1)}
    await store.put_all(texts)
    assert await store.all() == texts
    await store.close()


@pytest_twisted.ensureDeferred
async def test_foreign_keys(store_redis: RedisServer) -> None:
    """Lists, values without UTF-8 and giants are others' and break nothing."""
    store = opened(store_redis.url)
    store_redis.say(b"LPUSH", b"list", b"x")
    store_redis.say(b"SET", b"latin", b"\xfc")
    store_redis.say(b"SET", b"\xff\xfe", b"key")
    store_redis.say(b"SETRANGE", b"giant", b"%d" % TEXT_BYTES, b"x")
    await store.put("a", "1")
    assert await store.all() == {"a": "1", "latin": "\ufffd"}
    assert await store.get("list") is None
    assert await store.get("latin") == "\ufffd"
    assert await store.all(lambda key: key < "b") == {"a": "1"}
    assert "more than" in str(await _failing(store, "giant"))
    assert await store.get("a") == "1"
    await store.close()


async def _failing(store: RedisRecords, key: str) -> StoreFailed:
    with pytest.raises(StoreFailed) as caught:
        await store.get(key)
    return caught.value


@pytest_twisted.ensureDeferred
async def test_password(locked_redis: RedisServer) -> None:
    """The right password opens; a wrong one or none is told each time, without showing any."""
    address = f"127.0.0.1:{locked_redis.port}"
    store = opened(f"redis://:{PASSWORD}@{address}/0")
    await store.put("a", "1")
    assert await store.get("a") == "1"
    assert "sesame" not in repr(store._address)
    named = opened(f"redis://default:{PASSWORD}@{address}/0")
    assert await named.get("a") == "1"
    for url in (f"redis://:wrong@{address}/3", f"redis://{address}/0"):
        locked = opened(url)
        for _ in range(2):
            error = await failure(locked)
            assert "refuses" in error.text
            assert "database-password-file" in error.remedy
            assert "wrong@" not in error.text
        await locked.close()
    await store.close()
    await named.close()


@pytest_twisted.ensureDeferred
async def test_killed_and_back(store_redis: RedisServer) -> None:
    """A server that is gone is an error for who asks; once it is back all is as before."""
    store = opened(store_redis.url)
    await store.put("a", "1")
    store_redis.kill()
    assert "cannot be" in (await failure(store)).text
    assert "cannot be reached" in (await failure(store)).text
    store_redis.start()
    assert await store.get("a") == "1"
    await store.close()


@pytest_twisted.ensureDeferred
async def test_slow() -> None:
    """A server that answers nothing is given up, and asked anew the next time."""
    async with saying(b"") as url:
        store = opened(url, answer_s=0.05)
        for _ in range(2):
            assert "does not answer in time" in (await failure(store)).text
        await store.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\r\n",
        b"$x\r\n",
        b"*x\r\n",
        b":x\r\n",
        b"$99999999999\r\n",
        b"*99999999\r\n",
        b"*-1\r\n",
        b"*2\r\n*1\r\n*1\r\n$1\r\na\r\n:1\r\n",
        b"+" + b"x" * 20_000 + b"\r\n",
        b"x" * 100_000,
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_redis(answer: bytes) -> None:
    """What does not answer as a Redis does is an error, and never more than that."""
    async with saying(answer) as url:
        store = opened(url, answer_s=2)
        with pytest.raises(StoreFailed):
            await store.all()
        await store.close()


@pytest_twisted.ensureDeferred
async def test_who_asks_may_give_up(store_redis: RedisServer) -> None:
    """An asker that is cancelled does not disturb others who wait for the same connection."""
    store = opened(store_redis.url)
    await _put(store)
    store._hang_up()
    asked = [Deferred.fromCoroutine(store.get("a")) for _ in range(10)]
    for one in asked[::2]:
        one.addErrback(lambda _: None)
        one.cancel()
    assert await gatherResults(asked) == [None, "1"] * 5
    await store.close()


async def _put(store: RedisRecords) -> None:
    await store.put("a", "1")


@pytest_twisted.ensureDeferred
async def test_closing_while_asked() -> None:
    """Who waits when the store is closed is told so."""
    async with saying(b"") as url:
        store = opened(url)
        asked = Deferred.fromCoroutine(store.get("a"))
        while store._line is None:
            await _turn()
        await store.close()
        with pytest.raises(StoreFailed):
            await asked


def _turn() -> Deferred[None]:
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    return deferLater(cast(IReactorTime, reactor), 0)


@pytest.mark.parametrize("key", ["", "x" * 2000, "\ud800", "a\x00b"])
@pytest_twisted.ensureDeferred
async def test_impossible_keys(key: str) -> None:
    """They are not there, and cannot be kept; nobody is asked."""
    store = opened("redis://127.0.0.1:9/0")
    assert await store.get(key) is None
    assert not await store.delete(key)
    with pytest.raises(StoreFailed):
        await store.put(key, "1")
    with pytest.raises(StoreFailed):
        await store.put("a", "x" * (TEXT_BYTES + 1))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", Address("h", 6379, 0, "", "")),
        ("redis://h:1/2", Address("h", 1, 2, "", "")),
        ("redis://u:p%40@[::1]:1/", Address("::1", 1, 0, "u", "p@")),
        ("redis://:p@h:1/15", Address("h", 1, 15, "", "p")),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    """A URL has a host, and perhaps port, database, user and password."""
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    "url", ["redis://", "redis://:secret@:1", "redis://h:x", "redis://h/x", "redis://h/999999"]
)
def test_no_addresses(url: str) -> None:
    """What is wrong with a URL is said without its password."""
    with pytest.raises(StoreFailed) as caught:
        opened(url)
    assert "secret" not in str(caught.value)


def test_other_kinds() -> None:
    """There are two kinds of stores."""
    with pytest.raises(StoreFailed, match="no stores of the kind mysql"):
        opened("mysql://h/1")
