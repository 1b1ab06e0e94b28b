"""Every example file, and what is said of it.

An invalid one begins with ``# fault: LINE: …`` for each fault that it has, without the file's name.
``{directory}`` stands for the directory that it is read in.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from relay.dialects.network_relay import keys as network_relay
from relay.dialects.session_relay import keys as session_relay
from relay.dialects.taas import dialect as taas
from relay.dialects.websocktunnel.keys import CLIENT_KEYS, HOST_KEYS, ROUTER_KEYS, TRAITS
from relay.errors import ConfigurationError
from relay.settings import (
    LIMIT_KEYS,
    TLS_KEYS,
    DialectKeys,
    ini,
    log_keys,
    read_router,
    read_tunnels,
    router_keys,
    tunnel_keys,
)
from relay.settings.model import Limits, RouterSettings, TunnelsSettings
from relay.vocabulary import Role
from tests.unit.test_settings_keys import PORTAL

NETWORK_RELAY = DialectKeys(
    network_relay.ROUTER_KEYS,
    network_relay.HOST_KEYS,
    network_relay.CLIENT_KEYS,
    network_relay.TRAITS,
)
SESSION_RELAY = DialectKeys(
    session_relay.ROUTER_KEYS,
    session_relay.HOST_KEYS,
    session_relay.CLIENT_KEYS,
    session_relay.TRAITS,
)
SHIPPED = {
    **PORTAL,
    "websocktunnel": DialectKeys(ROUTER_KEYS, HOST_KEYS, CLIENT_KEYS, TRAITS),
    "network-relay": NETWORK_RELAY,
    "session-relay": SESSION_RELAY,
    "taas": DialectKeys(
        tuple(taas.router_keys),
        tuple(taas.tunnel_keys[Role.HOST]),
        tuple(taas.tunnel_keys[Role.CLIENT]),
        taas.traits,
    ),
}

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "tests" / "examples"
NEEDED = ("web.token", "me.token", "portal.secret", "relay.crt", "relay.key", "ca.pem")
PROVISIONING = (
    'exports.params = {"base32":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","uuid":["2f402f80-da50"],'
    '"name":"alpha.taas.example.com","issuer":"https://taas-registrar.example.com",'
    '"labels":["alpha","gw.alpha:62052"],"server":{"hostname":"127.0.0.1","port":8899}};\n'
)
FAULT = "# fault: "


def read(
    file: Path, dialects: Mapping[str, DialectKeys] = PORTAL
) -> RouterSettings | TunnelsSettings:
    program = file.name.partition("-")[0].removesuffix(".ini")
    options = {"config": file.name}
    if program in ("router", "relay"):
        return read_router(options, {}, file.parent, dialects)
    return read_tunnels(Role(program), options, {}, file.parent, dialects)


def spoken(file: Path) -> Mapping[str, DialectKeys]:
    """:returns: the dialects that an example knows: portal, and what its name says"""
    return {name: keys for name, keys in SHIPPED.items() if name == "portal" or name in file.stem}


def copied(file: Path, directory: Path) -> Path:
    for name in NEEDED:
        (directory / name).write_text("x" * 40)
    (directory / "alpha.js").write_text(PROVISIONING)
    return Path(shutil.copy(file, directory))


@pytest.mark.parametrize("file", sorted((EXAMPLES / "valid").iterdir()), ids=lambda file: file.name)
def test_valid_examples_load(file: Path, tmp_path: Path) -> None:
    """Nothing is wrong with them."""
    read(copied(file, tmp_path), spoken(file))


@pytest.mark.parametrize(
    "file", sorted((EXAMPLES / "invalid").iterdir()), ids=lambda file: file.name
)
def test_invalid_examples_have_exactly_the_faults_they_announce(file: Path, tmp_path: Path) -> None:
    """All faults are told at once, each in one line with its place."""
    expected = []
    for line in file.read_text().splitlines():
        if line.startswith(FAULT):
            text = line.removeprefix(FAULT).replace("{directory}", str(tmp_path))
            separator = ":" if text[0].isdigit() else ": "
            named = text.startswith("relay-")
            expected.append(text if named else f"{file.name}{separator}{text}")
    with pytest.raises(ConfigurationError) as caught:
        read(copied(file, tmp_path), spoken(file))
    assert caught.value.faults == expected


@pytest.mark.parametrize("name", ["relay.ini", "host.ini", "client.ini"])
def test_shipped_samples_load(name: str, tmp_path: Path) -> None:
    """Whoever copies one has something that works."""
    settings = read(copied(ROOT / "etc" / name, tmp_path), SHIPPED)
    assert settings.log_level == "info"


def test_the_shipped_router_needs_no_files_and_shows_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first start in a fresh checkout works, and does what a start without a file does."""
    shipped = read_router({}, {}, ROOT, SHIPPED)
    assert shipped.limits == Limits()
    assert shipped.tls is None
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path)
    bare = read_router({}, {}, tmp_path, SHIPPED)
    assert (shipped.listen, shipped.drain_s) == (bare.listen, bare.drain_s)
    assert [dialect.name for dialect in shipped.dialects] == list(SHIPPED)


@pytest.mark.parametrize("name", ["relay.ini", "host.ini", "client.ini"])
def test_shipped_samples_mention_every_key(name: str) -> None:
    """They are the reference that people read first."""
    text = (ROOT / "etc" / name).read_text()
    if name == "relay.ini":
        keys = [*router_keys(), *LIMIT_KEYS, *TLS_KEYS]
        keys += [key for dialect in SHIPPED.values() for key in dialect.router]
    else:
        role = Role(name.removesuffix(".ini"))
        keys = [*(key for key in tunnel_keys(role) if key.name != "secret-file"), *log_keys()]
        keys += [key for dialect in SHIPPED.values() for key in dialect.of(role) if not key.absent]
        # nobody needs a client to which only its absence is told
        keys = [key for key in keys if role is Role.HOST or key.name != "id"]
    lines = [line.lstrip("# ") for line in text.splitlines()]
    for key in keys:
        assert any(line.startswith(f"{key.name} =") for line in lines), key.name
