"""Environments that are made for an original say which dialect is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings import DialectKeys, examine_router, ini, read_tunnels
from relay.settings.keys import tunnel_keys
from relay.settings.model import RouterSettings
from relay.settings.schema import Key, Kind, Traits, UsualListeners
from relay.vocabulary import Role
from tests.unit.test_settings_keys import PORTAL

USUAL = UsualListeners(("HALL_URL", "HALL_NAME"), (("listen-hall", "tcp:3000"),))
HALL_KEYS = (Key("listen-hall", Kind.SERVER_ENDPOINTS, "", environment=("HALL_LISTEN",)),)
FREE = tuple(
    Key(key.name, key.kind, "", required=False) for key in tunnel_keys(Role.HOST) if key.required
)
HALL = DialectKeys(
    HALL_KEYS,
    FREE,
    (),
    Traits(usual_listeners=USUAL, tunnel_variables={Role.HOST: ("HALL_PORT", "HALL_API")}),
)
BOTH = {**PORTAL, "hall": HALL}
ORIGINAL = {"HALL_URL": "ws://r.example", "HALL_NAME": "r"}


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini, "SYSTEM_DIRECTORY", tmp_path / "system")


def router(folder: Path, **environ: str) -> RouterSettings:
    """A router's settings without an INI."""
    return examine_router({}, environ, folder, BOTH).settings


def dialect_of_host(folder: Path, options: dict[str, str], **environ: str) -> str:
    """The dialect of a host without an INI."""
    (tunnel,) = read_tunnels(Role.HOST, options, environ, folder, BOTH).tunnels
    return tunnel.dialect


@pytest.mark.parametrize("more", [{}, {"HALL_LISTEN": "tcp:3100"}])
def test_a_router_speaks_what_its_original_did(tmp_path: Path, more: dict[str, str]) -> None:
    """It speaks nothing else, and opens no port of ours that may be somebody else's."""
    settings = router(tmp_path, **ORIGINAL, **more)
    assert [dialect.name for dialect in settings.dialects] == ["hall"]
    assert settings.listen == ()
    expected = more.get("HALL_LISTEN", "tcp:3000")
    assert settings.dialects[0].values["listen-hall"] == (expected,)


def test_half_an_environment_says_nothing(tmp_path: Path) -> None:
    """One of the variables may be meant for somebody else."""
    settings = router(tmp_path, HALL_URL="ws://r.example")
    assert [dialect.name for dialect in settings.dialects] == list(BOTH)
    assert settings.listen == ("tcp:8080:interface=127.0.0.1",)


@pytest.mark.parametrize("variable", ["HALL_PORT", "HALL_API"])
def test_a_host_speaks_what_its_original_did(tmp_path: Path, variable: str) -> None:
    """Any of the original's variables is enough."""
    assert dialect_of_host(tmp_path, {}, **{variable: "1"}) == "hall"


def test_a_router_that_is_named_is_of_the_usual_dialect(tmp_path: Path) -> None:
    """Whoever says where the router is starts a host of ours, whatever else the environment has."""
    with pytest.raises(ConfigurationError, match="--dialect portal"):
        dialect_of_host(tmp_path, {"router": "ws://r.example"}, HALL_PORT="1")


def test_an_ini_says_it_itself(tmp_path: Path) -> None:
    """A section without a dialect is of the usual one."""
    (tmp_path / "host.ini").write_text("[host:rig]\nforward = tcp:1\n")
    with pytest.raises(ConfigurationError, match="router"):
        dialect_of_host(tmp_path, {"config": "host.ini"}, HALL_PORT="1")
