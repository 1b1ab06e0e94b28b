"""A link of network-relay with many tunnels, that of an agent: what its two ends share.

Specification: network-relay.md §5 and §7. The wire names a tunnel by its ``connection_id``, any
string, and the core by a number of this link's own. There is no flow control, no end of one
direction and no end from the agent but ``connection_reset``.

Between our own programs, where both asked for it in the handshake, payload, credit and the end of a
direction go in binary messages, in the frames of :mod:`relay.wire.wsmux` (DAT, ACK and FIN; the
number is the one of ``initiate_connection``); all else stays JSON. An agent's own buffers are then
never the router's concern.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from zope.interface import implementer

from relay.dialects.network_relay.link import NORMAL, PAYLOAD_BYTES, RULE_BROKEN, RelayLink, text
from relay.dialects.network_relay.messages import MESSAGE_BYTES, data_head, encode_data
from relay.errors import ProtocolError, RelayError
from relay.interfaces import IConversation, ISplitting, Opening
from relay.vocabulary import (
    Call,
    Close,
    Credit,
    Data,
    Event,
    Finish,
    Message,
    Outputs,
    Passing,
    Reason,
    Role,
    Shape,
)
from relay.wire.closes import OTHERWISE, close_of
from relay.wire.wsmux import (
    STREAM_IDS,
    Frame,
    FrameReader,
    Kind,
    encode_ack,
    encode_dat,
    encode_dat_head,
    encode_fin,
)

WINDOW_BYTES = 1024 * 1024
"""What our own programs take ahead on each tunnel."""


class Tunnel:
    """One tunnel of an agent's link.

    :ivar connection_id: as on the wire
    :ivar head: what stands before the base64 of its payload
    :ivar dat_head: what stands before its payload in a binary message
    :ivar open: whether the agent has answered
    :ivar finished: whether the peer has said that no more payload comes
    """

    __slots__ = ("connection_id", "dat_head", "finished", "head", "open")

    def __init__(self, number: int, connection_id: str) -> None:
        self.connection_id = connection_id
        self.head = data_head(connection_id)
        self.dat_head = encode_dat_head(number)
        self.open = False
        self.finished = False


AnyTunnel = TypeVar("AnyTunnel", bound=Tunnel)


@implementer(IConversation, ISplitting)
class TunnelsLink(RelayLink, Generic[AnyTunnel]):
    """What both ends of an agent's link share.

    :param binary: whether both ends are ours and have agreed
    """

    role = Role.HOST
    passes = Passing.NOTHING
    payload_bytes = PAYLOAD_BYTES
    window_bytes: int | None = WINDOW_BYTES

    __slots__ = (
        "_frames",
        "_next",
        "_numbers",
        "_tunnels",
        "shape",
    )

    def __init__(self, binary: bool, most_bytes: int = MESSAGE_BYTES) -> None:
        super().__init__(binary, most_bytes)
        self.shape = Shape.CREDIT if binary else Shape.CREDITLESS
        self._frames = FrameReader()
        self._tunnels: dict[int, AnyTunnel] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0

    # -- what comes ------------------------------------------------------------------------------

    def heard_binary(self, message: Message) -> Outputs:
        """Read a frame, or a part of one."""
        frame = self._frames.feed(message)
        return () if frame is None else self._framed(frame)

    def _framed(self, frame: Frame) -> Outputs:
        """What is said of a tunnel that is over, or never was, is ignored (§7)."""
        tunnel = self._tunnels.get(frame.stream)
        if frame.kind is Kind.SYN:
            raise ProtocolError("tunnels are opened by initiate_connection alone")
        if tunnel is None or not tunnel.open:
            return ()
        if frame.kind is Kind.ACK:
            return (Credit(frame.amount, frame.stream),) if frame.amount else ()
        if tunnel.finished:
            return ()
        if frame.kind is Kind.DAT:
            return (Data(frame.payload, frame.stream),)
        tunnel.finished = True
        return (Finish(frame.stream),)

    def payload_at(self, view: memoryview, start: int, end: int) -> tuple[int, int] | None:
        """Payload of a tunnel that is open for it need not be received."""
        found = self._frames.payload_at(view, start, end)
        tunnel = None if found is None else self._tunnels.get(found[0])
        return None if tunnel is None or not tunnel.open or tunnel.finished else found

    def passed(self, stream: int, amount: int, final: bool) -> None:
        """It went on without us."""
        self._frames.passed(stream, amount, final)

    def head(self, stream: int) -> bytes:
        """:returns: what stands before the payload of each message"""
        return self._tunnels[stream].dat_head

    # -- what the core wants ---------------------------------------------------------------------

    def perform(self, event: Event, now: float) -> Outputs:
        """Tell the peer of credit and of the end of a direction, where it understands that."""
        if isinstance(event, Credit | Finish) and self._binary:
            tunnel = self._tunnels.get(event.stream)
            if tunnel is None:
                return ()
            if isinstance(event, Finish):
                return (Message(encode_fin(event.stream)),)
            return (Message(encode_ack(event.stream, event.amount)),)
        return ()

    def begin(self, call: Call) -> Opening:
        """:raises RelayError: when there is no stream for it"""
        raise RelayError("this link takes no calls")

    def encode(self, data: Data) -> Message:
        """One message of payload."""
        if self._binary:
            return Message(encode_dat(data.stream, data.payload))
        return text(encode_data(self._tunnels[data.stream].head, data.payload))

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """1000 with the word for who is refused, 1008 for broken rules, else our codes (§9)."""
        if reason is Reason.PROTOCOL_ERROR:
            return Close(RULE_BROKEN, reason.value)
        ours = close_of(reason)
        return ours if ours.code != OTHERWISE else Close(NORMAL, reason.value)

    # -- tunnels ---------------------------------------------------------------------------------

    def tunnel(self, connection_id: str) -> tuple[int, AnyTunnel] | None:
        """:returns: the number and the tunnel of that id; None: it is over, or never was"""
        number = self._numbers.get(connection_id)
        return None if number is None else (number, self._tunnels[number])

    def _add(self, number: int, tunnel: AnyTunnel) -> None:
        self._tunnels[number] = tunnel
        self._numbers[tunnel.connection_id] = number

    def _remove(self, number: int) -> AnyTunnel | None:
        tunnel = self._tunnels.pop(number, None)
        if tunnel is not None:
            self._numbers.pop(tunnel.connection_id, None)
        return tunnel

    def _free_number(self) -> int:
        """:returns: the next number that no tunnel has"""
        while self._next in self._tunnels:
            self._next = (self._next + 1) % STREAM_IDS
        number, self._next = self._next, (self._next + 1) % STREAM_IDS
        return number
