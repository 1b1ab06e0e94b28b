"""What all links of network-relay share: JSON in text, and binary where both ends are ours."""

from __future__ import annotations

from collections.abc import Mapping

from relay.dialects.network_relay.assembly import Assembly
from relay.dialects.network_relay.messages import MESSAGE_BYTES
from relay.dialects.network_relay.paths import AGREEMENT
from relay.vocabulary import Carries, Event, Message, Outputs

PAYLOAD_BYTES = 64 * 1024
"""Most payload of a message: safe for every original, whose clients take 1 MiB of base64 and JSON
(§2, §15)."""

NORMAL = 1000
RULE_BROKEN = 1008
TOO_LONG = 1009

_NO_HEADERS: Mapping[str, str] = {}


def text(payload: bytes) -> Message:
    """:returns: a text message of that JSON"""
    return Message(payload, text=True)


class RelayLink:
    """What all links share.

    :param binary: whether both ends are ours and have agreed
    :param most_bytes: longest message for now
    """

    intent: Event | None = None
    whole_messages = False
    message_bytes = MESSAGE_BYTES
    frame_bytes = MESSAGE_BYTES
    drop_is_end = False
    utf8 = True
    goodbye_s: float | None = None
    dead_timer = True

    __slots__ = ("_assembly", "_binary", "carries", "upgrade_headers")

    def __init__(self, binary: bool, most_bytes: int) -> None:
        self._binary = binary
        self.carries = Carries(half_close=binary)
        self.upgrade_headers = AGREEMENT if binary else _NO_HEADERS
        self._assembly = Assembly(most_bytes)

    def opened(self, now: float) -> Outputs:
        """Nothing to ask for before a credential."""
        return ()

    def receive(self, message: Message, now: float) -> Outputs:
        """Read a message. :raises ProtocolError: when it is none, or comes before it may"""
        if self._binary and not message.text:
            return self.heard_binary(message)
        payload = self._assembly.add(message)
        return () if payload is None else self.heard(payload, message.text, now)

    def heard_binary(self, message: Message) -> Outputs:
        """Read a part of what only ours send."""
        raise NotImplementedError

    def heard(self, payload: bytes, is_text: bool, now: float) -> Outputs:
        """Read a whole message of JSON."""
        raise NotImplementedError

    def wake(self, now: float) -> Outputs:
        """No deadlines."""
        return ()

    def deadline(self) -> float | None:
        """No deadlines."""
        return None
