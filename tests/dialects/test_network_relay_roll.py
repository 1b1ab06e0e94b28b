"""Who may log in at a router, while the file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.dialects.network_relay.credentials import Client
from relay.dialects.network_relay.roll import Roll
from relay.errors import ConfigurationError
from relay.settings.credentials import CredentialsFile
from relay.settings.model import Secret

FIRST = '{"edge-agents": {"a": "secret-a"}, "access-client-secrets": ["secret-c"]}'
SECOND = '{"edge-agents": {"bb": "secret-b"}, "access-client-secrets": []}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of credentials."""
    path = tmp_path / "credentials.json"
    path.write_text(FIRST)
    path.chmod(0o600)
    return path


def test_who_is_listed_may_log_in(path: Path) -> None:
    """Nobody else may; an empty name least of all."""
    roll = Roll(CredentialsFile(path))
    assert roll.agent("a") == ("secret-a",)
    assert roll.agent("b") == roll.agent("") == ()
    assert roll.client("secret-c") == Client("", "secret-c")
    assert roll.client("secret-a") is roll.client("") is None


def test_a_change_counts_at_the_next_login(path: Path) -> None:
    """What was added works at once, what was taken away does not any more."""
    roll = Roll(CredentialsFile(path))
    path.write_text(SECOND)
    assert roll.agent("bb") == ("secret-b",)
    assert roll.agent("a") == ()
    assert roll.client("secret-c") is None


def test_a_file_that_is_not_valid_changes_nothing(path: Path) -> None:
    """Until it is in order again; one that is gone is not valid either."""
    roll = Roll(CredentialsFile(path))
    for wrong in ('{"edge-agents": ', "", '{"edge-agents": {"a": 5}}'):
        path.write_text(wrong)
        assert roll.agent("a") == ("secret-a",)
    path.unlink()
    assert roll.client("secret-c") is not None
    path.write_text(SECOND)
    assert roll.agent("a") == ()


def test_a_file_is_read_once_for_each_change(path: Path) -> None:
    """Neither an unchanged one nor one that is wrong is read at every login."""
    reads = 0

    class Counted(CredentialsFile):
        def read(self) -> Secret:
            nonlocal reads
            reads += 1
            return super().read()

    roll = Roll(Counted(path))
    for _ in range(3):
        roll.agent("a")
    assert reads == 1
    path.write_text("{")
    for _ in range(3):
        roll.agent("a")
    assert reads == 2


def test_a_router_does_not_start_without_credentials(path: Path) -> None:
    """The fault names the file, and no secret."""
    path.write_text(FIRST[:-1])
    with pytest.raises(ConfigurationError) as raised:
        Roll(CredentialsFile(path))
    assert "credentials.json" in str(raised.value)
    assert "secret-" not in str(raised.value).replace("access-client-secrets", "")
