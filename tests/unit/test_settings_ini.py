"""INI files: lines, faults, and files that are none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.errors import ConfigurationError
from relay.settings import Faults, find_config, read_ini, read_router, read_tunnels
from relay.settings import ini as ini_module
from relay.vocabulary import Role
from tests.unit.test_settings_keys import PORTAL

LINES = st.sampled_from(
    [
        "[router]",
        " [router]",
        "[dialect:portal]",
        "[host:web]",
        "[",
        "[]",
        "]",
        "listen = tcp:80",
        "listen =",
        "  tcp:81",
        "= tcp",
        "=",
        "  ",
        "# comment",
        "  ; comment",
        "router = ws://[",
        "forward = web=tcp:1:2",
        "dialect = \u2028",
        "ping-s = 1e9",
        "ping-s = \u0663",
        "window-bytes = " + "9" * 30,
        "proxy = http://\ud800".encode("utf-8", "replace").decode(),
        "token-file = /",
        "trusted-proxies = ,,",
        "public-url = http://x:99999",
        "admin = \\",
        "\x0c",
        "\ufeff[router]",
    ]
)
WHOLE = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def parse(tmp_path: Path, text: str) -> tuple[ini_module.Ini, list[str]]:
    (tmp_path / "x.ini").write_text(text)
    faults = Faults()
    ini = read_ini(tmp_path / "x.ini", "x.ini", faults)
    assert ini is not None
    return ini, faults.lines


def test_every_value_knows_its_line(tmp_path: Path) -> None:
    """Lists span lines, with comments and blank lines in between."""
    ini, faults = parse(
        tmp_path,
        "# c\n\n[a]\nx = 1\nmany =\n  one\n  # no\n\n  two\n  one\nlast = 100% ; no = #1\n",
    )
    assert faults == []
    section = ini.sections["a"]
    assert section.place.origin == "x.ini:3"
    assert section.entries["x"].place.where == "x.ini:4: [a] x"
    pieces = section.entries["many"].pieces
    assert [(piece.text, piece.place.origin) for piece in pieces] == [
        ("one", "x.ini:6"),
        ("two", "x.ini:9"),
        ("one", "x.ini:10"),
    ]
    assert section.entries["last"].pieces[0].text == "100% ; no = #1"


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_and_byte_order_marks_of_other_systems(tmp_path: Path, end: str) -> None:
    """Files written elsewhere are read alike."""
    path = tmp_path / "x.ini"
    path.write_bytes(f"\ufeff[a]{end}x = ä{end}".encode())
    faults = Faults()
    ini = read_ini(path, "x.ini", faults)
    assert ini is not None
    assert faults.lines == []
    assert ini.sections["a"].entries["x"].pieces[0].text == "ä"


def test_faults_stay_on_one_line(tmp_path: Path) -> None:
    """Control characters of the user's text do not reach the terminal."""
    _ini, faults = parse(tmp_path, "[a]\n\x1b[31mred\n")
    assert faults == ['x.ini:2: neither "key = value" nor [section]: "\\x1b[31mred"']


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[a]\n\xff\n", "x.ini:2: is not UTF-8 text (byte 0xff)"),
        (b"[a]\nx = \0\n", "x.ini:2: is not text (byte 0x00)"),
        (b"#" * (1 << 20) + b"\n", "x.ini: is longer than 1048576 bytes: hardly an INI file"),
    ],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, fault: str) -> None:
    """They are one fault, not a traceback."""
    (tmp_path / "x.ini").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_router({"config": "x.ini"}, {}, tmp_path, PORTAL)
    assert caught.value.faults == [fault]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a directory, forbidden: each says so in one line."""

    def faults_of(name: str) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            read_router({"config": name}, {}, tmp_path, PORTAL)
        return caught.value.faults

    assert faults_of("nowhere.ini") == ["nowhere.ini: there is no such file"]
    assert faults_of(".") == [".: is a directory; name the INI file in it"]
    assert faults_of("a\0b") == ["a\\x00b: cannot be read: embedded null byte"]

    def forbid(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbid)
    assert faults_of("x.ini") == ["x.ini: cannot be read: Permission denied"]


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Option, variable, below the working directory, below /etc: the first counts."""
    monkeypatch.setattr(ini_module, "SYSTEM_DIRECTORY", tmp_path / "system")
    environ: dict[str, str] = {}
    assert find_config({}, environ, tmp_path, "host.ini") is None
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "host.ini").touch()
    assert find_config({}, environ, tmp_path, "host.ini") == (
        tmp_path / "system/host.ini",
        os.fspath(tmp_path / "system/host.ini"),
    )
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "host.ini").touch()
    assert find_config({}, environ, tmp_path, "host.ini") == (
        tmp_path / "etc/host.ini",
        "etc/host.ini",
    )
    environ["RELAY_CONFIG"] = "a.ini"
    assert find_config({}, environ, tmp_path, "host.ini") == (tmp_path / "a.ini", "a.ini")
    assert find_config({"config": ["b.ini"]}, environ, tmp_path, "host.ini") == (
        tmp_path / "b.ini",
        "b.ini",
    )


def read_all(directory: Path, content: bytes) -> None:
    (directory / "x.ini").write_bytes(content)
    options = {"config": "x.ini"}
    for read in (
        lambda: read_router(options, {}, directory, PORTAL),
        lambda: read_tunnels(Role.HOST, options, {}, directory, PORTAL),
        lambda: read_tunnels(Role.CLIENT, options, {}, directory, PORTAL),
    ):
        try:
            read()
        except ConfigurationError as error:
            for fault in error.faults:
                assert fault.isprintable()


@WHOLE
@given(content=st.binary(max_size=300))
def test_random_bytes_are_faults_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    """Whatever the file holds, there is no traceback."""
    read_all(tmp_path, content)


@WHOLE
@given(lines=st.lists(LINES | st.text(max_size=20), max_size=15))
def test_random_lines_are_faults_and_nothing_else(tmp_path: Path, lines: list[str]) -> None:
    """Nor for files that look like INI files."""
    read_all(tmp_path, "\n".join(lines).encode("utf-8", "replace"))


@WHOLE
@given(text=st.text(max_size=60), key=st.sampled_from(["router", "forward", "proxy", "ping-s"]))
def test_random_options_are_faults_and_nothing_else(tmp_path: Path, text: str, key: str) -> None:
    """Nor for options."""
    options: dict[str, str | list[str] | None] = {"forward": ["tcp:a:1"], key: [text]}
    with contextlib.suppress(ConfigurationError):
        read_tunnels(Role.HOST, options, {"RELAY_TOKEN": "t"}, tmp_path, PORTAL)
