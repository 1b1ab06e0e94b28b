"""A stream that ends in the test."""

from __future__ import annotations

from zope.interface import implementer

from relay.interfaces import ICircuit, IStream
from relay.outlets import IOutlet
from relay.vocabulary import Carries, Close, Data, Reason

HALF_CLOSE = Carries(half_close=True)


@implementer(IStream)
class FakeStream:
    """A stream that ends here: it records what it is sent, and speaks when told to.

    :ivar heard: what came for it
    :ivar events: what it was told, in order: ``finish``, ``reset REASON``, ``pause``, ``resume``
    :ivar left: what :meth:`has_left` says
    :ivar untaken: what :meth:`untaken_bytes` says
    """

    def __init__(self, carries: Carries = HALF_CLOSE, label: str = "fake") -> None:
        self.carries = carries
        self.label = label
        self.bytes_in = 0
        self.circuit: ICircuit | None = None
        self.closed = False
        self.partner: IStream | None = None
        self.heard: list[Data] = []
        self.events: list[str] = []
        self.left: bool | None = None
        self.refuses = False
        self.untaken = 0
        self.paused = False

    # -- IStream -----------------------------------------------------------------------------------

    def attach(self, partner: IStream) -> None:
        """Speak to ``partner``."""
        self.partner = partner

    def detach(self) -> None:
        """The circuit is over."""
        self.partner = None
        self.circuit = None

    def send(self, data: Data) -> None:
        """Record; ask for a pause where nothing more can be taken."""
        assert self.reset_reason() is None, "payload after the end"
        self.heard.append(data)
        if self.refuses and self.partner is not None:
            self.partner.pause()

    def finish(self) -> None:
        """Record."""
        self.events.append("finish")

    def reset(self, reason: Reason, close: Close | None) -> None:
        """Record."""
        self.events.append(f"reset {reason.value}")

    def forget_unsent(self) -> None:
        """Record."""
        self.events.append("forget")

    def untaken_bytes(self) -> int:
        """:returns: what the test says."""
        return self.untaken

    def pause(self) -> None:
        """Record."""
        self.paused = True
        self.events.append("pause")

    def resume(self) -> None:
        """Record."""
        self.paused = False
        self.events.append("resume")

    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause."""
        return self.paused

    def outlet(self) -> IOutlet | None:
        """:returns: None"""
        return None

    def has_left(self) -> bool | None:
        """:returns: what the test says."""
        return self.left

    def has_given_up(self) -> bool | None:
        """:returns: what the test says."""
        return self.left

    # -- the test's side ---------------------------------------------------------------------------

    def speak(self, payload: bytes, text: bool = False, final: bool = True) -> None:
        """Send ``payload`` to the partner."""
        assert self.partner is not None
        self.bytes_in += len(payload)
        self.partner.send(Data(payload, text=text, final=final))

    def end(self) -> None:
        """Say that no more payload comes."""
        assert self.circuit is not None
        self.circuit.finished(self)

    def hang_up(self, reason: Reason = Reason.PEER_CLOSED, close: Close | None = None) -> None:
        """Be over in both directions."""
        assert self.circuit is not None
        self.circuit.broken(self, reason, close)

    def stop_reading(self) -> None:
        """Take nothing more; harmless once the circuit is over."""
        self.refuses = True
        if self.partner is not None:
            self.partner.pause()

    def read_on(self) -> None:
        """Take more; harmless once the circuit is over."""
        self.refuses = False
        if self.partner is not None:
            self.partner.resume()

    def payload(self) -> bytes:
        """:returns: all bytes that came."""
        return b"".join(data.payload for data in self.heard)

    def reset_reason(self) -> str | None:
        """:returns: the reason's word, once it was reset."""
        for event in self.events:
            if event.startswith("reset "):
                return event.removeprefix("reset ")
        return None
