"""How payload that nobody reads gets from socket to socket: the doors of the cut-through gear."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import Attribute, Interface

Buffer = bytes | memoryview

Span = tuple[int, int, bool]
"""Where in a buffer a part of a message starts and ends, and whether it is the message's last."""


class IInlet(Interface):
    """What reads for an outlet, and was told that the outlet is full."""

    def unblock() -> None:
        """There is room again."""


class IOutlet(Interface):
    """A socket in the cut-through gear: takes payload that nobody reads, straight from another."""

    def put(view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Send parts of messages, before ``view`` is used for anything else.

        :param text: whether they are texts, where there is such a difference
        :returns: whether there is room for more; if not, the inlet is told when there is
        """

    def room() -> int:
        """:returns: bytes that are likely to be sent at once, rather than kept"""

    def feed(source: IInlet | None) -> None:
        """From now on ``source`` hears when there is room again."""


class ISplitter(Interface):
    """What knows which parts of a shared link's messages nobody needs to read."""

    def claim(view: memoryview, start: int, end: int, final: bool) -> tuple[IOutlet, int] | None:
        """A part of a binary message came.

        :returns: who takes its payload unread, and where that begins; None: it is to be delivered
        """


class IFrameOutlet(IOutlet):
    """A WebSocket in the cut-through gear that several streams share."""

    def split(splitter: ISplitter) -> None:
        """From now on ask ``splitter`` about what comes, before it is delivered."""

    def put_messages(head: bytes, view: memoryview, spans: Sequence[Span]) -> None:
        """Send binary messages, each of them ``head`` and what lies in one of the spans, before
        ``view`` is used for anything else; where we must mask, in place.
        """


class IBroadcastOutlet(IOutlet):
    """A WebSocket in the cut-through gear that may take frames which were built for several."""

    masks: bool = Attribute("whether it has to mask what it sends, and so takes none")

    def put_frames(parts: Sequence[Buffer]) -> None:
        """Send whole frames, before what lies in a view is used for anything else.

        Whoever sends is asked to pause where the kernel does not take them all.
        """
