"""Our agent's link to a router: it asks for tunnels, and we connect them.

Specification: network-relay.md §5, §7 and §15. An original relay cuts what it has buffered for a
client when it hears ``connection_reset`` (Q6), and nothing else tells a client that its target has
ended; so a tunnel that ended in order is reset only when a slow relay may have delivered it.
"""

from __future__ import annotations

from relay.dialects.network_relay.link import text
from relay.dialects.network_relay.messages import (
    KEEP_ALIVE,
    TO_AGENT_BYTES,
    BadBase64,
    ConnectionClose,
    InitiateConnection,
    KeepAlive,
    TcpData,
    encode_agent_start,
    encode_error,
    encode_ok,
    encode_reset,
    parse_from_router_to_agent,
)
from relay.dialects.network_relay.paths import offer_name
from relay.dialects.network_relay.refusals import reason_in, sentence
from relay.dialects.network_relay.tunnels import Tunnel, TunnelsLink
from relay.errors import CallGone, ProtocolError
from relay.interfaces import Opening
from relay.vocabulary import (
    CLEAN_REASONS,
    Accept,
    Call,
    Data,
    Event,
    Message,
    Outputs,
    Reason,
    Reset,
)

KEEP_ALIVE_S = 10.0

EARLY_BYTES = 64 * 1024
"""Most payload that is kept for a tunnel which is not connected yet; the originals' relays send
none so early, and ASKED tunnels may."""

ASKED = 1024
"""Most tunnels that are being connected."""

