"""Provisioning files for our taas host, and sections that name them."""

from __future__ import annotations

import json
from pathlib import Path

from relay.dialects.taas.host import run_host
from relay.settings.model import Door, TunnelSettings
from relay.vocabulary import Role
from tests.dialects.taas_machine import Machine

UUID = "2f402f80-da50-11e1-9b23-0000000000aa"
KEY = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"
CA = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
CODE = "898251"
"""The code of taas.md §18.1 at the machine's first second."""

PROVISIONING = {
    "algorithm": "sha1",
    "name": "alpha.taas.example.com",
    "issuer": "https://taas-registrar.example.com",
    "step": 30,
    "base32": KEY,
    "protocol": "totp",
    "uuid": [UUID],
    "labels": ["alpha", "gw.alpha:62052"],
    "server": {"hostname": "198.51.100.7", "port": 8899, "ca": list(CA.encode())},
}


def text_of(**changes: object) -> str:
    """:returns: a provisioning file's text"""
    return f"exports.params = {json.dumps(PROVISIONING | changes)};\n"


def provision(folder: Path) -> Path:
    """:returns: a provisioning file"""
    path = folder / "alpha.js"
    path.write_text(text_of())
    return path


def settings_of(path: Path, router: str = "", **values: object) -> TunnelSettings:
    """:returns: a host's section"""
    values = {"provisioning-file": path, "label": None, "pool": 15} | values
    return TunnelSettings(
        Role.HOST, "lab", "taas", router, None, (Door("", "tcp:127.0.0.1:8080"),), None, None,
        None, "yes", 1, 0, 0, values,
    )  # fmt: skip


def start(path: Path, router: str = "", **values: object) -> Machine:
    """:returns: a machine on which a host runs"""
    machine = Machine(settings_of(path, router, **values))
    machine.run(run_host)
    return machine
