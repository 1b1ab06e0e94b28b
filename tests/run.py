"""Everything that must pass before a change is accepted; stops at the first failure.

Run it with the interpreter of a virtual environment that has ``.[test]`` installed. Arguments go to
pytest, which runs twice: once as relay is, once with real sockets in the message gear, which is all
that some systems have, unless they name a gear or files. The two run at the same time, since tests
mostly wait, and the second is printed behind the first. Its summary is the last line printed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
PEERS_VARIABLE = "RELAY_PEERS"


def main(arguments: list[str]) -> int:
    """:returns: the exit status of the first check that failed, or 0."""
    checks = [
        [sys.executable, "-m", "ruff", "format", "--check"],
        [sys.executable, "-m", "ruff", "check"],
        [sys.executable, "-m", "mypy"],
        [str(SCRIPTS / "lint-imports"), "--no-logo"],
    ]
    pytest = [sys.executable, "-m", "pytest", *arguments]
    for check in checks:
        status = run(check)
        if status:
            return status
    if any("--gear" in word or (ROOT / word.partition("::")[0]).exists() for word in arguments):
        return run(pytest)
    second = [*pytest, "--gear=message", "tests/integration"]
    if os.environ.get(PEERS_VARIABLE):
        return run(pytest) or run(second)  # some originals listen on a port of their own choice
    return run_both(pytest, second)


def run(check: Sequence[str]) -> int:
    """:returns: the exit status"""
    say(check)
    return subprocess.run(check, cwd=ROOT, check=False).returncode


def run_both(first: Sequence[str], second: Sequence[str]) -> int:
    """Run two at the same time. :returns: the exit status of the one that failed, or 0."""
    with (
        tempfile.TemporaryFile() as kept,
        subprocess.Popen(second, cwd=ROOT, stdout=kept, stderr=subprocess.STDOUT) as beside,
    ):
        try:
            status = run(first)
        except BaseException:
            beside.send_signal(signal.SIGINT)
            raise
        if status:
            beside.send_signal(signal.SIGINT)
            return status
        status = beside.wait()
        say(second)
        kept.seek(0)
        sys.stdout.buffer.write(kept.read())
        sys.stdout.flush()
        return status


def say(check: Sequence[str]) -> None:
    """Name what runs."""
    print("$", Path(check[0]).name, *check[1:], flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
