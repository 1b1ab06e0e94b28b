"""Everything that must pass before a change is accepted; stops at the first failure.

Run it with the interpreter of a virtual environment that has ``.[test]`` installed. Arguments go to
pytest, which runs twice: once as relay is, once with real sockets in the message gear, which is all
that some systems have, unless they name a gear or files. Its summary is the last line printed.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))


def main(arguments: list[str]) -> int:
    """:returns: the exit status of the first check that failed, or 0."""
    checks = [
        [sys.executable, "-m", "ruff", "format", "--check"],
        [sys.executable, "-m", "ruff", "check"],
        [sys.executable, "-m", "mypy"],
        [str(SCRIPTS / "lint-imports"), "--no-logo"],
        [sys.executable, "-m", "pytest", *arguments],
    ]
    if not any("--gear" in word or (ROOT / word.partition("::")[0]).exists() for word in arguments):
        more = ["--gear=message", *arguments, "tests/integration"]
        checks.append([sys.executable, "-m", "pytest", *more])
    for check in checks:
        print("$", Path(check[0]).name, *check[1:], flush=True)
        status = subprocess.run(check, cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
