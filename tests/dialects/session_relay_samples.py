"""Session-relay for the contract suite: the tokens of section 17 of its specification.

A handshake of the relay socket is admitted by a code that the core gave away before; its links are
made of the grants of sessions, therefore.
"""

from __future__ import annotations

from relay.dialects.session_relay.keys import (
    ALLOW_NO_BOOKING_KEY,
    AUDIENCE_KEY,
    BUFFER_KEY,
    ORIGINS_KEY,
    SECRET_KEY,
    STATS_KEY,
    TARGET_KEY,
)
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings
from relay.vocabulary import Message
from tests.dialects.samples import KnownSecret, Link, Samples
from tests.dialects.session_relay_rooms import AUDIENCE, NOW, SECRET, TARGET, TOPIC, Room, token

ARRIVES = (
    Message(b'{"angle":12}', text=True),
    Message(bytes(range(256))),
    Message(b""),
    Message(b"\xff\xfe", text=True),
)


def member(topic: str, *scopes: str) -> IConversation:
    """A link of the relay socket, by way of a session."""
    room = Room()
    room.ask("POST", f"/session/{topic}", token(topic=topic, scopes=list(scopes)))
    return room.joins(topic=topic)


SAMPLES = Samples(
    settings=DialectSettings(
        "session-relay",
        (),
        (),
        {
            SECRET_KEY: KnownSecret(SECRET),
            AUDIENCE_KEY: AUDIENCE,
            TARGET_KEY: TARGET,
            BUFFER_KEY: 128,
            STATS_KEY: 5.0,
            ALLOW_NO_BOOKING_KEY: False,
            ORIGINS_KEY: (),
        },
        54.0,
        60.0,
    ),
    now=NOW,
    requests=(),
    secrets=(SECRET,),
    links=(
        Link("a writer that reads", lambda: member(TOPIC, "write", "read"), (), ARRIVES),
        Link("a reader", lambda: member(TOPIC, "read"), (), ARRIVES),
        Link(
            "one that asks for reports",
            lambda: member("stats", "read", "write"),
            (),
            (Message(b'{"cmd":"update"}', text=True), *ARRIVES),
        ),
    ),
    arrives=(),
)
