"""What a router, a host and a client of session-relay are told, and what that opens.

Specification: session-relay.md §7, §9.1 and §11. The plugin hands these to ``settings``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from typing import cast
from urllib.parse import urlsplit

from relay.dialects.session_relay.notions import SESSION
from relay.dialects.session_relay.originals import (
    FEWEST_MESSAGES,
    LOOPBACK,
    MOST_MESSAGES,
    SHORTEST_STATS_S,
    boolean,
    buffer_messages,
    host_log_level,
    local_port,
    port,
    stats_every_s,
)
from relay.dialects.session_relay.paths import check_published
from relay.settings.endpoints import check_door, is_loopback, reach
from relay.settings.faults import Wrong, listed, quoted
from relay.settings.model import TunnelSettings
from relay.settings.schema import Foreign, Key, Kind, Naming, Remarks, Traits, UsualListeners
from relay.settings.urls import check_url, is_encrypted, is_local
from relay.vocabulary import Role

SECRET_KEY = "secret-file"
AUDIENCE_KEY = "audience"
TARGET_KEY = "target"
LISTEN_ACCESS_KEY = "listen-access"
LISTEN_RELAY_KEY = "listen-relay"
BUFFER_KEY = "buffer-messages"
STATS_KEY = "stats-every-s"
ALLOW_NO_BOOKING_KEY = "allow-no-booking-id"
ORIGINS_KEY = "origins"
PUBLIC_URL = "public-url"
"""Beside the keys of its section: at what URL the dialect is reached, for :func:`audience_of`."""

LISTEN_KEY = "listen"
API_KEY = "api"
SESSION_KEY = "session"
STREAM_KEY = "stream"
FEEDS_KEY = "feeds"
FILES_KEY = "files"
STREAM_PREFIX = "stream/"
"""What the name of a stream begins with that merges feeds; any other is a feed."""

ACCESS_PATH = "/access"
RELAY_PATH = "/ws"
ANY_ORIGIN = "*"


def prefix_of(url: str, otherwise: str) -> str:
    """Say where on the shared listeners something is served that others know by a URL.

    :param otherwise: what stands in for the path of what is no URL
    :returns: a path without a slash at its end; empty: the root
    """
    return (urlsplit(url).path if "://" in url else otherwise).rstrip("/")


def audience_of(values: Mapping[str, object], url: str = "") -> str:
    """Say what a token's audience must be, byte for byte: the base URL of the access API.

    :param values: of ``[dialect:session-relay]``, ``public-url`` perhaps among them
    :param url: at which the dialect is reached, empty: what ``values`` has
    :returns: empty when nobody knows
    """
    base = _base(values, url)
    return str(values.get(AUDIENCE_KEY) or "") or (f"{base}{ACCESS_PATH}" if base else "")


def target_of(values: Mapping[str, object], url: str = "") -> str:
    """Say what the URLs of relay sockets begin with.

    :param values: as for :func:`audience_of`, as is ``url``
    :returns: ``ws`` or ``wss``; empty when nobody knows
    """
    base = _base(values, url)
    made = f"ws{base.removeprefix('http')}{RELAY_PATH}" if base.startswith("http") else ""
    return str(values.get(TARGET_KEY) or "") or made


def _base(values: Mapping[str, object], url: str) -> str:
    return (url or str(values.get(PUBLIC_URL) or "")).rstrip("/")


# -- texts -----------------------------------------------------------------------------------------


def check_origin(text: str) -> str:
    """:returns: an entry of ``origins``, as browsers send it. :raises Wrong: when none would."""
    if text == ANY_ORIGIN:
        return text
    check_url(text, ("https", "http"))
    parts = urlsplit(text)
    if parts.path or parts.query:
        raise Wrong(f"{quoted(text)} is no origin, which is SCHEME://HOST or SCHEME://HOST:PORT")
    return text.lower()


def check_stream(text: str) -> str:
    """:returns: a host's feed or stream, without the slash that originals strip, too."""
    return text.removeprefix("/")


_SESSION_SCHEMES = ("https", "http", "wss", "ws")
_LIVENESS = (
    Key("ping-s", Kind.SECONDS, "how often a peer is asked for a sign of life; 0: never", "54"),
    Key("dead-s", Kind.SECONDS, "silence after which a peer is taken for dead; 0: never", "60"),
)
"""As the original has it, whose peers wait for pings."""

