"""``relay demo``: a router and all that belongs to it in one process, on loopback."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from twisted.logger import globalLogBeginner

from relay.commands.demo_stage import Stage
from relay.commands.demo_topics import TopicDemo
from relay.commands.demo_tunnel import TunnelDemo
from relay.commands.output import add_json
from relay.commands.shows import SHOWN, TOPIC_SHOWS
from relay.logs import make_observer
from relay.nvx import check_nvx

if TYPE_CHECKING:
    from relay.daemon import IReactor

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``relay demo`` takes."""
    parser.add_argument(
        "--dialect", choices=SHOWN, default="portal", help="what is spoken to the router"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="P",
        help="the router's port; default: any free one",
    )
    parser.add_argument("--once", action="store_true", help="end once it was seen to work")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show it.

    :returns: the exit status: 0 when it was seen to work, or somebody asked for the end
    :raises RelayError, ConfigurationError: when it cannot be shown
    """
    check_nvx()
    globalLogBeginner.beginLoggingTo(
        [make_observer("text", "warn", sys.stderr)], redirectStandardIO=False
    )
    from twisted.internet import reactor

    kind = TopicDemo if arguments.dialect in TOPIC_SHOWS else TunnelDemo
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        stage = Stage(cast("IReactor", reactor), Path(folder), arguments.once)
        for number in SIGNALS:
            signal.signal(number, stage.signalled)
        return stage.run(kind(arguments).show)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no port; it is a number from 0 to 65535")
    return int(text)
