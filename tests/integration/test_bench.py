"""``relay bench`` measures, prints, and leaves nothing behind. Nothing here asserts a speed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.relay_command import environment, relay, started

SHORT = ("--seconds", "0.1", "--rounds", "1")
WORDS = {
    "portal": ("download", "upload", "round trip", "idle"),
    "websocktunnel": ("download", "upload", "GET", "idle"),
    "taas": ("download", "upload", "round trip", "idle", "waiting"),
    "session-relay": ("1 writer, 1 reader", "1 writer, 20 readers", "round trip", "idle"),
}
ALONE = ("20 readers", "waiting")
"""A plain relay has no readers beside the one, and nobody waits at it."""

START_S = 20.0


def home(tmp_path: Path) -> dict[str, str]:
    """:returns: an environment whose temporary files go to ``tmp_path``"""
    return {"TMPDIR": str(tmp_path), "HOME": str(tmp_path / "nowhere")}


def running_below(folder: Path) -> list[str]:
    """:returns: the command lines of processes that work in the folder"""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in os.readlink(process / "cwd"):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("dialect", WORDS)
def test_json(tmp_path: Path, dialect: str) -> None:
    """Everything is measured on both sides, from any folder, whatever the environment says."""
    env = {**home(tmp_path), "RELAY_ROUTER": "ws://192.0.2.1", "RELAY_TOKEN": "x"}
    done = relay("bench", "--dialect", dialect, *SHORT, "--json", folder=tmp_path, env=env)
    assert (done.returncode, done.stderr) == (0, b"")
    shown = json.loads(done.stdout)
    assert (shown["dialect"], shown["rounds"]) == (dialect, 1)
    for word in WORDS[dialect]:
        assert any(line["what"].startswith(word) for line in shown["lines"])
    for line in shown["lines"]:
        assert set(line) == {"what", "unit", "relay", "plain", "ratio"}
        assert len(line["relay"]) == 1
        alone = any(word in line["what"] for word in ALONE)
        assert len(line["plain"]) == (0 if alone else 1)
    assert list(tmp_path.iterdir()) == []
    assert running_below(tmp_path) == []


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends all that was started."""
    with started("bench", env=environment(**home(tmp_path))) as process:
        end = time.monotonic() + START_S
        while len(running_below(tmp_path)) < 2 and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 130
    assert running_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
