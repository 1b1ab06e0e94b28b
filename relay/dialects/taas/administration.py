"""What an operator may do with records, whatever the way it is asked; taas.md §10 and §16.

Nothing is kept here: whoever asks reads the store before and writes it behind.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from relay.dialects.taas.notions import Label, is_id, parse_label
from relay.dialects.taas.pictures import data_url
from relay.dialects.taas.records import Record, new_record, secret_bytes
from relay.errors import RelayError
from relay.settings.faults import listed, quoted

Entry = dict[str, object]
"""A record as the JSON object that it is."""

SHORT_SECRET_BYTES = 14
"""112 bits, below which one could be guessed by whoever sees codes (NIST SP 800-63B-4, 3.1.4)."""


class Listed(NamedTuple):
    """What a store has under one key, without its secret.

    :ivar kind: ``totp``, ``bcrypt`` (a user of the MQTT broker) or ``unusable``
    :ivar labels: as the record has them
    :ivar why: why nobody can log in by it
    """

    key: str
    kind: str
    labels: tuple[str, ...] = ()
    why: str = ""


def check_labels(words: Sequence[str]) -> tuple[Label, ...]:
    """Read the labels that one ID is to have.

    :raises ValueError: with a sentence, when that cannot be
    """
    labels = tuple(map(parse_label, words))
    if not labels:
        raise ValueError("an ID needs a label")
    if labels[0].fixed_port:
        raise ValueError(
            f"the first label, {labels[0]}, cannot have a port: a hidden server registers it "
            "as it is written"
        )
    for what, given in (
        ("label", [label.name for label in labels]),
        ("port", [str(label.fixed_port) for label in labels if label.fixed_port]),
    ):
        twice = [one for one, count in Counter(given).items() if count > 1]
        if twice:
            raise ValueError(f"{what} {twice[0]} is given twice")
    return labels


def new_id() -> str:
    """:returns: an ID that nobody has"""
    return str(uuid.uuid4())


def normal_id(text: str) -> str:
    """:returns: a UUID in any of its spellings in the usual one, else the text, or nothing"""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text if is_id(text) else ""


def check_free(
    key: str, labels: Sequence[Label], texts: Mapping[str, str], shared: bool = False
) -> None:
    """Judge labels that ``key`` is to have beside what a store has.

    :param shared: whether other IDs may list the same labels, and share their queues
    :raises RelayError: when another ID lists one of them, or has one of the fixed ports for another
        label
    """
    wanted = {label.name for label in labels}
    ports = {label.fixed_port: label.name for label in labels if label.fixed_port}
    for other, label in _labels(texts):
        if other == key:
            continue
        if label.name in wanted and not shared:
            raise RelayError(
                f"label {label.name} is listed by {other} already",
                "choose another, or let both have it: --shared",
            )
        if ports.get(label.fixed_port, label.name) != label.name:
            raise RelayError(
                f"port {label.fixed_port} is that of label {label.name} of {other} already",
                "choose another port",
            )


def make_record(key: str, labels: Sequence[Label], registrar: str, servers: str) -> Record:
    """:returns: a whole record with a fresh secret, its picture included"""
    record = new_record(labels, registrar, servers, key)
    return replace(record, qrcode_url=data_url(record.auth_url))


def find_record(key: str, texts: Mapping[str, str]) -> Record:
    """:raises RelayError: when there is none, or nobody can log in by it"""
    if key not in texts:
        raise RelayError(f"there is no ID {quoted(key)}", "relay token taas list shows them")
    try:
        return Record.parse(texts[key])
    except ValueError as error:
        raise RelayError(f"{quoted(key)} cannot log in: {error}") from None


def listing(texts: Mapping[str, str]) -> list[Listed]:
    """:returns: what a store has, without secrets"""
    return [_listed(key, text) for key, text in texts.items()]


def concerns(texts: Mapping[str, str]) -> Iterator[str]:
    """:returns: a sentence on each label that several IDs list, and on each secret that is short"""
    owners: dict[str, list[str]] = {}
    for key, label in _labels(texts):
        owners.setdefault(label.name, []).append(key)
    for name, keys in owners.items():
        if len(set(keys)) > 1:
            yield f"label {name} is listed by {listed(dict.fromkeys(keys))}: they share its queue"
    for key, text in texts.items():
        record = Record.read(text)
        if record is not None and (size := secret_bytes(record.base32)) < SHORT_SECRET_BYTES:
            yield f"the secret of {quoted(key)} has {size} octets, and could be guessed"


def entry_of(text: str) -> Entry | None:
    """:returns: a text of the store as the object that it is; None: it is none"""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast(Entry, value) if isinstance(value, dict) else None


def _labels(texts: Mapping[str, str]) -> Iterator[tuple[str, Label]]:
    for key, text in texts.items():
        record = Record.read(text)
        for label in record.labels if record is not None else ():
            yield key, label


def _listed(key: str, text: str) -> Listed:
    try:
        record = Record.parse(text)
    except ValueError as error:
        entry = entry_of(text) or {}
        codes = entry.get("authParams")
        if isinstance(codes, dict) and codes.get("protocol") == "bcrypt":
            return Listed(key, "bcrypt")
        return Listed(key, "unusable", (), str(error))
    if not is_id(key):
        return Listed(key, "unusable", (), "no request can show such an ID")
    if not record.labels:
        return Listed(key, "unusable", (), "it has no label that can be registered")
    return Listed(key, "totp", tuple(map(str, record.labels)))
