"""What systemd is told: sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket

NOTIFY_TIMEOUT_S = 5.0


def notify(state: str, timeout_s: float = NOTIFY_TIMEOUT_S) -> None:
    """Tell the service manager, if there is one.

    :param state: for instance ``READY=1``
    :param timeout_s: how long we may stand still while the manager is too busy to read
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(timeout_s)
            channel.sendto(state.encode(), address)
    except OSError:
        return  # a manager that is gone, or hangs, needs no word


def watchdog_s() -> float:
    """:returns: how often the manager wants a sign of life; 0 = never."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2e6 if microseconds.isdigit() and ours else 0.0
