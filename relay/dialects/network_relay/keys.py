"""What a router, a host and a client of network-relay are told, and what that opens.

Specification: network-relay.md §9 to §13. The plugin hands these to ``settings``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import cast

from relay.addresses import is_loopback
from relay.dialects.network_relay.credentials import (
    EMPTY,
    Client,
    Credentials,
    read_credentials,
)
from relay.dialects.network_relay.paths import AGENTS, CLIENTS
from relay.dialects.network_relay.targets import LARGEST_PORT, TCP, AllowList, Target
from relay.errors import ConfigurationError
from relay.settings.endpoints import check_client, split_endpoint
from relay.settings.faults import Wrong, listed, nearest, quoted
from relay.settings.model import SecretSource, TunnelSettings
from relay.settings.schema import AddressVariables, Key, Kind, Naming, Remarks, Traits
from relay.settings.secrets import MadeSecretFile
from relay.vocabulary import Role

CREDENTIALS_KEY = "credentials-file"
NAME_KEY = "name"
ALLOW_KEY = "allow"
AGENT_KEY = "agent"
TARGET_KEY = "target"
NARROWEST_WIDE_V4 = 15
NARROWEST_WIDE_V6 = 47
"""A network with a prefix this short, or shorter, is hardly one's own."""


def base_url(url: str) -> str:
    """Take the original's path off a router's URL: its programs are told it, ours know it.

    Either of the two, since one variable (``HTTP_NETWORK_RELAY_URL``) may be set for both programs.
    """
    base = url.partition("?")[0].rstrip("/")
    for path in (AGENTS, CLIENTS):
        if base.endswith(f"/{path}"):
            return base.removesuffix(f"/{path}")
    return url


def check_allowed(text: str) -> str:
    """:returns: the entry of ``allow``. :raises Wrong: when it is none."""
    try:
        AllowList.parse((text,))
    except ConfigurationError as error:
        raise Wrong("; ".join(error.faults)) from None
    return text


def check_target(text: str) -> str:
    """:returns: the client's ``target``. :raises Wrong: when nobody could connect to it."""
    try:
        target = Target.parse(text)
    except ValueError as error:
        raise Wrong(str(error)) from None
    if target.protocol != TCP:
        raise Wrong(f"{quoted(text)}: protocol {quoted(target.protocol)} is not carried, only tcp")
    if not target.host:
        raise Wrong(f"{quoted(text)} names no host; write it as 127.0.0.1:22")
    if not 0 < target.port <= LARGEST_PORT:
        raise Wrong(f"{quoted(text)}: the port is not a number from 1 to {LARGEST_PORT}")
    return text


def check_forward(text: str) -> str:
    """:returns: the endpoint of ``forward``. :raises Wrong: when a caller could not name it."""
    check_allowed(str(forward_target(text)))
    return text


def forward_target(endpoint: str) -> Target:
    """Say by which target callers reach a ``forward``.

    :param endpoint: a client endpoint string
    :raises Wrong: when it is not TCP to one host and port
    """
    check_client(endpoint)
    parts = split_endpoint(endpoint)
    if parts.kind != TCP:
        raise Wrong(f"{quoted(endpoint)}: callers name an address and a port, so only tcp will do")
    port = parts.argument("port", 0 if "host" in parts.named else 1)
    return Target(parts.argument("host", 0), int(port))


_SECRET_ENVIRONMENT = ("HTTP_NETWORK_RELAY_SECRET",)
_URL_ENVIRONMENT = ("HTTP_NETWORK_RELAY_URL",)

ROUTER_KEYS = (
    Key(
        CREDENTIALS_KEY,
        Kind.CREDENTIALS_FILE,
        "agents and clients with their secrets, JSON as the original has it",
        environment=("HTTP_NETWORK_RELAY_CREDENTIALS_FILE",),
        example="credentials.json",
        initial=EMPTY,
    ),
)

HOST_KEYS = (
    Key("router", Kind.URL, "", environment=_URL_ENVIRONMENT, check=base_url),
    Key(
        NAME_KEY,
        Kind.TEXT,
        "the agent's name, by which it is called",
        environment=("HTTP_NETWORK_RELAY_NAME",),
        required=True,
        example="attic-pi",
    ),
    Key("token-file", Kind.SECRET_FILE, "", required=False),
    Key(
        "secret-file",
        Kind.SECRET_FILE,
        "the agent's secret",
        secret_environment=_SECRET_ENVIRONMENT,
        required=True,
        example="agent.secret",
    ),
    Key("forward", Kind.DOORS, "", unless=(ALLOW_KEY,), check=check_forward),
    Key(
        ALLOW_KEY,
        Kind.LIST,
        "what callers may have opened besides: addresses, networks or names, each with a port or *",
        repeatable=True,
        example="127.0.0.1:22, 10.0.0.0/24:*",
        check=check_allowed,
    ),
)

