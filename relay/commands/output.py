"""What the subcommands print, and how: results to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import json
import sys


class WrongUsage(Exception):
    """The command line asks for something that cannot be; the argument says what, in one line."""


def add_json(parser: argparse.ArgumentParser) -> None:
    """Declare ``--json``; read it as ``arguments.json``."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def result(as_json: bool, value: object, text: str) -> None:
    """Print a command's result to standard output.

    :param value: what ``--json`` prints, made of what JSON knows
    :param text: what a person reads
    """
    print(json.dumps(value, indent=2) if as_json else text)


def event(text: str) -> None:
    """Say on standard error, as one line, that something happened which outlasts the command."""
    print(text, file=sys.stderr, flush=True)


def hint(text: str) -> None:
    """Say on standard error what helps a person; nothing if it is not a terminal."""
    if sys.stderr.isatty():
        event(text)
