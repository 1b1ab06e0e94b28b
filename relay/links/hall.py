"""What all front doors of a router share, and the way from an admitted handshake to a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, ITransport
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper

from relay.core.admission import Admission, Reception
from relay.core.broker import Broker
from relay.core.session import Session
from relay.core.surroundings import Surroundings
from relay.errors import RelayError
from relay.faces import IServices, Welcome
from relay.http import Request
from relay.interfaces import IConversation, IGreeting, ILink
from relay.links.cutthrough import FrameEnd, Hub, faster
from relay.links.raw_link import RawLink
from relay.links.turns import Turns
from relay.links.websocket import ServerLink, ServerLinkFactory, WebSocketLink
from relay.settings.model import Limits

EMPTY_S = 3.0
"""How long a stopping router waits for peers to answer its Close."""


class IDoor(Protocol):
    """A connection that is no link."""

    def is_answering(self) -> bool:
        """:returns: whether a host is answering a request of it, or the answer is being taken"""

    def leave(self) -> None:
        """Close, behind what was sent."""


class Hall:
    """What all front doors of a router share.

    :param believed_peer: the address that counts, of the one that connected and the request
    :param hub: of the cut-through gear
    :ivar turns: of those who knock
    :ivar doors: connections that are no links
    :ivar liveness: ping and dead time by dialect
    """

    log = Logger()

    def __init__(
        self,
        reception: Reception,
        broker: Broker,
        around: Surroundings,
        services: IServices,
        reactor: IReactorTime,
        believed_peer: Callable[[str, Request], str],
        hub: Hub,
    ) -> None:
        self.reception = reception
        self.broker = broker
        self.around = around
        self.services = services
        self.reactor = reactor
        self.believed_peer = believed_peer
        self.liveness: dict[str, tuple[float, float]] = {}
        self.websockets = ServerLinkFactory(reactor)
        self.hub = hub
        self.turns = Turns(reactor, lambda: around.limits)
        self.doors: set[IDoor] = set()
        self.links = 0
        self._open = 0
        self._empty: list[Deferred[None]] = []
        self._quiet: Callable[[], None] | None = None
        self._link_gone = self._gone  # one for all links

    @property
    def limits(self) -> Limits:
        """:returns: those in force."""
        return self.around.limits

    def enter(
        self,
        admission: Admission,
        transport: ITransport,
        peer: str,
        port: int,
        key: str,
        received: bytes,
    ) -> None:
        """Turn an admitted handshake into a session.

        :param peer: the address that counts
        :param port: the other end's port, for the log
        :param key: the handshake's ``Sec-WebSocket-Key``
        :param received: what followed the request head
        """
        conversation = admission.conversation
        assert conversation is not None
        link = cast(ServerLink, self.websockets.buildProtocol(transport.getPeer()))
        link.clock = self.reactor
        link.upgrade_headers = conversation.upgrade_headers
        self._limit(link, conversation, admission.grant is not None)
        self.links += 1
        label = f"{peer}:{port}/{self.links}"
        ping_s, dead_s = self.liveness.get(admission.face.name, (0.0, 0.0))

        def opened(link: ServerLink) -> None:
            held = faster(self.hub, link, conversation) if self.limits.cut_through else link
            session = Session(
                held,
                conversation,
                self.reception,
                self.around,
                label,
                admission.grant,
                ping_s,
                dead_s,
            )
            self.broker.add(session)
            if admission.grant is not None:
                self.broker.tell_up(session, admission.grant)
            else:
                self.turns.visitors[peer] += 1

                def known() -> None:
                    self.turns.leave(peer)
                    self._limit(held, conversation, True)

                self.reception.expect_hello(session, admission.face.name, peer, known)
            session.opened()

        link.opened = opened
        link.gone = self._link_gone
        self._open += 1
        if isinstance(transport, ProtocolWrapper):
            transport.wrappedProtocol = link
        else:
            transport.protocol = link  # type: ignore[attr-defined]  # every Twisted stream transport has it
        link.makeConnection(transport)
        link.begin(key, received)

    def enter_raw(self, link: RawLink, welcome: Welcome, peer: str, port: int) -> None:
        """Turn a connection to a port into a session.

        :param peer: its address
        :param port: the other end's, for the log
        :raises RelayError: when it may not be
        """
        grant, conversation = welcome
        gone = self._link_gone
        if not grant.subject:
            self.turns.count(peer)

            def gone(link: ILink) -> None:
                self.turns.leave(peer)
                self._gone(link)

        try:
            self.reception.judge_link(grant, conversation.intent)
        except RelayError:
            if not grant.subject:
                self.turns.leave(peer)
            raise
        link.gone = gone
        self._open += 1
        self.links += 1
        label = f"{peer}:{port}/{self.links}"
        session = Session(link, conversation, self.reception, self.around, label, grant)
        self.broker.add(session)
        self.broker.tell_up(session, grant)
        session.opened()

    def _limit(
        self, link: WebSocketLink | FrameEnd, conversation: IConversation, known: bool
    ) -> None:
        """Set what may arrive; of thousands that nobody knows yet little is kept."""
        most = conversation.message_bytes
        most = min(most, self.limits.message_bytes or most)
        if not known:
            most = min(most, IGreeting(conversation).hello_bytes)
        link.limit(conversation.frame_bytes, most, conversation.whole_messages, conversation.utf8)

    def when_quiet(self, quiet: Callable[[], None]) -> None:
        """:param quiet: called once no answer is on its way, at once when none is"""
        self._quiet = quiet
        self.answered()

    def answered(self) -> None:
        """A door has answered, or is gone."""
        if self._quiet is not None and not any(door.is_answering() for door in self.doors):
            quiet, self._quiet = self._quiet, None
            quiet()
        self._look_around()

    def close_doors(self) -> None:
        """Close every connection that is no link."""
        for door in tuple(self.doors):
            door.leave()

    def when_empty(self) -> Deferred[None]:
        """:returns: fires when every connection is gone, within :data:`EMPTY_S`."""
        waiting: Deferred[None] = Deferred()
        self._empty.append(waiting)
        timer = self.reactor.callLater(EMPTY_S, self._tell_empty)
        self._look_around()

        def stop_timer(result: None) -> None:
            if timer.active():
                timer.cancel()
            return result

        return waiting.addCallback(stop_timer)

    def wait_no_more(self) -> None:
        """Nobody waits for connections to be gone."""
        self._tell_empty()

    def _gone(self, link: ILink) -> None:
        self._open -= 1
        self._look_around()

    def _look_around(self) -> None:
        if not (self._open or self.doors):
            self._tell_empty()

    def _tell_empty(self) -> None:
        empty, self._empty = self._empty, []
        for waiting in empty:
            waiting.callback(None)
