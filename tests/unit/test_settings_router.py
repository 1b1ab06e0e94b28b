"""What relay-router is told: precedence, absent keys, origins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings import (
    DialectKeys,
    EnvironmentSecret,
    MadeSecretFile,
    Options,
    Reading,
    SecretFile,
    examine_router,
    listeners,
)
from relay.settings import ini as ini_module
from relay.settings.model import DialectSettings, RouterSettings
from relay.settings.schema import Key, Kind
from tests.unit.test_settings_keys import PORTAL

OTHER = DialectKeys(
    router=(
        Key("secret-a-file", Kind.SECRET_FILE, "a"),
        Key("listen-access", Kind.SERVER_ENDPOINTS, "access"),
        Key("ping-s", Kind.SECONDS, "", default="10"),
        Key("port", Kind.INTEGER, "port", fallback_environment=("PORT",), default="80"),
    ),
    host=(),
    client=(),
)
BOTH = {**PORTAL, "other": OTHER}


@pytest.fixture(autouse=True)
def _no_system_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ini_module, "SYSTEM_DIRECTORY", tmp_path / "system")


def examine(
    directory: Path,
    ini: str | None = None,
    options: Options | None = None,
    **environ: str,
) -> Reading[RouterSettings]:
    given: Options = options or {}
    if ini is not None:
        (directory / "relay.ini").write_text(ini)
        given = {**given, "config": "relay.ini"}
    return examine_router(given, environ, directory, BOTH)


def origins(reading: Reading[RouterSettings]) -> dict[str, tuple[str, str]]:
    return {f"[{line.section}] {line.key}": (line.value, line.origin) for line in reading.explained}


def test_the_gear_by_a_variable(tmp_path: Path) -> None:
    """A variable outweighs what [limits] says."""
    text = "[router]\nlisten = tcp:1\n[dialect:portal]\n[limits]\ncut-through = yes\n"
    assert examine(tmp_path, text).settings.limits.cut_through
    told = examine(tmp_path, text, RELAY_CUT_THROUGH="no")
    assert not told.settings.limits.cut_through
    assert origins(told)["[limits] cut-through"] == ("no", "environment RELAY_CUT_THROUGH")


def faults(directory: Path, ini: str, options: Options | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        examine(directory, ini, options)
    return caught.value.faults


def dialect(settings: RouterSettings, name: str) -> DialectSettings:
    (found,) = (one for one in settings.dialects if one.name == name)
    return found


def test_without_any_configuration(tmp_path: Path) -> None:
    """It listens on loopback and speaks every installed dialect."""
    reading = examine(tmp_path, HOME=str(tmp_path))
    settings = reading.settings
    assert settings.listen == ("tcp:8080:interface=127.0.0.1",)
    assert [one.name for one in settings.dialects] == ["portal", "other"]
    assert settings.config_file is None
    assert settings.admin is None
    assert origins(reading)["[router] listen"] == ("tcp:8080:interface=127.0.0.1", "default")


def test_precedence_and_origins(tmp_path: Path) -> None:
    """Option, variable, INI, default, and each says where it came from."""
    ini = "[router]\nlisten = tcp:1\nlog-level = info\ndrain-s = 5\n[dialect:portal]\n"
    reading = examine(tmp_path, ini, {"log-level": "error"}, RELAY_LOG_LEVEL="panic")
    assert reading.settings.log_level == "error"
    reading = examine(tmp_path, ini, RELAY_LOG_LEVEL="panic", AUTH_SECRET="hush")
    settings = reading.settings
    assert settings.log_level == "critical"
    assert isinstance(dialect(settings, "portal").values["secret-file"], EnvironmentSecret)
    found = origins(reading)
    assert found["[router] log-level"] == ("critical", "environment RELAY_LOG_LEVEL")
    assert found["[router] drain-s"] == ("5", "relay.ini:4")
    assert found["[router] log-format"] == ("text", "default")
    assert found["[dialect:portal] secret-file"] == ("***", "environment AUTH_SECRET")
    assert examine(tmp_path, ini, RELAY_LOG_LEVEL="").settings.log_level == "info"


def test_variables_with_general_names_count_only_where_the_ini_is_silent(tmp_path: Path) -> None:
    """PORT may be meant for somebody else."""
    ini = "[router]\nlisten = tcp:1\n[dialect:other]\n"
    assert dialect(examine(tmp_path, ini).settings, "other").values["port"] == 80
    assert dialect(examine(tmp_path, ini, PORT="7").settings, "other").values["port"] == 7
    said = examine(tmp_path, ini + "port = 8\n", PORT="7")
    assert dialect(said.settings, "other").values["port"] == 8
    wrong = examine_fault(tmp_path, ini, PORT="x")
    assert wrong == ['environment PORT: "x" is not a whole number from 0 on']


def examine_fault(directory: Path, ini: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        examine(directory, ini, None, **environ)
    return caught.value.faults


def test_secrets_that_nobody_named_are_made_in_the_state_directory(tmp_path: Path) -> None:
    """Reading makes nothing by itself."""
    ini = "[router]\nlisten = tcp:1\nstate-dir = state\n[dialect:portal]\n[dialect:other]\n"
    settings = examine(tmp_path, ini).settings
    source = dialect(settings, "portal").values["secret-file"]
    assert isinstance(source, MadeSecretFile)
    assert source.path == tmp_path / "state" / "portal.secret"
    other = dialect(settings, "other").values["secret-a-file"]
    assert isinstance(other, MadeSecretFile)
    assert other.path.name == "other-a.secret"
    assert not settings.state_dir.exists()


def test_a_named_secret_is_relative_to_the_ini(tmp_path: Path) -> None:
    """Whatever the working directory is."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "my.secret").write_text("x")
    (tmp_path / "conf" / "relay.ini").write_text(
        "[router]\nlisten = tcp:1\n[dialect:portal]\nsecret-file = my.secret\n"
    )
    reading = examine(tmp_path, None, {"config": "conf/relay.ini", "state-dir": "s"})
    source = dialect(reading.settings, "portal").values["secret-file"]
    assert isinstance(source, SecretFile)
    assert source.path == tmp_path / "conf" / "my.secret"
    assert reading.settings.state_dir == tmp_path / "s"
    assert reading.settings.config_file == tmp_path / "conf" / "relay.ini"


