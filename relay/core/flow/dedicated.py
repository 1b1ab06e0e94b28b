"""The only stream of its link: whoever takes nothing pauses the socket."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relay.core.flow.link_stream import LinkStream
from relay.interfaces import IByteLink
from relay.outlets import IFrameOutlet, IOutlet
from relay.vocabulary import Close, Data, Finish, Passing, Reason, Reset

if TYPE_CHECKING:
    from relay.core.session import Session


class DedicatedStream(LinkStream):
    """The only stream of its link."""

    __slots__ = ("_early",)

    def __init__(self, session: Session, stream_id: int = 0) -> None:
        super().__init__(session, stream_id)
        self._early: deque[Data | Finish | Reset] | None = None

    def deliver(self, data: Data) -> None:
        """Pass payload on; before there is a partner keep it and read no further."""
        if self.partner is None or self._early:
            self._wait(data)
            self.session.pause_for(self)
        else:
            self.bytes_in += len(data.payload)
            self.partner.send(data)

    def pause(self) -> None:
        """Read no more from the link."""
        self._paused = True
        self.session.pause_for(self)

    def resume(self) -> None:
        """Deliver what came early, then read on."""
        self._paused = False
        while self._early and not self._paused and self.partner is not None:
            item = self._early.popleft()
            if isinstance(item, Data):
                self.bytes_in += len(item.payload)
                self.partner.send(item)
            else:
                self._tell(item)
        if not self._early and not self._paused:
            self._early = None
            self._cut_through()
            self.session.resume_for(self)

    def has_left(self) -> bool | None:
        """:returns: whether a peer that says nothing more is gone, where its link can tell"""
        link = self.session.link
        return link.has_left() if IByteLink.providedBy(link) else None

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause, or does not take what was read."""
        return self._paused or self.session.link.is_blocked()

    def outlet(self) -> IOutlet | None:
        """:returns: what takes payload for the link unread."""
        if self.session.conversation.passes is Passing.NOTHING or self.closed:
            return None
        return self.session.link.outlet()

    def detach(self) -> None:
        """The circuit is over: nothing passes any more."""
        self.session.link.forward(None, None)
        super().detach()

    def _cut_through(self) -> None:
        """Let payload that nobody needs to read go straight to the partner, where that can be."""
        passes = self.session.conversation.passes
        if self.partner is None or self.closed or passes is Passing.NOTHING:
            return
        outlet = self.partner.outlet()
        if outlet is not None:
            # where a text would be a word to the other end, it is read, and goes as payload
            as_it_is = self.partner.carries.text or not IFrameOutlet.providedBy(outlet)
            self.session.link.forward(self, outlet, text=passes is Passing.ALL and as_it_is)

    def reset(self, reason: Reason, close: Close | None) -> None:
        """End the link; nobody wants what came early."""
        self._forget()
        super().reset(reason, close)

    def _has_waiting(self) -> bool:
        return bool(self._early)

    def _wait(self, item: Data | Finish | Reset) -> None:
        if self._early is None:
            self._early = deque()
        self._early.append(item)

    def _forget(self) -> None:
        self._early = None
