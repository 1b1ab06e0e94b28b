"""Texts in a file of SQLite."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads
from zope.interface.verify import verifyObject

from relay.errors import StoreFailed
from relay.faces import IRecords
from relay.store import sqlite
from relay.store.notions import ANSWER_S, TEXT_BYTES
from relay.store.opening import open_records
from relay.store.sqlite import SqliteRecords


def opened(path: Path, answer_s: float = ANSWER_S) -> SqliteRecords:
    """A store of that file."""
    from twisted.internet import reactor

    store = open_records(str(path), Path("unused"), "taas", reactor)
    assert isinstance(store, SqliteRecords)
    store = SqliteRecords(path, cast(IReactorFromThreads, reactor), answer_s)
    verifyObject(IRecords, store)
    return store


@pytest_twisted.ensureDeferred
async def test_texts_by_key(tmp_path: Path) -> None:
    """What is kept is found, by its key and among all, and gone once it was deleted."""
    store = opened(tmp_path / "a.sqlite")
    assert await store.get("a") is None
    await store.put("b_1", "zwei ü")
    await store.put_all({"c/d/e": "3", "a": "{}"})
    await store.put("a", "[]")
    assert await store.get("b_1") == "zwei ü"
    assert list((await store.all()).items()) == [("a", "[]"), ("b_1", "zwei ü"), ("c/d/e", "3")]
    assert await store.delete("a")
    assert not await store.delete("a")
    await store.close()
    await store.close()
    with pytest.raises(StoreFailed, match="closed"):
        await store.get("a")
    again = opened(tmp_path / "a.sqlite")
    assert await again.all() == {"b_1": "zwei ü", "c/d/e": "3"}
    await again.close()


@pytest_twisted.ensureDeferred
async def test_made_when_written(tmp_path: Path) -> None:
    """A file that is not there is empty; the first write makes it, for its owner alone."""
    path = tmp_path / "state" / "deep" / "taas.sqlite"
    store = opened(path)
    assert await store.all() == {}
    assert not await store.delete("a")
    assert not path.parent.exists()
    before = os.umask(0)
    try:
        await store.put("a", "1")
        modes = [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()]
    finally:
        os.umask(before)
    assert set(modes) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    await store.close()


@pytest_twisted.ensureDeferred
async def test_two_at_once(tmp_path: Path) -> None:
    """Two routers, and a program that knows SQLite alone, see each other's writes at once."""
    path = tmp_path / "a.sqlite"
    first, second = opened(path), opened(path)
    for text in map(str, range(20)):
        await first.put("a", text)
        assert await second.get("a") == text
    with sqlite3.connect(path) as third:
        third.execute("UPDATE records SET text = 'third'")
    third.close()
    assert await first.get("a") == "third"
    writes = [
        Deferred.fromCoroutine(store.put(f"{name}-{number}", name))
        for number in range(20)
        for name, store in (("first", first), ("second", second))
    ]
    await gatherResults(writes)
    assert len(await first.all()) == 41
    await first.close()
    await second.close()


@pytest_twisted.ensureDeferred
async def test_all_or_none(tmp_path: Path) -> None:
    """When one of several cannot be kept, none is."""
    store = opened(tmp_path / "a.sqlite")
    await store.put("old", "1")
    for wrong in ({"new": "1", "": "2"}, {"new": "1", "b": "\ud800"}):
        with pytest.raises(StoreFailed):
            await store.put_all(wrong)
    with pytest.raises(StoreFailed):
        await store.put("a", "x" * (TEXT_BYTES + 1))
    assert await store.all() == {"old": "1"}
    await store.close()


@pytest_twisted.ensureDeferred
async def test_wanted(tmp_path: Path) -> None:
    """Of a file that others use, too, what is wanted can be told from the rest by its key."""
    store = opened(tmp_path / "a.sqlite")
    await store.put_all({"a": "1", "b_1": "2", "c": "3"})
    assert await store.all(lambda key: "_" not in key) == {"a": "1", "c": "3"}
    await store.close()


@pytest_twisted.ensureDeferred
async def test_held_up(tmp_path: Path) -> None:
    """Whoever keeps the file busy holds up questions for as long as one may take, all together."""
    path = tmp_path / "a.sqlite"
    await _with_one_text(path)
    with _kept_by_another(path):
        store = opened(path, answer_s=0.5)
        began = time.monotonic()
        asked = [Deferred.fromCoroutine(store.get("a")) for _ in range(40)]
        for error in await _failed(asked):
            assert "cannot be used" in error
        assert time.monotonic() - began < 40 * 0.5 / 2
    assert await store.get("a") == "1"
    await store.close()


