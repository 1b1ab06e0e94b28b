"""From what settings say of a store to the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.errors import StoreFailed
from relay.store.redis import SCHEME, Address, RedisRecords
from relay.store.sqlite import SqliteRecords

SUFFIX = ".sqlite"


def open_records(
    database: str,
    state_dir: Path,
    dialect: str,
    reactor: Any,  # Twisted's reactor has no one type
) -> SqliteRecords | RedisRecords:
    """Open a store; nothing is connected to, read or made before the first question.

    :param database: ``redis://[[USER]:PASSWORD@]HOST:PORT/NUMBER``, or a file's path, relative to
        ``state_dir``; empty: ``DIALECT.sqlite`` there
    :raises StoreFailed: when it is neither
    """
    if "://" not in database:
        path = state_dir / (database or f"{dialect}{SUFFIX}")
        return SqliteRecords(path, reactor)
    if not database.startswith(f"{SCHEME}://"):
        raise StoreFailed(
            f"there are no stores of the kind {database.partition(':')[0]}",
            "name a file, or redis://HOST:PORT/NUMBER",
        )
    try:
        return RedisRecords(Address.parse(database), reactor)
    except ValueError as error:
        raise StoreFailed(f"the database cannot be used: {error}") from None
