"""A certificate and its key, where a section names them."""

from __future__ import annotations

import os

from relay.settings.faults import Faults
from relay.settings.keys import TLS_KEYS
from relay.settings.model import TlsFiles
from relay.settings.values import Values

_NAMES = tuple(key.name for key in TLS_KEYS)


def read_files(
    values: Values, where: str, faults: Faults, to_come: bool = False
) -> TlsFiles | None:
    """Read both of a section's keys; what is in the files is not looked at.

    :param where: what a fault about a key that is missing begins with
    :param to_come: whether the files may be made later
    :returns: None: there is no certificate, or a fault was noted
    """
    for key in TLS_KEYS:
        path = values.path(key.name)
        if path is not None and not (os.path.isfile(path) or to_come):
            state = "is no file" if os.path.exists(path) else "does not exist"
            faults.add(values.where(key.name, where), f"{path} {state} ({key.help})")
    if any(map(values.said, _NAMES)):
        for key in TLS_KEYS:
            if not values.said(key.name):
                faults.add(f"{where} {key.name}", f"is missing: {key.help}")
    certificate, key_file = map(values.path, _NAMES)
    return TlsFiles(certificate, key_file) if certificate and key_file else None
