"""Drives one conversation over one link.

The session is where wire and core meet: messages go through the conversation and come out as
events; events of the core come out as messages. It owns the link's streams, its one producer slot,
its liveness and its end. Whatever goes wrong here ends this link and no other.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from relay.core.carrier import Carrier
from relay.core.flow import NO_STREAMS, SHARED, Hold, LinkStream, begin_stream
from relay.core.liveness import Entry, Liveness
from relay.core.surroundings import ISwitch, Surroundings
from relay.errors import ProtocolError, RelayError
from relay.interfaces import IConversation, ILink, ILinkReceiver
from relay.outlets import ISplitter
from relay.outside import ITunnelSession
from relay.vocabulary import (
    Accept,
    Call,
    Close,
    Credit,
    Data,
    End,
    Ending,
    Enter,
    Event,
    Finish,
    Grant,
    Hello,
    Join,
    Message,
    Offer,
    OfferName,
    Outputs,
    Ping,
    Reason,
    Reset,
    Shape,
)

UNREAD_BYTES = 1024 * 1024
"""What a conversation may have said to a peer that does not read, answers to what it sends most of
all; at more the link ends with ``overrun``. Payload is not in it: its writers are paused."""

UNREAD_ITEM_BYTES = 128
"""What a message that waits costs beside what it says."""


@implementer(ILinkReceiver, ISplitter, ITunnelSession)
class Session(Carrier):
    """One link's side of the core.

    :param ping_s: silence after which the peer is asked for a sign of life; 0 = never
    :param dead_s: silence after which it is dead, where the conversation has a dead timer
    :ivar offers: the names that it has registered
    :ivar full: whether the peer has yet to take much of what was sent to it
    """

    __slots__ = (
        "_liveness",
        "_streams",
        "_switch",
        "_timer",
        "around",
        "conversation",
        "full",
        "grant",
        "label",
        "link",
        "offers",
        "reason",
        "started",
    )

    log = Logger()
    # as on nearly every link nearly always: only one that differs has a place for it, in __dict__
    _close: Close | None = None
    _said: str = ""
    _turn: int = 0
    _unread_bytes: int = 0
    _wake: Entry | None = None
    _watchers: list[Deferred[Ending]] | None = None

    def __init__(
        self,
        link: ILink,
        conversation: IConversation,
        switch: ISwitch,
        around: Surroundings,
        label: str,
        grant: Grant | None = None,
        ping_s: float = 0,
        dead_s: float = 0,
    ) -> None:
        self.link = link
        self.conversation = conversation
        self.grant = grant
        self.label = label
        self.reason: Reason | None = None
        self._switch = switch
        self.around = around
        self.offers: tuple[OfferName, ...] = ()
        self.full = False
        self._streams = NO_STREAMS
        self._timer: Entry | None = None
        self.started = around.wheel.now()
        dead_s = dead_s if conversation.dead_timer else 0
        self._liveness = Liveness(ping_s, dead_s, self.started) if ping_s or dead_s else None

    # -- the link's side -------------------------------------------------------------------------

    def opened(self) -> None:
        """The link stands: begin."""
        self.link.start(self)
        if self.conversation.shape is Shape.CREDIT:
            self.split_link()
        if self._liveness is not None:
            self._timer = self.around.wheel.after(self._liveness.check_s, self)
        self._run(self.conversation.opened)

    def message_received(self, message: Message) -> None:
        """A message, or a part of one, arrived."""
        if self.reason is not None:
            return
        carried = False
        try:
            outputs = self.conversation.receive(message, self.around.wheel.now())
            for output in outputs:
                if type(output) is Data:
                    carried = True
                    stream = self._streams.get(output.stream)
                    if stream is not None:
                        stream.deliver(output)
                else:
                    self._dispatch(output)
                    self._rearm()
            if not carried:
                self._rearm()
        except Exception as error:
            self._failed(error)

    def link_lost(self, close: Close | None, reason: Reason, detail: str) -> None:
        """The link is gone."""
        dropped = reason is Reason.LOST and close is None and not self.link.cut
        if dropped and self.conversation.drop_is_end:
            reason = Reason.PEER_CLOSED
        self._finish(reason, close, detail)

    def pauseProducing(self) -> None:
        """The link's send buffer is full: nobody may send, streams still to come included."""
        if self.full:
            return
        self.full = True
        for stream in tuple(self._streams.values()):
            stream.hold(Hold.LINK)

    def resumeProducing(self) -> None:
        """The link's send buffer is empty: each may send in turn, until it is full again."""
        self.full = False
        if self._unread_bytes:
            self._unread_bytes = 0
        self._switch.ready(self)
        streams = tuple(self._streams.values())
        self._turn = (self._turn + 1) % max(1, len(streams))
        for stream in streams[self._turn :] + streams[: self._turn]:
            if self.full:
                break
            stream.release(Hold.LINK)

    def stopProducing(self) -> None:
        """The link will take nothing more; ``link_lost`` follows."""

    # -- the streams' side -----------------------------------------------------------------------

    def send(self, data: Data) -> None:
        """The byte path outwards."""
        most = self.conversation.payload_bytes
        try:
            if most and len(data.payload) > most:
                self.send_parts(data, most)
            else:
                self.link.send_message(self.conversation.encode(data))
        except Exception as error:
            self._failed(error)

    def perform(self, event: Event) -> None:
        """Have the conversation tell the peer of ``event``."""
        if self.reason is None:
            self._run(lambda now: self.conversation.perform(event, now))

    def stream_over(self, stream: LinkStream, event: Reset) -> None:
        """A stream's own side ended: tell the peer; a dedicated link ends with it."""
        if self._streams.get(stream.stream_id) is stream:
            del self._streams[stream.stream_id]
        if self.conversation.shape is Shape.DEDICATED:
            self.end(event.reason, event.close)
        else:
            self.perform(event)

    # -- the core's side -------------------------------------------------------------------------

    def open_stream(self, stream_id: int, send_credit: int = 0) -> LinkStream:
        """Begin a stream, or return the one of that id.

        :param send_credit: what the peer takes before it has granted anything
        :raises LimitReached: when the link or the process carries as much as it may
        """
        stream = self._streams.get(stream_id)
        if stream is not None:
            return stream
        self.check_room()
        stream = begin_stream(self, stream_id, send_credit, self.window_bytes())
        if self.reason is not None:
            stream.peer_reset(self.reason, self._close)
            return stream
        if not self._streams:
            self._streams = {}
        self._streams[stream_id] = stream
        if self.full:
            stream.hold(Hold.LINK)
        return stream

    def fail(self, error: RelayError) -> None:
        """The peer did something wrong: say so in the log, tell it, end the link."""
        if self.reason is None:
            code = error.close_code
            own = None if code is None else Close(code, error.reason.value)
            self._said = error.text
            self._end_link(error.reason, own, error.text)
            self._finish(error.reason, None, error.text)

    def refuse(self, stream_id: int, error: RelayError) -> None:
        """What a stream asked for cannot be had: end it, and a link that has no other."""
        if self.conversation.shape in SHARED:
            self.end_stream(stream_id, error.reason)
        else:
            self.fail(error)

    def end_stream(
        self, stream_id: int, reason: Reason, close: Close | None = None, detail: str = ""
    ) -> None:
        """End one stream; a link that has no other ends with it."""
        if self.conversation.shape not in SHARED:
            self.end(reason, close, detail)
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            self.perform(Reset(reason, stream_id, close, detail))
        else:
            stream.reset(reason, close)

    def end(self, reason: Reason, close: Close | None = None, detail: str = "") -> None:
        """End the link, after all that was sent."""
        if self.reason is None:
            self._end_link(reason, close, detail)
            self._finish(reason, close, detail)

    def _end_link(self, reason: Reason, close: Close | None, text: str = "") -> None:
        try:
            self.say_last(Reset(reason, 0, close, text))
            answer = self.conversation.end(reason, close)
        except Exception:
            self.log.failure("{link}: no word for the end of the link", link=self.label)
            answer = None
        if answer is None:
            self.link.abort()
        else:
            self.link.close(answer, self.conversation.goodbye_s)

    def _failed(self, error: Exception) -> None:
        """What the peer did was wrong, or what we did: that ends this link and no other."""
        if isinstance(error, RelayError):
            self.fail(error)
            return
        self.log.failure("{link}: a message could not be handled", link=self.label)
        self.end(Reason.INTERNAL)

    def drop(self, detail: str) -> None:
        """The peer is dead."""
        self.link.abort()
        self._finish(Reason.LOST, None, detail)

    def close(self, reason: Reason) -> None:
        """End the link in order."""
        self.end(reason)

    def when_closed(self) -> Deferred[Ending]:
        """:returns: fires with how it ended, when the link is over."""
        waiting: Deferred[Ending] = Deferred()
        if self.reason is not None:
            waiting.callback(Ending(self.reason, self._close, self._said))
        else:
            self._watchers = [*(self._watchers or ()), waiting]
        return waiting

    # -- inside ----------------------------------------------------------------------------------

    def _run(self, step: Callable[[float], Outputs]) -> None:
        """Take the outputs of one step of the conversation; a fault ends the link."""
        try:
            for output in step(self.around.wheel.now()):
                self._dispatch(output)
            self._rearm()
        except Exception as error:
            self._failed(error)

    def _dispatch(self, output: Event | Message) -> None:
        if self.reason is not None:
            return
        if isinstance(output, Message):
            self.link.send_message(output)
            if self.full:
                self._unread(len(output.payload))
        elif isinstance(output, Data | Credit | Finish):
            stream = self._streams.get(output.stream)
            if stream is not None:
                stream.peer_said(output)
        elif isinstance(output, Reset):
            if self.conversation.shape not in SHARED:
                self.end(output.reason, output.close, output.text)
                return
            stream = self._streams.pop(output.stream, None)
            if stream is not None:
                stream.peer_reset(output.reason, output.close, output.text)
        elif isinstance(output, End):
            self._said = output.text
            self.end(output.reason, output.close, output.text)
        elif isinstance(output, Ping):
            self.link.ping()
            if self._liveness is not None:
                self._liveness.ask()
        elif isinstance(output, Accept):
            self._switch.accepted(self, output)
        elif isinstance(output, Hello | Offer):
            self._switch.requested(self, output)
        elif isinstance(output, Call | Join | Enter):
            try:
                self._switch.requested(self, output)
            except ProtocolError:
                raise
            except RelayError as error:
                self.refuse(output.stream, error)
        else:
            raise ProtocolError(f"{type(output).__name__} means nothing here")

    def _unread(self, amount: int) -> None:
        """So much more was said to a peer that does not read."""
        self._unread_bytes += amount + UNREAD_ITEM_BYTES
        if self._unread_bytes > UNREAD_BYTES:
            self.end(Reason.OVERRUN, detail=f"{UNREAD_BYTES} bytes and more wait for the peer")

    def _rearm(self) -> None:
        deadline = self.conversation.deadline()
        if deadline is None and self._wake is None:
            return
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if deadline is not None and self.reason is None:
            self._wake = self.around.wheel.at(deadline, self._woken)

    def _woken(self) -> None:
        self._wake = None
        if self.reason is None:
            self._run(self.conversation.wake)

    def __call__(self) -> None:
        """One look of the liveness timer; a bound method would cost as much as a socket."""
        liveness = self._liveness
        if self.reason is not None or liveness is None:
            return
        if liveness.look(self.link, self.around.wheel.now(), self.is_paused()):
            self.drop(f"heard nothing for {liveness.dead_s:g} s")
            return
        self._timer = self.around.wheel.after(liveness.next_look_s(), self)

    def _finish(self, reason: Reason, close: Close | None, detail: str) -> None:
        if self.reason is not None:
            return
        self.reason, self._close = reason, close
        for timer in (self._timer, self._wake):
            if timer is not None:
                timer.cancel()
        self._timer = self._wake = None
        streams, self._streams = tuple(self._streams.values()), NO_STREAMS
        for stream in streams:
            stream.peer_reset(reason, close)
        self._switch.lost(self, reason, close, detail)
        watchers, self._watchers = self._watchers or [], None
        for watcher in watchers:
            watcher.callback(Ending(reason, close, self._said))
