"""The one language spoken above the wire: events, messages, reasons and grants.

Dialects translate between this and their own frames; the core speaks nothing else. Everything here
is immutable and free of behaviour, so that it can cross every package border.

Three words for how the two sides of a call find each other:

* an *offer* is a host's standing name,
* a *call* is a client's request for that name,
* a *key* names one unanswered call, so that another link can join it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, NewType

OfferName = NewType("OfferName", str)
"""``DIALECT:REST``, for instance ``portal:1234``; the form that ``[publish]`` uses too."""

TopicName = NewType("TopicName", str)
"""``DIALECT:REST`` of a topic."""

CallKey = NewType("CallKey", str)
"""Names one unanswered call of an offer; opaque outside the dialect that prints it."""


class Reason(enum.Enum):
    """Why a stream, link, call or offer ended: a closed set shared by wire, logs, metrics and
    tests.
    """

    FINISHED = "finished"
    PEER_CLOSED = "peer-closed"
    LOST = "lost"
    IDLE = "idle"
    GOING_AWAY = "going-away"
    REPLACED = "replaced"
    REVOKED = "revoked"
    EXPIRED = "expired"
    TOKEN_MISSING = "token-missing"
    TOKEN_INVALID = "token-invalid"
    TOKEN_EXPIRED = "token-expired"
    WRONG_ROLE = "wrong-role"
    WRONG_SCOPE = "wrong-scope"
    WRONG_NAME = "wrong-name"
    NO_SUCH_OFFER = "no-such-offer"
    HOST_ABSENT = "host-absent"
    HOST_SILENT = "host-silent"
    TARGET_REFUSED = "target-refused"
    TARGET_FORBIDDEN = "target-forbidden"
    LIMIT = "limit"
    OVERRUN = "overrun"
    TOO_LARGE = "too-large"
    PROTOCOL_ERROR = "protocol-error"
    TLS_FAILED = "tls-failed"
    INTERNAL = "internal"


CLEAN_REASONS = frozenset({Reason.FINISHED, Reason.PEER_CLOSED})
"""Ends after which nothing is missing; any other end is shown to a local socket as a reset."""


class Role(enum.Enum):
    """What a grant lets its bearer be."""

    HOST = "host"
    CLIENT = "client"


class Answer(enum.Enum):
    """How an offer takes a call."""

    STREAM = "stream"
    """A new stream on the offer's own link (multiplexers)."""
    ANNOUNCE = "announce"
    """The call is announced with a key; another link joins it by that key."""
    QUEUE = "queue"
    """The offer's own link, waiting until now, becomes the stream (raw TCP pools)."""


class Rivalry(enum.Enum):
    """Who keeps a name that two live links want."""

    NEWEST_WINS = "newest-wins"
    LIVE_KEEPS = "live-keeps"


class Shape(enum.Enum):
    """How many streams share a link, and who stops a fast sender."""

    CONTROL = "control"
    """No payload at all."""
    DEDICATED = "dedicated"
    """One stream: flow control is the link's own."""
    CREDIT = "credit"
    """Many streams, each with a window."""
    CREDITLESS = "creditless"
    """Many streams without windows: a bounded buffer each, then ``overrun``."""


class Carries(NamedTuple):
    """What a side of a circuit can carry beyond plain bytes."""

    half_close: bool = False
    boundaries: bool = False
    text: bool = False


class Close(NamedTuple):
    """A WebSocket Close as it stands on the wire: ``code`` None is an empty body."""

    code: int | None
    text: str = ""


class Passing(enum.Enum):
    """What of a joined stream's payload passes as it is, so that nobody needs to read it."""

    NOTHING = "nothing"
    BINARY = "binary"
    ALL = "all"
    """Texts too, and their kind is kept."""


class Message(NamedTuple):
    """One message on a link, or one part of it.

    :ivar payload: the bytes
    :ivar text: text rather than binary
    :ivar final: False for all but the last part of a message that is streamed in parts
    """

    payload: bytes
    text: bool = False
    final: bool = True


# -- events: conversation to core, and core to conversation --------------------------------------


class Hello(NamedTuple):
    """A credential that came inside the conversation rather than in the request head."""

    credential: Credential


class Granted(NamedTuple):
    """The answer to :class:`Hello`."""

    grant: Grant


class Offer(NamedTuple):
    """This link stands for ``name`` from now on.

    :ivar services: the services behind it, None when they are not known to the router
    :ivar waiting: how many links may wait to answer, with ``Answer.QUEUE``; the oldest gives way to
        one more. 0: as many as may register, and one more is refused
    """

    name: OfferName
    answer: Answer
    rivalry: Rivalry = Rivalry.NEWEST_WINS
    services: tuple[str, ...] | None = None
    waiting: int = 0


class Stands(NamedTuple):
    """To a conversation: the name that it offered, and that a rival might have kept, is its own."""

    name: OfferName


