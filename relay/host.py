"""relay-host: offers local services through routers."""

from __future__ import annotations

from typing import Any

from relay.daemon import Daemon, make_options
from relay.dialects import dialect_keys
from relay.settings import option_keys
from relay.tunnels import TunnelsService, make_tunnels
from relay.vocabulary import Role

__all__ = ["Options", "TunnelsService", "makeService"]

Options = make_options(
    option_keys(Role.HOST, dialect_keys()), "Offers local services through a relay router."
)


def makeService(options: Any, reactor: Any = None) -> Daemon:  # Twisted's names and types
    """Make the service from the command line."""
    return make_tunnels(Role.HOST, options, reactor)
