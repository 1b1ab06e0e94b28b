"""What a dialect is at a router, and what the core lends it: doors between packages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from zope.interface import Attribute, Interface

from relay.errors import RelayError
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Traits
from relay.vocabulary import (
    Call,
    Claims,
    Credential,
    Event,
    Grant,
    Message,
    OfferName,
    Role,
    TopicName,
)

if TYPE_CHECKING:
    from relay.outside import IOutward


class Route(NamedTuple):
    """Where a request goes within its dialect.

    :ivar name: the dialect's own name of the endpoint
    :ivar parameters: parts of the path, decoded
    :ivar websocket: whether a WebSocket handshake is expected here
    :ivar body_bytes: largest body that is read before ``answer``; 0: none is read
    :ivar spares_body: whether nobody looks at the body: a request with more than ``body_bytes`` of
        it is answered without the rest, rather than refused
    :ivar greets: whether the credential comes inside the conversation, in a Hello; until then
        nothing is granted
    :ivar claims: the first part of the paths by which users of what is registered will come
    :ivar forwards: whether the request goes to a host as it is, and the host's answer back; the
        face provides :class:`IForwardingFace` then
    :ivar feeds: whether the body goes to a sink as it comes, whatever the method; the face provides
        :class:`IFeedFace` then
    :ivar looks_up: whether the credential has to be looked up first; the face provides
        :class:`ILookingUpFace` then
    """

    name: str
    parameters: tuple[str, ...] = ()
    websocket: bool = True
    body_bytes: int = 0
    greets: bool = False
    claims: str = ""
    forwards: bool = False
    feeds: bool = False
    looks_up: bool = False
    spares_body: bool = False


class Forwarding(NamedTuple):
    """A plain HTTP request on its way to a host.

    :ivar call: what it calls
    :ivar target: the request target that the host is to see
    :ivar headers: names and values, latin-1; those that frame the body are made anew
    """

    call: Call
    target: str
    headers: tuple[tuple[str, str], ...]


class IRouterFace(Interface):
    """A dialect as the router speaks it, configured."""

    name: str = Attribute("the dialect's name")
    catch_all: bool = Attribute("whether it takes paths that nobody else does")

    def matches(request: Request) -> bool:
        """:returns: whether the request is for this dialect."""

    def route(request: Request) -> Route:
        """:raises NotFound, MethodNotAllowed, BadRequest: in the dialect's own order."""

    def credential(request: Request, route: Route) -> Credential:
        """:returns: what the request shows for itself."""

    def grant(claims: Claims, request: Request, route: Route) -> Grant:
        """:raises AuthError: when the claims do not allow this route."""

    def conversation(request: Request, route: Route, grant: Grant | None) -> IConversation:
        """A new link's conversation.

        :param grant: None on routes that greet; the conversation provides IGreeting then
        """

    def answer(
        request: Request, route: Route, grant: Grant, services: IServices
    ) -> Awaitable[Response]:
        """Answer a plain HTTP request."""

    def wire_code(error: RelayError) -> int:
        """:returns: the HTTP status for ``error``, before the handshake is over."""


class IForwardingFace(IRouterFace):
    """A dialect whose users come over plain HTTP, and are connected to a host."""

    def forwarding(request: Request, route: Route) -> Forwarding:
        """:returns: where the request goes, and how. :raises BadRequest: when it cannot go there"""


class ISink(Interface):
    """Takes the body of one request as it comes, and is never full."""

    def write(data: bytes) -> None:
        """A part of it, as one read brought it."""

    def finish() -> None:
        """That was all of it; the answer is an empty 200."""

    def lost() -> None:
        """There will be no more of it, though its end has not come."""


class IFeedFace(IRouterFace):
    """A dialect that takes the bodies of some requests as they come."""

    def sink(request: Request, route: Route, services: IServices) -> ISink:
        """:returns: what takes the body; told of its end once. :raises RelayError: a refusal"""


class IWordedFace(IRouterFace):
    """A dialect that has a form of its own for refusals over HTTP."""

    def refusal(error: RelayError, request: Request) -> Response:
        """:returns: the whole answer, its headers included"""


class ILookingUpFace(IRouterFace):
    """A dialect whose credentials are verified by what a store knows."""

    def look_up(request: Request, route: Route, services: IServices) -> Awaitable[Credential]:
        """:returns: what :meth:`credential` would, on routes that look up

        :raises RelayError: a refusal
        """


class IPlacedFace(IRouterFace):
    """A dialect that is spoken otherwise at listeners which keys of its own name."""

    def placed(key: str) -> IRouterFace:
        """:returns: the face for the listeners that ``key`` of its section names"""


class IRememberingFace(IRouterFace):
    """A dialect that knows things which a reload must not take away."""

    def remember(before: IRouterFace) -> None:
        """Go on with what ``before``, the dialect's face until now, knows."""


class IResidentFace(IRouterFace):
    """A dialect that has something to do while nobody asks for anything."""

    def reside(services: IServices) -> Awaitable[None]:
        """Do it until cancelled, or until there is nothing left to do."""


class ICodes(Interface):
    """Codes that are handed out, and each taken back once."""

    def issue(grant: Grant, claims: Claims, lifetime_s: float) -> str:
        """Make a code: a random UUID in lower case, for an :class:`OneTimeCode`.

        :param grant: what it will allow; a revocation of that makes the code void
        :param claims: what ``grant`` of the face is given when it is shown
        :raises LimitReached: when too many wait to be used
        """