ROUTER_KEYS = (
    Key(
        SECRET_KEY,
        Kind.SECRET_FILE,
        "the secret that signs tokens (RELAY_SECRET of the original)",
        secret_environment=("RELAY_SECRET",),
        example="session.secret",
    ),
    Key(
        AUDIENCE_KEY,
        Kind.TEXT,
        "the base URL of the access API, which a token's audience must be; its path is the route",
        environment=("RELAY_AUDIENCE",),
        example="https://relay.example.org/access",
    ),
    Key(
        TARGET_KEY,
        Kind.URL,
        "the base URL of relay sockets, as clients are told it; its path is the route",
        environment=("RELAY_URL",),
        choices=("wss", "ws"),
        example="wss://relay.example.org/ws",
    ),
    Key(
        LISTEN_ACCESS_KEY,
        Kind.SERVER_ENDPOINTS,
        "listeners for the access API alone, without the path of audience",
        foreign=(Foreign("RELAY_PORT_ACCESS", port),),
        example="tcp:3000:interface=127.0.0.1",
    ),
    Key(
        LISTEN_RELAY_KEY,
        Kind.SERVER_ENDPOINTS,
        "listeners for relay sockets alone, without the path of target",
        foreign=(Foreign("RELAY_PORT_RELAY", port),),
        example="tcp:3001:interface=127.0.0.1",
    ),
    Key(
        BUFFER_KEY,
        Kind.INTEGER,
        "how many messages may wait for one reader; further ones are dropped for it",
        "128",
        foreign=(Foreign("RELAY_BUFFER_SIZE", buffer_messages),),
        least=FEWEST_MESSAGES,
        most=MOST_MESSAGES,
    ),
    Key(
        STATS_KEY,
        Kind.SECONDS,
        "how often the topic stats reports who is connected",
        "5",
        foreign=(Foreign("RELAY_STATS_EVERY", stats_every_s),),
        least=SHORTEST_STATS_S,
    ),
    Key(
        ALLOW_NO_BOOKING_KEY,
        Kind.BOOLEAN,
        "whether tokens without a booking id are taken, which nobody can cancel",
        "no",
        foreign=(Foreign("RELAY_ALLOW_NO_BOOKING_ID", boolean),),
    ),
    Key(
        ORIGINS_KEY,
        Kind.LIST,
        "origins whose pages may use this router in a browser; none: any",
        example="https://lab.example.org",
        check=check_origin,
    ),
    *_LIVENESS,
)

HOST_KEYS = (
    Key("router", Kind.URL, "", required=False),
    Key(
        LISTEN_KEY,
        Kind.SERVER_ENDPOINT,
        "where the local HTTP API and the feeds are served, without a login",
        f"tcp:8888:{LOOPBACK}",
        foreign=(Foreign("VW_PORT", local_port),),
    ),
    Key(
        API_KEY,
        Kind.URL,
        "a WebSocket URL from which commands are taken, without a token",
        environment=("VW_API",),
        choices=("wss", "ws"),
        example="wss://relay.example.org/ws/session/my-rig-api",
    ),
    Key(
        SESSION_KEY,
        Kind.URL,
        "a rule's destination: the session URL of a topic, or without a token a WebSocket's",
        choices=_SESSION_SCHEMES,
        example="https://relay.example.org/access/session/my-topic",
    ),
    Key("token-file", Kind.SECRET_FILE, "", required=False),
    Key(
        STREAM_KEY,
        Kind.TEXT,
        f"the rule's feed, both ways; or {STREAM_PREFIX}NAME, outward only",
        check=check_stream,
        example="stream/cam",
    ),
    Key(FEEDS_KEY, Kind.LIST, "the feeds that the stream merges", example="video, audio"),
    Key(
        FILES_KEY,
        Kind.PATH,
        "the folder below which rules may have files written; none: that for temporary files",
        example="recordings",
    ),
    Key(
        ORIGINS_KEY,
        Kind.LIST,
        "origins whose pages may use the local API and feeds, or *; none: those of this machine",
        example="https://lab.example.org",
        check=check_origin,
    ),
    Key("forward", Kind.DOORS, "", required=False, unless=(LISTEN_KEY, SESSION_KEY)),
    *_LIVENESS,
)

CLIENT_KEYS = (
    Key("router", Kind.URL, "", required=False),
    Key(
        SESSION_KEY,
        Kind.URL,
        "the session URL of the topic at the access API",
        environment=("RELAY_CLIENT_SESSION",),
        choices=_SESSION_SCHEMES,
        required=True,
        example="https://relay.example.org/access/session/my-topic",
    ),
    Key(
        "token-file",
        Kind.SECRET_FILE,
        "",
        secret_environment=("RELAY_CLIENT_TOKEN",),
        required=False,
    ),
    Key(
        LISTEN_KEY,
        Kind.SERVER_DOORS,
        "where programs join the topic: an endpoint for bytes, or ws:PORT for WebSockets",
        check=check_door,
        example="ws:8000",
    ),
    *_LIVENESS,
)


# -- what relay check says -------------------------------------------------------------------------


def remark(values: Mapping[str, object]) -> Remarks:
    """Say who may use a router, and under which names.

    :param values: of ``[dialect:session-relay]``, and ``public-url`` where somebody said it
    """
    return Remarks(tuple(_opened(values)), tuple(_unsafe(values)))


def _opened(values: Mapping[str, object]) -> Iterator[str]:
    yield f"tokens are for {audience_of(values) or f'public-url{ACCESS_PATH}'}"
    target = target_of(values) or f"the ws form of public-url{RELAY_PATH}"
    yield f"relay sockets are at {target}/{SESSION}/"
    origins = cast("tuple[str, ...]", values.get(ORIGINS_KEY) or ())
    if not origins or ANY_ORIGIN in origins:
        yield "pages of any origin may use it in a browser, with a token of their own"
    else:
        yield f"in a browser, only pages of {listed(origins)} may use it"


