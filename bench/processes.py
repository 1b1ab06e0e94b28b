"""Where the originals' programs are, and what the system knows of a process; the tests ask too."""

from __future__ import annotations

import os
from pathlib import Path

from relay.measuring.processes import descriptors, listening_port

__all__ = ["PEERS_VARIABLE", "descriptors", "listening_port", "peer"]

PEERS_VARIABLE = "RELAY_PEERS"
"""Names a folder that holds the originals' programs as ``DIALECT/NAME``."""


def peer(name: str, dialect: str = "portal") -> Path | None:
    """:returns: where a program of that dialect's original is, if it is at hand."""
    folder = os.environ.get(PEERS_VARIABLE)
    if not folder:
        return None
    path = Path(folder).resolve() / dialect / name
    return path if path.exists() else None
