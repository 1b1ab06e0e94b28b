"""``relay token taas``: who may register at a router, and what a hidden server is told of it.

Specification: taas.md §10. It works on the store that the router uses, whether that runs or not;
what is written counts at once, and who was taken out is cut off within ten seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from relay.commands.output import WrongUsage, add_json, event, hint, result
from relay.dialects.taas.keys import CERTIFICATE_KEY, KEY_KEY, advertised, front_port
from relay.dialects.taas.notions import LARGEST_PORT, is_id
from relay.errors import RelayError
from relay.settings.faults import printable, quoted

if TYPE_CHECKING:
    from relay.commands.taas_store import Place
    from relay.store.notions import Store

# What draws pictures, makes certificates and runs a reactor is imported by the action that does:
# "relay token --help" need not wait for it.

Work = Callable[["Place", argparse.Namespace], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions, and what each takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, described: str) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=described, allow_abbrev=False)
        one.add_argument("--config", metavar="FILE", help="the router's INI, whose store it is")
        add_json(one)
        return one

    create = action("create", "let a hidden server register labels; prints its ID")
    create.add_argument(
        "labels",
        nargs="+",
        metavar="LABEL",
        help="a name below the router's servers; all but the first may have a fixed port: gw:62052",
    )
    create.add_argument("--id", metavar="UUID", help="the ID (default: a new one)")
    create.add_argument(
        "--png", metavar="FILE", help="draw the QR code for an authenticator app into this file"
    )
    create.add_argument(
        "--shared",
        action="store_true",
        help="take labels that other IDs list, too; clients then get whoever waits",
    )
    action("list", "show which IDs and labels there are; no secrets")
    remove = action("remove", "take an ID away, and cut it off")
    remove.add_argument("id", metavar="ID")
    provision = action("provision", "print the file that a hidden server is given")
    provision.add_argument("id", metavar="ID")
    provision.add_argument("--host", metavar="H", help="the router's address (default: advertise)")
    provision.add_argument(
        "--port", type=_port, metavar="N", help="the router's port (default: its first listener's)"
    )
    provision.add_argument(
        "--file", metavar="FILE", default="-", help="write it there, for its owner alone"
    )
    certificate = action("certificate", "make the router's own certificate and key")
    certificate.add_argument(
        "--folder",
        metavar="D",
        help="where to (default: where the INI says, else the working directory)",
    )
    certificate.add_argument("--renew", action="store_true", help="replace what is there")
    import_ = action("import", "take records over: all of them or none")
    import_.add_argument(
        "file", metavar="FILE", help="what export wrote, or the original's nedis.db; - is stdin"
    )
    export = action("export", "write all records, secrets included")
    export.add_argument("file", metavar="FILE", help="is made for its owner alone; - is stdout")


def run(arguments: argparse.Namespace, environ: Mapping[str, str]) -> None:
    """:raises ConfigurationError, RelayError, WrongUsage, OSError: for what can be put right"""
    from relay.commands.taas_store import find_place

    actions: dict[str, Work] = {
        "create": _create,
        "list": _list,
        "remove": _remove,
        "provision": _provision,
        "certificate": _certificate,
        "import": _import,
        "export": _export,
    }
    actions[arguments.action](find_place(arguments.config, environ), arguments)


def _create(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_files import write_secret
    from relay.commands.taas_store import work_on
    from relay.dialects.taas import administration
    from relay.dialects.taas.pictures import drawn, png

    try:
        labels = administration.check_labels(arguments.labels)
    except ValueError as error:
        raise WrongUsage(str(error)) from None
    key = arguments.id or administration.new_id()
    if not is_id(key):
        raise WrongUsage(f"{quoted(key)} is no ID, which is made of letters, digits and -")
    if arguments.png and Path(arguments.png).exists():
        raise RelayError(f"{arguments.png} is there already", "name another file")
    record = administration.make_record(key, labels, place.registrar, place.servers)

    async def work(store: Store) -> None:
        texts = await store.all(is_id)
        if key in texts:
            raise RelayError(f"there is an ID {quoted(key)} already", "remove it first")
        administration.check_free(key, labels, texts, arguments.shared)
        if arguments.png:
            write_secret(arguments.png, png(record.auth_url))
        await store.put(key, record.text())

    work_on(place, work)
    if sys.stderr.isatty():
        event(drawn(record.auth_url))
    hint(f'for a hidden server: "relay token taas provision {key}" prints its file')
    value = {"id": key, "record": json.loads(record.text())}
    result(arguments.json, value, key)


def _list(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_store import work_on
    from relay.dialects.taas.administration import concerns, listing

    async def work(store: Store) -> Mapping[str, str]:
        return await store.all()

    texts = work_on(place, work)
    rows = listing(texts)
    for sentence in concerns(texts):
        event(f"warning: {sentence}")
    if not rows:
        hint('there is no ID yet; "relay token taas create LABEL" makes one')
    width = max((len(row.key) for row in rows), default=0)
    words = {"totp": "", "bcrypt": "a user of the MQTT broker", "unusable": "unusable: "}
    lines = [
        f"{row.key:<{width}}  {' '.join(row.labels)}{words[row.kind]}{row.why}" for row in rows
    ]
    value = [{**row._asdict(), "labels": list(row.labels)} for row in rows]
    text = "\n".join(printable(line).rstrip() for line in lines)
    if arguments.json or lines:
        result(arguments.json, value, text)


def _remove(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_store import work_on

    async def work(store: Store) -> bool:
        return await store.delete(arguments.id)

    if not work_on(place, work):
        raise RelayError(
            f"there is no ID {quoted(arguments.id)}", "relay token taas list shows them"
        )
    hint("a router that runs cuts it off within ten seconds")
    result(arguments.json, {"removed": arguments.id}, printable(arguments.id))


def _provision(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_files import STREAM, trusted_root, write_secret
    from relay.commands.taas_store import work_on
    from relay.dialects.taas.administration import find_record
    from relay.dialects.taas.records import provisioning, provisioning_members

    async def work(store: Store) -> Mapping[str, str]:
        text = await store.get(arguments.id)
        return {} if text is None else {arguments.id: text}

    record = find_record(arguments.id, work_on(place, work))
    if not record.labels:
        raise RelayError(f"{quoted(arguments.id)} has no label that could be registered")
    record = record.completed(arguments.id, place.registrar, place.servers)
    host = arguments.host or advertised(place.section)
    port = arguments.port or front_port(place.section)
    if not port:
        raise RelayError("the router's listener has no fixed port", "name it with --port")
    root = trusted_root(cast("Path | None", place.section.values.get(CERTIFICATE_KEY)))
    text = provisioning(record, host, port, root)
    if arguments.file != STREAM:
        write_secret(arguments.file, text.encode())
        text = f"written to {arguments.file}"
    value = {"id": arguments.id, "params": provisioning_members(record, host, port, root)}
    result(arguments.json, value, text.rstrip("\n"))


def _certificate(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_files import files_beside, files_in, write_certificate

    address, values = advertised(place.section), place.section.values
    said = cast("tuple[Path | None, ...]", (values.get(KEY_KEY), values.get(CERTIFICATE_KEY)))
    if arguments.folder is None and said[0] and said[1]:
        files = files_beside(said[0], said[1])
    else:
        files = files_in(Path(arguments.folder or "."))
    made = write_certificate(
        files, address, place.registrar, place.servers, time.time(), arguments.renew
    )
    hint(f"it is good for {address}, {place.registrar} and *.{place.servers}")
    value = {name: str(path.resolve()) for name, path in files._asdict().items()}
    lines = [f"{name:<11} = {value[name]}" for name in (CERTIFICATE_KEY, KEY_KEY)]
    if said[1] is None:
        event(f"write these two lines into [dialect:taas] of {place.origin}")
    result(arguments.json, {**value, "sha1": made.sha1.strip()}, "\n".join(lines))


def _import(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_files import read_input
    from relay.commands.taas_store import work_on
    from relay.dialects.taas.administration import concerns, listing
    from relay.dialects.taas.exchange import import_texts

    texts = import_texts(*read_input(arguments.file))

    async def work(store: Store) -> Mapping[str, str]:
        before = await store.all()
        await store.put_all(texts)
        return before

    before = work_on(place, work)
    for sentence in concerns({**before, **texts}):
        event(f"warning: {sentence}")
    for row in listing(texts):
        if row.kind == "unusable":
            event(f"warning: nobody can log in as {quoted(row.key)}: {row.why}")
    replaced = len(before.keys() & texts.keys())
    said = f"{len(texts)} imported, {replaced} of them in place of others"
    result(arguments.json, {"imported": len(texts), "replaced": replaced}, said)


def _export(place: Place, arguments: argparse.Namespace) -> None:
    from relay.commands.taas_files import STREAM, write_secret
    from relay.commands.taas_store import work_on
    from relay.dialects.taas.exchange import export_text

    async def work(store: Store) -> Mapping[str, str]:
        return await store.all()

    text, others = export_text(work_on(place, work))
    for key in others:
        event(f"warning: {quoted(key)} is no record, and was left out")
    if arguments.file == STREAM:
        print(text, end="")
        return
    write_secret(arguments.file, text.encode())
    count = len(json.loads(text))
    value = {"exported": count, "file": arguments.file}
    result(arguments.json, value, f"{count} exported to {arguments.file}")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= LARGEST_PORT):
        raise argparse.ArgumentTypeError(f"{quoted(text)} is not a number from 1 to {LARGEST_PORT}")
    return int(text)
