"""Websocktunnel for the contract suite: the tokens of section 13.2 of its specification."""

from __future__ import annotations

from relay.dialects.websocktunnel.mux_host import HostMux
from relay.dialects.websocktunnel.paths import offer_name
from relay.http import Request
from relay.settings.model import DialectSettings
from relay.vocabulary import Call, Message, Reason, Reset
from relay.wire.wsmux import encode_ack, encode_dat, encode_fin, encode_syn
from tests.dialects.samples import KnownSecret, Link, Samples
from tests.dialects.websocktunnel_vectors import J1, J2, NOW, SECRET_A, SECRET_B, TUNNEL

OFFER = offer_name(TUNNEL)
WINDOW = 1 << 20
ANSWER = (
    Message(encode_ack(0, WINDOW)),
    Message(encode_dat(0, b"HTTP/1.1 200 OK\r\n\r\n")),
    Message(encode_dat(0, bytes(range(256)))),
    Message(encode_fin(0)),
)


def registration(token: str, tunnel_id: str = TUNNEL) -> Request:
    """A handshake as the original's client makes it."""
    headers = (
        ("host", "router.example"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "cG9ydGFsLXNwZWMta2V5IQ=="),
        ("authorization", f"Bearer {token}"),
        ("x-websocktunnel-id", tunnel_id),
    )
    return Request("GET", "/", "/", "", headers, "192.0.2.1")


SAMPLES = Samples(
    settings=DialectSettings(
        "websocktunnel",
        (),
        (),
        {
            "secret-a-file": KnownSecret(SECRET_A.decode()),
            "secret-b-file": KnownSecret(SECRET_B.decode()),
        },
        20.0,
        40.0,
    ),
    now=NOW,
    requests=(registration(J1), registration(J2)),
    secrets=(SECRET_A.decode(), SECRET_B.decode(), J1, J2, J1.split(".")[2], J2.split(".")[2]),
    links=(
        Link(
            "our host",
            lambda: HostMux(OFFER, WINDOW, WINDOW),
            (),
            (Message(encode_syn(0)), Message(encode_syn(2)), Message(encode_fin(7))),
        ),
    ),
    arrives=(
        ((Call(OFFER, stream=0),), ANSWER),
        ((Call(OFFER, stream=0), Reset(Reason.PEER_CLOSED)), ANSWER[:1]),
    ),
)
