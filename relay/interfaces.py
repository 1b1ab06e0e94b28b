"""The doors between packages; nothing else of a package is seen from outside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from zope.interface import Attribute, Interface

from relay.outlets import IOutlet
from relay.vocabulary import (
    Call,
    Carries,
    Claims,
    Close,
    Data,
    Event,
    Grant,
    Message,
    Outputs,
    Passing,
    Reason,
    Role,
    Shape,
)

if TYPE_CHECKING:
    pass


class Opening(NamedTuple):
    """Where a shared link puts a new stream.

    :ivar send_credit: bytes that the peer takes before it has granted anything
    """

    stream: int
    send_credit: int = 0


class IStream(Interface):
    """One duplex flow on a link: half of a circuit."""

    carries: Carries = Attribute("what this side can carry")
    label: str = Attribute("link and stream, for the log")
    bytes_in: int = Attribute("payload bytes that came from this side")
    circuit: ICircuit | None = Attribute("set by join(); told of ends")
    closed: bool = Attribute("nothing more may be said to this side")

    def attach(partner: IStream) -> None:
        """From now on what comes from the wire goes to ``partner``; what came early, later."""

    def detach() -> None:
        """The circuit is over: forget it and the partner."""

    def send(data: Data) -> None:
        """Put payload on the wire; queues within bounds, pausing the partner meanwhile."""

    def finish() -> None:
        """Tell the wire that no more payload follows, after all that was sent."""

    def reset(reason: Reason, close: Close | None) -> None:
        """End both directions, after all that was sent. Nothing may be sent afterwards."""

    def forget_unsent() -> None:
        """Nobody wants what was sent here and has not been taken yet: a link with several streams
        drops it, and lets the partner go on.
        """

    def pause() -> None:
        """Deliver no more to the partner until :meth:`resume`, as far as the link allows."""

    def resume() -> None:
        """Undo :meth:`pause`."""

    def has_left() -> bool | None:
        """:returns: whether the far end is gone for good; None when that cannot be known."""

    def has_given_up() -> bool | None:
        """:returns: whether the far end has left before it was answered, and nothing that it said
        is still to be delivered; None when that cannot be known.
        """

    def is_paused() -> bool:
        """:returns: whether the partner has asked for a pause, or does not take what was read."""

    def untaken_bytes() -> int:
        """:returns: bytes that are on their way to the far end and that it has yet to take, those
        of all streams on its link; 0 where that cannot be known
        """

    def outlet() -> IOutlet | None:
        """:returns: what takes payload for it unread; None: :meth:`send` has to"""


class ICircuit(Interface):
    """Two joined streams."""

    def finished(side: IStream) -> None:
        """No more payload comes from ``side``."""

    def broken(side: IStream, reason: Reason, close: Close | None = None, text: str = "") -> None:
        """``side`` is over in both directions.

        :param text: why, in a sentence, where it said so
        """


class ILink(Interface):
    """One connection that carries messages."""

    heard: bool = Attribute("set at every arrival of bytes; liveness clears it")
    cut: bool = Attribute("set when the connection ended within a message")

    def start(receiver: ILinkReceiver) -> None:
        """Deliver what arrives, from the first byte, to ``receiver``."""

    def send_message(message: Message) -> None:
        """Send one message, or one part of it. After :meth:`close` it is dropped."""

    def pause_reading() -> None:
        """Take nothing more from the wire."""

    def resume_reading() -> None:
        """Undo :meth:`pause_reading`."""

    def ping() -> None:
        """Ask for a sign of life."""

    def close(close: Close, goodbye_s: float | None = None) -> None:
        """End in order: all that was sent goes out first; the wait for a reply is bounded.

        :param goodbye_s: how long the peer may take nothing, and then be silent; None: as usual
        """

    def abort() -> None:
        """End at once; what was not sent is lost."""

    def untaken_bytes() -> int:
        """:returns: bytes of ours that the peer has yet to take, as far as that can be known"""

    def has_unsent() -> bool:
        """:returns: whether bytes of ours wait for the peer to take them."""

    def outlet() -> IOutlet | None:
        """:returns: what takes payload for it unread; None: :meth:`send_message` has to"""

    def forward(counted: IStream | None, outlet: IOutlet | None, text: bool = False) -> None:
        """From now on hand payload straight to ``outlet``, as far as the link can; None: to the
        receiver again.

        :param counted: whose ``bytes_in`` it is
        :param text: whether texts are payload, too
        """

    def is_blocked() -> bool:
        """:returns: whether it does not read because its outlet has no room."""


class IByteLink(ILink):
    """A connection without messages: one endless message of bytes each way.

    What comes is delivered in parts, none of them final; the peer's half-close as an empty final
    one. An empty final message that is sent half-closes our side, behind what was sent before.
    """

    def has_left() -> bool | None:
        """:returns: whether a peer that says nothing more has closed for good; None: unknown"""


class ILinkReceiver(Interface):
    """What a link talks to: the Session."""

    def message_received(message: Message) -> None:
        """A message, or a part of one, arrived."""

    def link_lost(close: Close | None, reason: Reason, detail: str) -> None:
        """The link is gone. ``close`` is the peer's Close, None when there was none."""

    def pauseProducing() -> None:
        """The link's send buffer is full."""

    def resumeProducing() -> None:
        """The link's send buffer is empty again."""

    def stopProducing() -> None:
        """The link will take nothing more."""


