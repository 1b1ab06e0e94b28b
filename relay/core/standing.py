"""What is known of one name: its registration, and the calls that no host has answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from relay.core.liveness import Entry
from relay.core.publications import Published
from relay.core.session import Session
from relay.errors import RelayError
from relay.interfaces import IStream
from relay.vocabulary import Call, CallKey, Close, Event, Offer, Reason


class ICaller(Protocol):
    """Whoever calls: the session of a link, or a visitor without one."""

    @property
    def reason(self) -> Reason | None:
        """:returns: why it is over; None while it is not"""

    def new_stream(self, stream_id: int) -> IStream:
        """Begin a stream for the call.

        :raises ProtocolError: when there is one of that id
        :raises LimitReached: when there is no room
        """

    def perform(self, event: Event) -> None:
        """Tell it of an Accept."""

    def refuse(self, stream_id: int, error: RelayError) -> None:
        """The call cannot be had."""

    def end_stream(
        self, stream_id: int, reason: Reason, close: Close | None = None, detail: str = ""
    ) -> None:
        """The call came to nothing."""


class PendingCall:
    """One call that no host has answered yet.

    :ivar published: how it came to this name, where its caller named another
    :ivar callee: the host's stream that was opened for it, while it has not accepted
    :ivar announced: whether a host was told of it
    :ivar announced_at: when, in the clock's seconds
    :ivar finished: whether its caller has said all it wants to say
    :ivar over: whether it was answered or given up
    """

    __slots__ = (
        "announced",
        "announced_at",
        "call",
        "callee",
        "caller",
        "finished",
        "over",
        "published",
        "stream",
        "timer",
    )

    def __init__(
        self, call: Call, caller: ICaller, stream: IStream, published: Published | None = None
    ) -> None:
        self.call = call
        self.caller = caller
        self.stream = stream
        self.published = published
        self.callee: IStream | None = None
        self.announced = False
        self.announced_at = 0.0
        self.finished = False
        self.over = False
        self.timer: Entry | None = None

    @property
    def dialect(self) -> str:
        """:returns: of the name that is called, for the counts"""
        return self.call.name.partition(":")[0]

    @property
    def asked(self) -> str:
        """:returns: the name that the caller knows"""
        return self.call.name if self.published is None else str(self.published.asked)

    def refuse(self, error: RelayError) -> None:
        """The call cannot be had: tell its caller, of the name that it knows."""
        if self.published is not None:
            error = self.published.refusal(error)
        self.caller.refuse(self.call.stream, error)

    def end(self, reason: Reason, close: Close | None, text: str) -> None:
        """The call came to nothing; what its host says of that is for those who know the host."""
        if self.published is not None and text:
            self.published.log_refused(reason, text)
            text = ""
        self.caller.end_stream(self.call.stream, reason, close, text)


class Standing:
    """All that is known of one name.

    It outlives the registration for as long as calls wait: a host that lost its control link may
    still join them, and so may its successor.

    :ivar session: whose offer it is now, the newest where several answer
    :ivar announced: calls that a host was told of, by the key that joins them
    :ivar announcing: whether somebody is at telling the host of waiting calls
    :ivar waiting: calls that a host has yet to be told of, in order
    :ivar responders: the links that wait to answer one call each
    """

    __slots__ = ("__dict__", "offer", "session")

    # of thousands of names nearly all have none of these: only who has, has a place for them
    announcing: bool = False
    announced: Mapping[CallKey, PendingCall] = MappingProxyType({})
    waiting: Sequence[PendingCall] = ()
    responders: Sequence[Session] = ()

    def __init__(self) -> None:
        self.session: Session | None = None
        self.offer: Offer | None = None

    def wait(self, pending: PendingCall) -> None:
        """A call waits for a host to be told of it."""
        self.waiting = [*self.waiting, pending]

    def wait_first(self, pending: PendingCall) -> None:
        """A call waits again, before all others."""
        self.waiting = [pending, *self.waiting]

    def next(self) -> PendingCall:
        """:returns: the call that has waited longest; it waits no more"""
        pending, *self.waiting = self.waiting
        return pending

    def announce(self, pending: PendingCall) -> None:
        """A host is told of a call."""
        self.announced = {**self.announced, pending.call.key: pending}

    def forget(self, pending: PendingCall) -> None:
        """A call is over."""
        if pending.announced:
            self.announced = {k: v for k, v in self.announced.items() if v is not pending}
        elif pending in self.waiting:
            self.waiting = [other for other in self.waiting if other is not pending]

    def respond(self, session: Session) -> None:
        """A link waits to answer one call."""
        if session not in self.responders:
            self.responders = [*self.responders, session]

    def next_responder(self) -> Session:
        """:returns: the link that has waited longest"""
        return self.responders[0]

    def responds_no_more(self, session: Session) -> None:
        """A link answers a call, or is gone; the newest of the others has the name."""
        self.responders = [other for other in self.responders if other is not session]
        self.session = self.responders[-1] if self.responders else None
        if self.session is None:
            self.offer = None

    def is_empty(self) -> bool:
        """:returns: whether nothing is left to remember."""
        return not (self.session or self.announced or self.waiting or self.responders)

    def withdraw(self, session: Session) -> None:
        """A registration is over; the next newest responder takes its place."""
        if self.session is session or session in self.responders:
            self.responds_no_more(session)
