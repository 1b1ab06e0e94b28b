"""Session-relay in INI files: what they, options and variables make of its keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from relay.commands.check import Report, check_file
from relay.dialects.session_relay.keys import (
    CLIENT_KEYS,
    HOST_KEYS,
    ROUTER_KEYS,
    TRAITS,
)
from relay.settings import DialectKeys, examine_router, read_tunnels
from relay.settings.listeners import listeners
from relay.settings.model import DialectSettings, RouterSettings, TunnelSettings, TunnelsSettings
from relay.settings.values import Options
from relay.vocabulary import Role

KEYS = {"session-relay": DialectKeys(ROUTER_KEYS, HOST_KEYS, CLIENT_KEYS, TRAITS)}
SECTION = "[dialect:session-relay]\n"
ROUTER_INI = "[router]\nlisten = tcp:8080:interface=127.0.0.1\nstate-dir = state\n" + SECTION
ORIGINAL = {"RELAY_AUDIENCE": "https://r.example/access", "RELAY_URL": "wss://r.example/relay"}
HOST_INI = "[host:rig]\ndialect = session-relay\n"
RULE = "session = https://r.example/access/session/t\ntoken-file = a.token\n"
CLIENT_INI = f"[client:data]\ndialect = session-relay\n{RULE}listen = ws:8000\n"


def written(folder: Path, text: str) -> str:
    """An INI, and the token that it names."""
    (folder / "x.ini").write_text(text)
    (folder / "a.token").write_text("t" * 40)
    (folder / "a.token").chmod(0o600)
    return "x.ini"


def router(folder: Path, text: str | None = ROUTER_INI, **environ: str) -> RouterSettings:
    """A router's settings; without text nothing but its environment tells it anything."""
    options: Options = {} if text is None else {"config": written(folder, text)}
    return examine_router(options, environ, folder, KEYS).settings


def dialect(folder: Path, more: str = "", **environ: str) -> DialectSettings:
    """What the router is told of the dialect."""
    (one,) = router(folder, ROUTER_INI + more, **environ).dialects
    return one


def endpoints(settings: RouterSettings) -> list[str]:
    """Section, key and endpoint of all that listens."""
    return [f"{one.key} = {one.endpoint}" for one in listeners(settings, KEYS)]


def tunnels(
    folder: Path,
    text: str,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> TunnelsSettings:
    """The settings of hosts or clients."""
    role = Role.CLIENT if "[client" in text else Role.HOST
    told = {"config": written(folder, text), **(options or {})}
    return read_tunnels(role, told, environ or {}, folder, KEYS)


def tunnel(
    folder: Path,
    text: str,
    options: Options | None = None,
    environ: Mapping[str, str] | None = None,
) -> TunnelSettings:
    """The settings of the only section, or of the options."""
    (one,) = tunnels(folder, text, options, environ).tunnels
    return one


def checked(folder: Path, text: str) -> Report:
    """What relay check says."""
    return check_file(written(folder, text), {}, folder, KEYS)
