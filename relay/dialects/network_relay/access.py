"""A client's link of network-relay, which has one tunnel, as its two ends see it.

Specification: network-relay.md §6 and §7. Between our own programs, where both asked for it in the
handshake, payload goes in binary messages as it is and ``finish`` ends one direction.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from relay.dialects.network_relay.assembly import STRANGER_BYTES
from relay.dialects.network_relay.credentials import Client
from relay.dialects.network_relay.link import (
    NORMAL,
    PAYLOAD_BYTES,
    RULE_BROKEN,
    TOO_LONG,
    RelayLink,
    text,
)
from relay.dialects.network_relay.messages import (
    MESSAGE_BYTES,
    START_OK,
    ClientStart,
    ErrorMessage,
    FromClient,
    StartOk,
    TcpData,
    ToClient,
    data_head,
    encode_client_error,
    encode_client_start,
    encode_data,
    encode_finish,
    parse_from_client,
    parse_from_router_to_client,
)
from relay.dialects.network_relay.messages import Finish as FinishMessage
from relay.dialects.network_relay.paths import DIALECT, offer_name
from relay.dialects.network_relay.refusals import client_reason, client_text, shown
from relay.dialects.network_relay.targets import Target
from relay.errors import (
    ProtocolError,
    RelayError,
    TargetRefused,
    UnsupportedData,
    WrongScope,
)
from relay.interfaces import IConversation, IGreeting, Opening
from relay.vocabulary import (
    Accept,
    Call,
    Claims,
    Close,
    Data,
    End,
    Event,
    Finish,
    Grant,
    Granted,
    Hello,
    Message,
    Outputs,
    Passing,
    Reason,
    Reset,
    Role,
    Shape,
    SharedSecret,
)
from relay.wire.closes import close_of

OWN_FAULTS = {Reason.PROTOCOL_ERROR: RULE_BROKEN, Reason.TOO_LARGE: TOO_LONG}
"""Codes for a client that broke a rule itself; of what its agent did it hears 1000."""

OWN_CODES = frozenset(
    {
        Reason.GOING_AWAY,
        Reason.REVOKED,
        Reason.EXPIRED,
        Reason.OVERRUN,
        Reason.IDLE,
    }
)
"""Ends of our own making, which have codes; a client hears 1000 of all others (§9)."""

TARGET_CHARACTERS = 4096
"""Longest target that a router keeps with each call; names of hosts end at 255."""

_HEAD = data_head()


@implementer(IConversation)
class TunnelLink(RelayLink):
    """What both ends of a client's link share.

    :param binary: whether both ends are ours and have agreed
    """

    shape = Shape.DEDICATED
    role = Role.CLIENT
    window_bytes: int | None = None

    __slots__ = ("_open", "passes", "payload_bytes")

    def __init__(self, binary: bool, most_bytes: int = MESSAGE_BYTES) -> None:
        super().__init__(binary, most_bytes)
        self._open = False
        self.passes = Passing.BINARY if binary else Passing.NOTHING
        self.payload_bytes = 0 if binary else PAYLOAD_BYTES

    def heard_binary(self, message: Message) -> Outputs:
        """Payload, a part of a message perhaps."""
        if not self._open:
            raise ProtocolError("payload before the tunnel is open")
        return (Data(message.payload, final=message.final),)

    def _payload(self, said: FromClient | ToClient) -> Outputs:
        if isinstance(said, TcpData):
            return (Data(said.data),)
        return (Finish(),) if isinstance(said, FinishMessage) else ()

    def perform(self, event: Event, now: float) -> Outputs:
        """A Finish is told where it is understood."""
        if isinstance(event, Finish) and self._binary:
            return (text(encode_finish()),)
        return ()

    def begin(self, call: Call) -> Opening:
        """:raises RelayError: always: a client takes no calls"""
        raise RelayError("a client's link carries one tunnel")

    def encode(self, data: Data) -> Message:
        """One message of payload."""
        if self._binary:
            return Message(data.payload, False, data.final)
        return text(encode_data(_HEAD, data.payload))

    def end(self, reason: Reason, close: Close | None) -> Close | None:
        """1000 for nearly all, 1008 or 1009 for who broke a rule itself.

        :param close: of the agent that has left, or of our own for the rule that was broken
        """
        if close is not None:
            return Close(OWN_FAULTS.get(reason, NORMAL), reason.value)
        return close_of(reason) if reason in OWN_CODES else Close(NORMAL, reason.value)


@implementer(IGreeting)
class AccessLink(TunnelLink):
    """The router's link to a client.

    :param client_of: whose secret that is
    :param binary: whether both ends are ours and have agreed
    """

    drop_is_end = True  # OpenSSH ends its helper by a signal (§13)
    hello_bytes = STRANGER_BYTES

    __slots__ = ("_client", "_client_of", "_granted", "_refused", "_start")

    def __init__(self, client_of: Callable[[str], Client | None], binary: bool = False) -> None:
        super().__init__(binary, STRANGER_BYTES)
        self._client_of = client_of
        self._client: Client | None = None
        self._start: ClientStart | None = None
        self._granted = False
        self._refused = False

    def grant(self, claims: Claims) -> Grant:
        """:returns: the right to call; whom, is judged with the call"""
        name = str(claims["sub"])
        return Grant(DIALECT, Role.CLIENT, name)

    def heard(self, payload: bytes, is_text: bool, now: float) -> Outputs:
        """:raises ProtocolError: for what no client may send"""
        if not is_text:
            raise UnsupportedData("a binary message, where JSON belongs")
        if self._start is not None and not self._granted:
            return ()  # it is refused in a moment
        said = parse_from_client(payload, self._binary)
        if self._start is not None:
            return self._payload(said)
        if not isinstance(said, ClientStart):
            raise ProtocolError("a client begins with start")
        self._start = said._replace(secret="")
        self._client = client = self._client_of(said.secret)
        if client is None:
            return (Hello(SharedSecret("", said.secret, ())),)
        return (Hello(SharedSecret(client.name, said.secret, (client.secret,))),)

    def perform(self, event: Event, now: float) -> Outputs:
        """A grant calls, an answer opens the tunnel, an end before that is told in words.

        :raises WrongScope: when the client may not call that
        :raises TargetRefused: when nothing has so long a name
        """
        if isinstance(event, Granted):
            return self._call()
        if isinstance(event, Accept):
            self._open = True
            return (text(START_OK),)
        if isinstance(event, Reset):
            return self._refuse(event)
        return super().perform(event, now)

    def _call(self) -> Outputs:
        start, client = self._start, self._client
        assert start is not None
        assert client is not None
        self._granted = True
        self._assembly.most_bytes = MESSAGE_BYTES
        service = str(start.target)
        if len(service) > TARGET_CHARACTERS:
            raise TargetRefused(f"a target of {len(service)} characters is nobody's name")
        if not client.may_call(start.agent, start.target):
            raise WrongScope(f"this client may not call {service} of {start.agent}")
        return (Call(offer_name(start.agent), service),)

    def _refuse(self, event: Reset) -> Outputs:
        if self._open or self._refused:
            return ()
        self._refused = True
        return (text(encode_client_error(client_text(event.reason, event.text))),)


class CallingLink(TunnelLink):
    """Our client's link to a router.

    :param binary: whether both ends are ours and have agreed
    """

    __slots__ = ("_start",)

    def __init__(self, agent: str, target: Target, secret: str, binary: bool = False) -> None:
        super().__init__(binary)
        self._start = encode_client_start(agent, target, secret)

    def __repr__(self) -> str:
        return "CallingLink(start=***)"

    def opened(self, now: float) -> Outputs:
        """Say what we want."""
        start, self._start = self._start, b""
        return (text(start),)

    def heard(self, payload: bytes, is_text: bool, now: float) -> Outputs:
        """:raises ProtocolError: for what no relay may send"""
        said = parse_from_router_to_client(payload, self._binary)
        if isinstance(said, StartOk):
            was_open, self._open = self._open, True
            return () if was_open else (Accept(),)
        if isinstance(said, ErrorMessage):
            if self._open:
                return ()
            reason = client_reason(said.message)
            return (End(reason, None, shown(reason, said.message)),)
        return self._payload(said)
