"""Options of the three programs, as far as they are refused before any setting is read."""

from __future__ import annotations

import pytest

from relay.daemon import make_options
from relay.settings import option_keys, router_keys
from relay.settings.faults import UNSAFE
from relay.vocabulary import Role
from tests.unit.test_settings_keys import PORTAL


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("words", [["--secret", "hush"], ["--secret=hush"]])
def test_a_secret_is_no_options_value(
    role: Role, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The program says what to do instead, and repeats nothing of it."""
    options = make_options(option_keys(role, PORTAL), "")()
    with pytest.raises(SystemExit):
        options.parseOptions(words)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(UNSAFE)
    assert err.count("\n") == 1
    assert "hush" not in err


def test_a_file_with_a_secret_is_named() -> None:
    """The option of nearly the same name is what it was."""
    options = make_options(option_keys(Role.HOST, PORTAL), "")()
    options.parseOptions(["--secret-file", "a.secret"])
    assert options.said == {"secret-file": "a.secret"}


def test_a_router_has_neither(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not know, it says with the nearest that it knows."""
    with pytest.raises(SystemExit):
        make_options(router_keys(), "")().parseOptions(["--secret", "hush"])
    assert capsys.readouterr().err.startswith("unknown option --secret")
