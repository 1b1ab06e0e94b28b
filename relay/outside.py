"""What a dialect's host or client may do to the world: the doors of our own daemons."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from zope.interface import Attribute, Interface

from relay.errors import CallerLeft, CannotConnect, Refused, RelayError
from relay.faces import IRouterFace, IServices
from relay.interfaces import IConversation, IStream
from relay.vocabulary import Call, Data, Ending, Enter, Event, Reason, TopicName

FINAL_STATUSES = (401, 403)
"""Statuses by which most dialects refuse a credential or a name."""


class ITunnelSession(Interface):
    """A link that one of our own daemons holds to a router."""

    def stream() -> IStream:
        """:returns: the only stream of a dedicated link."""

    def answer(call: Call) -> IStream:
        """Accept a call that came on a stream of a link with several.

        :returns: the stream, of which payload may flow
        :raises LimitReached: when there is no room for it; the router has been told
        :raises CallGone: when it is over already, or was answered before
        """

    def perform(event: Event) -> None:
        """Tell the peer."""

    def close(reason: Reason) -> None:
        """End the link in order."""

    def when_closed() -> Awaitable[Ending]:
        """:returns: how the link ended, once it has; a fresh awaitable each time."""


class IBundle(ITunnelSession):
    """Several links that are kept as if they were one; it has no stream."""

    def over(ending: Ending) -> None:
        """It stands no more, whatever its links do; harmless when it did not."""


class Way(NamedTuple):
    """How to get to a server, where that is not as usual.

    :ivar at: ``HOST:PORT`` that is connected to, while Host, SNI and verification keep the URL's;
        empty: the URL's
    :ivar roots: trust roots besides the tunnel's own, PEM
    :ivar follow: whether redirections are followed
    """

    at: str = ""
    roots: str = ""
    follow: bool = True


USUAL_WAY = Way()


class ServesTls(NamedTuple):
    """A raw link on which we are the TLS server, though it was we who connected.

    :ivar certificate: PEM file, with its chain
    :ivar key: PEM file
    """

    certificate: Path
    key: Path


class ExpectsTls(NamedTuple):
    """A raw link at whose far end a TLS server is.

    :ivar name: that its certificate is to have, and SNI
    """

    name: str


class HttpAnswer(NamedTuple):
    """What a server answered.

    :ivar headers: names in lower case
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class IResident(Interface):
    """A member of a local topic that has no link."""

    def say(payload: bytes, text: bool) -> None:
        """Tell every other member."""

    def leave() -> None:
        """Give the seat up."""


class IErrand(Interface):
    """Something that runs on the side."""

    def cancel() -> None:
        """Give it up; harmless when it is over."""


class ILocalRouter(Interface):
    """A small router in a host: programs beside it connect to it, links of ours take part."""

    services: IServices = Attribute("as a router's; its face is given them, too")

    def listen(endpoint: str) -> Awaitable[str]:
        """Serve the face at a Twisted server endpoint. :returns: the address that really listens

        :raises CannotListen: when that cannot be
        """

    def enter(session: ITunnelSession, event: Enter) -> None:
        """A link of ours becomes a member of a local topic, for as long as it stands."""

    def reside(topic: TopicName, heard: Callable[[Data], None]) -> IResident:
        """Become a member without a link.

        :param heard: called with each whole message of the others
        """

    def compose(topic: TopicName, sources: Collection[TopicName]) -> None:
        """From now on ``topic`` hears all that is said on ``sources``, and on no others."""


RETRY_CALL_S = (0.1, 0.2, 0.4, 0.8)
"""A host that reconnects, or a router that restarts, is back within a second or two; the local user
need not notice."""

CALL_AGAIN_S = 4.0
"""How long after the first attempt another may begin: a router that has a caller wait, for three
seconds perhaps, is asked once more, in case that many others came at the same time."""

PASSING = (Reason.HOST_ABSENT, Reason.GOING_AWAY)


async def call_again(
    outward: IOutward, caller: IStream, call: Callable[[], Awaitable[ITunnelSession]]
) -> ITunnelSession:
    """Make a call; where what stands in its way may pass, a few times within :data:`CALL_AGAIN_S`.

    :param caller: for whom it is
    :raises CallerLeft: when that has given up
    :raises RelayError: as the last call
    """
    began = outward.now()

    def waited_long(pause_s: float) -> bool:
        return abs(outward.now() - began) + pause_s > CALL_AGAIN_S

    for pause_s in RETRY_CALL_S:
        if caller.has_given_up():
            break
        try:
            return await call()
        except Refused as error:
            if error.reason not in PASSING or waited_long(pause_s):
                raise
        except CannotConnect as error:
            if not error.passing or waited_long(pause_s):
                raise
        await outward.sleep(pause_s)
    if caller.has_given_up():
        raise CallerLeft("the caller left before there was a host")
    return await call()


