"""What ``relay demo`` and ``relay bench`` set up of each dialect: configurations and tokens."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from relay.auth import mint
from relay.commands import credentials
from relay.dialects.network_relay.keys import CREDENTIALS_KEY
from relay.dialects.portal.tokens import portal_claims
from relay.dialects.session_relay.issuing import BACKDATED_S, session_claims
from relay.dialects.session_relay.keys import audience_of
from relay.dialects.session_relay.notions import DIALECT as SESSION_RELAY
from relay.dialects.session_relay.notions import SESSION
from relay.dialects.taas.keys import PROVISIONING_KEY, REGISTRAR_KEY, SERVERS_KEY
from relay.dialects.taas.notions import DIALECT as TAAS
from relay.dialects.taas.notions import Label
from relay.dialects.taas.records import Record, new_record, parse_provisioning, provisioning
from relay.dialects.websocktunnel.tokens import tunnel_claims
from relay.settings.credentials import CredentialsFile
from relay.settings.model import RouterSettings, SecretSource
from relay.vocabulary import Role

PORTAL_ID = 1234
TUNNEL_ID = "web"
AGENT = "web"
LABEL = "web"
TOKEN_LIFETIME_S = 86400

_ROUTER_INI = """\
[router]
{shared}admin = tcp:0:interface=127.0.0.1
state-dir = .
drain-s = 0

[dialect:{dialect}]
{own}"""
_LISTEN = "listen = tcp:{port}:interface=127.0.0.1\n"
_TUNNEL_INI = """\
[{role}:web]
dialect = {dialect}
router = {router}
{name}
{door}
"""
_TAAS_SERVERS = "taas.localhost"
# Below localhost browsers and curl look nothing up (RFC 6761, section 6.3): names lead here.
_TAAS_KEYS = f"""\
registrar = taas-registrar.localhost
servers = {_TAAS_SERVERS}
ports = 18000-18999
users = tcp:0:interface=127.0.0.1
"""
_LAB_INI = f"""\
[host:lab]
dialect = {SESSION_RELAY}
listen = tcp:0:interface=127.0.0.1
"""


class Show(NamedTuple):
    """How a dialect of tunnels is shown.

    :ivar tokens: mints those of a host and, where it has one, of a client; each is written to
        ``ROLE.token``. The router's URL is told beside its settings
    :ivar names: the lines of a host's INI that name its token and the offer, and those of a
        client's; ``{target}`` stands for the service's ``HOST:PORT``
    :ivar path: where below the router's URL a browser finds the offer; empty: a client is needed
    :ivar keys: of the router's section, for a dialect that shares its listener with no other; the
        last of them opens a page for the operator
    :ivar records: what the router's store is to hold for these tokens, by key
    :ivar scheme: of the router's URL
    :ivar name: the host name by which a browser is redirected to the offer; empty: there is none
    :ivar begins: whether a service hears of a caller only when that has said something
    """

    tokens: Callable[[RouterSettings, str], dict[Role, str]]
    names: dict[Role, str]
    path: str = ""
    keys: str = ""
    records: Callable[[Mapping[Role, str]], dict[str, str]] = lambda _: {}
    scheme: str = "ws"
    name: str = ""
    begins: bool = False


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


def _portal_tokens(settings: RouterSettings, _: str) -> dict[Role, str]:
    expires = int(time.time()) + TOKEN_LIFETIME_S
    key = _key(settings, "secret-file")
    return {
        role: mint(portal_claims(role, PORTAL_ID, f"demo-{role.value}", expires), key)
        for role in Role
    }


def _tunnel_tokens(settings: RouterSettings, _: str) -> dict[Role, str]:
    made = tunnel_claims(TUNNEL_ID, int(time.time()), TOKEN_LIFETIME_S)
    return {Role.HOST: mint(made, _key(settings, "secret-a-file"))}


def _relay_secrets(settings: RouterSettings, _: str) -> dict[Role, str]:
    source = cast(CredentialsFile, settings.dialects[0].values[CREDENTIALS_KEY])
    kinds = {Role.HOST: credentials.AGENT, Role.CLIENT: credentials.CLIENT}
    return {
        role: credentials.mint(source, credentials.Wanted(kind, AGENT)).secret
        for role, kind in kinds.items()
    }


def _provisioned(settings: RouterSettings, url: str) -> dict[Role, str]:
    values, router = settings.dialects[0].values, urlsplit(url)
    registrar, servers = str(values[REGISTRAR_KEY]), str(values[SERVERS_KEY])
    record = new_record([Label(LABEL)], registrar, servers, str(uuid.uuid4()))
    return {Role.HOST: provisioning(record, router.hostname or "", router.port or 0, None)}


def _taas_records(tokens: Mapping[Role, str]) -> dict[str, str]:
    told = parse_provisioning(tokens[Role.HOST])
    record = Record(told.labels, told.base32, told.step_s, told.uuid, told.name, told.issuer)
    return {told.uuid: record.completed(told.uuid, told.registrar, _TAAS_SERVERS).text()}


def _session_desk(settings: RouterSettings, url: str) -> Desk:
    return Desk(audience_of(settings.dialects[0].values, url), _key(settings, "secret-file"))


_TOKEN_FILE = "token-file = {role}.token\n"


def _names(host: str, client: str = "") -> dict[Role, str]:
    return {
        Role.HOST: _TOKEN_FILE.format(role=Role.HOST.value) + host,
        Role.CLIENT: _TOKEN_FILE.format(role=Role.CLIENT.value) + client,
    }


SHOWS = {
    "portal": Show(_portal_tokens, _names("service = web", "service = web")),
    "websocktunnel": Show(_tunnel_tokens, _names(f"id = {TUNNEL_ID}"), f"/{TUNNEL_ID}/"),
    "network-relay": Show(
        _relay_secrets, _names(f"name = {AGENT}", f"agent = {AGENT}\ntarget = {{target}}")
    ),
    TAAS: Show(
        _provisioned,
        {
            Role.HOST: f"{PROVISIONING_KEY} = {Role.HOST.value}.token",
            Role.CLIENT: f"label = {LABEL}.{_TAAS_SERVERS}",
        },
        keys=_TAAS_KEYS,
        records=_taas_records,
        scheme="http",
        name=f"{LABEL}.{_TAAS_SERVERS}",
        begins=True,
    ),
}
"""By dialect, those of tunnels."""

TOPIC_SHOWS = {SESSION_RELAY: TopicShow(_session_desk, _LAB_INI)}
"""By dialect, those of topics."""

SHOWN = sorted((*SHOWS, *TOPIC_SHOWS))
"""The names of all dialects that can be shown."""


def router_ini(dialect: str, port: int) -> str:
    """:returns: the configuration of a router on loopback, with secrets that it makes itself"""
    listen, show = _LISTEN.format(port=port), SHOWS.get(dialect)
    apart = show.keys if show else ""
    shared, own = ("", listen + apart) if apart else (listen, "")
    return _ROUTER_INI.format(dialect=dialect, shared=shared, own=own)


def tunnel_ini(role: Role, dialect: str, router: str, door: str, target: str) -> str:
    """:param router: its URL
    :param door: the line with ``forward`` or ``listen``
    :param target: ``HOST:PORT`` of the service
    :returns: the configuration of a host or a client, whose token, if any, is in ``ROLE.token``
    """
    name = SHOWS[dialect].names[role].format(target=target)
    return _TUNNEL_INI.format(role=role.value, dialect=dialect, router=router, name=name, door=door)