def test_the_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's, else the system's for root, else the user's."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert examine(tmp_path, HOME="/home/me").settings.state_dir == Path(
        "/home/me/.local/state/relay"
    )
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert examine(tmp_path).settings.state_dir == Path("/var/lib/relay")
    given = examine(tmp_path, STATE_DIRECTORY="/var/lib/private/relay:/x")
    assert given.settings.state_dir == Path("/var/lib/private/relay")
    assert origins(given)["[router] state-dir"][1] == "environment STATE_DIRECTORY"


def test_which_dialects_are_spoken(tmp_path: Path) -> None:
    """Those with a section, unless ``dialects`` says which."""

    def spoken(ini: str, options: Options | None = None) -> list[str]:
        settings = examine(tmp_path, "[router]\nlisten = tcp:1\n" + ini, options).settings
        return [one.name for one in settings.dialects]

    assert spoken("[dialect:other]\n") == ["other"]
    assert spoken("dialects = portal\n[dialect:other]\n") == ["portal"]
    assert spoken("dialects = other, portal\n") == ["other", "portal"]
    assert spoken("[dialect:other]\n", {"dialects": "portal"}) == ["portal"]
    assert faults(tmp_path, "[router]\nlisten = tcp:1\ndialects = portal, othr\n") == [
        'relay.ini:3: [router] dialects: dialect "othr" is not installed '
        '(installed: other, portal); did you mean "other"?'
    ]


def test_liveness_of_a_dialect(tmp_path: Path) -> None:
    """Its section outweighs [limits], which outweighs the dialect's own default."""
    head = "[router]\nlisten = tcp:1\n"

    def pings(ini: str) -> tuple[float, ...]:
        settings = examine(tmp_path, head + ini).settings
        return tuple(one.ping_s for one in settings.dialects)

    sections = "[dialect:portal]\n[dialect:other]\n"
    assert pings(sections) == (20, 10)
    assert pings("[limits]\nping-s = 30\n" + sections) == (30, 30)
    assert pings("[limits]\nping-s = 30\n" + sections + "ping-s = 0\n") == (30, 0)


def test_listeners_of_dialects(tmp_path: Path) -> None:
    """One with its own is not on the shared ones; other keys of its own come on top."""
    settings = examine(
        tmp_path,
        "[router]\nlisten = tcp:1\n[dialect:portal]\nlisten = tcp:2\n"
        "[dialect:other]\nlisten-access = tcp:3\n",
    ).settings
    assert [(one.endpoint, one.dialects) for one in listeners(settings, BOTH)] == [
        ("tcp:1", ("other",)),
        ("tcp:2", ("portal",)),
        ("tcp:3", ("other",)),
    ]


def test_every_dialect_needs_a_listener(tmp_path: Path) -> None:
    """One of its own, or a shared one."""
    assert faults(tmp_path, "[dialect:portal]\nlisten = tcp:1\n[dialect:other]\n") == [
        "relay.ini: [router] listen: dialect other has no listener; "
        "write listen = tcp:8080:interface=127.0.0.1"
    ]


def test_dialects_may_share_a_listener_of_their_own(tmp_path: Path) -> None:
    """The same endpoint in two sections is one listener, if both want TLS or neither."""
    ini = "[dialect:portal]\nlisten = tcp:1\n[dialect:other]\nlisten = tcp:1\n"
    assert len(listeners(examine(tmp_path, ini).settings, BOTH)) == 2


def test_unknown_options_are_faults(tmp_path: Path) -> None:
    """With the nearest spelling."""
    assert faults(tmp_path, "[dialect:portal]\nlisten = tcp:1\n", {"listn": "tcp:2"}) == [
        'option --listn: unknown option; did you mean "listen"?'
    ]


def test_all_sources_tell_their_faults_at_once(tmp_path: Path) -> None:
    """Option, variable and file."""
    with pytest.raises(ConfigurationError) as caught:
        examine(
            tmp_path,
            "[router]\nlisten = tpc:1\n[dialect:portal]\n",
            {"admin": "9100"},
            RELAY_LOG_LEVEL="loud",
        )
    assert caught.value.faults == [
        'relay.ini:2: [router] listen: unknown kind of endpoint "tpc"; did you mean "tcp"?',
        'option --admin: "9100" is no endpoint; write it as tcp:8080',
        'environment RELAY_LOG_LEVEL: "loud" is none of debug, info, warn, error or critical',
    ]


def test_settings_are_values(tmp_path: Path) -> None:
    """A reload compares them."""
    ini = "[router]\nlisten = tcp:1\nadmin = tcp:2\n[dialect:other]\nsecret-a-file =\n"
    first, second = (examine(tmp_path, ini).settings for _ in range(2))
    assert replace(first, dialects=()) == replace(second, dialects=())
