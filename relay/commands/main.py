"""The ``relay`` command: finds the subcommand and turns its errors into lines and exit statuses.

Nothing but the standard library's smallest is imported before the first word is known, so that
``relay --help`` and shell completion cost little more than the interpreter.
"""

from __future__ import annotations

import os
import sys

# imported from typing it would cost half a start of the interpreter
TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import NoReturn, Protocol

    class Subcommand(Protocol):
        """What a module of this package offers."""

        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            """Declare options and positional arguments."""

        def run(self, arguments: argparse.Namespace) -> int:
            """:returns: the exit status; errors of user and world are raised instead"""


DONE = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130
STDERR = 2

SUBCOMMANDS = {
    "demo": "router, host, client and a small web page in one process: see it work",
    "token": "mint tokens for hosts and clients, or explain one",
    "connect": "join standard input and output to an offer, as ssh's ProxyCommand",
    "record": "write what is said on a topic of a session relay to a file",
    "play": "send the messages of a play file to a topic, and log what comes back",
    "monitor": "run a command when a session relay is slow to deliver",
    "check": "is a configuration valid, and what does it open to whom?",
    "status": "what is connected to a router now",
    "bench": "throughput, round trips and idle cost on this machine, beside a plain TCP relay",
}
"""Each is a module of this package."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the entry point of the console script.

    :param argv: the words after ``relay``; default: those of this process
    :returns: exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if sys.stderr is None:
        _open_stderr()
    try:
        status = _run(words)
        if sys.stdout is not None:  # it is None where the caller closed it
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _open_stderr() -> None:
    """Where the caller closed it, complaints go nowhere: ``print`` would say them on standard
    output, and a socket could take the descriptor's place.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    if null != STDERR:
        os.dup2(null, STDERR)
        os.close(null)
    sys.stderr = os.fdopen(STDERR, "w", closefd=False)


def _run(words: list[str]) -> int:
    match words:
        case ["-h" | "--help", *_]:
            print(_help())
            return DONE
        case ["--version", *_]:
            from relay import __version__

            print(f"relay {__version__}")
            return DONE
        case []:
            print(_help(), file=sys.stderr)
            return WRONG_USAGE
        case [name, *rest] if name in SUBCOMMANDS:
            return _run_subcommand(name, rest)
    from relay.settings.faults import nearest, printable, quoted

    hint = nearest(words[0], SUBCOMMANDS) or '; "relay --help" lists them'
    print(printable(f"relay: there is no command {quoted(words[0])}{hint}"), file=sys.stderr)
    return WRONG_USAGE


def _help() -> str:
    commands = "\n".join(f"  {name:<9}{text}" for name, text in SUBCOMMANDS.items())
    return f"""\
usage: relay COMMAND ...

Two machines that can only dial out, joined by a public router.

commands:
{commands}

"relay COMMAND --help" shows what each takes, "relay --version" which relay this is.
The daemons are twistd -n relay-router, relay-host and relay-client; each knows --help too."""


def _run_subcommand(name: str, words: list[str]) -> int:
    import argparse
    import importlib
    from typing import cast

    from relay.commands.output import WrongUsage
    from relay.errors import ConfigurationError, RelayError

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise WrongUsage(message)  # what is wrong in one line, and no usage of ten

    program = f"relay {name}"
    module = cast("Subcommand", importlib.import_module(f"relay.commands.{name}"))
    parser = Parser(program, description=SUBCOMMANDS[name], allow_abbrev=False)
    module.add_arguments(parser)
    try:
        return module.run(parser.parse_args(words))
    except SystemExit as end:
        # argparse has printed its help
        return end.code if isinstance(end.code, int) else DONE
    except WrongUsage as error:
        _complain(program, f'{error}; "{program} --help" shows what it takes')
        return WRONG_USAGE
    except RelayError as error:
        _complain(program, "; ".join(filter(None, (error.text, error.remedy))))
    except ConfigurationError as error:
        for fault in error.faults:
            _complain(program, fault)
    except BrokenPipeError:
        raise
    except OSError as error:
        _complain(program, str(error))
    return FAILED


def _complain(program: str, text: str) -> None:
    from relay.settings.faults import printable

    print(printable(f"{program}: {text}"), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