CLIENT_KEYS = (
    Key("router", Kind.URL, "", environment=_URL_ENVIRONMENT, check=base_url),
    Key(AGENT_KEY, Kind.TEXT, "the name of the agent to call", required=True, example="attic-pi"),
    Key(
        TARGET_KEY,
        Kind.TEXT,
        "what the agent connects to: IP:PORT, as it sees it",
        required=True,
        example="127.0.0.1:22",
        check=check_target,
    ),
    Key("token-file", Kind.SECRET_FILE, "", required=False),
    Key(
        "secret-file",
        Kind.SECRET_FILE,
        "the access client's secret",
        secret_environment=_SECRET_ENVIRONMENT,
        required=True,
        example="me.secret",
    ),
)


def remark(values: Mapping[str, object]) -> Remarks:
    """Say who may log in at a router, and what clients may reach.

    :param values: of ``[dialect:network-relay]``
    :raises ConfigurationError: when the credentials are not valid
    """
    source = cast(SecretSource, values[CREDENTIALS_KEY])
    if isinstance(source, MadeSecretFile) and not source.path.exists():
        return Remarks((), ())
    credentials = read_credentials(source)
    return Remarks(tuple(_rights(credentials)), tuple(_strangers(credentials)))


def _rights(credentials: Credentials) -> Iterator[str]:
    agents = [quoted(name) for name in credentials.agents]
    yield f"{_counted(len(agents), 'agent')} may register: {listed(agents)}"
    nameless = [client for client in credentials.clients if not client.name]
    if nameless:
        yield (
            f"{_counted(len(nameless), 'client')} without a name may reach "
            "everything that any agent can"
        )
    for client in credentials.clients:
        if client.name:
            yield f"client {quoted(client.name)} may reach {_reached(client)}"


def _reached(client: Client) -> str:
    if client.agents == () or client.targets == ():
        return "nothing"
    targets = "everything" if client.targets is None else listed(client.targets)
    agents = "any agent" if client.agents is None else listed(map(quoted, client.agents))
    return f"{targets} at {agents}"


def _strangers(credentials: Credentials) -> Iterator[str]:
    for client in credentials.clients:
        for agent in client.agents or ():
            if agent not in credentials.agents:
                yield (
                    f"client {quoted(client.name)} may call agent {quoted(agent)}, "
                    f"which is not among the agents{nearest(agent, credentials.agents)}"
                )


def remark_on_tunnel(settings: TunnelSettings) -> Remarks:
    """Say what a host lets callers open, and by whom; a client has nothing to add."""
    if settings.role is Role.CLIENT:
        return Remarks()
    allowed = cast("tuple[str, ...]", settings.values.get(ALLOW_KEY) or ())
    forwards = [str(forward_target(door.endpoint)) for door in settings.doors]
    name = quoted(str(settings.values.get(NAME_KEY)))
    line = (
        f"whoever its router lets call agent {name} can open "
        f"{listed(dict.fromkeys((*forwards, *allowed)))}, and nothing else"
    )
    return Remarks((line,), tuple(_wide(allowed)))


def _wide(allowed: tuple[str, ...]) -> Iterator[str]:
    for entry in allowed:
        host, _, port = entry.rpartition(":")
        try:
            network = ipaddress.ip_network(host.strip("[]"), strict=False)
        except ValueError:
            continue  # a name is one host
        widest = NARROWEST_WIDE_V4 if network.version == 4 else NARROWEST_WIDE_V6
        if network.prefixlen == 0:
            yield f"allow {entry} lets callers open every address that this machine reaches"
        elif network.prefixlen <= widest and not is_loopback(str(network.network_address)):
            ports = "every port" if port == "*" else f"port {port}"
            yield f"allow {entry} lets callers open {ports} of very many machines"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


TRAITS = Traits(
    services=False,
    exposes="callers name it as the target",
    host_token="network-relay agent attic-pi",
    client_token="network-relay client me",
    token_files=("agent.secret", "me.secret"),
    call="agent {agent}, target {target}",
    address=AddressVariables(
        "HTTP_NETWORK_RELAY_SERVER_HOST", "HTTP_NETWORK_RELAY_SERVER_PORT", "127.0.0.1", "8000"
    ),
    naming=Naming(str, lambda text: str(Target.parse(check_target(text)))),
    remarks=remark,
    tunnel_remarks=remark_on_tunnel,
)
