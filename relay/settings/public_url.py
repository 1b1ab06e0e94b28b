"""What others call a router that was not told its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from relay.addresses import with_port
from relay.settings.endpoints import split_endpoint
from relay.settings.keys import DialectKeys
from relay.settings.listeners import Listener, listeners
from relay.settings.model import RouterSettings

STAND_IN = 65535
"""A port for those that are to be given one."""

_USUAL_PORTS = {"http": "80", "https": "443"}
_EVERYWHERE = ("", "0.0.0.0", "::")


def stand_in_ports(found: Iterable[Listener]) -> dict[str, int]:
    """:returns: a port for each endpoint that will be given one, so that what depends on it can be
    judged before anything listens
    """
    ends = {listener.endpoint: split_endpoint(listener.endpoint) for listener in found}
    return {text: STAND_IN for text, end in ends.items() if end.argument("port", 0) == "0"}


def public_url(
    settings: RouterSettings,
    dialects: Mapping[str, DialectKeys],
    name: str,
    ports: Mapping[str, int],
    machine: str,
) -> str:
    """Say at what URL a dialect is reached.

    :param name: the dialect's
    :param ports: the real port of each endpoint that listens already
    :param machine: its name, for what listens on every interface
    :returns: ``public-url``, else the address of the first listener at which it is spoken; empty:
        it has no port yet, or is no TCP port at all
    """
    if settings.public_url:
        return settings.public_url
    for listener in listeners(settings, dialects):
        if name not in listener.dialects:
            continue
        endpoint = split_endpoint(listener.endpoint)
        port = str(ports.get(listener.endpoint, "")) or endpoint.argument("port", 0)
        if endpoint.kind not in ("tcp", "tcp6") or port in ("", "0"):
            return ""
        interface = endpoint.named.get("interface", "")
        host = machine if interface in _EVERYWHERE else interface
        scheme = "https" if listener.tls else "http"
        if port == _USUAL_PORTS[scheme]:
            return f"{scheme}://{f'[{host}]' if ':' in host else host}"
        return f"{scheme}://{with_port(host, int(port))}"
    return ""
