"""Texts in a file of SQLite, which other processes may read and write at the same time."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from relay.errors import StoreFailed
from relay.faces import IRecords
from relay.settings.secrets import FOR_OTHERS
from relay.store.notions import ANSWER_S, KEYS, TEXT_BYTES, Wanted, as_text, can_be_key

T = TypeVar("T")

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_TABLE = "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, text TEXT NOT NULL)"
_PUT = "INSERT INTO records VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET text = excluded.text"
_SIZE = "length(CAST(text AS BLOB))"


@implementer(IRecords)
class SqliteRecords:
    """A file, made with mode 0600 when the first text is kept.

    All is done in one thread of its own, in order. A file that is not there is an empty store, and
    one that takes its place, from a backup perhaps, counts from the next question on.

    :param path: the file; SQLite keeps two more beside it
    :param reactor: the thread's results come back to it
    :param answer_s: seconds that a question may take, with those before it, while another program
        holds the file
    """

    log = Logger()

    def __init__(
        self, path: Path, reactor: IReactorFromThreads, answer_s: float = ANSWER_S
    ) -> None:
        self.path = path
        self._reactor = reactor
        self._answer_s = answer_s
        self._pool: ThreadPool | None = None
        self._closed = False
        # all of the thread alone
        self._patience_s = answer_s
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    async def get(self, key: str) -> str | None:
        """:returns: the text; None: there is none. :raises StoreFailed: when it cannot be read"""
        return await self._in_thread(lambda: self._get(key))

    async def put(self, key: str, text: str) -> None:
        """:raises StoreFailed: when it cannot be written"""
        await self.put_all({key: text})

    async def put_all(self, texts: Mapping[str, str]) -> None:
        """Keep several, all of them or none. :raises StoreFailed: when that cannot be"""
        for key, text in texts.items():
            if not can_be_key(key) or len(text.encode("utf-8", "replace")) > TEXT_BYTES:
                raise StoreFailed(f"{self.path} takes no such key, or no text as long as that")
        await self._in_thread(lambda: self._put(texts))

    async def delete(self, key: str) -> bool:
        """:returns: whether there was one. :raises StoreFailed: when it cannot be written"""
        return await self._in_thread(lambda: self._delete(key))

    async def all(self, wanted: Wanted | None = None) -> Mapping[str, str]:
        """:returns: every text by its key, or of those that are ``wanted``, in order

        :raises StoreFailed: when it cannot be read
        """
        return await self._in_thread(lambda: self._all(wanted or can_be_key))

    async def close(self) -> None:
        """End the thread; what it is at is done, what has yet to begin fails."""
        if self._closed:
            return
        self._closed = True
        if self._pool is not None:
            await deferToThreadPool(self._reactor, self._pool, self._disconnect)
            self._pool.stop()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreFailed(f"{self.path} is closed")
        if self._pool is None:
            self._pool = ThreadPool(1, 1, "sqlite")
            self._pool.start()
        until = time.monotonic() + self._answer_s
        return await deferToThreadPool(self._reactor, self._pool, self._told, work, until)

    # -- in the thread ---------------------------------------------------------------------------

    def _told(self, work: Callable[[], T], until: float) -> T:
        if self._closed:
            raise StoreFailed(f"{self.path} is closed")
        # whoever holds the file up is waited for once, and not by each question anew
        self._patience_s = until - time.monotonic()
        if self._patience_s <= 0:
            raise StoreFailed(f"{self.path} cannot be used: others keep it busy")
        try:
            return work()
        except sqlite3.OperationalError as error:
            self._disconnect()
            raise StoreFailed(
                f"{self.path} cannot be used: {error}",
                "is its folder there, may it be written by this user, is there room on the disk?",
            ) from None
        except sqlite3.Error as error:
            self._disconnect()
            raise StoreFailed(f"{self.path} is no store of relay's: {error}") from None
        except UnicodeEncodeError:
            raise StoreFailed(f"{self.path} cannot keep what is no text") from None
        except OSError as error:
            self._disconnect()
            raise StoreFailed(
                f"{self.path} cannot be used: {error.strerror}",
                "let this user read and write it and its folder, or name another file",
            ) from None

    def _get(self, key: str) -> str | None:
        connection = self._connected(make=False)
        if connection is None or not can_be_key(key):
            return None
        query = f"SELECT text FROM records WHERE key = ? AND {_SIZE} <= ?"
        row = connection.execute(query, (key, TEXT_BYTES)).fetchone()
        return None if row is None else str(row[0])

    def _put(self, texts: Mapping[str, str]) -> None:
        connection = self._connected(make=True)
        assert connection is not None
        with connection:
            connection.executemany(_PUT, texts.items())

    def _delete(self, key: str) -> bool:
        connection = self._connected(make=False)
        if connection is None or not can_be_key(key):
            return False
        with connection:
            done = connection.execute("DELETE FROM records WHERE key = ?", (key,))
        return done.rowcount > 0

    def _all(self, wanted: Wanted) -> Mapping[str, str]:
        connection = self._connected(make=False)
        if connection is None:
            return {}
        query = f"SELECT key, text FROM records WHERE {_SIZE} <= ? ORDER BY key"
        found: dict[str, str] = {}
        for key, text in connection.execute(query, (TEXT_BYTES,)):
            if wanted(str(key)):
                found[str(key)] = str(text)
            if len(found) > KEYS:
                raise StoreFailed(f"{self.path} has more than {KEYS} keys")
        return found

    def _connected(self, make: bool) -> sqlite3.Connection | None:
        """:returns: the file's connection; None: there is no file, and none is to be made"""
        found = self._found()
        if self._connection is not None and found == self._opened:
            self._connection.execute(f"PRAGMA busy_timeout = {self._patience_s * 1000:.0f}")
            return self._connection
        self._disconnect()
        if found is None:
            if not make:
                return None
            self._make()
        connection = sqlite3.connect(self.path, timeout=self._patience_s)
        self._connection, self._opened = connection, self._found()
        connection.text_factory = as_text
        # readers and writers of several processes do not wait for each other then
        connection.execute("PRAGMA journal_mode = WAL")
        with connection:
            connection.execute(_TABLE)
        return connection

    def _found(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino

    def _make(self) -> None:
        for parent in reversed(self.path.parents):
            if not parent.exists():
                parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        # SQLite would make it readable for everybody; its two other files take over the mode
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, FILE_MODE)
        try:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & FOR_OTHERS:
                self.log.warn("{path}: others may read the secrets in it", path=str(self.path))
        finally:
            os.close(descriptor)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
