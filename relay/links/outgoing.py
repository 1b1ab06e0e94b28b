"""The links that one tunnel holds to its router, and a call on one of them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import CallerLeft, CannotConnect, HostSilent, Refused, RelayError
from relay.interfaces import IConversation, ILink, IStream
from relay.links.cutthrough import Hub, faster
from relay.links.raw_link import RawLink
from relay.links.websocket import ClientLink
from relay.settings.model import TunnelSettings
from relay.vocabulary import (
    CLEAN_REASONS,
    Accept,
    Call,
    Close,
    Ending,
    Enter,
    Event,
    Hello,
    Join,
    Offer,
    Reason,
)

CALLER_CHECK_S = 0.5
"""How often a caller is looked at who waits for an answer and is not read meanwhile."""


class OutgoingLinks:
    """The links of one tunnel, each with its session.

    :param hub: of the cut-through gear
    :param asked: called whenever the router asks for something
    """

    log = Logger()

    def __init__(
        self, settings: TunnelSettings, around: Surroundings, hub: Hub, asked: Callable[[], None]
    ) -> None:
        self._hub = hub
        self.asked = asked
        self._settings = settings
        self._around = around
        self._sessions: set[Session] = set()
        self._begun = 0
        self._open: set[ILink] = set()
        self._all_gone: Deferred[None] | None = None

    def begin(
        self, link: ClientLink, conversation: IConversation, handle: Callable[[Event], None]
    ) -> Session:
        """Speak on a WebSocket that stands.

        :param handle: takes the events that are not a stream's
        """
        link.gone = self._link_gone
        link.limit(
            conversation.frame_bytes,
            conversation.message_bytes,
            conversation.whole_messages,
            conversation.utf8,
        )
        held = faster(self._hub, link, conversation) if self._settings.cut_through else link
        return self._begin(held, conversation, handle, self._settings.ping_s, self._settings.dead_s)

    def begin_raw(
        self, link: RawLink, conversation: IConversation, handle: Callable[[Event], None]
    ) -> Session:
        """Speak on a raw link, on which nobody can be asked for a sign of life."""
        link.gone = self._link_gone
        return self._begin(link, conversation, handle, 0, 0)

    def _begin(
        self,
        link: ILink,
        conversation: IConversation,
        handle: Callable[[Event], None],
        ping_s: float,
        dead_s: float,
    ) -> Session:
        self._begun += 1
        self._open.add(link)
        session = Session(
            link,
            conversation,
            _Switch(self, handle),
            self._around,
            f"{self._settings.name}/{self._begun}",
            None,
            ping_s,
            dead_s,
        )
        self._sessions.add(session)
        session.opened()
        return session

    def end_unused(self) -> None:
        """End the sessions that carry nothing."""
        for session in tuple(self._sessions):
            if not session.streams():
                session.end(Reason.GOING_AWAY)

    def end_all(self) -> None:
        """End every session; what was sent last, and our Close, still have to get out."""
        for session in tuple(self._sessions):
            session.end(Reason.GOING_AWAY)

    def when_gone(self) -> Deferred[None]:
        """:returns: fires when no link is left, or nobody waits for them any more."""
        if not self._open:
            return succeed(None)
        self._all_gone = Deferred()
        return self._all_gone

    def wait_no_more(self) -> None:
        """Let go of the links, whatever is still to get out."""
        if self._all_gone is not None and not self._all_gone.called:
            self._all_gone.callback(None)

    def session_over(self, session: Session, reason: Reason, detail: str) -> None:
        """A session told its switch that it is over."""
        self._sessions.discard(session)
        self.log.debug(
            "{link}: link down: {reason} {detail}",
            event="link-down",
            link=session.label,
            reason=reason.value,
            detail=detail,
        )

    def _link_gone(self, link: ILink) -> None:
        self._open.discard(link)
        if not self._open:
            self.wait_no_more()


class _Switch:
    """The switch of a daemon's session: hands the peer's requests to the dialect."""

    __slots__ = ("_handle", "_links")

    def __init__(self, links: OutgoingLinks, handle: Callable[[Event], None]) -> None:
        self._links = links
        self._handle = handle

    def requested(self, session: Session, event: Hello | Offer | Call | Join | Enter) -> None:
        """The router asks for something."""
        self._links.asked()
        self._handle(event)

    def accepted(self, session: Session, event: Accept) -> None:
        """The router says that our call was answered."""
        self._handle(event)

    def ready(self, session: Session) -> None:
        """The link takes more again; nothing of ours waits for that."""

    def lost(self, session: Session, reason: Reason, close: Close | None, detail: str) -> None:
        """The session is over."""
        self._links.session_over(session, reason, detail)


class Registration:
    """A link by which we register, until its router has taken us or not.

    :param handle: takes all other events
    """

    def __init__(self, reactor: IReactorTime, handle: Callable[[Event], None]) -> None:
        self._reactor = reactor
        self._handle = handle
        self._taken: Deferred[None] = Deferred()

    def handle(self, event: Event) -> None:
        """What the router says."""
        if isinstance(event, Accept):
            self._take()
        else:
            self._handle(event)

    async def succeeds(self, session: Session, silence_s: float) -> None:
        """Wait until we are taken.

        :param silence_s: after so much of it we are
        :raises Refused: when the router ends the link before
        :raises CannotConnect: when the link is lost before
        """
        timer = self._reactor.callLater(silence_s, self._take)
        session.when_closed().addCallback(self._closed)
        try:
            await self._taken
        finally:
            if timer.active():
                timer.cancel()

    def _take(self) -> None:
        if not self._taken.called:
            self._taken.callback(None)

    def _closed(self, ending: Ending) -> None:
        if self._taken.called:
            return
        reason, close, text = ending
        if close is None:
            why = f"the router dropped the link at once ({reason.value})"
            self._taken.errback(CannotConnect(text or why, "its log says why"))
            return
        if reason in CLEAN_REASONS:
            reason = Reason.TOKEN_INVALID
        told = f"the router refused us (close code {close.code})"
        self._taken.errback(Refused(close.code or 0, text or told, reason))


class CallAttempt:
    """A call of ours, until it is accepted or not.

    :param caller: for whom it is; nobody waits any more once that has left
    :param timeout_s: for all of it, the handshake included
    """

    def __init__(self, reactor: IReactorTime, caller: IStream, timeout_s: float) -> None:
        self._reactor = reactor
        self._caller = caller
        self._timeout_s = timeout_s
        self._started = reactor.seconds()
        self._timer: IDelayedCall | None = None
        self._accepted: Deferred[None] = Deferred()

    def handle(self, event: Event) -> None:
        """What the router says of it."""
        if isinstance(event, Accept) and not self._accepted.called:
            self._accepted.callback(None)

    async def succeeds(self, session: Session) -> None:
        """Wait until it is accepted; a session on which it is not is closed.

        :raises HostSilent: when nothing was said of it in time
        :raises CallerLeft: when the caller left meanwhile
        :raises Refused: when the router ended the session
        """
        session.when_closed().addCallback(self._closed)
        self._look()
        try:
            await self._accepted
        except RelayError as error:
            session.close(error.reason)
            raise
        finally:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()

    def _look(self) -> None:
        left_s = self._timeout_s - (self._reactor.seconds() - self._started)
        if self._accepted.called:
            return
        if left_s <= 0:
            self._accepted.errback(
                HostSilent(
                    f"the host did not answer within {self._timeout_s:g} s", "look at its log"
                )
            )
        elif self._caller.has_given_up():
            self._accepted.errback(CallerLeft("the caller left before the host answered"))
        else:
            self._timer = self._reactor.callLater(min(left_s, CALLER_CHECK_S), self._look)

    def _closed(self, ending: Ending) -> None:
        reason, close, text = ending
        reason = Reason.LOST if reason in CLEAN_REASONS else reason
        if not self._accepted.called:
            told = f" (close code {close.code})" if close and close.code else ""
            self._accepted.errback(
                Refused(
                    close.code or 0 if close else 0,
                    text or f"the router ended the call{told}",
                    reason,
                )
            )
