"""Checks a router's listeners against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from relay.settings.endpoints import port_of, same_port
from relay.settings.faults import Faults
from relay.settings.keys import DialectKeys
from relay.settings.kinds import shown
from relay.settings.model import DialectSettings, RouterSettings
from relay.settings.schema import Kind

SHARED_CERTIFICATE = "tls"
"""The section of the certificate that all show who have none of their own."""
_LISTENING = (Kind.SERVER_ENDPOINT, Kind.SERVER_ENDPOINTS)


class Listener(NamedTuple):
    """One endpoint that accepts links.

    :ivar dialects: the names of those that are spoken there
    :ivar key: section and key that name it
    :ivar certificate: with TLS, the section whose certificate it shows
    :ivar publication: where no dialect is spoken: what whoever connects is a caller of
    """

    endpoint: str
    tls: bool
    dialects: tuple[str, ...]
    key: str
    certificate: str = SHARED_CERTIFICATE
    publication: str = ""


def own_endpoints(dialect: DialectSettings, keys: DialectKeys) -> Iterator[tuple[str, str]]:
    """:returns: key and endpoint of each listener that a dialect names in keys of its own."""
    for key in keys.router:
        if key.kind in _LISTENING and key.name not in ("listen", "listen-tls"):
            value = dialect.values.get(key.name)
            for endpoint in value if isinstance(value, tuple) else (value,) if value else ():
                yield key.name, str(endpoint)


def listeners(
    settings: RouterSettings, dialects: Mapping[str, DialectKeys]
) -> tuple[Listener, ...]:
    """Say what is spoken where.

    A dialect with ``listen`` or ``listen-tls`` of its own is not on the shared listeners.

    :returns: every listener but the admin address
    """
    apart = [dialect for dialect in settings.dialects if dialect.listen or dialect.listen_tls]
    shared = tuple(dialect.name for dialect in settings.dialects if dialect not in apart)
    holders: list[tuple[str, tuple[str, ...], RouterSettings | DialectSettings]] = [
        ("router", shared, settings),
        *((f"dialect:{dialect.name}", (dialect.name,), dialect) for dialect in apart),
    ]
    found = []
    for section, names, holder in holders:
        own = isinstance(holder, DialectSettings) and holder.tls is not None
        for key, tls, endpoints in (
            ("listen", own, holder.listen),
            ("listen-tls", True, holder.listen_tls),
        ):
            found += [
                Listener(
                    endpoint,
                    tls,
                    names,
                    f"[{section}] {key}",
                    section if own else SHARED_CERTIFICATE,
                )
                for endpoint in endpoints
            ]
    for dialect in settings.dialects:
        section = f"dialect:{dialect.name}"
        for key, endpoint in own_endpoints(dialect, dialects[dialect.name]):
            found.append(Listener(endpoint, False, (dialect.name,), f"[{section}] {key}"))
    return tuple(found)


def published_ports(settings: RouterSettings) -> tuple[Listener, ...]:
    """:returns: where a router listens for published calls"""
    return tuple(
        Listener(one.endpoint, False, (), f"[publish {one.name}] from", publication=one.name)
        for one in settings.publications
        if one.endpoint
    )


def check_listeners(
    settings: RouterSettings,
    dialects: Mapping[str, DialectKeys],
    places: Mapping[str, str],
    file: str,
    faults: Faults,
) -> None:
    """Note listeners that are missing, or that are in each other's way.

    :param places: from ``[SECTION] KEY`` to what a fault about it begins with; all that were said
    """

    def where(key: str) -> str:
        return places.get(key, f"{file}: {key}")

    found = (*listeners(settings, dialects), *published_ports(settings))
    for dialect in settings.dialects:
        if any(dialect.name in listener.dialects for listener in found):
            continue
        # A listener that was said and is not there has a fault of its own already.
        sections = ("[router]", f"[dialect:{dialect.name}]")
        if not any(key.startswith(f"{part} listen") for key in places for part in sections):
            faults.add(
                where("[router] listen"),
                f"dialect {dialect.name} has no listener; "
                "write listen = tcp:8080:interface=127.0.0.1",
            )
    for position, listener in enumerate(found):
        for other in found[:position]:
            shared = (
                listener.endpoint == other.endpoint
                and listener.tls == other.tls
                and not listener.publication
            )
            if same_port(listener.endpoint, other.endpoint) and (
                not shared or listener.key == other.key
            ):
                faults.add(
                    where(listener.key), f"{listener.endpoint} is already taken by {other.key}"
                )
        if settings.admin is not None and same_port(settings.admin, listener.endpoint):
            faults.add(
                where("[router] admin"),
                f"shares its port with {listener.key}; the admin address needs one of its own",
            )
    taken = [(port_of(listener.endpoint), listener.key) for listener in found]
    if settings.admin is not None:
        taken.append((port_of(settings.admin), "[router] admin"))
    for key, ports in _opened(settings, dialects):
        for port, listening in taken:
            if port in ports:
                faults.add(where(key), f"{shown(ports)} includes port {port} of {listening}")


def _opened(
    settings: RouterSettings, dialects: Mapping[str, DialectKeys]
) -> Iterator[tuple[str, range]]:
    """:returns: ports that dialects open when they need one, each with section and key"""
    for dialect in settings.dialects:
        for key in dialects[dialect.name].router:
            ports = dialect.values.get(key.name)
            if key.kind is Kind.PORTS and isinstance(ports, range):
                yield f"[dialect:{dialect.name}] {key.name}", ports
