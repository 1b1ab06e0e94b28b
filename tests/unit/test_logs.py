"""The log: one line an event, whatever a peer has called itself."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel, formatEvent
from twisted.python.failure import Failure

from relay.logs import LINE_CHARACTERS, LineObserver, json_line, open_log, text_line


def event(text: str, **fields: object) -> dict[str, object]:
    """:returns: an event of the kind that Twisted's loggers make"""
    return {
        "log_format": "call of {name}",
        "log_level": LogLevel.info,
        "log_time": 0.0,
        "name": text,
        **fields,
    }


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("alice", "alice"),
        ("ünï ☃", "ünï ☃"),
        ("a\nforged info line", "a\\nforged info line"),
        ("a\r\x1b[31m\x00\x7f", "a\\r\\x1b[31m\\x00\\x7f"),
        ("\x9b31m\u2028\u2029", "\\x9b31m\\u2028\\u2029"),
    ],
)
def test_names_cannot_forge_lines(name: str, shown: str) -> None:
    """Control characters are shown, not sent to the terminal."""
    assert text_line(event(name)).endswith(f" info call of {shown}")
    assert json.loads(json_line(event(name)))["message"] == f"call of {shown}"
    assert "\n" not in json_line(event(name))


def test_long_names_are_cut() -> None:
    """A peer with a name of a hundred thousand letters fills no disk; its length is told."""
    named = event("n" * 100_000)
    text, value = text_line(named), json.loads(json_line(named))
    assert len(text) < 2 * LINE_CHARACTERS
    assert text.endswith("nnn... (100008 characters)")
    assert value["message"].endswith("nnn... (100008 characters)")
    assert value["name"].endswith("nnn... (100000 characters)")
    assert len(value["name"]) < 2 * LINE_CHARACTERS
    longest = "n" * (LINE_CHARACTERS - len("call of "))
    assert text_line(event(longest)).endswith(f" call of {longest}")


@pytest.mark.parametrize("as_json", [False, True])
def test_what_the_output_cannot_encode_is_escaped(as_json: bool) -> None:
    """A name that does not fit the terminal's encoding costs no line: fail2ban counts them."""
    written = io.BytesIO()
    out = io.TextIOWrapper(written, encoding="ascii")
    LineObserver(out, as_json)(event("é☃"))
    line = written.getvalue().decode("ascii")
    if as_json:
        assert json.loads(line)["message"] == "call of é☃"
    else:
        assert line.endswith(" info call of \\xe9\\u2603\n")


def test_an_output_that_is_gone(tmp_path: Path) -> None:
    """Nobody is told, since there is nobody left to tell."""
    out = (tmp_path / "log").open("w")
    out.close()
    LineObserver(out, False)(event("alice"))


def test_a_bug_keeps_its_traceback() -> None:
    """What follows the line of a failure is ours, and keeps its lines."""
    wrong = "wrong\n2026-11-21T12:00:00.000+00:00 info forged\x1b[2J"
    line = text_line(event("a\nb", log_failure=Failure(ValueError(wrong))))
    first, *others = line.split("\n")
    assert first.endswith("call of a\\nb")
    assert "wrong" in line
    assert len(others) > 1
    # nothing that an exception quotes can pass for a line of its own
    assert all(other.startswith("  ") for other in others)
    assert "\x1b" not in line


class Odd:
    """Something that cannot be shown."""

    def __format__(self, spec: str) -> str:
        raise ValueError("not to be shown")

    __repr__ = object.__repr__


class Counted:
    """Something with a number, and a way to ask for it."""

    number = 7

    def double(self) -> int:
        """Twice the number."""
        return 2 * self.number


FIELDS = {"name": "alice", "seconds": 1.25, "count": 3, "thing": Counted(), "log_namespace": "x"}


@pytest.mark.parametrize(
    "text",
    [
        "{name} {seconds:.1f} {count:>5}",
        "{thing.number} {log_namespace} {{name}}",
        "{thing.double()} {thing.number!r}",
        "{name!r:>9} {name[0]}",
        "{absent}",
        "{name",
        "{odd}",
        "{}",
        "",
        b"{name}",
        None,
        7,
    ],
)
def test_messages_are_those_of_twisted(text: object) -> None:
    """Whatever the format says, calls and faults included."""
    seen: dict[str, Any] = {"log_format": text, "log_time": 0.0, **FIELDS, "odd": Odd()}
    assert text_line(seen).partition(" info ")[2] == formatEvent(seen)


@given(
    st.floats(0, 4e9) | st.integers(0, 4 * 10**9) | st.sampled_from([1.9999999, 0.9995, 1e9 - 1e-7])
)
def test_the_time_of_a_line(time: float) -> None:
    """In the local zone, to the millisecond."""
    expected = datetime.fromtimestamp(time).astimezone().isoformat(timespec="milliseconds")
    assert text_line({"log_time": time}).partition(" ")[0] == expected


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    """What stands in it stays."""
    path = tmp_path / "relay.log"
    path.write_text("before\n")
    with open_log(path) as out:
        out.write("after\n")
    assert path.read_text() == "before\nafter\n"


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log goes to standard error, which says why."""
    assert open_log(tmp_path) is sys.stderr
    assert f"{tmp_path}: cannot be written: Is a directory" in capsys.readouterr().err
