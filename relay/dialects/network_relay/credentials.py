"""Who may log in at a router of network-relay, and what a client may reach: the credentials file.

Specification: network-relay.md §9, with the optional member ``access-clients`` of ours, which the
original ignores: ``{NAME: {"secret": S, "agents": [...], "targets": ["IP:PORT"]}}``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from relay.dialects.network_relay.targets import TCP, AllowList, Target
from relay.errors import ConfigurationError
from relay.settings.faults import Faults, nearest, quoted
from relay.settings.model import SecretSource

AGENTS = "edge-agents"
CLIENT_SECRETS = "access-client-secrets"
CLIENTS = "access-clients"
SECRET = "secret"
RIGHTS = ("agents", "targets")
EMPTY = f'{{"{AGENTS}": {{}}, "{CLIENT_SECRETS}": []}}\n'
"""A file in which nobody is; both members, since the original wants both."""


@dataclass(frozen=True, slots=True)
class Client:
    """An access client, or all that share one secret of the flat list.

    :ivar name: empty where the secret is of the flat list
    :ivar agents: whom it may call; None: every agent
    :ivar targets: what it may reach there, as an agent's ``allow``; None: everything
    """

    name: str
    secret: str = field(repr=False)
    agents: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    _allowed: AllowList = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowed", AllowList.parse(self.targets or ()))

    def may_call(self, agent: str, target: Target) -> bool:
        """Judge a call before the agent hears of it; no name is looked up here.

        :param target: as the client said it: a name passes only where that very name is listed
        """
        if self.agents is not None and agent not in self.agents:
            return False
        if self.targets is None:
            return True
        return target.protocol == TCP and self._allowed.allows_name(target.host, target.port)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the file says.

    :ivar agents: secrets by agents' names
    :ivar clients: the flat list's first, then those with names
    """

    agents: Mapping[str, str] = field(default_factory=dict, repr=False)
    clients: tuple[Client, ...] = ()
    _clients: Mapping[bytes, Client] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {_digest(client.secret): client for client in self.clients}
        object.__setattr__(self, "_clients", found)

    @classmethod
    def parse(cls, text: str, origin: str) -> Credentials:
        """Read a file's text.

        :param origin: the file, for messages
        :raises ConfigurationError: one line a fault, none with a secret in it
        """
        return _Reader(origin).read(text)

    def agent(self, name: str) -> tuple[str, ...]:
        """:returns: the secret with which that agent logs in; none for one that is not listed."""
        return (self.agents[name],) if name in self.agents else ()

    def client(self, secret: str) -> Client | None:
        """:returns: whose secret that is; how long the answer takes tells nothing of others."""
        return self._clients.get(_digest(secret))


def read_credentials(source: SecretSource) -> Credentials:
    """Read the file afresh.

    :raises ConfigurationError: when it cannot be read, or something is wrong with it
    """
    return Credentials.parse(source.read().reveal(), source.origin)


def parse_json(text: str, origin: str) -> dict[str, object]:
    """Read a file's text as the object that it must be, whatever its members.

    :raises ConfigurationError: when it is none, or has a member twice: only one of them would count
    """
    twice: list[str] = []

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        counted = Counter(name for name, _ in pairs)
        twice.extend(name for name, count in counted.items() if count > 1)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=members)
    except json.JSONDecodeError as error:
        raise ConfigurationError(
            [f"{origin}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})"]
        ) from None
    except (ValueError, RecursionError):
        raise ConfigurationError([f"{origin}: is not JSON that can be read"]) from None
    faults = Faults()
    for name in dict.fromkeys(twice):
        faults.add(origin, f"has {quoted(name)} twice in one object; keep one of the two")
    faults.raise_any()
    if not isinstance(value, dict):
        raise ConfigurationError([f"{origin}: is no JSON object, like {EMPTY.strip()}"])
    return value


class _Reader:
    """One reading; what is wrong goes to the faults, and no secret with it."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._faults = Faults()
        self._places: dict[bytes, str] = {}

    def read(self, text: str) -> Credentials:
        """:raises ConfigurationError: with every fault"""
        members = parse_json(text, self._origin)
        agents = {
            name: secret
            for name, value in self._object(members, AGENTS).items()
            if (secret := self._agent(name, value))
        }
        clients = [*self._flat(members.get(CLIENT_SECRETS, []))]
        for name, value in self._object(members, CLIENTS).items():
            if (client := self._client(name, value)) is not None:
                clients.append(client)
        self._faults.raise_any()
        return Credentials(agents, tuple(clients))

    def _add(self, where: str, text: str) -> None:
        self._faults.add(f"{self._origin}: {where}", text)

    def _object(self, members: Mapping[str, object], name: str) -> dict[str, object]:
        value = members.get(name, {})
        if isinstance(value, dict):
            return cast("dict[str, object]", value)
        self._add(name, "is no object with names as members")
        return {}

    def _agent(self, name: str, value: object) -> str:
        where = f"{AGENTS} {quoted(name)}"
        if not name:
            self._add(where, "an agent without a name can never log in; give it one")
        return self._secret(where, value)

    def _flat(self, value: object) -> Iterable[Client]:
        if not isinstance(value, list):
            self._add(CLIENT_SECRETS, "is no list of secrets")
            return
        for number, one in enumerate(value, 1):
            where = f"{CLIENT_SECRETS}, number {number}"
            secret = self._secret(where, one)
            # the same one twice is one: none of them has a name or limits
            if secret and self._places.setdefault(_digest(secret), where) == where:
                yield Client("", secret)

    def _client(self, name: str, value: object) -> Client | None:
        where = f"{CLIENTS} {quoted(name)}"
        if not name:
            self._add(where, "a client in this list needs a name")
        if not isinstance(value, dict):
            self._add(where, f'is no object like {{"{SECRET}": "...", "agents": ["attic-pi"]}}')
            return None
        before = len(self._faults.lines)
        known = (SECRET, *RIGHTS)
        for member in value:
            # a right that is misspelt would be no limit at all
            if member not in known:
                self._add(where, f"unknown member {quoted(member)}{nearest(member, known)}")
        if SECRET not in value:
            self._add(where, f'has no "{SECRET}"')
        elif secret := self._secret(where, value[SECRET]):
            self._only(where, secret)
        agents, targets = (self._names(where, value, right) for right in RIGHTS)
        try:
            AllowList.parse(targets or ())
        except ConfigurationError as error:
            for fault in error.faults:
                self._add(f"{where} targets", fault)
        if len(self._faults.lines) > before:
            return None
        return Client(name, value[SECRET], agents, targets)

    def _names(self, where: str, entry: Mapping[str, object], right: str) -> tuple[str, ...] | None:
        if right not in entry:
            return None
        value = entry[right]
        if isinstance(value, list) and all(isinstance(one, str) and one for one in value):
            return tuple(value)
        self._add(f"{where} {right}", "is no list of texts; leave it out to set no limit")
        return ()

    def _secret(self, where: str, value: object) -> str:
        """:returns: the secret, empty when it is none"""
        if isinstance(value, str) and value:
            return value
        self._add(where, "the secret is empty" if value == "" else "the secret is no text")
        return ""

    def _only(self, where: str, secret: str) -> None:
        """Two clients with one secret could not be told apart, nor could their rights."""
        other = self._places.setdefault(_digest(secret), where)
        if other != where:
            self._add(where, f"has the same secret as {other}")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