class IConversation(Interface):
    """One link's state in a dialect: a pure function of what came in.

    ``opened``, ``receive``, ``perform`` and ``wake`` return, in order, events for the core and
    Messages for the wire. They raise ProtocolError for bad input and nothing else.
    """

    shape: Shape = Attribute("how many streams share the link, and who stops a fast sender")
    role: Role = Attribute("what the peer is")
    intent: Event | None = Attribute(
        "the Offer, Call or Join that opened() will ask for: judged before the handshake is over"
    )
    upgrade_headers: Mapping[str, str] = Attribute("headers for the 101")
    carries: Carries = Attribute("what its streams can carry")
    whole_messages: bool = Attribute("whether receive wants messages whole rather than in parts")
    message_bytes: int = Attribute("largest message")
    frame_bytes: int = Attribute("largest frame")
    drop_is_end: bool = Attribute("whether a connection that ends without a Close ended in order")
    dead_timer: bool = Attribute("whether silence of the peer ends the link")
    passes: Passing = Attribute("what of a joined stream's payload nobody needs to read")
    utf8: bool = Attribute("whether a text that is no UTF-8 ends the link")
    goodbye_s: float | None = Attribute(
        "how long the peer may take nothing of our last words, and then be silent; None: as usual"
    )
    payload_bytes: int = Attribute("largest payload that encode takes; 0: any")
    window_bytes: int | None = Attribute(
        "what the peer may send ahead on each stream of a link with credit; None: as configured"
    )

    def opened(now: float) -> Outputs:
        """The link stands."""

    def receive(message: Message, now: float) -> Outputs:
        """A message arrived. :raises ProtocolError: when the peer broke the rules."""

    def perform(event: Event, now: float) -> Outputs:
        """The core wants this told to the peer."""

    def begin(call: Call) -> Opening:
        """Choose the stream for a call that this link's offer is to answer, or, in a host, for one
        that the router makes.

        :raises RelayError: when it can take none; only links that offer with Answer.STREAM are
            asked, and hosts that are called on streams
        """

    def encode(data: Data) -> Message:
        """The short way of ``perform(Data)``, for the byte path."""

    def wake(now: float) -> Outputs:
        """The time that ``deadline`` named has come."""

    def deadline() -> float | None:
        """:returns: when ``wake`` is wanted next, in the clock of ``now``."""

    def end(reason: Reason, close: Close | None) -> Close | None:
        """:returns: the Close that tells the peer of the end; None: the connection is dropped.

        :param close: the Close that the other side of the circuit sent, if it did
        """


class ISplitting(Interface):
    """A conversation of a shared link, of whose payload only the beginning need be read."""

    def payload_at(view: memoryview, start: int, end: int) -> tuple[int, int] | None:
        """A part of a message came.

        :returns: whose payload it is, by stream, and where that begins; None: it is something
            else, or not clear yet, and has to be received
        """

    def passed(stream: int, amount: int, final: bool) -> None:
        """That payload went on, and is not received.

        :param final: whether the message is over
        """

    def head(stream: int) -> bytes:
        """:returns: what stands before the payload of each message"""


class IGreeting(Interface):
    """A conversation that begins with a Hello; a Granted answers it."""

    hello_bytes: int = Attribute("largest message until the Hello is accepted")

    def grant(claims: Claims) -> Grant:
        """:returns: what the Hello's credential allows. :raises AuthError: when nothing."""
