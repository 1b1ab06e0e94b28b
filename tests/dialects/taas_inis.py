"""INI files of taas, for the tests of what a router, a host and a client are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relay.commands.check import Report, check_file
from relay.dialects import dialect_keys
from relay.errors import ConfigurationError
from relay.settings import read_router, read_tunnels
from relay.settings.model import DialectSettings, RouterSettings, TunnelSettings
from relay.settings.values import Options
from relay.vocabulary import Role

KEYS = {name: dialect_keys()[name] for name in ("portal", "taas")}
ROUTER_INI = "[router]\nstate-dir = state\n[dialect:taas]\n"
HOST_INI = "[host:x]\ndialect = taas\nprovisioning-file = alpha.js\nforward = tcp:127.0.0.1:8080\n"
CLIENT_INI = (
    "[client:x]\ndialect = taas\nlabel = alpha.taas.example.com\n"
    "listen = tcp:2224:interface=127.0.0.1\n"
)
PROVISIONING = (
    'exports.params = {"base32":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","uuid":["2f402f80-da50"],'
    '"name":"alpha.taas.example.com","issuer":"https://taas-registrar.example.com",'
    '"labels":["alpha","gw.alpha:62052"],"server":{"hostname":"198.51.100.7","port":8899}};\n'
)


def written(folder: Path, name: str, text: str) -> Path:
    """A file that only its owner reads."""
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)
    return path


def router_settings(folder: Path, text: str, options: Options | None = None) -> RouterSettings:
    """What a router is told by an INI file, and by options; empty: there is no file."""
    said: Options = dict(options or {})
    if text:
        written(folder, "x.ini", text)
        said = {"config": "x.ini", **said}
    return read_router(said, {}, folder, KEYS)


def section(folder: Path, more: str = "") -> DialectSettings:
    """What a router is told of taas.

    :param more: the lines of its section
    """
    (dialect,) = router_settings(folder, ROUTER_INI + more).dialects
    return dialect


def tunnel(
    folder: Path,
    text: str,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> TunnelSettings:
    """The settings of the only section, or of the options."""
    written(folder, "x.ini", text)
    written(folder, "alpha.js", PROVISIONING)
    role = Role.CLIENT if "[client" in text else Role.HOST
    said = {"config": "x.ini", **(options or {})}
    (one,) = read_tunnels(role, said, environ or {}, folder, KEYS).tunnels
    return one


def checked(folder: Path, text: str) -> Report:
    """What relay check says."""
    written(folder, "x.ini", text)
    if not (folder / "alpha.js").exists():
        written(folder, "alpha.js", PROVISIONING)
    return check_file("x.ini", {}, folder, KEYS)


def faults(folder: Path, text: str) -> list[str]:
    """What is wrong with an INI file."""
    try:
        router_settings(folder, text) if "[router]" in text else tunnel(folder, text)
    except ConfigurationError as error:
        return error.faults
    return []
