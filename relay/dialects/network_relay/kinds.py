"""What messages of network-relay say: one tuple for each kind, as network-relay.md §4 lists them.

``finish`` and what is marked "only ours" pass between our own programs alone, where
both ends asked for them.
"""

from __future__ import annotations

from typing import NamedTuple

from relay.dialects.network_relay.targets import Target
from relay.errors import ProtocolError


class BadBase64(ProtocolError):
    """The payload of a ``tcp_data`` cannot be decoded; the message around it is in order.

    :ivar connection_id: whose payload it was, empty on a client's link
    """

    def __init__(self, connection_id: str) -> None:
        super().__init__("data_base64 of tcp_data is not base64")
        self.connection_id = connection_id


class AgentStart(NamedTuple):
    """An agent says who it is.

    :ivar last_error: why its last session ended, as far as it says
    """

    name: str
    secret: str
    last_error: str | None = None

    def __repr__(self) -> str:
        return f"AgentStart(name={self.name!r}, secret=***, last_error={self.last_error!r})"


class ClientStart(NamedTuple):
    """A client says what it wants to reach."""

    agent: str
    target: Target
    secret: str

    def __repr__(self) -> str:
        return f"ClientStart(agent={self.agent!r}, target={self.target!r}, secret=***)"


class TcpData(NamedTuple):
    """Payload of a tunnel.

    :ivar connection_id: empty on a client's link
    """

    connection_id: str
    data: bytes

    def __repr__(self) -> str:
        return f"TcpData(connection_id={self.connection_id!r}, data={len(self.data)} bytes)"


class InitiateConnection(NamedTuple):
    """The router asks an agent for a tunnel.

    :ivar stream: the number of the tunnel in binary messages, 0 to 2**32 - 1; only ours
    :ivar credit: bytes that the agent may send at first; only ours
    """

    connection_id: str
    target: Target
    stream: int | None = None
    credit: int | None = None


class InitiateOk(NamedTuple):
    """The agent has connected.

    :ivar credit: bytes that the router may send at first; only ours
    """

    connection_id: str
    credit: int | None = None


class InitiateError(NamedTuple):
    """The agent has not connected.

    :ivar message: why, for people
    """

    connection_id: str
    message: str


class ConnectionReset(NamedTuple):
    """The agent's end of a tunnel broke."""

    connection_id: str
    message: str


class ConnectionClose(NamedTuple):
    """The router ends a tunnel; what came before is still to be delivered."""

    connection_id: str
    message: str


class KeepAlive(NamedTuple):
    """Nothing; like all tuples without a member it equals others and counts as false."""


class StartOk(NamedTuple):
    """A client's tunnel is open."""


class ErrorMessage(NamedTuple):
    """The router refuses a client.

    :ivar message: why, for people
    """

    message: str


class Finish(NamedTuple):
    """No further payload comes from this side of a client's tunnel; only ours."""


FromAgent = AgentStart | InitiateOk | InitiateError | TcpData | ConnectionReset | KeepAlive
FromClient = ClientStart | TcpData | Finish
ToAgent = InitiateConnection | TcpData | ConnectionClose | KeepAlive
ToClient = StartOk | ErrorMessage | TcpData | Finish
