"""Relays of topics, ours and the original's, and how to get into them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

from bench.originals import OURS, THEIRS, left_out
from bench.processes import peer
from bench.programs import LOOPBACK, Program, Workshop, free_ports, listens, wait
from relay.auth import mint
from relay.measuring.processes import START_S

DIALECT = "session-relay"
ORIGINAL = "relay"
NO_ORIGINAL = left_out(DIALECT)
LIFETIME_S = 86400
BACKLOG = 1024
SECRET = "session-relay.secret"
BOTH_WAYS = ("read", "write")
ADMIN = "relay:admin"
BOOKING = "bench"
OPENER = build_opener(ProxyHandler({}))
"""Whatever proxy the environment names."""


class Relay(NamedTuple):
    """A relay that listens.

    :ivar access: the base URL of its HTTP API, which is the audience of its tokens
    :ivar secret: signs them
    """

    name: str
    access: str
    secret: str
    program: Program

    def seat(
        self, topic: str, scopes: Sequence[str] = BOTH_WAYS, booking: str = BOOKING
    ) -> tuple[str, str]:
        """:returns: a session URL, and a token for it"""
        return f"{self.access}/session/{topic}", self._token(topic, scopes, booking)

    def forget(self, booking: str) -> None:
        """Make a booking's codes void, by cancelling it for a moment; nobody may be there by it.

        :raises OSError: when the relay does not do so
        """
        token = self._token("", (ADMIN,), "")
        end = int(time.time()) + LIFETIME_S
        for route in ("deny", "allow"):
            url = f"{self.access}/bids/{route}?bid={booking}&exp={end}"
            asked = Request(url, method="POST", headers={"Authorization": token})
            with OPENER.open(asked, timeout=START_S) as answer:
                answer.read()

    def _token(self, topic: str, scopes: Sequence[str], booking: str) -> str:
        now = int(time.time())
        claims = {
            "booking_id": booking,
            "topic": topic,
            "prefix": "session",
            "scopes": list(scopes),
            "aud": [self.access],
            "exp": now + LIFETIME_S,
            "nbf": now - 1,
            "iat": now - 1,
        }
        return mint(claims, self.secret.encode())


Maker = Callable[[Workshop], Relay]


def makers() -> dict[str, Maker]:
    """:returns: how to start the relays that are at hand, by name"""
    made: dict[str, Maker] = {OURS: our_relay}
    if peer(ORIGINAL, DIALECT):
        made[THEIRS] = original_relay
    return made


def our_relay(shop: Workshop) -> Relay:
    """:returns: ours, listening"""
    access, door, shared = free_ports(3)
    base = f"http://{LOOPBACK}:{access}"
    lines = (
        "[router]",
        f"listen = {_endpoint(shared)}",
        "state-dir = session-relay-state",
        f"[dialect:{DIALECT}]",
        f"secret-file = {SECRET}",
        f"audience = {base}",
        f"target = ws://{LOOPBACK}:{door}",
        f"listen-access = {_endpoint(access)}",
        f"listen-relay = {_endpoint(door)}",
    )
    shop.write(SECRET, shop.secret)
    shop.write("session-relay.ini", "\n".join(lines))
    router = shop.twistd("relay-router", "--config", "session-relay.ini")
    router.says("ready")
    return Relay(OURS, base, shop.secret, router)


def original_relay(shop: Workshop) -> Relay:
    """:returns: the original's, listening"""
    access, door = free_ports(2)
    base = f"http://{LOOPBACK}:{access}"
    program = shop.original(
        ORIGINAL,
        "serve",
        dialect=DIALECT,
        RELAY_AUDIENCE=base,
        RELAY_URL=f"ws://{LOOPBACK}:{door}",
        RELAY_SECRET=shop.secret,
        RELAY_PORT_ACCESS=str(access),
        RELAY_PORT_RELAY=str(door),
        RELAY_PROFILE="false",
        RELAY_LOG_FILE="stdout",
    )
    wait(lambda: listens(access) and listens(door), "the original listening", START_S)
    return Relay(THEIRS, base, shop.secret, program)


def _endpoint(port: int) -> str:
    return f"tcp:{port}:interface={LOOPBACK}:backlog={BACKLOG}"
