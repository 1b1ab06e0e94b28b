"""What a section of taas opens, to whom, and what in it does not fit together; for relay check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from relay.addresses import is_loopback
from relay.dialects.taas import keys
from relay.dialects.taas.provisioned import read_provisioning
from relay.dialects.taas.records import Provisioning
from relay.errors import ConfigurationError
from relay.settings import endpoints
from relay.settings.faults import listed, nearest, quoted
from relay.settings.kinds import shown
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Remarks
from relay.settings.secrets import FOR_OTHERS
from relay.settings.urls import has_password, masked
from relay.vocabulary import Role


def faults(settings: DialectSettings) -> Iterator[tuple[str, str]]:
    """Say what does not fit together in a router's section.

    :returns: keys, and what is wrong with the value of each or the lack of it
    """
    values = settings.values
    registrar, servers = values.get(keys.REGISTRAR_KEY), values.get(keys.SERVERS_KEY)
    if registrar and registrar == servers:
        yield (
            keys.REGISTRAR_KEY,
            f"is what servers says, too; hosts need a name of their own, like registrar.{servers}",
        )
    database = str(values.get(keys.DATABASE_KEY) or "")
    if values.get(keys.PASSWORD_KEY) is not None:
        if "://" not in database:
            yield keys.PASSWORD_KEY, "only a redis:// database has a password"
        elif has_password(database):
            yield keys.PASSWORD_KEY, "the URL of database has a password as well; keep one of them"


def remark(values: Mapping[str, object]) -> Remarks:
    """Say what a router opens and keeps.

    :param values: of ``[dialect:taas]``, with ``listen`` and ``listen-tls``
    """
    return Remarks(tuple(_opened(values)), tuple(_unsafe(values)))


def _listeners(values: Mapping[str, object]) -> tuple[str, ...]:
    plain, secure = (values.get(key) or () for key in ("listen", "listen-tls"))
    return (*cast("tuple[str, ...]", plain), *cast("tuple[str, ...]", secure))


def _opened(values: Mapping[str, object]) -> Iterator[str]:
    registrar, servers = values[keys.REGISTRAR_KEY], values[keys.SERVERS_KEY]
    yield f"hosts register at {registrar}; labels are called LABEL.{servers}"
    address = keys.advertise_of(values, _listeners(values))
    yield (
        f"opens ports {shown(values[keys.PORTS_KEY])} as they are needed, "
        f"and tells hosts that they are at {address}; fixed ports as the records say"
    )
    database = str(values.get(keys.DATABASE_KEY) or "")
    yield f"its records are in {masked(database) or f'{keys.DATABASE_FILE} of state-dir'}"
    if users := values.get(keys.USERS_KEY):
        yield (
            f"the users page is on {users}, without a login: whoever reaches it "
            "can read and change every record"
        )


def _unsafe(values: Mapping[str, object]) -> Iterator[str]:
    registrar, servers = str(values[keys.REGISTRAR_KEY]), str(values[keys.SERVERS_KEY])
    if registrar.endswith(f".{servers}"):
        label = registrar.removesuffix(f".{servers}")
        yield f"registrar {registrar} is a name below servers: label {quoted(label)} has no callers"
    outward = [one for one in _listeners(values) if not endpoints.is_loopback(one)]
    if outward:
        address = keys.advertise_of(values, _listeners(values))
        if is_loopback(address):
            yield f"hosts on other machines are told to connect to {address}; say advertise"
        if servers == keys.DEFAULT_SERVERS or registrar == keys.DEFAULT_REGISTRAR:
            yield "registrar and servers are the names of an example; say your own"
    if not values.get(keys.SAME_ADDRESS_KEY):
        yield (
            "same-address is off: a code that was seen can be used from elsewhere, and who comes "
            "first to a port that a host asked for takes its place"
        )


# -- hosts and clients ---------------------------------------------------------------------------


def tunnel_faults(settings: TunnelSettings) -> Iterator[tuple[str, str]]:
    """Say what is wrong with what a host's section names; a client's names nothing.

    :returns: keys, and what is wrong with the value of each
    """
    path = settings.values.get(keys.PROVISIONING_KEY)
    if settings.role is Role.CLIENT or not isinstance(path, Path):
        return
    try:
        provisioning = read_provisioning(path)
    except ConfigurationError as error:
        yield keys.PROVISIONING_KEY, "; ".join(error.faults)
        return
    names = [label.name for label in provisioning.labels]
    label = settings.values.get(keys.LABEL_KEY)
    if label and label not in names:
        yield (
            keys.LABEL_KEY,
            f"{quoted(str(label))} is not in {path}, which has {listed(map(quoted, names), 'and')}"
            f"{nearest(str(label), names)}",
        )


def dialled(values: Mapping[str, object]) -> str:
    """Say what a host or client dials that names no router.

    :returns: what the provisioning file says, the label's name; empty: nobody knows
    """
    path = values.get(keys.PROVISIONING_KEY)
    if isinstance(path, Path):
        try:
            provisioning = read_provisioning(path)
        except ConfigurationError:
            return ""  # :func:`tunnel_faults` says so
        return provisioning.router
    label = values.get(keys.LABEL_KEY)
    return f"https://{label}" if label and keys.FAR_TLS_KEY in values else ""


def remark_on_tunnel(settings: TunnelSettings) -> Remarks:
    """Say what a host registers, and what a client's far end is."""
    values = settings.values
    if settings.role is Role.CLIENT:
        far = "and verifies it by this name" if values.get(keys.FAR_TLS_KEY) else ""
        return Remarks((f"speaks TLS to the service {far}",) if far else ())
    path = values.get(keys.PROVISIONING_KEY)
    if not isinstance(path, Path):
        return Remarks()
    provisioning = read_provisioning(path)
    lines = [
        f"registers {full_name(provisioning, values)} at {provisioning.registrar}, "
        f"where {values.get(keys.POOL_KEY)} connections wait for callers"
    ]
    if certificate := values.get(keys.CERTIFICATE_KEY):
        lines.append(f"speaks TLS to callers, with the certificate of {certificate}")
    exposed = path.stat().st_mode & FOR_OTHERS
    warning = f"{path}: others may read the secret; try: chmod 600 {path}"
    return Remarks(tuple(lines), (warning,) if exposed else ())


def full_name(provisioning: Provisioning, values: Mapping[str, object]) -> str:
    """:returns: the name by which a host's label is called: LABEL.SERVERS, as far as is known"""
    first = provisioning.labels[0].name
    label = str(values.get(keys.LABEL_KEY) or first)
    servers = provisioning.name.removeprefix(f"{first}.")
    return f"{label}.{servers}" if servers != provisioning.name else label