class Call(NamedTuple):
    """To the core: this stream wants ``name``. To a conversation: somebody wants your offer.

    :ivar service: the service within the offer, or the target, in the dialect's own words
    :ivar caller: the caller's subject, empty when it has none
    :ivar key: the call's key, empty on the way to the core
    :ivar stream: the link's stream that calls or is to answer
    :ivar waits_s: how long it waits for a host where none is registered; 0: not at all
    :ivar origin: where the caller comes from, in its dialect's own words
    """

    name: OfferName
    service: str = ""
    caller: str = ""
    key: CallKey = CallKey("")
    stream: int = 0
    waits_s: float = 0.0
    origin: str = ""


class Join(NamedTuple):
    """This stream is the answer to the call ``key`` of ``name``."""

    name: OfferName
    key: CallKey
    stream: int = 0


class Enter(NamedTuple):
    """This stream becomes a member of ``topic``.

    :ivar buffer_messages: how many messages may wait for it; 0: as many as usual
    """

    topic: TopicName
    reads: bool = True
    writes: bool = True
    stream: int = 0
    buffer_messages: int = 0


class Accept(NamedTuple):
    """The call on this stream is answered: payload may flow."""

    stream: int = 0


class Data(NamedTuple):
    """Payload of one stream; a message's boundary lies behind each ``final`` one."""

    payload: bytes
    stream: int = 0
    text: bool = False
    final: bool = True


class Credit(NamedTuple):
    """``amount`` further bytes may be sent on the stream."""

    amount: int
    stream: int = 0


class Finish(NamedTuple):
    """No further payload comes from this side of the stream."""

    stream: int = 0


class Reset(NamedTuple):
    """The stream is over in both directions; nothing follows it.

    :ivar text: why, in a sentence, where somebody said so
    """

    reason: Reason
    stream: int = 0
    close: Close | None = None
    text: str = ""


class End(NamedTuple):
    """The whole link is to end, after all that was sent before.

    :ivar text: why, in the peer's own words
    """

    reason: Reason
    close: Close | None = None
    text: str = ""


class Ending(NamedTuple):
    """How a link ended.

    :ivar close: the peer's Close, where there was one
    :ivar text: what the peer said of it before, in its own words
    """

    reason: Reason
    close: Close | None = None
    text: str = ""


class Ping(NamedTuple):
    """The peer is to be asked for a sign of life now."""


Event = (
    Hello
    | Granted
    | Offer
    | Stands
    | Call
    | Join
    | Enter
    | Accept
    | Data
    | Credit
    | Finish
    | Reset
    | End
    | Ping
)
Outputs = Iterable[Event | Message]

# -- credentials and grants ----------------------------------------------------------------------

Claims = dict[str, object]


@dataclass(frozen=True, slots=True)
class Jwt:
    """A signed token and the terms on which it is valid; ``auth`` judges it.

    :ivar token: the compact token as received, never logged
    :ivar keys: secrets, any of which may have signed it
    :ivar algorithms: permitted ``alg`` values
    :ivar leeway_s: tolerance for ``exp`` and ``nbf``
    :ivar check_nbf: whether ``nbf`` counts at all
    :ivar check_iat: whether a token that is dated in the future is refused
    """

    token: str
    keys: tuple[bytes, ...]
    algorithms: tuple[str, ...] = ("HS256",)
    leeway_s: int = 0
    check_nbf: bool = True
    check_iat: bool = False

    def __repr__(self) -> str:
        return "Jwt(token=***)"


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """A secret to compare with those configured for ``name``."""

    name: str
    presented: str
    expected: tuple[str, ...]

    def __repr__(self) -> str:
        return f"SharedSecret(name={self.name!r}, presented=***)"


@dataclass(frozen=True, slots=True)
class Totp:
    """A time-based code (RFC 6238) for ``name``; ``secret_base32`` None is an unknown name.

    :ivar known: what else is known of the name, to be among the claims once the code is found right
    """

    name: str
    code: str
    secret_base32: str | None
    step_s: int = 30
    known: Claims = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Totp(name={self.name!r}, code=***)"


@dataclass(frozen=True, slots=True)
class OneTimeCode:
    """A code that the store hands out once."""

    code: str

    def __repr__(self) -> str:
        return "OneTimeCode(code=***)"


@dataclass(frozen=True, slots=True)
class Nothing:
    """No credential is asked for here."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A credential is asked for and none was sent."""


Credential = Jwt | SharedSecret | Totp | OneTimeCode | Nothing | Missing


@dataclass(frozen=True, slots=True)
class Grant:
    """What a verified credential allows; checked at each call, not only at connect.

    :ivar name: the one offer or topic that may be asked for; None: decided by the dialect
    :ivar expires: Unix seconds of the credential's end, None when it has none
    :ivar token_id: ``jti`` or another id by which one token can be revoked
    :ivar ends_links: whether live links end at ``expires``
    """

    dialect: str
    role: Role
    subject: str
    name: OfferName | TopicName | None = None
    expires: float | None = None
    token_id: str | None = None
    scopes: frozenset[str] = frozenset()
    ends_links: bool = False
