"""What connections cost a router of taas that wait for callers: a part of ``relay bench``."""

from __future__ import annotations

import json
import sys
import uuid

from relay.dialects.taas.notions import Label
from relay.dialects.taas.records import Record, new_record
from relay.measuring.places import Place
from relay.measuring.processes import Crew, Late, Program, wait
from relay.measuring.runs import HOLD_S, load, told

EACH = 20
"""Of one label; the router keeps 21."""

CONFIG = "relay.ini"
RECORDS = "records.json"
IMPORT_S = 20.0


def keep(crew: Crew, records: dict[str, str]) -> None:
    """Import records into the store of the router whose INI the crew has. :raises Late:"""
    if not records:
        return
    whole = {key: json.loads(text) for key, text in records.items()}
    file = crew.write(RECORDS, json.dumps(whole))
    words = ["token", "taas", "import", str(file), "--config", str(crew.folder / CONFIG)]
    importing = crew.start("import", [sys.executable, "-m", "relay.commands.main", *words])
    wait(lambda: not importing.is_running(), "records imported", IMPORT_S)
    if importing.process.returncode:
        raise Late(f"no records were imported: {importing.printed()}")


def waiting_kib(
    crew: Crew, router: Program, port: int, registrar: str, servers: str, count: int
) -> float:
    """Have connections wait for callers who never come.

    :param port: of the router, plain HTTP on loopback
    :param registrar: its name; ``servers``: what the names of labels end in
    :param count: a multiple of :data:`EACH`
    :returns: what each adds to the router
    """
    made = [
        new_record([Label(f"idle-{number}")], registrar, servers, str(uuid.uuid4()))
        for number in range(1 + count // EACH)
    ]
    keep(crew, {record.uuid: record.text() for record in made})

    def come(*who: Record) -> Program:
        places = [_hidden(record, port, registrar) for record in who]
        crowd = load(crew, {"do": "wait", "places": places, "count": EACH})
        told(crowd, "open", HOLD_S)
        return crowd

    # what the router needs once is there before it is looked at
    first = come(made[0])
    before = router.rss_kib()
    others = come(*made[1:])
    grown = (router.rss_kib() - before) / count
    crew.end(others, first)
    return grown


def _hidden(record: Record, port: int, registrar: str) -> Place:
    return {
        "kind": "hidden",
        "port": port,
        "registrar": registrar,
        "label": record.labels[0].name,
        "username": record.uuid,
        "secret": record.base32,
    }
