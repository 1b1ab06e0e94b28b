"""Rules that concern more than one value, or more than its text."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from relay.settings.faults import Faults, quoted
from relay.settings.values import Sources, Values

SYSTEM_STATE_DIRECTORY = Path("/var/lib/relay")
USER_STATE_DIRECTORY = Path(".local/state/relay")


def check_liveness(ping_s: float, dead_s: float, where: str, faults: Faults) -> None:
    """Note a fault when a peer would be taken for dead before it was asked; 0 is never."""
    if ping_s and dead_s and dead_s <= ping_s:
        faults.add(where, f"dead-s ({dead_s:g}) must be greater than ping-s ({ping_s:g})")


def check_networks(values: Values, key: str, faults: Faults) -> None:
    """Note a fault for each text of a key that is neither an IP address nor a network."""
    for text in values.texts(key):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            faults.add(
                values.where(key, key),
                f"{quoted(text)} is neither an address nor a network like 10.0.0.0/8",
            )


def find_state_dir(values: Values, sources: Sources) -> Path:
    """Decide where the router keeps its secrets and whatever survives a restart.

    :returns: ``state-dir``, else what systemd says, else the directory of the system or the user
    """
    state_dir = values.path("state-dir")
    if state_dir is not None:
        return state_dir
    origin = "default"
    # systemd names several directories with colons between them.
    given = sources.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        origin, state_dir = "environment STATE_DIRECTORY", sources.directory / given
    elif os.geteuid() == 0:
        state_dir = SYSTEM_STATE_DIRECTORY
    else:
        state_dir = Path(sources.environ.get("HOME") or Path.home()) / USER_STATE_DIRECTORY
    sources.note("router", "state-dir", str(state_dir), origin)
    return state_dir
