"""The three kinds of streams on a link, by who stops a fast sender.

* :class:`DedicatedStream`: the link has no other stream; pausing it pauses the socket.
* :class:`CreditStream`: windows; a consumer that pauses is refunded nothing, so its sender runs
  dry.
* :class:`CreditlessStream`: a bounded buffer; above it the link pauses for as long as the stream
  still drains, and a stream that takes nothing meanwhile ends with ``overrun``.

Nothing follows a stream's end, and an end never overtakes payload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.core.flow.credit import CreditStream
from relay.core.flow.creditless import CreditlessStream
from relay.core.flow.dedicated import DedicatedStream
from relay.core.flow.link_stream import Hold, LinkStream
from relay.core.flow.shared import SharedStream
from relay.vocabulary import Shape

if TYPE_CHECKING:
    from relay.core.session import Session

__all__ = [
    "NO_STREAMS",
    "SHARED",
    "CreditStream",
    "CreditlessStream",
    "DedicatedStream",
    "Hold",
    "LinkStream",
    "SharedStream",
    "begin_stream",
]

SHARED = frozenset({Shape.CREDIT, Shape.CREDITLESS})
"""The shapes of links that carry several streams, each with an end of its own."""

NO_STREAMS: dict[int, LinkStream] = {}
"""What an idle link carries; never added to."""


def begin_stream(
    session: Session, stream_id: int, send_credit: int, window_bytes: int
) -> LinkStream:
    """:returns: a stream of the kind that the session's link carries; the rest as for a window."""
    shape = session.conversation.shape
    if shape is Shape.CREDIT:
        return CreditStream(session, stream_id, send_credit, window_bytes)
    if shape is Shape.CREDITLESS:
        return CreditlessStream(session, stream_id)
    return DedicatedStream(session, stream_id)
