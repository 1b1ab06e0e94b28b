"""Who is connected: as ``GET /status`` tells it, and as the topic ``stats`` does.

Specification: session-relay.md §3.5 and §6. Both list every member of every topic, the router's own
reporter first; the two differ in the names of their keys, and in what is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from relay.dialects.session_relay.members import LAST_S, MemberLink, Seat
from relay.dialects.session_relay.notions import DIALECT, READ, STATS_TOPIC, WRITE
from relay.dialects.session_relay.words import compact, encode, for_html
from relay.faces import IBroker

REPORTER = Seat(STATS_TOPIC, (READ, "stats", WRITE), "internal", "crossbar", 0)
"""What the router itself is in its reports."""


class Present(NamedTuple):
    """A seat that is taken.

    :ivar started: Unix seconds
    """

    seat: Seat
    started: float


def who_is_present(broker: IBroker, started: float) -> list[Present]:
    """:returns: the members of all topics, the reporter first

    :param started: Unix seconds at which the reporter was
    """
    present = [Present(REPORTER, started)]
    for link in broker.links(DIALECT):
        if isinstance(link.conversation, MemberLink):
            present.append(Present(link.conversation.seat, link.started))
    return present


def report(present: Iterable[Present]) -> bytes:
    """:returns: the message on the topic ``stats``: a JSON array without a line's end"""
    records = [
        {
            "canRead": READ in seat.scopes,
            "canWrite": WRITE in seat.scopes,
            "connected": timestamp(started),
            "expiresAt": timestamp(seat.expires),
            "remoteAddr": seat.address,
            "scopes": seat.scopes,
            "topic": seat.topic,
            "userAgent": seat.agent,
        }
        for seat, started in present
    ]
    return encode(for_html(compact(records)))


def status(present: Iterable[Present]) -> list[dict[str, object]]:
    """:returns: the records of ``GET /status``, without what is false or empty"""
    return [
        {
            key: value
            for key, value in (
                ("can_read", READ in seat.scopes),
                ("can_write", WRITE in seat.scopes),
                ("connected_at", timestamp(started)),
                ("expires_at", timestamp(seat.expires)),
                ("remote_addr", seat.address),
                ("scopes", seat.scopes),
                ("topic", seat.topic),
                ("user_agent", seat.agent),
            )
            if value or key == "scopes"
        }
        for seat, started in present
    ]


def timestamp(seconds: float) -> str:
    """:returns: RFC 3339 in UTC, whole seconds; times beyond the year 9999 are its end"""
    moment = datetime.fromtimestamp(min(max(int(seconds), 0), LAST_S), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