@pytest_twisted.ensureDeferred
async def test_closed_while_held_up(tmp_path: Path) -> None:
    """A stop waits for no question that has yet to begin."""
    path = tmp_path / "a.sqlite"
    await _with_one_text(path)
    with _kept_by_another(path):
        store = opened(path)
        asked = [Deferred.fromCoroutine(store.get("a")) for _ in range(3)]
        await store.close()
        _, *others = await _failed(asked)
    assert all("closed" in error for error in others)


async def _with_one_text(path: Path) -> None:
    store = opened(path)
    await store.put("a", "1")
    await store.close()


@contextmanager
def _kept_by_another(path: Path) -> Iterator[None]:
    """Another program keeps the file for itself."""
    with closing(sqlite3.connect(path, isolation_level=None)) as greedy:
        greedy.execute("PRAGMA locking_mode = EXCLUSIVE")
        greedy.execute("BEGIN EXCLUSIVE")
        greedy.execute("UPDATE records SET text = '2'")
        yield


async def _failed(asked: list[Deferred[str | None]]) -> list[str]:
    errors = []
    for question in asked:
        with pytest.raises(StoreFailed) as caught:
            await question
        errors.append(caught.value.text)
    return errors


@pytest_twisted.ensureDeferred
async def test_another_file_in_its_place(tmp_path: Path) -> None:
    """A file put back from a backup counts at once, and so does one that was taken away."""
    path = tmp_path / "a.sqlite"
    backup = opened(tmp_path / "backup.sqlite")
    await backup.put("a", "of the backup")
    await backup.close()
    store = opened(path)
    await store.put("a", "of today")
    for file in tmp_path.glob("a.sqlite-*"):
        file.unlink()
    shutil.move(tmp_path / "backup.sqlite", path)
    assert await store.get("a") == "of the backup"
    path.unlink()
    assert await store.get("a") is None
    await store.close()


@pytest_twisted.ensureDeferred
async def test_no_store(tmp_path: Path) -> None:
    """A file of another kind, a folder, or a place where nothing can be made is an error."""
    (tmp_path / "text").write_text("this is no database\n" * 100)
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "text", tmp_path / "folder", tmp_path / "text" / "below"):
        store = opened(path)
        for _ in range(2):
            with pytest.raises(StoreFailed, match=str(path)):
                await store.put("a", "1")
        await store.close()
    assert (tmp_path / "text").read_text().startswith("this is no")


@pytest_twisted.ensureDeferred
async def test_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds the file for too long is named as what is wrong, and waited for no longer."""
    monkeypatch.setattr(sqlite, "ANSWER_S", 0.05)
    path = tmp_path / "a.sqlite"
    store = opened(path)
    await store.put("a", "1")
    await store.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store = opened(path)
    assert await store.get("a") == "1"
    with pytest.raises(StoreFailed, match="locked"):
        await store.put("a", "2")
    other.execute("ROLLBACK")
    other.close()
    await store.put("a", "3")
    assert await store.get("a") == "3"
    await store.close()


@pytest_twisted.ensureDeferred
async def test_foreign_rows(tmp_path: Path) -> None:
    """What others wrote there is shown as far as it is text; giants are left out."""
    path = tmp_path / "a.sqlite"
    store = opened(path)
    await store.put("a", "1")
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO records VALUES ('latin', CAST(x'fc' AS TEXT))")
        other.execute("INSERT INTO records VALUES ('giant', ?)", ("x" * (TEXT_BYTES + 1),))
    other.close()
    assert await store.all() == {"a": "1", "latin": "\ufffd"}
    assert await store.get("giant") is None
    await store.close()


def test_where(tmp_path: Path) -> None:
    """Without a name it is in the state folder, and a relative one is below that."""
    from twisted.internet import reactor

    for name, path in (("", "taas.sqlite"), ("x/y.db", "x/y.db"), ("/z", "/z")):
        store = open_records(name, tmp_path, "taas", reactor)
        assert isinstance(store, SqliteRecords)
        assert store.path == tmp_path / path
