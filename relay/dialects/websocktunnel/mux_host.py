"""wsmux as our host speaks it with a router: its streams are calls."""

from __future__ import annotations

from relay.dialects.websocktunnel.mux import UNANSWERED_SYNS, Mux, OpenStream
from relay.errors import CallGone, ProtocolError
from relay.interfaces import Opening
from relay.vocabulary import Accept, Call, Event, Finish, Message, OfferName, Outputs, Reason, Reset
from relay.wire.wsmux import Frame, Kind, encode_ack

GOODBYE_S = 2.0
"""How long a service may go on speaking once the router has said FIN. It says so when the answer is
whole, or the viewer is gone: an original closes the service's connection at once (section 9.1), and
one that is only half closed might never notice.
"""


class HostMux(Mux):
    """Our host's link to a router: its streams are calls.

    :param name: what is called
    :param window_bytes: what is granted with the first ACK of each stream; never more than
        ``initial_credit``, since a router may take the one for the other, and would refund too late
    :param initial_credit: what the router takes without having said so, above 0 (section 7.5)
    """

    __slots__ = ("_asked", "_ending", "_initial_credit", "_name")

    def __init__(self, name: OfferName, window_bytes: int, initial_credit: int) -> None:
        super().__init__(min(window_bytes, initial_credit))
        self._name = name
        self._initial_credit = initial_credit
        self._asked: dict[int, bool] = {}  # whether its FIN has come, by stream
        self._ending: dict[int, float] = {}  # when patience ends, by stream, the first one first

    def begin(self, call: Call) -> Opening:
        """The call's own stream. :raises CallGone: when it waits no more"""
        if call.stream not in self._asked:
            raise CallGone(f"stream {call.stream} waits for no answer")
        return Opening(call.stream, self._initial_credit)

    def perform(self, event: Event, now: float) -> Outputs:
        """An accepted call is told, and what came of it meanwhile."""
        if isinstance(event, Accept) and event.stream in self._asked:
            stream = self._accept(event.stream)
            self._open[event.stream] = stream
            ack = Message(encode_ack(event.stream, stream.assumed))
            return (ack, Finish(event.stream)) if stream.got_fin else (ack,)
        return super().perform(event, now)

    def deadline(self) -> float | None:
        """:returns: when the next service has spoken long enough behind a FIN"""
        return next(iter(self._ending.values()), None)

    def wake(self, now: float) -> Outputs:
        """End what goes on and on."""
        late = [number for number, until in self._ending.items() if until <= now]
        for number in late:
            del self._ending[number]
            stream = self._open.pop(number)
            yield Reset(Reason.PEER_CLOSED, number)
            yield from self._drain(number, stream)

    def _received(self, frame: Frame, stream: OpenStream, now: float) -> Outputs:
        if frame.kind is Kind.FIN and not stream.got_fin:
            self._ending[frame.stream] = now + GOODBYE_S
        return super()._received(frame, stream, now)

    def _drain(self, number: int, stream: OpenStream) -> Outputs:
        self._ending.pop(number, None)
        return super()._drain(number, stream)

    def _accept(self, number: int) -> OpenStream:
        stream = OpenStream(self.window_bytes)
        stream.got_fin = self._asked.pop(number)
        return stream

    def _closed(self, frame: Frame) -> Outputs:
        number = frame.stream
        if number in self._asked:
            if frame.kind is Kind.DAT:
                raise ProtocolError(f"payload on stream {number}, which was not accepted")
            if frame.kind is Kind.FIN:
                self._asked[number] = True
        elif frame.kind is Kind.SYN:
            full = len(self._asked) >= UNANSWERED_SYNS
            self._asked[number] = False
            return self._gave_up(number) if full else (Call(self._name, stream=number),)
        return ()

    def _gave_up(self, number: int) -> Outputs:
        """There is no refusal: accept, and say FIN at once (7.4)."""
        if number not in self._asked:
            return ()
        stream = self._accept(number)
        return (Message(encode_ack(number, stream.assumed)), *self._drain(number, stream))
