"""Taas for the contract suite.

No request becomes a link here: links come by ports of their own, so that they are made by hand.
"""

from __future__ import annotations

from relay.dialects.taas.conversations import MobileCall, Responder
from relay.dialects.taas.keys import (
    ADVERTISE_KEY,
    DATABASE_KEY,
    PASSWORD_KEY,
    PORTS_KEY,
    REGISTRAR_KEY,
    SAME_ADDRESS_KEY,
    SERVERS_KEY,
    USES_KEY,
)
from relay.dialects.taas.notions import offer_name
from relay.dialects.taas.raw_conversations import CallingLink, WaitingLink
from relay.settings.model import DialectSettings
from relay.vocabulary import Accept, Call, CallKey, Message
from tests.dialects.samples import KnownSecret, Link, Samples
from tests.dialects.taas_rooms import ID, NOW, REGISTRAR, SERVERS

PASSWORD = "the-password-of-redis"
NAME = offer_name("alpha")
OCTETS = (Message(bytes(range(80))),)
"""All that ever comes, and the end of it."""
CALL = Call(NAME, key=CallKey("1"), origin="https 198.51.100.9 1 GET /")

SAMPLES = Samples(
    settings=DialectSettings(
        "taas",
        ("tcp:8899:interface=127.0.0.1",),
        (),
        {
            ADVERTISE_KEY: "192.0.2.1",
            PORTS_KEY: range(20000, 20100),
            REGISTRAR_KEY: REGISTRAR,
            SERVERS_KEY: SERVERS,
            DATABASE_KEY: "redis://127.0.0.1:6379/0",
            PASSWORD_KEY: KnownSecret(PASSWORD),
            SAME_ADDRESS_KEY: True,
            USES_KEY: 256,
        },
        54.0,
        60.0,
    ),
    now=NOW,
    requests=(),
    secrets=(PASSWORD,),
    links=(
        Link("one that waits", lambda: Responder(ID, NAME, lambda call, now: None), (), OCTETS),
        Link(
            "one that waited", lambda: Responder(ID, NAME, lambda call, now: None), (CALL,), OCTETS
        ),
        Link("one that wants it", lambda: MobileCall(NAME, "tcp 198.51.100.9 1"), (), OCTETS),
        Link(
            "one that has it", lambda: MobileCall(NAME, "tcp 198.51.100.9 1"), (Accept(),), OCTETS
        ),
        Link("our host's", lambda: WaitingLink(NAME), (), OCTETS),
        Link("our client's", CallingLink, (), OCTETS),
    ),
    arrives=(),
)