class IOutward(Interface):
    """What a dialect's host or client may do to the world."""

    def now() -> float:
        """:returns: Unix seconds."""

    def sleep(seconds: float) -> Awaitable[None]:
        """Wait."""

    def token() -> Awaitable[str]:
        """:returns: the tunnel's, read afresh. :raises TokenMissing, TokenInvalid, NoToken"""

    def time_code(base32: str, step: int) -> str:
        """:returns: the time-based code (RFC 6238) of a secret in a time step: six digits

        :raises Misconfigured: when that is no secret
        """

    def spawn(errand: Awaitable[None]) -> IErrand:
        """Run on the side; its failure is logged and harms nobody.

        :returns: by which it can be given up
        """

    def websocket(
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
    ) -> Awaitable[ITunnelSession]:
        """Open a WebSocket below the router's URL.

        :param conversation: makes the conversation from the 101's headers (names in lower case)
        :param handle: takes the events that are not a stream's
        :raises Refused: for any other status
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """

    def http(
        method: str,
        url: str,
        headers: Mapping[str, str],
        limit_bytes: int,
        way: Way = USUAL_WAY,
    ) -> Awaitable[HttpAnswer]:
        """Ask an HTTP server, within 10 s, the tunnel's proxy and trust roots observed.

        Redirections are followed within one origin, unless ``way`` says otherwise; an answer says
        nothing of its connection.

        :param url: absolute, ``http`` or ``https``; the request has no body
        :param limit_bytes: a longer body is an error
        :raises CannotConnect, TlsFailed: when there is nobody to talk to, or no HTTP is spoken
        """

    def websocket_at(
        url: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
    ) -> Awaitable[ITunnelSession]:
        """As :meth:`websocket`, of an absolute URL (``ws`` or ``wss``)."""

    def tcp(
        address: str,
        conversation: IConversation,
        handle: Callable[[Event], None],
        tls: ServesTls | ExpectsTls | None = None,
    ) -> Awaitable[ITunnelSession]:
        """Open a raw link: TCP, the tunnel's proxy observed, whose bytes are payload as they come.

        :param address: ``HOST:PORT``, an IPv6 address in brackets
        :param handle: takes the events that are not a stream's
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """

    def local_router(face: IRouterFace) -> ILocalRouter:
        """:returns: a router of this tunnel's own, which ends with it"""

    def call(
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        caller: IStream,
        timeout_s: float,
    ) -> Awaitable[ITunnelSession]:
        """Open a WebSocket and wait until the call that it makes is accepted.

        :param caller: for whom it is
        :raises CallerLeft: when that has given up before
        :raises HostSilent: when it is not, in time
        :raises Refused: for a refusal, before or after the handshake
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """

    def register(
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], IConversation],
        handle: Callable[[Event], None],
        opened: Callable[[ITunnelSession], None],
        silence_s: float,
    ) -> Awaitable[ITunnelSession]:
        """Open a WebSocket and wait until its router takes us, by an Accept or by silence.

        :param opened: called with the session once it stands, before the router is waited for
        :param silence_s: how long a router that refuses us may take to end the link
        :raises Refused: for a refusal, before or after the handshake
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """

    def resolve(host: str) -> Awaitable[Sequence[str]]:
        """:returns: the addresses of a name, at least one. :raises TargetRefused: without any"""

    def connect(endpoint: str) -> Awaitable[IStream]:
        """Connect to a local service. :raises TargetRefused: with the address and why."""

    def listen(endpoint: str, accepted: Callable[[IStream], None]) -> Awaitable[str]:
        """Accept local connections.

        :param endpoint: Twisted server endpoint string; ``stdio:``; or ``ws:PORT``, perhaps with
            ``:interface=ADDRESS``: WebSockets at any path, on loopback unless it says otherwise,
            whose streams keep boundaries and kinds of messages
        :returns: the address that really listens
        :raises CannotListen, CannotConnect: when it cannot
        """

    def join(caller: IStream, callee: IStream, name: str) -> Awaitable[Reason]:
        """Make a circuit of two streams. :returns: why it ended, once it has."""

    def serve() -> Awaitable[None]:
        """Wait until the tunnel is told to stop, or what it listens on has served its purpose."""

    def keep(
        errand: Callable[[], Awaitable[ITunnelSession]],
        final: Collection[int] = FINAL_STATUSES,
        gives_up: bool = True,
        name: str = "",
        longest_s: float = 30.0,
        where: Callable[[], str] = str,
    ) -> Awaitable[None]:
        """Do ``errand`` for ever: whenever its link ends, again, after a pause
        (:mod:`relay.core.patience`). Several may be kept; cancelling one ends its link.

        :param final: HTTP statuses that refuse us for good, when they come at the first attempt
        :param gives_up: whether any refusal is final
        :param name: of the errand, where the tunnel has several; for the log
        :param longest_s: the longest pause after a refusal
        :param where: names the router where the section does not; for the log
        :raises RelayError: when a refusal is final
        """

    def bundle(end: Callable[[Reason], None]) -> IBundle:
        """Make what an errand returns that keeps several links.

        :param end: ends them in order; called when the bundle is closed, with why
        """

    def write(path: Path, text: str) -> None:
        """Write a file; that it cannot be is logged and harms nobody."""

    def report(text: str) -> None:
        """Log one line at info level, with the tunnel's name in front."""

    def fault(what: str, error: RelayError) -> None:
        """Log one line: what failed, why, what to try. Repetitions are thinned out."""
