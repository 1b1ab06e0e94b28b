"""The log: one line an event, whatever a peer has called itself."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from relay.logs import LineObserver, json_line, text_line


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
