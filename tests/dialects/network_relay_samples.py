"""Network-relay for the contract suite: the names and secrets of section 17 of its specification.

Its credentials come inside the conversation; each link is there as originals have it, and as our
own programs agree on it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from uuid import UUID

from relay.dialects.network_relay.access import AccessLink, CallingLink
from relay.dialects.network_relay.agents import AgentLink
from relay.dialects.network_relay.credentials import Client
from relay.dialects.network_relay.keys import CREDENTIALS_KEY
from relay.dialects.network_relay.messages import encode_initiate, encode_ok
from relay.dialects.network_relay.paths import AGENTS, AGREEMENT, CLIENTS, DIALECT, offer_name
from relay.dialects.network_relay.serving import ServingLink
from relay.dialects.network_relay.targets import Target
from relay.http import Request
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings
from relay.vocabulary import Accept, Call, Event, Message, Reason, Reset
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin
from tests.dialects.network_relay_vectors import (
    A1,
    A2,
    CONNECTION_ID,
    V2,
    V3,
    V5,
    V6,
    V7,
    V11,
    V12,
    V13,
    V14,
)
from tests.dialects.samples import KnownSecret, Link, Samples

AGENT = "attic-pi"
AGENT_SECRET = "s3cr3t-agent"
CLIENT_SECRET = "s3cr3t-client"
TARGET = Target("127.0.0.1", 22)
OFFER = offer_name(AGENT)
CALL = Call(OFFER, str(TARGET), stream=0)
CREDENTIALS = (
    f'{{"edge-agents": {{"{AGENT}": "{AGENT_SECRET}"}}, '
    f'"access-client-secrets": ["{CLIENT_SECRET}"]}}'
)
FINISH = b'{"inner":{"kind":"finish"}}'
WINDOW_BYTES = 1 << 20


class KnownCredentials(KnownSecret):
    """Credentials that are not in a file."""

    def changed(self) -> bool:
        """:returns: False"""
        return False


def texts(*payloads: bytes) -> tuple[Message, ...]:
    """Messages of JSON."""
    return tuple(Message(payload, text=True) for payload in payloads)


def handshake(path: str, ours: bool) -> Request:
    """A handshake as the originals make it, or with what our own programs ask for besides."""
    headers = [
        ("host", "router.example"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "cG9ydGFsLXNwZWMta2V5IQ=="),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
    ]
    if ours:
        headers += [(name.lower(), value) for name, value in AGREEMENT.items()]
    return Request("GET", f"/{path}", f"/{path}", "", tuple(headers), "192.0.2.1")


def in_data(payload: bytes) -> bytes:
    """The payload in a ``tcp_data`` of a client's link."""
    inner = json.loads(payload)["inner"]
    assert inner.keys() == {"kind", "data_base64"}
    return base64.b64decode(inner["data_base64"], validate=True)


def agent_link(binary: bool) -> Callable[[], IConversation]:
    """A router's link to an agent, whose tunnels all get the id of the vectors."""
    return lambda: AgentLink(
        lambda name: (AGENT_SECRET,) if name == AGENT else (),
        lambda bits: UUID(CONNECTION_ID).int,
        binary,
    )


def access_link() -> IConversation:
    """A router's link to a client that may reach one target."""
    client = Client("alice", CLIENT_SECRET, (AGENT,), (str(TARGET),))
    return AccessLink(lambda secret: client if secret == CLIENT_SECRET else None)


TOLD: tuple[Event, ...] = (CALL,)
FROM_AGENT = texts(V14, V5, V3, V5, V3, A2, V12, V5, V12)
FROM_OUR_AGENT = (
    *texts(V14, encode_ok(CONNECTION_ID, WINDOW_BYTES)),
    Message(encode_dat(0, bytes(range(256)))),
    Message(encode_ack(0, WINDOW_BYTES)),
    Message(encode_fin(0)),
    Message(encode_dat(0, b"behind the end")),
    *texts(V12),
    Message(encode_ack(0, 1)),
)
FRAMES = (
    Message(encode_dat(0, bytes(range(256)))),
    Message(encode_ack(0, WINDOW_BYTES)),
    Message(encode_fin(0)),
)

SAMPLES = Samples(
    settings=DialectSettings(
        DIALECT, (), (), {CREDENTIALS_KEY: KnownCredentials(CREDENTIALS)}, 20.0, 45.0
    ),
    now=0.0,
    requests=(
        handshake(AGENTS, ours=False),
        handshake(AGENTS, ours=True),
        handshake(CLIENTS, ours=False),
        handshake(CLIENTS, ours=True),
    ),
    hellos=texts(A2, A2, A1, V6),
    unwraps=(None, None, in_data, None),
    secrets=(AGENT_SECRET, CLIENT_SECRET),
    links=(
        Link("its agent", agent_link(False), TOLD, FROM_AGENT, texts(A2)),
        Link("its agent, ours", agent_link(True), TOLD, FROM_OUR_AGENT, texts(A2)),
        Link(
            "its client with rights",
            access_link,
            (Accept(),),
            texts(V11, V6, V11),
            texts(V6),
            in_data,
        ),
        Link(
            "our agent",
            lambda: ServingLink(AGENT, AGENT_SECRET),
            (Accept(0),),
            texts(V14, V5, V2, V13, V13, V5),
            texts(V2),
        ),
        Link(
            "our agent at our router",
            lambda: ServingLink(AGENT, AGENT_SECRET, binary=True),
            (Accept(0),),
            (*FRAMES, *texts(V14, V13)),
            texts(encode_initiate(CONNECTION_ID, TARGET, 0, WINDOW_BYTES)),
        ),
        Link(
            "our client",
            lambda: CallingLink(AGENT, TARGET, CLIENT_SECRET),
            (),
            texts(V7, V11, V7, V11),
            unwrap=in_data,
        ),
        Link(
            "our client at our router",
            lambda: CallingLink(AGENT, TARGET, CLIENT_SECRET, binary=True),
            (),
            (*texts(V7), Message(b"hello"), Message(bytes(range(256))), *texts(FINISH)),
        ),
    ),
    arrives=(
        (TOLD, FROM_AGENT),
        ((*TOLD, Reset(Reason.PEER_CLOSED)), FRAMES),
        ((Accept(),), texts(V11, V6, V11)),
        ((Accept(),), (Message(b"hello"), Message(bytes(range(256))), *texts(FINISH))),
    ),
)
