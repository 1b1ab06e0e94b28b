"""Peers that make us speak and do not read."""

from __future__ import annotations

from relay.core.session import UNREAD_BYTES, UNREAD_ITEM_BYTES
from relay.dialects.websocktunnel.mux import UNANSWERED_SYNS
from relay.vocabulary import Message, Reason
from relay.wire.wsmux import encode_ack, encode_fin, encode_syn
from tests.fakes import MemoryLink, World, pump
from tests.unit.mux_rooms import host_end

BUFFER_BYTES = 1000
ANSWER_BYTES = len(encode_ack(0, 0)) + len(encode_fin(0)) + 2 * UNREAD_ITEM_BYTES
"""What the refusal of one stream costs."""

REFUSALS = UNREAD_BYTES // ANSWER_BYTES


def test_a_router_that_floods_and_reads_nothing_is_ended() -> None:
    """Each SYN too many is answered, in vain: the link ends before that is much."""
    link = MemoryLink(BUFFER_BYTES)
    host = host_end(World(), link, 1000, 1000)
    link.stuck = True
    syns = 0
    while host.session.reason is None:
        link.arrive(Message(encode_syn(2 * syns)))
        syns += 1
        assert syns < 2 * REFUSALS
    assert host.session.reason is Reason.OVERRUN
    assert syns > REFUSALS
    assert link.most_unsent_bytes < UNREAD_BYTES + BUFFER_BYTES
    unsent = link.unsent_bytes
    link.arrive(Message(encode_syn(2 * syns)))
    assert link.unsent_bytes == unsent


def test_a_router_that_reads_late_is_not_ended() -> None:
    """What it has read counts no more; all of its streams are answered."""
    link = MemoryLink(BUFFER_BYTES)
    host = host_end(World(), link, 1000, 1000)
    number = 0
    for _ in range(3):
        link.stuck = True
        for _ in range(REFUSALS // 2):
            link.arrive(Message(encode_syn(number)))
            number += 2
        link.stuck = False
        pump(link)
    assert host.session.reason is None
    assert len(link.sent) == 2 * (number // 2 - UNANSWERED_SYNS)
