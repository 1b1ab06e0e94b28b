"""A load as a process: ``python -m relay.measuring.load FILE``.

FILE holds the job, one JSON object: ``do`` names it, ``place`` says where its connections come
from (:mod:`relay.measuring.places`; those of topics have ``sessions`` instead), the rest is the
job's own. It prints ``{"ready": true}`` once
others may come, and its result, each as one line of JSON; a job that keeps connections open waits
for a signal. Nothing but the standard library is imported, so that loads start quickly.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from relay.measuring import bulk, rendezvous, site, talk, topics, visits, web
from relay.measuring.places import Refused, say

JOBS: dict[str, Callable[[dict[str, Any]], None]] = {
    "attend": rendezvous.attend,
    "call": rendezvous.call,
    "send": bulk.send,
    "take": bulk.take,
    "book": topics.book,
    "read": topics.read,
    "sit": topics.sit,
    "write": topics.write,
    "echo": talk.echo,
    "ping": talk.ping,
    "pace": talk.pace,
    "enlist": visits.enlist,
    "enrol": visits.enrol,
    "fetch": web.fetch,
    "hold": visits.hold,
    "knock": visits.knock,
    "site": site.site,
    "visit": visits.visit,
    "wait": rendezvous.wait,
}


def main() -> int:
    """Do the job. :returns: the exit status"""
    job = json.loads(Path(sys.argv[1]).read_text())
    try:
        JOBS[job["do"]](job)
    except (OSError, Refused) as error:
        where = f" at {job['place']['kind']}" if "place" in job else ""
        say(failed=f"{job['do']}{where}: {type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
