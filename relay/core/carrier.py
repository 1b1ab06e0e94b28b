"""The streams of one link: asked for, counted, and stopping the link where they must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from relay.core.flow import CreditStream, LinkStream
from relay.core.surroundings import Surroundings
from relay.errors import LimitReached, ProtocolError, RelayError
from relay.interfaces import IConversation, ILink, ISplitting, IStream
from relay.outlets import IFrameOutlet, IOutlet, ISplitter, Span
from relay.vocabulary import Accept, Call, Data, Event, Message, Reason, Reset, Shape


class Carrier:
    """What a :class:`relay.core.session.Session` does for its streams."""

    __slots__ = ("__dict__",)  # for what only few links have

    conversation: IConversation
    around: Surroundings
    label: str
    link: ILink
    _streams: dict[int, LinkStream]
    # as on nearly every link nearly always
    _pausers: set[LinkStream] | None = None
    _frames: IFrameOutlet | None = None

    def open_stream(self, stream_id: int, send_credit: int = 0) -> LinkStream:
        """Begin a stream, or return the one of that id.

        :raises LimitReached: when the link or the process carries as much as it may
        """
        raise NotImplementedError

    def perform(self, event: Event) -> None:
        """Have the conversation tell the peer of ``event``."""
        raise NotImplementedError

    def stream(self) -> IStream:
        """:returns: the only stream of a dedicated link; made at the first call."""
        return self.open_stream(0)

    def new_stream(self, stream_id: int) -> LinkStream:
        """Begin a stream that the peer asked for.

        :raises ProtocolError: when the link has one of that id
        :raises LimitReached: when the link or the process carries as much as it may
        """
        if stream_id in self._streams:
            raise ProtocolError(f"stream {stream_id} is in use already")
        return self.open_stream(stream_id)

    def answer(self, call: Call) -> IStream:
        """Accept a call that came on a stream of this link.

        :raises LimitReached: when there is no room for it; the peer has been told
        :raises CallGone: when it is over already, or was answered before
        """
        try:
            opening = self.conversation.begin(call)
            stream = self.open_stream(opening.stream, opening.send_credit)
        except RelayError as error:
            self.perform(Reset(error.reason, call.stream))
            raise
        self.perform(Accept(opening.stream))
        return stream

    def check_room(self) -> None:
        """:raises LimitReached: when the link or the process carries as much as it may."""
        if len(self._streams) >= self.around.limits.streams:
            # callers read it: whose link it is, and at which address, is not for them
            raise LimitReached(f"the link carries {len(self._streams)} streams already")
        self.around.ledger.admit()

    def window_bytes(self) -> int:
        """:returns: what the peer may send ahead on each stream."""
        own = self.conversation.window_bytes
        return self.around.limits.window_bytes if own is None else own

    def send_parts(self, data: Data, most: int) -> None:
        """Send payload in messages of at most ``most`` bytes of it."""
        size = len(data.payload)
        for start in range(0, size, most):
            part = data.payload[start : start + most]
            last = data.final and start + most >= size
            part_of_it = Data(part, data.stream, data.text, last)
            self.link.send_message(self.conversation.encode(part_of_it))

    def say_last(self, end: Reset) -> None:
        """A dialect may say why in a message of its own, before its Close; on shared links each
        stream ended before.
        """
        if self.conversation.shape is not Shape.DEDICATED or end.reason is Reason.INTERNAL:
            return
        try:
            outputs = self.conversation.perform(end, self.around.wheel.now())
            for output in outputs:
                if isinstance(output, Message):
                    self.link.send_message(output)
        except RelayError:
            return  # it has nothing to say; the Close is still to come

    # -- payload that nobody reads ---------------------------------------------------------------

    def frames(self) -> IFrameOutlet | None:
        """:returns: what takes whole messages of payload unread; None: nothing does"""
        return self._frames

    def split_link(self) -> None:
        """Where the link can do it, let payload of its many streams pass unread."""
        outlet = self.link.outlet()
        if IFrameOutlet.providedBy(outlet) and ISplitting.providedBy(self.conversation):
            self._frames = outlet
            self._frames.split(cast(ISplitter, self))

    def claim(
        self, view: memoryview, start: int, end: int, final: bool
    ) -> tuple[IOutlet, int] | None:
        """A part of a message came: does its payload pass unread?"""
        conversation = cast(ISplitting, self.conversation)
        found = conversation.payload_at(view, start, end)
        if found is None:
            return None
        stream_id, begin = found
        stream = self._streams.get(stream_id)
        outlet = stream.passes() if isinstance(stream, CreditStream) else None
        if outlet is None:
            return None
        conversation.passed(stream_id, end - begin, final)
        return outlet, begin

    def put(self, stream_id: int, view: memoryview, spans: Sequence[Span]) -> None:
        """Send payload that nobody reads, one message for each span."""
        if self._frames is not None:
            head = cast(ISplitting, self.conversation).head(stream_id)
            self._frames.put_messages(head, view, spans)

    def streams(self) -> Mapping[int, LinkStream]:
        """:returns: the live streams by id."""
        return self._streams

    def is_paused(self) -> bool:
        """:returns: whether nothing is read from the link just now"""
        return bool(self._pausers) or self.link.is_blocked()

    def pause_for(self, stream: LinkStream) -> None:
        """A stream can take nothing more: read nothing more from the link."""
        if not self._pausers:
            self._pausers = set()
            self.link.pause_reading()
        self._pausers.add(stream)

    def resume_for(self, stream: LinkStream) -> None:
        """Undo :meth:`pause_for`."""
        if self._pausers and stream in self._pausers:
            self._pausers.discard(stream)
            if not self._pausers:
                self.link.resume_reading()