def _unsafe(values: Mapping[str, object]) -> Iterator[str]:
    audience = values.get(AUDIENCE_KEY)
    if audience and "://" not in str(audience):
        yield f"audience {audience} is no URL; the access API is served at {ACCESS_PATH}"
    target = str(values.get(TARGET_KEY) or "")
    if "?" in target:
        yield f"target {target} has a query: the URLs made of it lead nowhere"
    if values.get(ALLOW_NO_BOOKING_KEY):
        yield "tokens without a booking id are taken, and nobody can cancel those"
    for listening, named in (
        (LISTEN_ACCESS_KEY, AUDIENCE_KEY),
        (LISTEN_RELAY_KEY, TARGET_KEY),
    ):
        if values.get(listening) and not values.get(named):
            yield f"{listening} without {named}: others are told a URL below public-url"


def remark_on_tunnel(settings: TunnelSettings) -> Remarks:
    """Say what a host opens beside its router; a client has nothing to add."""
    if settings.role is Role.CLIENT:
        return Remarks()
    endpoint, api = (str(settings.values.get(key) or "") for key in (LISTEN_KEY, API_KEY))
    lines = [
        f"serves its HTTP API and feeds on {endpoint}, without a login; {reach(endpoint)}: whoever "
        "reaches it can say where feeds go, and hear and write them all"
    ]
    warnings = []
    if not is_loopback(endpoint):
        warnings.append(f"{endpoint} is open to other machines, without a login")
    if settings.values.get(SESSION_KEY):
        lines.append(_rule(settings))
    files = settings.values.get(FILES_KEY) or tempfile.gettempdir()
    lines.append(f"whoever reaches the API can write and empty any file below {files}")
    origins = cast("tuple[str, ...]", settings.values.get(ORIGINS_KEY) or ())
    if ANY_ORIGIN in origins:
        warnings.append("origins * lets any page that a browser here shows do all of that")
    elif origins:
        lines.append(f"in a browser, pages of {listed(origins)} may use it, too")
    if api:
        lines.append(f"takes commands from {api}: whoever may write there can say where feeds go")
        if not is_encrypted(api) and not is_local(api):
            warnings.append(f"{api} is plain: commands can be altered on the way; use wss")
    return Remarks(tuple(lines), tuple(warnings))


def _rule(settings: TunnelSettings) -> str:
    stream = str(settings.values.get(STREAM_KEY))
    feeds = cast("tuple[str, ...]", settings.values.get(FEEDS_KEY) or ())
    if not stream.startswith(STREAM_PREFIX):
        return f"feed {quoted(stream)} and its topic hear each other"
    merged = f", which merges {listed(feeds)}," if feeds else ""
    return f"{quoted(stream)}{merged} is sent to its topic; nothing comes back"


def tunnel_faults(settings: TunnelSettings) -> Iterator[tuple[str, str]]:
    """Say what does not fit together in a host's or client's section.

    :returns: keys, and what is wrong with the value of each or the lack of it
    """
    values = settings.values
    session, stream = values.get(SESSION_KEY), str(values.get(STREAM_KEY) or "")
    if session and urlsplit(str(session)).scheme in ("http", "https") and settings.token is None:
        yield (
            "token-file",
            'is missing: the file that holds the token, like "token-file = my.token"',
        )
    if settings.role is Role.CLIENT:
        return
    if session and not stream:
        yield STREAM_KEY, 'is missing: the feed or stream of that session, like "stream = video"'
    if stream and not session:
        yield SESSION_KEY, "is missing: where that stream goes"
    if values.get(FEEDS_KEY) and not stream.startswith(STREAM_PREFIX):
        yield FEEDS_KEY, f"only a stream has feeds, and its name begins with {STREAM_PREFIX}"


TRAITS = Traits(
    services=False,
    opens="whoever has a token for a topic can hear it or write to it, as the token says, until it "
    "expires or its booking is cancelled",
    host_token="session-relay --topic my-topic --scope write",
    client_token="session-relay --topic my-topic --scope read",
    token_files=("rig.token", "me.token"),
    call="the topic of {session}",
    dials=SESSION_KEY,
    naming=Naming(check_published, topics=True),
    remarks=remark,
    tunnel_remarks=remark_on_tunnel,
    tunnel_faults=tunnel_faults,
    host_log_level=Foreign("VW_LOG_LEVEL", host_log_level),
    usual_listeners=UsualListeners(
        ("RELAY_AUDIENCE", "RELAY_URL"),
        ((LISTEN_ACCESS_KEY, "tcp:3000"), (LISTEN_RELAY_KEY, "tcp:3001")),
    ),
    tunnel_variables={
        Role.HOST: ("VW_PORT", "VW_API", "VW_LOG_LEVEL"),
        Role.CLIENT: ("RELAY_CLIENT_SESSION",),
    },
)
