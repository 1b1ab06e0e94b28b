"""The wire protocols, one module or small package each, found as plugins."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from threading import current_thread, main_thread

from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

import relay.dialects
from relay.errors import ConfigurationError
from relay.faces import IDialect
from relay.settings import DialectKeys
from relay.vocabulary import Role


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the program: getPlugins would take the exception for a dialect that fails to
    import, and go on (seen).
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler or current_thread() is not main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def find_dialects(enabled: Iterable[str] = ()) -> Mapping[str, IDialect]:
    """Find the installed dialects.

    :param enabled: names that must be among them
    :returns: by name
    :raises ConfigurationError: when one is missing; a dialect that fails to import is only logged
    """
    found: dict[str, IDialect] = {}
    with _interruptible():
        for dialect in getPlugins(IDialect, relay.dialects):
            verifyObject(IDialect, dialect)
            found[dialect.name] = dialect
    missing = [name for name in enabled if name not in found]
    if missing:
        known = ", ".join(sorted(found))
        raise ConfigurationError(
            [
                f"dialect {name} is not installed or failed to import; installed: {known}"
                for name in missing
            ]
        )
    return found


def dialect_keys() -> Mapping[str, DialectKeys]:
    """:returns: the keys that each dialect adds to the sections of the INI."""
    return {
        name: DialectKeys(
            tuple(dialect.router_keys),
            tuple(dialect.tunnel_keys[Role.HOST]),
            tuple(dialect.tunnel_keys[Role.CLIENT]),
            dialect.traits,
        )
        for name, dialect in find_dialects().items()
    }