SLOW_BYTES_PER_S = 1024 * 1024
"""What a relay with a slow client may take to deliver what it has read from us."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0

ENDING = 4096
"""So many tunnels may wait for that."""


class ServingTunnel(Tunnel):
    """One tunnel of our agent.

    :ivar early: payload that came before we have connected
    :ivar credit: what the router takes before it has granted anything
    :ivar sent_bytes: what went to the router
    :ivar began: when it was connected
    """

    __slots__ = ("began", "credit", "early", "sent_bytes")

    def __init__(self, number: int, connection_id: str, credit: int) -> None:
        super().__init__(number, connection_id)
        self.credit = credit
        self.early = bytearray()
        self.sent_bytes = 0
        self.began = 0.0


class ServingLink(TunnelsLink[ServingTunnel]):
    """Our agent's link to a router.

    :param name: the agent's
    :param secret: that goes with it
    :param last_error: why the attempt before this one failed
    :param binary: whether both ends are ours and have agreed
    """

    message_bytes = TO_AGENT_BYTES
    frame_bytes = message_bytes

    __slots__ = ("_ending", "_keep_alive_at", "_name", "_start", "_welcomed")

    def __init__(
        self, name: str, secret: str, last_error: str | None = None, binary: bool = False
    ) -> None:
        super().__init__(binary, self.message_bytes)
        self._name = offer_name(name)
        self._start = encode_agent_start(name, secret, last_error)
        self._ending: dict[str, float] = {}  # when to say so, by id
        self._keep_alive_at: float | None = None
        self._welcomed = False

    def __repr__(self) -> str:
        return f"ServingLink({self._name})"

    def opened(self, now: float) -> Outputs:
        """Say who we are."""
        self._keep_alive_at = now + KEEP_ALIVE_S
        start, self._start = self._start, b""
        return (text(start),)

    # -- what comes ------------------------------------------------------------------------------

    def heard(self, payload: bytes, is_text: bool, now: float) -> Outputs:
        """:raises ProtocolError: for what no relay may send"""
        try:
            said = parse_from_router_to_agent(payload, self._binary)
        except BadBase64 as error:
            return self._unreadable(error)
        if isinstance(said, TcpData):
            number = self._numbers.get(said.connection_id)
            return () if number is None else self._payload(number, said.data)
        if isinstance(said, InitiateConnection):
            # who is not registered is not asked
            return (*self._welcome(), *self._asked(said))
        if isinstance(said, ConnectionClose):
            return self._closed(said)
        return self._welcome() if isinstance(said, KeepAlive) else ()

    def _welcome(self) -> Outputs:
        """The router has taken us, which it says but once."""
        if self._welcomed:
            return ()
        self._welcomed = True
        return (Accept(),)

    def _unreadable(self, error: BadBase64) -> Outputs:
        """What one tunnel is sent cannot be read: no other need suffer (§15)."""
        found = self.tunnel(error.connection_id)
        if found is None:
            return ()
        number, tunnel = found
        if not tunnel.open:
            return (
                *self._turn_away(number, Reason.PROTOCOL_ERROR, error.text),
                Reset(Reason.PROTOCOL_ERROR, number),
            )
        self._remove(number)
        told = text(encode_reset(tunnel.connection_id, Reason.PROTOCOL_ERROR.value))
        return (told, Reset(Reason.PROTOCOL_ERROR, number))

    def _payload(self, number: int, data: bytes) -> Outputs:
        tunnel = self._tunnels[number]
        if tunnel.open:
            return (Data(data, number),)
        if len(tunnel.early) + len(data) > EARLY_BYTES:
            return self._turn_away(number, Reason.OVERRUN, "too much came before the connection")
        tunnel.early += data
        return ()

    def _asked(self, said: InitiateConnection) -> Outputs:
        old = self.tunnel(said.connection_id)
        if old is not None:
            # the original forgets the older one, and leaves its connection open
            self._remove(old[0])
            yield Reset(Reason.PEER_CLOSED, old[0])
        self._ending.pop(said.connection_id, None)
        number = self._number(said.stream)
        waiting = sum(not tunnel.open for tunnel in self._tunnels.values())
        if waiting >= ASKED:
            why = sentence(Reason.LIMIT, f"{ASKED} connections are being made already")
            yield text(encode_error(said.connection_id, why))
            return
        self._add(number, ServingTunnel(number, said.connection_id, said.credit or 0))
        yield Call(self._name, str(said.target), stream=number)

    def _number(self, told: int | None) -> int:
        if not self._binary:
            return self._free_number()
        if told is None or told in self._tunnels:
            raise ProtocolError("initiate_connection without a stream of its own")
        return told

    def _closed(self, said: ConnectionClose) -> Outputs:
        self._ending.pop(said.connection_id, None)
        found = self.tunnel(said.connection_id)
        if found is None:
            return ()
        self._remove(found[0])
        why = reason_in(said.message) if self._binary else None
        return (Reset(why or Reason.PEER_CLOSED, found[0]),)

    # -- what the core wants ---------------------------------------------------------------------

    def begin(self, call: Call) -> Opening:
        """The call's own stream. :raises CallGone: when it waits no more"""
        tunnel = self._tunnels.get(call.stream)
        if tunnel is None or tunnel.open:
            raise CallGone(f"tunnel {call.stream} waits for no answer")
        return Opening(call.stream, tunnel.credit)

    def encode(self, data: Data) -> Message:
        """One message of payload."""
        if not self._binary:
            self._tunnels[data.stream].sent_bytes += len(data.payload)
        return super().encode(data)

    def perform(self, event: Event, now: float) -> Outputs:
        """An answer, or the end of a tunnel."""
        if isinstance(event, Accept):
            return self._accept(event.stream, now)
        if isinstance(event, Reset):
            return self._end(event, now)
        return super().perform(event, now)

    def _accept(self, number: int, now: float) -> Outputs:
        tunnel = self._tunnels.get(number)
        if tunnel is None or tunnel.open:
            return
        tunnel.open = True
        tunnel.began = now
        credit = self.window_bytes if self._binary else None
        yield text(encode_ok(tunnel.connection_id, credit))
        early, tunnel.early = bytes(tunnel.early), bytearray()
        if early:
            yield Data(early, number)

    def _end(self, event: Reset, now: float) -> Outputs:
        tunnel = self._tunnels.get(event.stream)
        if tunnel is None:
            return ()
        if not tunnel.open:
            return self._turn_away(event.stream, event.reason, event.text)
        self._remove(event.stream)
        connection_id = tunnel.connection_id
        if self._binary:
            return (text(encode_reset(connection_id, event.reason.value)),)
        if event.reason not in CLEAN_REASONS or len(self._ending) >= ENDING:
            return (text(encode_reset(connection_id)),)
        needed_s = tunnel.sent_bytes / SLOW_BYTES_PER_S - (now - tunnel.began)
        self._ending[connection_id] = now + min(max(FIRST_PAUSE_S, needed_s), LONGEST_PAUSE_S)
        return ()

    def _turn_away(self, number: int, reason: Reason, why: str) -> Outputs:
        connection_id = self._tunnels[number].connection_id
        self._remove(number)
        return (text(encode_error(connection_id, sentence(reason, why))),)

    # -- time ------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        """:returns: when something is to be said next"""
        if self._keep_alive_at is None:
            return None
        return min((self._keep_alive_at, *self._ending.values()))

    def wake(self, now: float) -> Outputs:
        """Say what is due."""
        if self._keep_alive_at is not None and now >= self._keep_alive_at:
            self._keep_alive_at = now + KEEP_ALIVE_S
            yield text(KEEP_ALIVE)
        for connection_id in [key for key, when in self._ending.items() if when <= now]:
            del self._ending[connection_id]
            yield text(encode_reset(connection_id, Reason.FINISHED.value))
