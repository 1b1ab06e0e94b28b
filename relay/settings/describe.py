"""Says in words what settings open, and to whom; for people before a start, and for programs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields

from relay.settings.endpoints import is_loopback, reach
from relay.settings.keys import LIMIT_KEYS, DialectKeys
from relay.settings.kinds import shown
from relay.settings.listeners import listeners, published_ports
from relay.settings.model import (
    DialectSettings,
    Door,
    Limits,
    Publication,
    RouterSettings,
    TunnelSettings,
    TunnelsSettings,
)
from relay.settings.schema import Remarks
from relay.settings.secrets import MadeSecretFile
from relay.settings.urls import is_encrypted, is_local, masked
from relay.vocabulary import Role

Record = dict[str, object]
"""What is opened, for a program to read."""


def router_record(settings: RouterSettings, dialects: Mapping[str, DialectKeys]) -> Record:
    """:returns: listeners, admin address, publications and changed limits of a router."""
    return {
        "program": "relay-router",
        "listeners": [
            {
                "endpoint": listener.endpoint,
                "tls": listener.tls,
                "reach": reach(listener.endpoint),
                "dialects": list(listener.dialects),
                "key": listener.key,
            }
            for listener in (*listeners(settings, dialects), *published_ports(settings))
        ],
        "opens": {
            dialect.name: opens
            for dialect in settings.dialects
            if (opens := dialects[dialect.name].traits.opens)
        },
        "rights": {
            dialect.name: list(lines)
            for dialect in settings.dialects
            if (lines := router_remarks(settings, dialect, dialects).lines)
        },
        "admin": settings.admin,
        "state_dir": str(settings.state_dir),
        "publications": [
            {
                "name": publication.name,
                "from": str(publication.source),
                "to": str(publication.target),
                "clients": list(publication.clients),
                "public": publication.public,
            }
            for publication in settings.publications
        ],
        "changed_limits": changed_limits(settings.limits),
    }


def tunnels_record(settings: TunnelsSettings) -> Record:
    """:returns: routers and doors of hosts or clients."""
    return {
        "program": f"relay-{settings.role.value}",
        "tunnels": [
            {
                "name": tunnel.name,
                "dialect": tunnel.dialect,
                "router": tunnel.router,
                "proxy": masked(tunnel.proxy) if tunnel.proxy else None,
                "doors": [
                    {"service": door.service, "endpoint": door.endpoint} for door in tunnel.doors
                ],
            }
            for tunnel in settings.tunnels
        ],
    }


def changed_limits(limits: Limits) -> dict[str, str]:
    """:returns: by key, the limits that are not as built in."""
    return {
        key.name: shown(getattr(limits, field.name), key.kind)
        for key, field in zip(LIMIT_KEYS, fields(Limits), strict=True)
        if getattr(limits, field.name) != field.default
    }


def describe_router(settings: RouterSettings, dialects: Mapping[str, DialectKeys]) -> Iterator[str]:
    """:returns: one line for each thing that a router opens, keeps or limits."""
    for listener in listeners(settings, dialects):
        spoken = ", ".join(listener.dialects) or "no dialect"
        carried = "TLS" if listener.tls else "plain"
        yield f"listens on {listener.endpoint}: {spoken}; {carried}; {reach(listener.endpoint)}"
    for dialect in settings.dialects:
        if opens := dialects[dialect.name].traits.opens:
            yield f"{dialect.name}: {opens}"
        for line in router_remarks(settings, dialect, dialects).lines:
            yield f"{dialect.name}: {line}"
    if settings.admin is not None:
        yield f"admin on {settings.admin}: {reach(settings.admin)}"
    for port in published_ports(settings):
        where = reach(port.endpoint)
        yield f"listens on {port.endpoint}: [publish {port.publication}]; plain; {where}"
    for publication in settings.publications:
        yield (
            f"publishes {publication.target} as {publication.source} to "
            f"{callers(publication, dialects)}; {consequence(publication)}"
        )
    yield f"keeps its state in {settings.state_dir}"
    for dialect in settings.dialects:
        for name, value in dialect.values.items():
            if isinstance(value, MadeSecretFile) and not os.path.exists(value.path):
                yield f"makes the {name} of {dialect.name} on the first start: {value.path}"
    changed = changed_limits(settings.limits)
    listed = ", ".join(f"{name} {value}" for name, value in changed.items())
    yield f"limits: {listed or 'as built in'}"


def callers(publication: Publication, dialects: Mapping[str, DialectKeys]) -> str:
    """:returns: who may make a published call."""
    if publication.endpoint:
        return "everybody who reaches that port, without a login"
    naming = dialects[publication.source.dialect].traits.naming
    if publication.clients:
        return ", ".join(publication.clients)
    if naming is not None and naming.nameless:
        return "everybody, without a login"
    return "whoever may call it" + (", even without a name" if publication.public else "")


def consequence(publication: Publication) -> str:
    """:returns: what becomes of those who would be reached by that name otherwise"""
    if publication.endpoint:
        return "each connection is a call"
    if not publication.source.topic:
        return "this wins over a live offer of that name"
    if publication.target.topic:
        return "who enters the one is a member of the other instead"
    return "who enters that topic calls, and hears no other member"


def describe_tunnels(
    settings: TunnelsSettings, dialects: Mapping[str, DialectKeys]
) -> Iterator[str]:
    """:returns: one line for each router that is dialled and each door that is opened."""
    for tunnel in settings.tunnels:
        through = f" through {masked(tunnel.proxy)}" if tunnel.proxy else ""
        router = dialled_url(tunnel, dialects)
        carried = "TLS" if is_encrypted(router) else "plain"
        if router:
            yield f"{tunnel.name}: dials {router}{through}: {tunnel.dialect}; {carried}"
        else:
            yield f"{tunnel.name}: dials what it is told to{through}: {tunnel.dialect}"
        for door in tunnel.doors:
            if settings.role is Role.HOST:
                traits = dialects[tunnel.dialect].traits
                what = f" service {door.service}" if traits.services else ""
                to = f"; {traits.exposes}" if traits.exposes else ""
                yield f"{tunnel.name}: forwards{what} to {door.endpoint}{to}"
            else:
                called = call_in_words(tunnel, door, dialects)
                yield (
                    f"{tunnel.name}: listens on {door.endpoint} for {called}; "
                    f"{reach(door.endpoint)}"
                )
        for line in tunnel_remarks(tunnel, dialects).lines:
            yield f"{tunnel.name}: {line}"


def dialled_url(tunnel: TunnelSettings, dialects: Mapping[str, DialectKeys]) -> str:
    """:returns: what a host or client dials; empty: what it is told later"""
    dialled = dialects[tunnel.dialect].traits.dialled
    return tunnel.router or (dialled(tunnel.values) if dialled is not None else "")


def call_in_words(tunnel: TunnelSettings, door: Door, dialects: Mapping[str, DialectKeys]) -> str:
    """:returns: what somebody who comes through a client's door calls"""
    call = dialects[tunnel.dialect].traits.call
    return call.format(**tunnel.values) if call else f"service {door.service}"


