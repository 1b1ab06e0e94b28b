"""Files of credentials: seen to change, and changed at one stroke."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings.credentials import (
    CredentialsFile,
    MadeCredentialsFile,
    made_credentials_name,
    rewrite,
)

TEXT = '{"secret": "hush"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that only its owner reads."""
    path = tmp_path / "credentials.json"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def test_short_secrets_are_not_this_files_matter(path: Path) -> None:
    """How long the whole file is says nothing of the secrets in it."""
    source = CredentialsFile(path)
    assert source.read().reveal() == TEXT
    assert source.warnings == ()
    assert "hush" not in repr(source) + repr(source.read())


def test_others_may_read_it(path: Path) -> None:
    """It is warned about, as with any secret."""
    path.chmod(0o644)
    source = CredentialsFile(path)
    source.read()
    assert source.warnings == (f"{path}: others may read the secret; try: chmod 600 {path}",)


def test_a_change_is_seen_until_it_is_read(path: Path) -> None:
    """Written in place, replaced or gone: each is a change, and each once."""
    source = CredentialsFile(path)
    assert source.changed()
    source.read()
    assert not source.changed()
    path.write_text("{}  ")
    assert source.changed()
    source.read()
    assert not source.changed()
    rewrite(path, lambda _: TEXT)
    assert source.changed()
    source.read()
    path.unlink()
    assert source.changed()
    with pytest.raises(ConfigurationError, match="No such file"):
        source.read()
    assert not source.changed()
    path.write_text(TEXT)
    assert source.changed()


def test_a_pipe_never_changes(tmp_path: Path) -> None:
    """It could not be read once more."""
    os.mkfifo(tmp_path / "pipe")
    assert not CredentialsFile(tmp_path / "pipe").changed()


def test_a_file_that_is_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is its own, above that of a single secret."""
    monkeypatch.setattr(CredentialsFile, "max_bytes", 8)
    with pytest.raises(ConfigurationError, match="longer than 8 bytes"):
        CredentialsFile(path).read()


def test_a_made_file(tmp_path: Path) -> None:
    """It is private, holds what it is told to, and is made once."""
    source = MadeCredentialsFile(tmp_path / "state" / "credentials.json", "{}\n")
    with pytest.raises(ConfigurationError, match="relay-router makes it when it starts"):
        source.read()
    assert source.ensure() is True
    assert source.read().reveal() == "{}"
    assert stat.S_IMODE(source.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(source.path.parent.stat().st_mode) == 0o700
    source.path.write_text(TEXT)
    assert source.ensure() is False
    assert source.read().reveal() == TEXT


def test_the_made_files_name() -> None:
    """As the original's own."""
    assert made_credentials_name("credentials-file") == "credentials.json"


def test_rewriting_keeps_the_mode_and_a_link(path: Path, tmp_path: Path) -> None:
    """What leads to the file still does, and nothing else is left beside it."""
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path.name)
    rewrite(link, str.upper)
    assert path.read_text() == TEXT.upper()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(one.name for one in tmp_path.iterdir()) == ["credentials.json", "link.json"]
    assert link.is_symlink()


def test_what_stays_the_same_is_not_written(path: Path) -> None:
    """Nobody has to read it anew."""
    before = path.stat()
    rewrite(path, lambda text: text)
    assert path.stat() == before


def test_a_change_that_fails_leaves_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it refused, or the disk full."""

    def refuse(_: str) -> str:
        raise ConfigurationError(["no"])

    with pytest.raises(ConfigurationError, match="no"):
        rewrite(path, refuse)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match="cannot be replaced: No space left"):
        rewrite(path, str.upper)
    assert path.read_text() == TEXT
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named, with what to do."""
    with pytest.raises(ConfigurationError, match=r"none\.json: No such file or directory; put"):
        rewrite(tmp_path / "none.json", str.upper)


def test_an_owner_that_cannot_be_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its reader could read no more is not written."""
    fstat = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        fields = tuple(fstat(descriptor))
        return os.stat_result((*fields[:4], fields[4] + 1, *fields[5:]))

    def forbid(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", of_another)
        patched.setattr(os, "fchown", forbid)
        with pytest.raises(ConfigurationError, match="cannot be replaced: Operation not permitted"):
            rewrite(path, str.upper)
    assert path.read_text() == TEXT
    assert list(path.parent.iterdir()) == [path]


def test_two_who_change_it_at_once_wait_for_each_other(path: Path) -> None:
    """What either adds is there in the end."""
    path.write_text("0")
    started = threading.Barrier(4)

    def add() -> None:
        started.wait()
        for _ in range(25):
            rewrite(path, lambda text: str(int(text) + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == "100"
