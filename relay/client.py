"""relay-client: brings services behind routers to local ports."""

from __future__ import annotations

from typing import Any

from relay.daemon import Daemon, make_options
from relay.dialects import dialect_keys
from relay.settings import option_keys
from relay.tunnels import TunnelsService, make_tunnels
from relay.vocabulary import Role

__all__ = ["Options", "TunnelsService", "makeService"]

Options = make_options(
    option_keys(Role.CLIENT, dialect_keys()),
    "Brings services behind a relay router to local ports.",
)


def makeService(options: Any, reactor: Any = None) -> Daemon:  # Twisted's names and types
    """Make the service from the command line."""
    return make_tunnels(Role.CLIENT, options, reactor)
