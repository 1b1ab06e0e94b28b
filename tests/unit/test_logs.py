"""The log: one line an event, whatever a peer has called itself."""

from __future__ import annotations

import json

import pytest
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from relay.logs import json_line, text_line


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


def test_a_bug_keeps_its_traceback() -> None:
    """What follows the line of a failure is ours, and keeps its lines."""
    line = text_line(event("a\nb", log_failure=Failure(ValueError("wrong"))))
    assert line.splitlines()[0].endswith("call of a\\nb")
    assert "wrong" in line
    assert len(line.splitlines()) > 1
