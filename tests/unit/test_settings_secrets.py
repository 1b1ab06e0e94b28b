"""Where secrets come from."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings.secrets import (
    EnvironmentSecret,
    MadeSecretFile,
    SecretFile,
    StdinSecret,
    made_secret_name,
)

LONG = "s" * 40


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def fault_of(source: SecretFile) -> str:
    with pytest.raises(ConfigurationError) as caught:
        source.read()
    (fault,) = caught.value.faults
    return fault


def test_a_file_is_read_afresh_without_trailing_white_space(tmp_path: Path) -> None:
    """An editor's newline is not part of the secret."""
    path = private(tmp_path / "s", f" {LONG} \r\n\n".encode())
    source = SecretFile(path)
    assert source.read().reveal() == f" {LONG}"
    private(path, b"t" * 32)
    assert source.read().reveal() == "t" * 32
    assert source.warnings == ()


def test_secrets_print_masked(tmp_path: Path) -> None:
    """Neither source nor secret shows itself."""
    source = SecretFile(private(tmp_path / "s", LONG.encode()))
    assert LONG not in repr(source) + repr(source.read())
    assert LONG not in repr(EnvironmentSecret("X", LONG))


def test_questionable_secrets_are_reported_once(tmp_path: Path) -> None:
    """Readable by others, or short: it works, and is said once."""
    path = private(tmp_path / "s", b"short")
    path.chmod(0o640)
    source = SecretFile(path)
    source.read()
    source.read()
    assert source.warnings == (
        f"{path}: others may read the secret; try: chmod 600 {path}",
        f"{path}: the secret has 5 bytes; fewer than 32 can be guessed",
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b" \n", "is empty; write the secret into it"),
        (b"\xff" * 40, "is not UTF-8 text"),
        (b"x" * ((1 << 20) + 1), "is longer than"),
    ],
)
def test_unusable_files(tmp_path: Path, content: bytes, why: str) -> None:
    """Each says why, and what to do."""
    assert why in fault_of(SecretFile(private(tmp_path / "s", content)))


def test_unreadable_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, a directory, forbidden."""
    path = tmp_path / "s"
    assert fault_of(SecretFile(path)).startswith(f"{path}: No such file")
    assert "name the file in it" in fault_of(SecretFile(tmp_path))
    assert "relay-router makes it" in fault_of(MadeSecretFile(path))

    def forbid(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbid)
    fault = f"{path}: Permission denied; let user {os.geteuid()} read it"
    assert fault_of(SecretFile(path)) == fault_of(MadeSecretFile(path)) == fault


def test_a_made_secret_is_made_once_and_privately(tmp_path: Path) -> None:
    """Directories 0700, the file 0600, and never overwritten."""
    source = MadeSecretFile(tmp_path / "state" / "relay" / "portal.secret")
    assert source.ensure() is True
    assert stat.S_IMODE(source.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(source.path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(source.path.parent.parent.stat().st_mode) == 0o700
    made = source.read().reveal()
    assert len(made) == 64
    assert source.ensure() is False
    assert source.read().reveal() == made
    assert source.warnings == ()
    other = MadeSecretFile(tmp_path / "other")
    other.ensure()
    assert other.read().reveal() != made


def test_a_made_secret_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks while it is made, or after a full disk, finds no empty file."""
    source = MadeSecretFile(tmp_path / "portal.secret")

    def full(_descriptor: int) -> None:
        assert not source.path.exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="cannot be made: No space left"):
        source.ensure()
    assert list(tmp_path.iterdir()) == []


def test_of_two_who_make_a_secret_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The router and ``relay token`` may be started at the same moment."""
    source = MadeSecretFile(tmp_path / "portal.secret")
    monkeypatch.setattr(os, "fsync", lambda _: private(source.path, LONG.encode()))
    assert source.ensure() is False
    assert source.read().reveal() == LONG
    assert list(tmp_path.iterdir()) == [source.path]


def test_a_secret_that_cannot_be_made(tmp_path: Path) -> None:
    """The remedy is named."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be made.*set state-dir"):
        MadeSecretFile(tmp_path / "file" / "portal.secret").ensure()


def test_names_of_made_secrets() -> None:
    """A dialect with two secrets has two files."""
    assert made_secret_name("portal", "secret-file") == "portal.secret"
    assert made_secret_name("websocktunnel", "secret-a-file") == "websocktunnel-a.secret"


def test_a_variable(tmp_path: Path) -> None:
    """Its name is the origin."""
    source = EnvironmentSecret("PORTAL_TOKEN", LONG + "\n")
    assert (source.read().reveal(), source.origin) == (LONG, "environment PORTAL_TOKEN")
    with pytest.raises(ConfigurationError, match="environment X: is empty"):
        EnvironmentSecret("X", " ").read()


def test_standard_input() -> None:
    """The first line is waited for, each further one replaces it."""
    source = StdinSecret()
    assert not source.ready
    with pytest.raises(ConfigurationError, match="standard input: no token has come"):
        source.read()
    source.feed(f"{LONG}\n")
    assert source.ready
    assert source.read().reveal() == LONG
    source.feed("\n")
    assert source.read().reveal() == LONG
    source.feed("other")
    assert source.read().reveal() == "other"