class IRecords(Interface):
    """A store of texts by key, which outlives the router and may have other users.

    Every method raises :class:`relay.errors.StoreFailed` when the store cannot be asked.
    """

    def get(key: str) -> Awaitable[str | None]:
        """:returns: the text; None: there is none"""

    def put(key: str, text: str) -> Awaitable[None]:
        """Keep a text, in place of any other of that key."""

    def delete(key: str) -> Awaitable[bool]:
        """:returns: whether there was one"""

    def all(wanted: Callable[[str], bool] | None = None) -> Awaitable[Mapping[str, str]]:
        """Read all, or what is wanted of a store that has much of others besides.

        :param wanted: says of a key whether its text is; it may be called in another thread
        :returns: every text by its key, the keys in order
        """

    def close() -> Awaitable[None]:
        """Let go of the store."""


class Welcome(NamedTuple):
    """What a connection to a port becomes: a link with that conversation, under that grant."""

    grant: Grant
    conversation: IConversation


class IPort(Interface):
    """A TCP port that a dialect had opened, of which each connection is a raw link."""

    number: int = Attribute("of the port")

    def close() -> None:
        """Accept nothing more; harmless when it is closed. Links that stand are not touched."""


class IPorts(Interface):
    """TCP ports of the router's own, opened when somebody asks for one."""

    def open(
        numbers: Sequence[int],
        interface: str,
        dialect: str,
        welcome: Callable[[str, int], Welcome],
    ) -> IPort:
        """Listen at one of ``numbers`` that is free: that which was used longest ago.

        :param interface: address to listen at; empty: all
        :param welcome: called with address and port of each that connects; a RelayError that it
            raises refuses the connection, which is closed at once, counted and logged
        :raises LimitReached: when none of them is free
        """


class LinkInfo(NamedTuple):
    """One live link whose credential was accepted.

    :ivar started: Unix seconds
    """

    conversation: IConversation
    started: float


class ITimer(Interface):
    """Something that is to be called later."""

    def cancel() -> None:
        """Do not call it; harmless when it was called, or cancelled before."""


class IServices(Interface):
    """What the core lends to a dialect."""

    broker: IBroker = Attribute("offers and calls")
    codes: ICodes = Attribute("one-time codes")
    ports: IPorts = Attribute("TCP ports")

    def records(dialect: str, database: str) -> IRecords:
        """Open a store, or share one that is open.

        :param database: ``redis://HOST:PORT/NUMBER``, or a file's path; empty: a file in the state
            folder, named after the dialect
        :raises StoreFailed: where there is none for it
        """

    def sleep(seconds: float) -> Awaitable[None]:
        """Wait."""

    def call_later(seconds: float, callback: Callable[[], None]) -> ITimer:
        """Have ``callback`` called once, as exactly as the reactor can: a wait of a millisecond is
        one.
        """

    def now() -> float:
        """:returns: Unix seconds."""

    def random_bits(bits: int) -> int:
        """:returns: an unpredictable integer below 2**bits."""

    def fault(what: str, error: RelayError) -> None:
        """Log one line: what failed, why, what to try."""


class IBroker(Interface):
    """Offers, calls, limits and revocation."""

    def revoke(
        dialect: str | None = None,
        subject: str | None = None,
        offer: str | None = None,
        token_id: str | None = None,
        until: float | None = None,
    ) -> int:
        """End what matches and refuse it until then. :returns: how many links were ended.

        :param until: Unix seconds; None: for as long as the router lives
        """

    def permit(dialect: str, subject: str) -> None:
        """Take back what was revoked of that subject alone; codes that were void stay so."""

    def revoked(dialect: str) -> Sequence[str]:
        """:returns: the subjects of the dialect that are revoked just now"""

    def judge(intent: Event, grant: Grant, quiet: bool = False) -> None:
        """Would this offer or call be granted, or wait, now? :raises RelayError: why not

        :param quiet: whether the log is told nothing, since the same is going to be asked again
        """

    def is_published(name: OfferName) -> bool:
        """:returns: whether calls of that name are answered by another offer"""

    def links(dialect: str) -> Sequence[LinkInfo]:
        """:returns: the dialect's live links"""

    def publish(topic: TopicName, message: Message) -> None:
        """Tell every reader of a topic, from nobody; nothing happens where there is none."""

    def has_readers(topic: TopicName) -> bool:
        """:returns: whether anybody would hear of that"""


class IDialect(Interface):
    """A wire protocol: the plugin. Found by ``find_dialects``."""

    name: str = Attribute("as in the INI")
    router_keys: Sequence[Key] = Attribute("keys of [dialect:NAME]")
    tunnel_keys: Mapping[Role, Sequence[Key]] = Attribute("keys of [host:...] and [client:...]")
    traits: Traits = Attribute("what settings have to know of the dialect, or to say of it")

    def router_face(settings: DialectSettings, url: str) -> IRouterFace:
        """Configure the router's side; reads secrets afresh, so a reload makes a new face.

        :param url: the router's public URL, empty when it was not told
        :raises ConfigurationError: when a secret cannot be read
        """

    def run(settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host or client until cancelled. :raises RelayError: when it is over for good."""
