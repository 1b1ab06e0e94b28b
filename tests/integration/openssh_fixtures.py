"""The fixture that starts OpenSSH, loaded as a pytest plugin."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.openssh import PROGRAMS, SSHD_PATH, SSHD_SEPARATION, OpenSsh


@pytest.fixture
def openssh(tmp_path: Path) -> Iterator[OpenSsh]:
    """OpenSSH, where it is installed."""
    found = {name: shutil.which(name, path=SSHD_PATH) for name in PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"did not run: OpenSSH's {', '.join(missing)} is not installed")
    made = os.geteuid() == 0 and not SSHD_SEPARATION.exists()
    if made:
        SSHD_SEPARATION.mkdir(mode=0o755)
    folder = tmp_path / "openssh"
    folder.mkdir()
    server = OpenSsh(folder, {name: path for name, path in found.items() if path})
    yield server
    server.stop()
    if made:
        SSHD_SEPARATION.rmdir()