def router_remarks(
    settings: RouterSettings, dialect: DialectSettings, dialects: Mapping[str, DialectKeys]
) -> Remarks:
    """:returns: what the dialect says of its section. :raises ConfigurationError: see traits"""
    remarks = dialects[dialect.name].traits.remarks
    if remarks is None:
        return Remarks()
    said: Record = {"listen": dialect.listen, "listen-tls": dialect.listen_tls}
    if settings.public_url:
        said["public-url"] = settings.public_url
    return remarks({**dialect.values, **said})


def tunnel_remarks(tunnel: TunnelSettings, dialects: Mapping[str, DialectKeys]) -> Remarks:
    """:returns: what the dialect says of a host's or client's section."""
    remarks = dialects[tunnel.dialect].traits.tunnel_remarks
    return Remarks() if remarks is None else remarks(tunnel)


def router_warnings(settings: RouterSettings, dialects: Mapping[str, DialectKeys]) -> Iterator[str]:
    """:returns: what is allowed and yet hardly meant."""
    for listener in listeners(settings, dialects):
        exposed = not listener.tls and not is_loopback(listener.endpoint)
        if exposed and not settings.trusted_proxies:
            yield (
                f"{listener.endpoint} is plain and open to other machines: tokens can be read on "
                "the way; use listen-tls, or a TLS proxy named in trusted-proxies"
            )
    if settings.admin is not None and not is_loopback(settings.admin):
        yield f"the admin address {settings.admin} is open to other machines"
    for dialect in settings.dialects:
        for warning in router_remarks(settings, dialect, dialects).warnings:
            yield f"{dialect.name}: {warning}"
    for port in published_ports(settings):
        if not is_loopback(port.endpoint):
            yield (
                f"[publish {port.publication}]: {port.endpoint} is open to other machines, "
                "without a login"
            )
    if settings.proxy_protocol and not settings.trusted_proxies:
        yield "proxy-protocol is on, and without trusted-proxies nobody may speak it"


def tunnel_warnings(tunnel: TunnelSettings, dialects: Mapping[str, DialectKeys]) -> Iterator[str]:
    """:returns: what is allowed and yet hardly meant."""
    if tunnel.router and not is_encrypted(tunnel.router) and not is_local(tunnel.router):
        yield (
            f"{tunnel.name}: {tunnel.router} is plain: the token can be read on the way; "
            "use wss or https"
        )
    if tunnel.role is Role.CLIENT:
        for door in tunnel.doors:
            if not is_loopback(door.endpoint):
                yield f"{tunnel.name}: {door.endpoint} is open to other machines, without a login"
    for warning in tunnel_remarks(tunnel, dialects).warnings:
        yield f"{tunnel.name}: {warning}"
