"""A stream that belongs to a session: what the three kinds share."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from relay.core.stream import Stream
from relay.interfaces import IStream
from relay.vocabulary import Close, Credit, Data, Finish, Reason, Reset

if TYPE_CHECKING:
    from relay.core.session import Session


class Hold(enum.IntFlag):
    """Why a stream's partner is paused."""

    LINK = 1
    """The link's send buffer is full."""
    CREDIT = 2
    """The peer granted no more."""


class LinkStream(Stream):
    """A stream that belongs to a session.

    :param stream_id: as on the wire, 0 on dedicated links
    :ivar closed: nothing more may be said to the peer about this stream
    """

    __slots__ = ("_holds", "_paused", "session", "stream_id")

    def __init__(self, session: Session, stream_id: int) -> None:
        super().__init__(session.conversation.carries, f"{session.label}#{stream_id}")
        self.session = session
        self.stream_id = stream_id
        self._holds = Hold(0)
        self._paused = False

    def attach(self, partner: IStream) -> None:
        """Begin to deliver to ``partner``; what came early follows at :meth:`resume`."""
        super().attach(partner)
        if self._holds:
            partner.pause()

    def hold(self, why: Hold) -> None:
        """Pause the partner."""
        if not self._holds and self.partner is not None:
            self.partner.pause()
        self._holds |= why

    def release(self, why: Hold) -> None:
        """Let the partner go on, unless there is another reason to hold it."""
        if self._holds & why:
            self._holds &= ~why
            if not self._holds and self.partner is not None:
                self.partner.resume()

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause."""
        return self._paused

    def untaken_bytes(self) -> int:
        """:returns: bytes on their way to the peer, those of the link's other streams too"""
        return self.session.link.untaken_bytes()

    def send(self, data: Data) -> None:
        """Encode and hand to the link."""
        if not self.closed:
            if data.stream != self.stream_id:
                data = data._replace(stream=self.stream_id)
            self.session.send(data)

    def finish(self) -> None:
        """Tell the peer that no more payload follows."""
        if not self.closed:
            self.session.perform(Finish(self.stream_id))

    def reset(self, reason: Reason, close: Close | None) -> None:
        """Tell the peer that the stream is over."""
        if not self.closed:
            self.closed = True
            self.session.stream_over(self, Reset(reason, self.stream_id, close))

    def peer_said(self, event: Data | Credit | Finish) -> None:
        """The peer said something about this stream; its end is told by :meth:`peer_reset`."""
        if isinstance(event, Data):
            self.deliver(event)
        elif isinstance(event, Credit):
            self.credited(event.amount)
        else:
            self.peer_finished()

    def credited(self, amount: int) -> None:
        """The peer granted more; only streams with credit care."""

    def peer_finished(self) -> None:
        """The peer sends no more payload: told behind what waits."""
        if self._has_waiting() or self.circuit is None:
            self._wait(Finish(self.stream_id))
        else:
            self._tell(Finish(self.stream_id))

    def peer_reset(self, reason: Reason, close: Close | None, text: str = "") -> None:
        """The peer ended the stream, or the link is gone: told behind what waits.

        A caller that leaves before it has a partner is told of at once: nobody wants what it said.
        """
        if self.closed:
            return
        self.closed = True
        end = Reset(reason, self.stream_id, close, text)
        if self.circuit is None or (self._has_waiting() and self.partner is not None):
            self._wait(end)
            # nothing goes to this peer any more, so nobody need wait for it
            self.release(Hold.LINK | Hold.CREDIT)
        else:
            self._forget()
            self._tell(end)

    def _has_waiting(self) -> bool:
        raise NotImplementedError

    def _wait(self, item: Data | Finish | Reset) -> None:
        """Keep ``item``, in order."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Drop what waits to be delivered."""
        raise NotImplementedError

    def _tell(self, end: Finish | Reset) -> None:
        """Tell the circuit of an end that came from the wire."""
        if self.circuit is None:
            return
        if isinstance(end, Reset):
            self.circuit.broken(self, end.reason, end.close, end.text)
        else:
            self.circuit.finished(self)
