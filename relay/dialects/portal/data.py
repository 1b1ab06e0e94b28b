"""The links of portal as conversations, whoever is at the other end.

Payload: one binary message per chunk, boundaries kept. Text on a data link is for the endpoint
alone and never passes. There is no half-close in the original: a Close or a drop ends both
directions. Between our own programs, where both ends of a link asked for it, the text message
``"Finish"`` ends one direction.
"""

from __future__ import annotations

from relay.dialects.portal.wire import (
    CONNECTED,
    FINISH,
    Connected,
    Incoming,
    encode_incoming,
    parse_control,
)
from relay.dialects.portal.wire import Finish as FinishMessage
from relay.errors import ProtocolError, UnsupportedData
from relay.one_stream import OneStream
from relay.vocabulary import (
    Accept,
    Call,
    CallKey,
    Carries,
    Close,
    Data,
    Event,
    Finish,
    Join,
    Message,
    Offer,
    OfferName,
    Outputs,
    Passing,
    Reason,
    Role,
    Shape,
)
from relay.wire.closes import close_of

FRAME_BYTES = 16 * 1024 * 1024
MESSAGE_BYTES = 64 * 1024 * 1024
CONTROL_MESSAGE_BYTES = 1024 * 1024


class PortalConversation(OneStream):
    """What all portal links share."""

    carries = Carries(boundaries=True)
    message_bytes = MESSAGE_BYTES
    frame_bytes = FRAME_BYTES
    drop_is_end = True
    utf8 = True
    role = Role.HOST

    __slots__ = ("__dict__",)

    def receive(self, message: Message, now: float) -> Outputs:
        """Ignore it."""
        return ()

    def perform(self, event: Event, now: float) -> Outputs:
        """Nothing to tell."""
        return ()

    def encode(self, data: Data) -> Message:
        """One binary message."""
        return Message(data.payload, False, data.final)

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """The other side's own Close where it sent one, else our code and the reason's word."""
        if close is not None:
            return close
        return close_of(reason)


class DataLink(PortalConversation):
    """Payload both ways.

    :param half_close: whether both ends of this link know ``"Finish"``; then a drop is a loss,
        since our programs always end with a Close
    """

    passes = Passing.BINARY
    __slots__ = ("carries", "drop_is_end", "half_close")

    def __init__(self, half_close: bool) -> None:
        self.half_close = half_close
        self.carries = Carries(half_close=half_close, boundaries=True)
        self.drop_is_end = not half_close

    def receive(self, message: Message, now: float) -> Outputs:
        """Binary is payload. :raises ProtocolError: for a message that has no place here."""
        if not message.text:
            return (Data(message.payload, final=message.final),)
        return self.receive_text(message)

    def receive_text(self, message: Message) -> Outputs:
        """:raises UnsupportedData: for any text but an agreed ``"Finish"``."""
        if self.half_close and message.payload == FINISH:
            return (Finish(),)
        raise UnsupportedData("text on a data link, where only binary belongs")

    def perform(self, event: Event, now: float) -> Outputs:
        """A Finish is told where it is understood."""
        if isinstance(event, Finish) and self.half_close:
            return (Message(FINISH, text=True),)
        return ()


class CallerLink(DataLink):
    """The router's link to a client: pending until the host accepts."""

    __slots__ = ("_connected", "intent")
    role = Role.CLIENT

    def __init__(self, name: OfferName, service: str, half_close: bool) -> None:
        super().__init__(half_close)
        self.intent = Call(name, service)
        self._connected = False

    def receive(self, message: Message, now: float) -> Outputs:
        """:raises ProtocolError: for anything before ``"Connected"`` went out."""
        if not self._connected and not message.text:
            raise ProtocolError("payload before Connected")
        return super().receive(message, now)

    def perform(self, event: Event, now: float) -> Outputs:
        """The accepted call is told once."""
        if isinstance(event, Accept):
            self._connected = True
            return (Message(CONNECTED, text=True),)
        return super().perform(event, now)


class AccepterLink(DataLink):
    """The router's link to a host that accepts one call."""

    __slots__ = ("intent",)

    def __init__(self, name: OfferName, key: CallKey, half_close: bool) -> None:
        super().__init__(half_close)
        self.intent = Join(name, key)


class EndpointLink(DataLink):
    """Our host's or client's data link to a router, which may say things to us in text."""

    __slots__ = ("_connected", "role")

    def __init__(self, role: Role, half_close: bool) -> None:
        super().__init__(half_close)
        self.role = role
        self._connected = role is Role.HOST

    def receive(self, message: Message, now: float) -> Outputs:
        """:raises ProtocolError: for payload before ``"Connected"``."""
        if not message.text and not self._connected:
            raise ProtocolError("the router sent payload before Connected")
        return super().receive(message, now)

    def receive_text(self, message: Message) -> Outputs:
        """``"Connected"`` once; Status and unknown texts are ignored, as the originals do."""
        control = parse_control(message.payload) if message.final else None
        if isinstance(control, Connected) and not self._connected:
            self._connected = True
            return (Accept(),)
        if isinstance(control, FinishMessage) and self.half_close:
            return (Finish(),)
        return ()


class ControlLink(PortalConversation):
    """The router's link to a registered host; what a host says on it is ignored."""

    shape = Shape.CONTROL
    drop_is_end = False
    dead_timer = True
    __slots__ = ("intent",)

    def __init__(self, offer: Offer) -> None:
        self.intent = offer

    def perform(self, event: Event, now: float) -> Outputs:
        """Announce a call."""
        if isinstance(event, Call):
            incoming = Incoming(event.caller, event.service, int(event.key))
            return (Message(encode_incoming(incoming), text=True),)
        return ()


class EndpointControl(PortalConversation):
    """Our host's control link."""

    shape = Shape.CONTROL
    whole_messages = True
    message_bytes = CONTROL_MESSAGE_BYTES
    frame_bytes = CONTROL_MESSAGE_BYTES
    drop_is_end = False
    dead_timer = True
    __slots__ = ("_name",)

    def __init__(self, name: OfferName) -> None:
        self._name = name

    def receive(self, message: Message, now: float) -> Outputs:
        """Calls; everything else is ignored, as the originals do."""
        control = parse_control(message.payload) if message.text else None
        if not isinstance(control, Incoming):
            return ()
        key = CallKey(str(control.nexus))
        return (Call(self._name, control.service_name, control.client_name, key),)
