"""The command that prints a host's token: real processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from relay.auth import mint
from relay.errors import NoToken, Refused, RelayError, TokenInvalid, TokenMissing
from relay.links import token_command
from relay.links.token_command import Tokens, in_date
from relay.settings import CommandSecret
from relay.vocabulary import Reason

DAY_S = 86400

COUNTING = """\
import pathlib, sys
seen = pathlib.Path("runs")
seen.write_text(seen.read_text() + "x" if seen.exists() else "x")
print(sys.argv[1])
print("a second line")
"""


def token(begins_s: float = -60, ends_s: float = DAY_S) -> str:
    now = time.time()
    return mint({"tid": "a", "nbf": now + begins_s, "exp": now + ends_s}, b"x" * 32)


class Teller:
    """What the command's user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tokens(self, directory: Path, *command: str) -> Tokens:
        """The tokens that a command prints."""
        return self.of(CommandSecret(command, directory))

    def of(self, source: CommandSecret | None) -> Tokens:
        """The tokens of a source."""
        from twisted.internet import reactor

        return Tokens(source, cast(IReactorTime, reactor), self.lines.append)

    def python(self, directory: Path, script: str, *words: str) -> Tokens:
        """The tokens that a script prints."""
        return self.tokens(directory, sys.executable, "-c", script, *words)


@pytest.fixture
def teller() -> Teller:
    """Nothing was told yet."""
    return Teller()


async def failure(tokens: Tokens) -> RelayError:
    """What goes wrong."""
    with pytest.raises(RelayError) as caught:
        await Deferred.fromCoroutine(tokens.read())
    return caught.value


def runs(directory: Path) -> int:
    return len((directory / "runs").read_text())


@pytest_twisted.ensureDeferred
async def test_the_first_line_is_the_token(tmp_path: Path, teller: Teller) -> None:
    """It is kept while it is in date, in the INI's directory, and asked for again when refused."""
    good = token()
    tokens = teller.python(tmp_path, COUNTING, good)
    for _ in range(3):
        assert await tokens.read() == good
    assert runs(tmp_path) == 1
    tokens.refused(Refused(503, "", Reason.LIMIT))
    assert await tokens.read() == good
    assert runs(tmp_path) == 1
    tokens.refused(Refused(401, "", Reason.TOKEN_INVALID))
    assert await tokens.read() == good
    assert runs(tmp_path) == 2
    assert teller.lines == []


@pytest.mark.parametrize(
    "make",
    [lambda: token(ends_s=-1), lambda: token(ends_s=5), lambda: token(begins_s=60), lambda: "x.y"],
    ids=["over", "nearly over", "to come", "opaque"],
)
@pytest_twisted.ensureDeferred
async def test_what_is_not_in_date_is_asked_for_again(
    tmp_path: Path, teller: Teller, make: Callable[[], str]
) -> None:
    """What was printed is used all the same, once: the router judges it."""
    text = make()
    tokens = teller.python(tmp_path, COUNTING, text)
    assert await tokens.read() == text
    assert await tokens.read() == text
    assert runs(tmp_path) == 2


def test_in_date() -> None:
    """A token counts from nbf to shortly before exp."""
    text = mint({"nbf": 100, "exp": 200}, b"x" * 32)
    assert [in_date(text, now) for now in (99, 100, 189, 190, 200)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert not in_date(mint({"nbf": "100", "exp": 200}, b"x" * 32), 150)
    assert not in_date("", 150)


@pytest_twisted.ensureDeferred
async def test_no_shell(tmp_path: Path, teller: Teller) -> None:
    """Words reach the program as they are."""
    tokens = teller.python(tmp_path, "import sys; print(sys.argv[1])", "$HOME;'*'")
    assert await tokens.read() == "$HOME;'*'"


@pytest_twisted.ensureDeferred
async def test_a_program_beside_the_ini(tmp_path: Path, teller: Teller) -> None:
    """A path is relative to the INI's directory; a name is looked for in PATH."""
    script = tmp_path / "fetch"
    script.write_text("#!/bin/sh\necho a.b.c\n")
    script.chmod(0o700)
    assert await teller.tokens(tmp_path, "./fetch").read() == "a.b.c"
    assert await teller.tokens(tmp_path, "echo", "a.b.c").read() == "a.b.c"
    assert isinstance(await failure(teller.tokens(tmp_path, "fetch-nothing")), TokenMissing)


@pytest_twisted.ensureDeferred
async def test_complaints_are_logged(tmp_path: Path, teller: Teller) -> None:
    """Standard error is passed on line by line, without the tokens in it, and not without end."""
    script = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(3)"
    said = f"cannot log in\nwith {token()} or so\nand more"
    error = await failure(teller.python(tmp_path, script, said))
    assert isinstance(error, NoToken)
    assert "ended with status 3" in error.text
    origin = f"token-command {sys.executable}"
    assert teller.lines == [
        f"{origin} says: cannot log in",
        f"{origin} says: with *** or so",
        f"{origin} says: and more",
    ]
    teller.lines.clear()
    await failure(teller.python(tmp_path, script, "x\n" * 100 + "y" * 5000))
    assert len(teller.lines) == token_command.ERROR_LINES + 1
    assert teller.lines[-1] == f"{origin} says more, which is left out"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("", "the first line that"),
        ("print(); print('a.b.c')", "the first line that"),
        ("import os; os.kill(os.getpid(), 15)", "ended with signal 15"),
        ("while True: print('x' * 1000)", "printed more than 65536 bytes"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_commands_that_fail(tmp_path: Path, teller: Teller, script: str, told: str) -> None:
    """What went wrong is told, and the next attempt may find it mended."""
    error = await failure(teller.python(tmp_path, script))
    assert isinstance(error, NoToken)
    assert told in error.text
    assert not error.passing


@pytest_twisted.ensureDeferred
async def test_what_is_no_token(tmp_path: Path, teller: Teller) -> None:
    """A line that cannot go into a header is refused without being repeated."""
    error = await failure(teller.python(tmp_path, "print('not a token')"))
    assert isinstance(error, TokenInvalid)
    assert "not a token" not in error.text.replace("is not a token", "")


@pytest_twisted.ensureDeferred
async def test_a_command_that_hangs(
    tmp_path: Path, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed once its time is over; so is one that nobody waits for any more."""
    monkeypatch.setattr(token_command, "COMMAND_S", 0.2)
    script = "import sys, time; sys.stdin.read(); time.sleep(60)"
    error = await failure(teller.python(tmp_path, script))
    assert isinstance(error, NoToken)
    assert "took longer than 0.2 s" in error.text
    monkeypatch.setattr(token_command, "COMMAND_S", 60.0)
    reading = Deferred.fromCoroutine(teller.python(tmp_path, script).read())
    reading.cancel()
    with pytest.raises(NoToken, match="was stopped"):
        await reading


@pytest_twisted.ensureDeferred
async def test_tokens_that_need_no_command(tmp_path: Path, teller: Teller) -> None:
    """Other sources are read at once, and the lack of any is told."""
    assert isinstance(await failure(teller.of(None)), TokenMissing)
