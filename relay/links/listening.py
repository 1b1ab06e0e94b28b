"""Opens what listens, and says in one sentence why that cannot be."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort

from relay.addresses import with_port
from relay.errors import CannotListen

PORT_TAKEN = "is another program using it?"
BACKLOG = 1024
"""Connections that may wait to be accepted; the system's own limit may be lower."""

BACKLOG_KINDS = ("tcp", "tcp6", "unix")
REMEDIES = {
    errno.EACCES: "ports below 1024 belong to root: choose another, or let systemd open it",
    errno.EADDRINUSE: PORT_TAKEN,
    errno.EADDRNOTAVAIL: "name an address of this machine",
    errno.ENOENT: "make the folder first",
}


async def listen(reactor: object, endpoint: str, factory: Any) -> IListeningPort:  # any protocol's
    """Listen at a Twisted server endpoint.

    A fleet that lost its router comes back at one moment, so more connections may wait to be
    accepted than the 50 of Twisted, unless the endpoint says ``backlog=``.

    :param endpoint: checked by settings as far as that goes
    :raises CannotListen: saying where, why, and what to do
    """
    try:
        server = serverFromString(reactor, with_backlog(endpoint))
    except Exception as error:
        if endpoint.startswith("systemd:") and isinstance(error, LookupError):
            raise CannotListen(
                f"cannot listen at {endpoint}: systemd passed no such socket",
                "start it by its .socket unit, or name an endpoint like tcp:8080",
            ) from error
        raise CannotListen(
            f"cannot listen at {endpoint}: {error}",
            "is that how Twisted wants the endpoint written?",
        ) from error
    try:
        port: IListeningPort = await server.listen(factory)
    except CannotListenError as error:
        where = with_port(error.interface or "*", error.port)
        # a Unix socket has a path in the port's place
        where = where if isinstance(error.port, int) else endpoint
        why, remedy = explain(error.socketError)
        raise CannotListen(f"cannot listen at {where}: {why}", remedy) from error
    except OSError as error:
        why, remedy = explain(error)
        raise CannotListen(f"cannot listen at {endpoint}: {why}", remedy) from error
    return port


def with_backlog(endpoint: str) -> str:
    """:returns: the endpoint, with our backlog where it can have one and names none."""
    kind, *arguments = endpoint.split(":")
    named = any(argument.startswith("backlog=") for argument in arguments)
    return endpoint if named or kind not in BACKLOG_KINDS else f"{endpoint}:backlog={BACKLOG}"


def explain(error: BaseException) -> tuple[str, str]:
    """:returns: the system's reason, and what to do."""
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error), REMEDIES[errno.EADDRNOTAVAIL]
    number = getattr(error, "errno", None)
    if not isinstance(number, int):
        return str(error), PORT_TAKEN
    return os.strerror(number), REMEDIES.get(number, PORT_TAKEN)
