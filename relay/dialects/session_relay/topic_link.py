"""Our end's conversation on the relay socket.

Specification: session-relay.md §5.2, §5.4 and §8; check 44. It ends with 1000 and no word, as the
originals do (§8.7); they treat every ending alike.
"""

from __future__ import annotations

from relay.dialects.session_relay.payload_link import PayloadLink
from relay.vocabulary import Role

WHOLE_BYTES = 64 * 1024 * 1024
"""Largest message of those who want them whole: an original glues what waited, up to 128 messages
of 10 MiB (§5.2), and what is larger is of no use to anybody."""


class TopicLink(PayloadLink):
    """One link of ours to a topic; the code in its URL has said it all.

    :param whole: whether messages are wanted whole, up to :data:`WHOLE_BYTES`; else they come in
        parts, of any length together
    """

    role = Role.HOST

    __slots__ = ("frame_bytes", "message_bytes", "whole_messages")

    def __init__(self, whole: bool = False) -> None:
        self.whole_messages = whole
        self.message_bytes = self.frame_bytes = WHOLE_BYTES if whole else 0
