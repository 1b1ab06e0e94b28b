"""Links of the relay socket: one member of a topic each.

Specification: session-relay.md §5. What a member says is broadcast as it is, text or binary, of any
length to the limit; the topic ``stats`` is written by the router alone, and its members ask it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from relay.dialects.session_relay.notions import READ, WRITE
from relay.dialects.session_relay.paths import topic_name
from relay.dialects.session_relay.payload_link import NORMAL, PayloadLink
from relay.http import Request
from relay.vocabulary import (
    Close,
    Enter,
    Event,
    Message,
    Outputs,
    Passing,
    Reason,
)

COMMAND_BYTES = 4096
"""Longest command on the topic ``stats``; what is longer is none."""

LAST_S = 253_402_300_799
"""The end of the year 9999 in Unix seconds: no calendar, and no timer, is asked for more."""


GOODBYE_S = 0.25
"""Who is cut off, at the end of a token for instance, is gone within a second of it."""

CLOSE_CODES = {
    Reason.EXPIRED: 1008,
    Reason.REVOKED: 1008,
    Reason.OVERRUN: 1008,
    Reason.LIMIT: 1008,
    Reason.TOO_LARGE: 1009,
    Reason.GOING_AWAY: 1012,
    Reason.PROTOCOL_ERROR: 1002,
    Reason.INTERNAL: 1011,
    Reason.LOST: 1011,
    Reason.NO_SUCH_OFFER: 1011,
    Reason.HOST_ABSENT: 1011,
    Reason.HOST_SILENT: 1011,
    Reason.TARGET_REFUSED: 1011,
    Reason.TARGET_FORBIDDEN: 1011,
}
"""Everything else is a normal end; the originals take all alike. The last six are of hosts that
answer for a topic."""

SUBPROTOCOL = "null"
"""What players in browsers offer that pass an empty list, and must hear again."""
_PROTOCOL_HEADER = "Sec-WebSocket-Protocol"


class Seat(NamedTuple):
    """One member of a topic, as reports show it.

    :ivar scopes: in the token's order
    :ivar address: ``X-Forwarded-For`` of its handshake, as it came
    :ivar expires: Unix seconds
    """

    topic: str
    scopes: tuple[str, ...]
    address: str
    agent: str
    expires: int


def agreed(request: Request) -> Mapping[str, str]:
    """:returns: headers for the 101: the subprotocol, where it was offered"""
    offers = [value for name, value in request.headers if name == _PROTOCOL_HEADER.lower()]
    offered = [part.strip() for value in offers for part in value.split(",")]
    return {_PROTOCOL_HEADER: SUBPROTOCOL} if SUBPROTOCOL in offered else {}


class MemberLink(PayloadLink):
    """A member of a topic.

    :param seat: who it is; its scopes say what it may
    :param upgrade_headers: for the 101
    :param buffer_messages: how many messages may wait for it; 0: as many as usual
    """

    goodbye_s: float | None = GOODBYE_S

    __slots__ = ("intent", "seat", "upgrade_headers")

    def __init__(
        self, seat: Seat, upgrade_headers: Mapping[str, str], buffer_messages: int = 0
    ) -> None:
        self.seat = seat
        self.upgrade_headers = upgrade_headers
        self.intent: Event | None = Enter(
            topic_name(seat.topic),
            reads=READ in seat.scopes,
            writes=WRITE in seat.scopes,
            buffer_messages=buffer_messages,
        )

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """A Close with the reason's word, where the original would just be gone."""
        return Close(CLOSE_CODES.get(reason, NORMAL), reason.value)


class StatsLink(MemberLink):
    """A member of the topic ``stats``, of whose messages nobody hears.

    :param ask: called when it asks for a report
    """

    passes = Passing.NOTHING

    __slots__ = ("_ask", "_command", "_may_ask")

    def __init__(
        self,
        seat: Seat,
        upgrade_headers: Mapping[str, str],
        buffer_messages: int,
        ask: Callable[[], None],
    ) -> None:
        super().__init__(seat, upgrade_headers, buffer_messages)
        self.intent = Enter(
            topic_name(seat.topic),
            reads=READ in seat.scopes,
            writes=False,
            buffer_messages=buffer_messages,
        )
        self._may_ask = WRITE in seat.scopes
        self._ask = ask
        self._command: bytearray | None = bytearray()  # None: it has got too long

    def receive(self, message: Message, now: float) -> Outputs:
        """A command, or nothing that counts."""
        if not self._may_ask:
            return ()
        if self._command is not None:
            if len(self._command) + len(message.payload) <= COMMAND_BYTES:
                self._command += message.payload
            else:
                self._command = None
        if message.final:
            command, self._command = self._command, bytearray()
            if command is not None and asks_for_report(bytes(command)):
                self._ask()
        return ()


def asks_for_report(command: bytes) -> bool:
    """:returns: whether that is ``{"cmd":"update"}``, the key in any case, as Go reads it"""
    try:
        members = json.loads(command.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return False
    if not isinstance(members, dict):
        return False
    said = [value for key, value in members.items() if key.lower() == "cmd"]
    return all(isinstance(value, str) for value in said) and said[-1:] == ["update"]
