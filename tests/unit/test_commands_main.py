"""The ``relay`` command finds its subcommands and turns errors into lines and exit statuses."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from relay import __version__
from relay.commands.main import SUBCOMMANDS, main
from relay.commands.output import WrongUsage, add_json, event, hint, result
from relay.errors import ConfigurationError, RelayError, TokenExpired

Run = Callable[[argparse.Namespace], int]
Install = Callable[[Run], None]


def run_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a subcommand in the place of ``status``."""

    def put(run: Run) -> None:
        module = ModuleType("relay.commands.status")
        vars(module).update(add_arguments=add_json, run=run)
        monkeypatch.setitem(sys.modules, "relay.commands.status", module)

    return put


def raising(error: BaseException) -> Run:
    """A subcommand that ends with ``error``."""

    def run(arguments: argparse.Namespace) -> int:
        raise error

    return run


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help lists every subcommand on standard output."""
    assert main([word]) == 0
    out, err = capsys.readouterr()
    assert all(f"  {name} " in out for name in SUBCOMMANDS)
    assert err == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is one line."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"relay {__version__}\n"


def test_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word help goes to standard error, and the status says wrong usage."""
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: relay" in err


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("tokne", 'did you mean "token"?'),
        ("xyzzy", '"relay --help" lists them'),
        ("--jsno", '"relay --help" lists them'),
        ("a\x1b[2J\nb", "a\\x1b[2J\\nb"),
    ],
)
def test_unknown(word: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown subcommand is answered with the nearest spelling, in one line."""
    assert main([word]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


def test_status_of_the_subcommand(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    """A subcommand gets its arguments, and its status is ours."""

    def run(arguments: argparse.Namespace) -> int:
        result(arguments.json, {"a": 1}, "one")
        return 5

    install(run)
    assert main(["status"]) == 5
    assert capsys.readouterr().out == "one\n"
    assert main(["status", "--json"]) == 5
    assert json.loads(capsys.readouterr().out) == {"a": 1}


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (RelayError("no router at x", "start one"), 1, ["no router at x; start one"]),
        (TokenExpired("expired 3 h ago"), 1, ["expired 3 h ago"]),
        (RelayError("a\nb\x1b"), 1, ["a\\nb\\x1b"]),
        (ConfigurationError(["f: one", "f: two"]), 1, ["f: one", "f: two"]),
        (PermissionError(13, "Permission denied", "f"), 1, ["[Errno 13] Permission denied: 'f'"]),
        (WrongUsage("no"), 2, ['no; "relay status --help" shows what it takes']),
        (KeyboardInterrupt(), 130, []),
        (SystemExit(7), 7, []),
    ],
)
def test_errors(
    install: Install,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    lines: list[str],
) -> None:
    """What user and world can do wrong ends as lines on standard error, never as a traceback."""
    install(raising(error))
    assert main(["status"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"relay status: {line}" for line in lines]


def test_fault_of_ours(install: Install) -> None:
    """An error that is nobody else's keeps its traceback."""
    install(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["status"])


def test_help_of_a_subcommand(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what was asked for."""
    install(lambda arguments: 0)
    assert main(["status", "--help"]) == 0
    assert "usage: relay status" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--jso", "x"])
def test_wrong_arguments(install: Install, capsys: pytest.CaptureFixture[str], word: str) -> None:
    """One line says what is wrong, and where to read on; options are not abbreviated."""
    install(lambda arguments: 0)
    assert main(["status", word]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f'relay status: unrecognized arguments: {word}; "relay status --help" shows what it takes\n'
    )


def test_hints_need_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hints appear on a terminal only, events always."""
    hint("h")
    event("e")
    assert capsys.readouterr().err == "e\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    hint("h")
    assert capsys.readouterr().err == "h\n"


def test_reader_that_leaves() -> None:
    """A result that nobody reads ends quietly."""
    code = (
        "import os, sys\n"
        "read, write = os.pipe()\n"
        "os.close(read)\n"
        "os.dup2(write, 1)\n"
        "from relay.commands.main import main\n"
        "sys.exit(main(['--help']))\n"
    )
    done = run_python("-c", code)
    assert (done.returncode, done.stderr) == (1, "")


def test_help_is_light() -> None:
    """Help loads no subcommand and next to nothing beyond the bare interpreter's modules."""
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from relay.commands.main import main\n"
        "main(['--help'])\n"
        "print(*(set(sys.modules) - before), file=sys.stderr)\n"
    )
    done = run_python("-c", code)
    assert "usage: relay" in done.stdout
    assert set(done.stderr.split()) == {
        "__future__",
        "relay",
        "relay.commands",
        "relay.commands.main",
    }
