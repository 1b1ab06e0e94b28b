"""What the system knows of a process, and where the originals' programs are; the tests ask too."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

PEERS_VARIABLE = "RELAY_PEERS"
"""Names a folder that holds the originals' programs as ``portal/NAME``."""

LISTENING = "0A"


def peer(name: str) -> Path | None:
    """:returns: where a program of the original is, if it is at hand."""
    folder = os.environ.get(PEERS_VARIABLE)
    if not folder:
        return None
    path = Path(folder).resolve() / "portal" / name
    return path if path.exists() else None


def listening_port(pid: int) -> int | None:
    """:returns: a TCP port that the process listens on, None while there is none."""
    own = _socket_inodes(pid)
    for port, state, inode in _tcp_sockets(pid):
        if state == LISTENING and inode in own:
            return port
    return None


def descriptors(pid: int) -> int:
    """:returns: how many files and sockets the process holds open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def _tcp_sockets(pid: int) -> Iterator[tuple[int, str, str]]:
    """:returns: local port, state and inode of each IPv4 socket that the process can see."""
    lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    for fields in (line.split() for line in lines):
        yield int(fields[1].rpartition(":")[2], 16), fields[3], fields[9]


def _socket_inodes(pid: int) -> set[str]:
    """:returns: the inodes of the sockets that the process holds."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            continue
        if match := re.fullmatch(r"socket:\[(\d+)\]", target):
            inodes.add(match[1])
    return inodes
