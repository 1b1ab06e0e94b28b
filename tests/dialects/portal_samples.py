"""Portal for the contract suite: the tokens of section 15 of its specification."""

from __future__ import annotations

from relay.dialects.portal.data import EndpointControl, EndpointLink
from relay.http import Request
from relay.settings.model import DialectSettings
from relay.vocabulary import Accept, Message, OfferName, Role
from tests.dialects.samples import KnownSecret, Link, Samples
from tests.dialects.test_portal_tokens import C1, H1, NOW, SECRET

INCOMING = (
    b'{"Incoming":{"client_name":"alice-laptop","service_name":"ssh","nexus":11400714819323198485}}'
)
PAYLOAD = (Message(b"hello"), Message(b""), Message(bytes(range(256)) * 4))
FINISH = Message(b'"Finish"', text=True)
CONNECTED = Message(b'"Connected"', text=True)


def request(path: str, token: str, half_close: bool = False) -> Request:
    """A handshake as the original's programs make it."""
    headers = [
        ("host", "router.example"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "cG9ydGFsLXNwZWMta2V5IQ=="),
        ("authorization", f"Bearer {token}"),
    ]
    if half_close:
        headers.append(("x-relay-half-close", "yes"))
    path, _, query = path.partition("?")
    return Request("GET", path, path, query, tuple(headers), "192.0.2.1")


SAMPLES = Samples(
    settings=DialectSettings(
        "portal", (), (), {"secret-file": KnownSecret(SECRET.decode())}, 20.0, 45.0
    ),
    now=NOW,
    requests=(
        request("/connect/host_control?services=ssh,web", H1),
        request("/connect/host_accept/11400714819323198485", H1),
        request("/connect/host_accept/7", H1, half_close=True),
        request("/connect/client/ssh", C1),
        request("/connect/client/ssh", C1, half_close=True),
    ),
    secrets=(SECRET.decode(), H1, C1, H1.split(".")[2], C1.split(".")[2]),
    links=(
        Link(
            "our host's control",
            lambda: EndpointControl(OfferName("portal:1234")),
            (),
            (Message(b'{"Status":"ready"}', text=True), Message(INCOMING, text=True)),
        ),
        Link("our host", lambda: EndpointLink(Role.HOST, True), (), (*PAYLOAD, FINISH)),
        Link("our client", lambda: EndpointLink(Role.CLIENT, True), (), (CONNECTED, *PAYLOAD)),
    ),
    arrives=(
        ((), (Message(b"ignored", text=True), Message(b"ignored"))),
        ((), PAYLOAD),
        ((), (*PAYLOAD, FINISH)),
        ((Accept(),), PAYLOAD),
        ((Accept(),), (*PAYLOAD, FINISH)),
    ),
)
