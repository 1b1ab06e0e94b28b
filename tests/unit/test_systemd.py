"""What the service manager is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from relay.systemd import notify


def test_a_manager_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manager that reads nothing does not stop us for longer than we said."""
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notify("READY=1")
        for _ in range(10_000):  # far more than any queue holds
            notify("WATCHDOG=1", 0.0)
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"
