"""Everything the programs are told: options, environment and INI become frozen dataclasses.

Nobody else reads configuration. Standard library only, nothing of Twisted.
"""

from relay.settings.faults import Faults
from relay.settings.ini import Ini, find_config, read_ini
from relay.settings.keys import (
    CONFIG_KEY,
    LIMIT_KEYS,
    TLS_KEYS,
    DialectKeys,
    log_keys,
    merge,
    option_keys,
    router_keys,
    tunnel_keys,
)
from relay.settings.listeners import Listener, listeners
from relay.settings.router import examine_router, read_router
from relay.settings.secrets import (
    CommandSecret,
    EnvironmentSecret,
    MadeSecretFile,
    SecretFile,
    StdinSecret,
)
from relay.settings.tunnels import examine_tunnels, read_tunnels
from relay.settings.values import Explained, Options, Reading

__all__ = [
    "CONFIG_KEY",
    "LIMIT_KEYS",
    "TLS_KEYS",
    "CommandSecret",
    "DialectKeys",
    "EnvironmentSecret",
    "Explained",
    "Faults",
    "Ini",
    "Listener",
    "MadeSecretFile",
    "Options",
    "Reading",
    "SecretFile",
    "StdinSecret",
    "examine_router",
    "examine_tunnels",
    "find_config",
    "listeners",
    "log_keys",
    "merge",
    "option_keys",
    "read_ini",
    "read_router",
    "read_tunnels",
    "router_keys",
    "tunnel_keys",
]
