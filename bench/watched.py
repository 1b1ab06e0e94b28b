"""Runs twistd and writes down when it dials: ``python -m bench.watched FILE ARGUMENTS``.

FILE gets one line a connect: monotonic seconds, and the port dialled.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    """Put the watch in place, then become twistd."""
    path, *arguments = sys.argv[1:]
    record = open(path, "a", buffering=1)  # noqa: SIM115  # as long as the process

    def heard(event: str, what: tuple[object, ...]) -> None:
        if event == "socket.connect" and isinstance(what[1], tuple):
            record.write(f"{time.monotonic():.6f} {what[1][1]}\n")

    sys.addaudithook(heard)
    sys.argv = ["twistd", *arguments]
    from twisted.scripts.twistd import run

    run()


if __name__ == "__main__":
    main()
