"""What ``relay demo`` and ``relay bench`` set up of each dialect: configurations and tokens."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

from relay.auth import mint
from relay.commands import credentials
from relay.dialects.network_relay.keys import CREDENTIALS_KEY
from relay.dialects.portal.tokens import portal_claims
from relay.dialects.session_relay.issuing import BACKDATED_S, session_claims
from relay.dialects.session_relay.keys import audience_of
from relay.dialects.session_relay.notions import DIALECT as SESSION_RELAY
from relay.dialects.session_relay.notions import SESSION
from relay.dialects.websocktunnel.tokens import tunnel_claims
from relay.settings.credentials import CredentialsFile
from relay.settings.model import RouterSettings, SecretSource
from relay.vocabulary import Role

PORTAL_ID = 1234
TUNNEL_ID = "web"
AGENT = "web"
TOKEN_LIFETIME_S = 86400

_ROUTER_INI = """\
[router]
listen = tcp:{port}:interface=127.0.0.1
admin = tcp:0:interface=127.0.0.1
state-dir = .
drain-s = 0

[dialect:{dialect}]
"""
_TUNNEL_INI = """\
[{role}:web]
dialect = {dialect}
router = {router}
token-file = {role}.token
{name}
{door}
"""
_LAB_INI = f"""\
[host:lab]
dialect = {SESSION_RELAY}
listen = tcp:0:interface=127.0.0.1
"""


class Show(NamedTuple):
    """How a dialect of tunnels is shown.

    :ivar tokens: mints those of a host and, where there is one, of a client
    :ivar names: the line of a host's INI that names the offer, and the lines of a client's;
        ``{target}`` stands for the service's ``HOST:PORT``
    :ivar path: where below the router's URL a browser finds the offer; empty: a client is needed
    """

    tokens: Callable[[RouterSettings], dict[Role, str]]
    names: dict[Role, str]
    path: str = ""


class Seat(NamedTuple):
    """What leads into a topic.

    :ivar session: where it is asked for
    :ivar token: what is shown there
    """

    session: str
    token: str


class Desk(NamedTuple):
    """Who lets others into the topics of a router.

    :ivar access: the base URL of the API at which they ask
    :ivar key: signs their tokens
    """

    access: str
    key: bytes

    def token(self, topic: str, scopes: Sequence[str], booking: str) -> str:
        """:param topic: empty for a token that is for the API itself, as is ``booking``"""
        begins = int(time.time()) - BACKDATED_S
        prefix = SESSION if topic else ""
        claims = session_claims(
            topic, list(scopes), self.access, booking, begins, TOKEN_LIFETIME_S, prefix
        )
        return mint(claims, self.key)

    def seat(self, topic: str, scopes: Sequence[str], booking: str) -> Seat:
        """:returns: how to become a member. :param topic: of letters, digits and ``_ . -``"""
        return Seat(f"{self.access}/{SESSION}/{topic}", self.token(topic, scopes, booking))


class TopicShow(NamedTuple):
    """How a dialect of topics is shown.

    :ivar desk: makes it of a router's settings and its URL (``http``, without a path)
    :ivar host_ini: the configuration of a host that is told its rules over HTTP
    """

    desk: Callable[[RouterSettings, str], Desk]
    host_ini: str


def _key(settings: RouterSettings, name: str) -> bytes:
    source = cast(SecretSource, settings.dialects[0].values[name])
    return source.read().key()


def _portal_tokens(settings: RouterSettings) -> dict[Role, str]:
    expires = int(time.time()) + TOKEN_LIFETIME_S
    key = _key(settings, "secret-file")
    return {
        role: mint(portal_claims(role, PORTAL_ID, f"demo-{role.value}", expires), key)
        for role in Role
    }


def _tunnel_tokens(settings: RouterSettings) -> dict[Role, str]:
    made = tunnel_claims(TUNNEL_ID, int(time.time()), TOKEN_LIFETIME_S)
    return {Role.HOST: mint(made, _key(settings, "secret-a-file"))}


def _relay_secrets(settings: RouterSettings) -> dict[Role, str]:
    source = cast(CredentialsFile, settings.dialects[0].values[CREDENTIALS_KEY])
    kinds = {Role.HOST: credentials.AGENT, Role.CLIENT: credentials.CLIENT}
    return {
        role: credentials.mint(source, credentials.Wanted(kind, AGENT)).secret
        for role, kind in kinds.items()
    }


def _session_desk(settings: RouterSettings, url: str) -> Desk:
    return Desk(audience_of(settings.dialects[0].values, url), _key(settings, "secret-file"))


SHOWS = {
    "portal": Show(_portal_tokens, dict.fromkeys(Role, "service = web")),
    "websocktunnel": Show(
        _tunnel_tokens, dict.fromkeys(Role, f"id = {TUNNEL_ID}"), f"/{TUNNEL_ID}/"
    ),
    "network-relay": Show(
        _relay_secrets,
        {Role.HOST: f"name = {AGENT}", Role.CLIENT: f"agent = {AGENT}\ntarget = {{target}}"},
    ),
}
"""By dialect, those of tunnels."""

TOPIC_SHOWS = {SESSION_RELAY: TopicShow(_session_desk, _LAB_INI)}
"""By dialect, those of topics."""

SHOWN = sorted((*SHOWS, *TOPIC_SHOWS))
"""The names of all dialects that can be shown."""


def router_ini(dialect: str, port: int) -> str:
    """:returns: the configuration of a router on loopback, with secrets that it makes itself"""
    return _ROUTER_INI.format(port=port, dialect=dialect)


def tunnel_ini(role: Role, dialect: str, router: str, door: str, target: str) -> str:
    """:param router: its URL
    :param door: the line with ``forward`` or ``listen``
    :param target: ``HOST:PORT`` of the service
    :returns: the configuration of a host or a client, whose token is in ``ROLE.token``
    """
    name = SHOWS[dialect].names[role].format(target=target)
    return _TUNNEL_INI.format(role=role.value, dialect=dialect, router=router, name=name, door=door)
