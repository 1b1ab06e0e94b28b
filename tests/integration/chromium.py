"""A real browser without a screen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # as root, Chromium does not start with it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--no-proxy-server",
    "--remote-debugging-port=0",  # without it, Chromium may end once the page is there
)


def browser() -> str:
    """:returns: a browser that is installed; skips the test where there is none"""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"did not run: none of {', '.join(BROWSERS)} is installed")
    return found


@contextmanager
def browsing(url: str, folder: Path) -> Iterator[Path]:
    """Show the page until the end of the block. :returns: where the browser writes what it says"""
    folder.mkdir()
    said = folder / "browser.log"
    words = [browser(), *FLAGS, f"--user-data-dir={folder / 'profile'}", url]
    # its sockets are there, whose paths are short
    with TemporaryDirectory(ignore_cleanup_errors=True) as short, open(said, "wb") as out:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "HOME": str(folder), "TMPDIR": short},
        )
        try:
            yield said
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the processes of its pages, too
            process.wait()
