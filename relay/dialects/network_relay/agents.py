"""The router's link to an agent: a secret first, then a tunnel for each call.

Specification: network-relay.md §5 and §7. Registration is answered by silence; between our own
programs a ``keep_alive`` comes once the name is the agent's.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from zope.interface import implementer

from relay.dialects.network_relay.assembly import STRANGER_BYTES
from relay.dialects.network_relay.link import text
from relay.dialects.network_relay.messages import (
    CLOSED_BY_RELAY,
    KEEP_ALIVE,
    MESSAGE_BYTES,
    AgentStart,
    BadBase64,
    ConnectionReset,
    InitiateError,
    InitiateOk,
    TcpData,
    encode_close,
    encode_initiate,
    parse_from_agent,
)
from relay.dialects.network_relay.paths import DIALECT, offer_name
from relay.dialects.network_relay.refusals import reason_in, refusal_in
from relay.dialects.network_relay.targets import Target
from relay.dialects.network_relay.tunnels import Tunnel, TunnelsLink
from relay.errors import ProtocolError, TargetRefused, UnsupportedData
from relay.interfaces import IGreeting, Opening
from relay.vocabulary import (
    Accept,
    Answer,
    Call,
    Claims,
    Credit,
    Data,
    Event,
    Grant,
    Granted,
    Hello,
    Offer,
    Outputs,
    Reason,
    Reset,
    Rivalry,
    Role,
    SharedSecret,
    Stands,
)
from relay.wire.wsmux import Frame

KEEP_ALIVE_S = 30.0

KNOWS_NO_KEEP_ALIVE = tuple(
    [
        f"Input tag '{kind}' found using 'kind' does not match any of the expected tags"
        for kind in ("keep_alive", "successfully_ssh_connected")
    ]
)
"""What an agent that is too old for ``keep_alive`` tells of its last session (§5)."""

GIVEN_UP_CALLS = 1024
"""So many are remembered that ended before the agent has answered: an agent that connects all the
same is told again. Most answer never, or have heard it the first time."""

ID_BITS = 128


@implementer(IGreeting)
class AgentLink(TunnelsLink[Tunnel]):
    """The router's link to an agent.

    :param secrets_of: the secrets that a name may show
    :param random_bits: an unpredictable integer below 2**n
    :param binary: whether both ends are ours and have agreed
    """

    hello_bytes = STRANGER_BYTES

    __slots__ = (
        "_given_up",
        "_granted",
        "_keep_alive_at",
        "_random_bits",
        "_secrets_of",
        "_start",
    )

    def __init__(
        self,
        secrets_of: Callable[[str], tuple[str, ...]],
        random_bits: Callable[[int], int],
        binary: bool = False,
    ) -> None:
        super().__init__(binary, STRANGER_BYTES)
        self._secrets_of = secrets_of
        self._random_bits = random_bits
        self._start: AgentStart | None = None
        self._granted = False
        self._keep_alive_at: float | None = None
        self._given_up: dict[str, None] = {}

    # -- who it is -------------------------------------------------------------------------------

    def grant(self, claims: Claims) -> Grant:
        """:returns: the right to its own name"""
        name = str(claims["sub"])
        return Grant(DIALECT, Role.HOST, name, offer_name(name))

    def _greeted(self, payload: bytes) -> Outputs:
        if self._start is not None:
            return ()  # it is refused in a moment, and need not wait with what it says
        said = parse_from_agent(payload)
        if not isinstance(said, AgentStart):
            raise ProtocolError("an agent begins with start")
        self._start = said._replace(secret="")
        return (Hello(SharedSecret(said.name, said.secret, self._secrets_of(said.name))),)

    def _registered(self, now: float) -> Outputs:
        start = self._start
        assert start is not None
        self._granted = True
        self._assembly.most_bytes = MESSAGE_BYTES
        last_error = start.last_error or ""
        if not any(sentence in last_error for sentence in KNOWS_NO_KEEP_ALIVE):
            self._keep_alive_at = now + KEEP_ALIVE_S
        return (Offer(offer_name(start.name), Answer.STREAM, Rivalry.LIVE_KEEPS),)

    # -- what comes ------------------------------------------------------------------------------

    def heard(self, payload: bytes, is_text: bool, now: float) -> Outputs:
        """:raises ProtocolError: for what no agent may send"""
        if not is_text:
            raise UnsupportedData("a binary message, where JSON belongs")
        if not self._granted:
            return self._greeted(payload)
        try:
            said = parse_from_agent(payload, self._binary)
        except BadBase64:
            return ()  # logged and ignored by the original, and of no use to anybody (§9)
        if isinstance(said, TcpData):
            number = self._numbers.get(said.connection_id)
            return () if number is None else (Data(said.data, number),)
        if isinstance(said, InitiateOk | InitiateError | ConnectionReset):
            return self._answered(said)
        return ()  # keep_alive, and start once more

    def _framed(self, frame: Frame) -> Outputs:
        """:raises ProtocolError: for a frame of a stranger"""
        if not self._granted:
            raise ProtocolError("an agent begins with start")
        return super()._framed(frame)

    def _answered(self, said: InitiateOk | InitiateError | ConnectionReset) -> Outputs:
        found = self.tunnel(said.connection_id)
        if found is None:
            return self._answered_late(said)
        number, tunnel = found
        if isinstance(said, ConnectionReset):
            self._remove(number)
            ended = reason_in(said.message) or Reason.LOST
            reason = ended if tunnel.open else refusal_in(said.message)
            told = text(encode_close(said.connection_id))
            return (told, Reset(reason, number, None, said.message))
        if tunnel.open:
            return ()  # an agent that answers twice has answered
        if isinstance(said, InitiateError):
            self._remove(number)
            return (Reset(refusal_in(said.message), number, None, said.message),)
        tunnel.open = True
        credit = (Credit(said.credit, number),) if said.credit else ()
        return (*credit, Accept(number))

    def _answered_late(self, said: InitiateOk | InitiateError | ConnectionReset) -> Outputs:
        """The call was given up; an original that was busy connecting may not have noticed."""
        if said.connection_id not in self._given_up:
            return ()
        del self._given_up[said.connection_id]
        return (text(encode_close(said.connection_id)),) if isinstance(said, InitiateOk) else ()

    # -- what the core wants ---------------------------------------------------------------------

    def begin(self, call: Call) -> Opening:
        """Choose an id. :raises TargetRefused: when what is called is no target"""
        try:
            Target.parse(call.service)
        except ValueError as error:
            raise TargetRefused(str(error), "publish a target, like 127.0.0.1:22") from None
        number = self._free_number()
        # version 4 and its variant are set by UUID itself
        connection_id = str(UUID(int=self._random_bits(ID_BITS), version=4))
        self._add(number, Tunnel(number, connection_id))
        return Opening(number)

    def perform(self, event: Event, now: float) -> Outputs:
        """A grant registers the agent, a call asks it for a tunnel, a reset ends one."""
        if isinstance(event, Granted):
            return self._registered(now)
        if isinstance(event, Stands):
            # no sooner: until a rival was found dead, the name may be refused
            return (text(KEEP_ALIVE),) if self._binary else ()
        if isinstance(event, Call):
            return self._initiate(event)
        if isinstance(event, Reset):
            return self._close(event)
        return super().perform(event, now)

    def _initiate(self, call: Call) -> Outputs:
        connection_id = self._tunnels[call.stream].connection_id
        target = Target.parse(call.service)
        if not self._binary:
            return (text(encode_initiate(connection_id, target)),)
        return (text(encode_initiate(connection_id, target, call.stream, self.window_bytes)),)

    def _close(self, event: Reset) -> Outputs:
        tunnel = self._remove(event.stream)
        if tunnel is None:
            return ()
        if not tunnel.open:
            while len(self._given_up) >= GIVEN_UP_CALLS:
                del self._given_up[next(iter(self._given_up))]
            self._given_up[tunnel.connection_id] = None
        why = event.reason.value if self._binary else CLOSED_BY_RELAY
        return (text(encode_close(tunnel.connection_id, why)),)

    def deadline(self) -> float | None:
        """:returns: when the next ``keep_alive`` is due"""
        return self._keep_alive_at

    def wake(self, now: float) -> Outputs:
        """Send one."""
        if self._keep_alive_at is None or now < self._keep_alive_at:
            return ()
        self._keep_alive_at = now + KEEP_ALIVE_S
        return (text(KEEP_ALIVE),)
