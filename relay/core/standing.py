"""What is known of one name: its registration, and the calls that no host has answered."""

from __future__ import annotations

from relay.core.flow import LinkStream
from relay.core.liveness import Entry
from relay.core.session import Session
from relay.interfaces import IStream
from relay.vocabulary import Call, CallKey, Offer


class PendingCall:
    """One call that no host has answered yet.

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
        "finished",
        "over",
        "session",
        "stream",
        "timer",
    )

    def __init__(self, call: Call, session: Session, stream: LinkStream) -> None:
        self.call = call
        self.session = session
        self.stream = stream
        self.callee: IStream | None = None
        self.announced = False
        self.announced_at = 0.0
        self.finished = False
        self.over = False
        self.timer: Entry | None = None


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

    __slots__ = ("announced", "announcing", "offer", "responders", "session", "waiting")

    def __init__(self) -> None:
        self.announcing = False
        self.session: Session | None = None
        self.offer: Offer | None = None
        self.announced: dict[CallKey, PendingCall] = {}
        # lists: they are nearly always empty, and an empty deque takes ten times as much
        self.waiting: list[PendingCall] = []
        self.responders: list[Session] = []

    def is_empty(self) -> bool:
        """:returns: whether nothing is left to remember."""
        return not (self.session or self.announced or self.waiting or self.responders)

    def withdraw(self, session: Session) -> None:
        """A registration is over; the next newest responder takes its place."""
        if session in self.responders:
            self.responders.remove(session)
        if self.session is session:
            self.session = self.responders[-1] if self.responders else None
            if self.session is None:
                self.offer = None
