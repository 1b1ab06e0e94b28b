"""The fixtures that start a Redis, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.redis_server import RedisServer


@pytest.fixture
def store_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis without a password."""
    yield from _running(RedisServer(_folder(tmp_path)))


@pytest.fixture
def locked_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with the password ``open sesame/1``."""
    yield from _running(RedisServer(_folder(tmp_path), "open sesame/1"))


def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "redis"
    folder.mkdir()
    return folder


def _running(server: RedisServer) -> Iterator[RedisServer]:
    server.start()
    yield server
    server.kill()
