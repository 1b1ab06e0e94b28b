"""Messages of network-relay: JSON in, tuples out, and back.

Specification: network-relay.md §3 and §4. Payload of each message: ``{"inner": MEMBERS}`` as JSON,
compact, ``kind`` first, members in the order of the vectors (§17), as UTF-8; payload bytes in
base64. Read is what the original's validator reads: any order and white space, unknown members, lax
base64, a port as ``"22"``, ``22.0`` or ``true``. What is only ours is known only where asked for.

The standard library decodes: payload is base64 only where one end is an original, which is slower
by far; msgspec reads 64 KiB in a third of the time, pybase64 in a fiftieth: nobody would notice.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from relay.dialects.network_relay.kinds import (
    AgentStart,
    BadBase64,
    ClientStart,
    ConnectionClose,
    ConnectionReset,
    ErrorMessage,
    Finish,
    FromAgent,
    FromClient,
    InitiateConnection,
    InitiateError,
    InitiateOk,
    KeepAlive,
    StartOk,
    TcpData,
    ToAgent,
    ToClient,
)
from relay.dialects.network_relay.members import LARGEST_CREDIT, LARGEST_STREAM, Members
from relay.dialects.network_relay.targets import Target
from relay.errors import ProtocolError, TooLarge

__all__ = [
    "CLOSED_BY_RELAY",
    "KEEP_ALIVE",
    "MESSAGE_BYTES",
    "RESET_WHILE_WRITING",
    "SHOWN_TEXT_CHARACTERS",
    "START_OK",
    "TO_AGENT_BYTES",
    "VALUES",
    "AgentStart",
    "BadBase64",
    "ClientStart",
    "ConnectionClose",
    "ConnectionReset",
    "ErrorMessage",
    "Finish",
    "FromAgent",
    "FromClient",
    "InitiateConnection",
    "InitiateError",
    "InitiateOk",
    "KeepAlive",
    "StartOk",
    "TcpData",
    "ToAgent",
    "ToClient",
    "data_head",
    "encode_agent_start",
    "encode_client_error",
    "encode_client_start",
    "encode_close",
    "encode_data",
    "encode_error",
    "encode_finish",
    "encode_initiate",
    "encode_ok",
    "encode_reset",
    "parse_from_agent",
    "parse_from_client",
    "parse_from_router_to_agent",
    "parse_from_router_to_client",
]
"""The kinds, too: whoever reads or writes messages needs them."""

MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest message that a router reads; the original relay takes no longer one either (§2)."""

TO_AGENT_BYTES = MESSAGE_BYTES + 64 * 1024
"""Longest message that an agent reads: a relay puts an id into what a client has sent."""

VALUES = 16 * 1024
"""Most commas and brackets of a message; each may cost a hundred times its length in memory."""

SHOWN_TEXT_CHARACTERS = 64 * 1024
"""Longest text sent to a client, whose messages may have 1 MiB; six bytes each at worst."""

CLOSED_BY_RELAY = "Connection closed by relay"
RESET_WHILE_WRITING = "Connection reset while writing data"

# -- reading ---------------------------------------------------------------------------------------

_CLIENT_HEAD = b'{"inner":{"kind":"tcp_data","data_base64":"'
# printable ASCII stands for itself, but for the quotation mark and the backslash
_match_agent_head = re.compile(
    rb'\{"inner":\{"kind":"tcp_data","connection_id":"([ !#-\[\]-~]*)","data_base64":"'
).match
_TAIL = b'"}}'

_NAMEABLE = re.compile(r"[a-z_]{1,40}")
_Read = TypeVar("_Read")


def parse_from_agent(payload: bytes, ours: bool = False) -> FromAgent:
    """Read what an agent sends to its router.

    :param payload: one message, at most MESSAGE_BYTES
    :param ours: the link was agreed to be between our own programs
    :raises BadBase64: when only its payload is wrong
    :raises ProtocolError: for all else that is malformed
    """
    return _agent_data(payload) or _read(payload, ours, _FROM_AGENT)


def parse_from_router_to_agent(payload: bytes, ours: bool = False) -> ToAgent:
    """Read what an agent hears, at most TO_AGENT_BYTES; as :func:`parse_from_agent`."""
    most = TO_AGENT_BYTES
    return _agent_data(payload, most) or _read(payload, ours, _TO_AGENT, most)


def parse_from_client(payload: bytes, ours: bool = False) -> FromClient:
    """Read what a client sends to its router; as :func:`parse_from_agent`."""
    return _client_data(payload) or _read(payload, ours, _FROM_CLIENT)


def parse_from_router_to_client(payload: bytes, ours: bool = False) -> ToClient:
    """Read what a client hears; as :func:`parse_from_agent`."""
    return _client_data(payload) or _read(payload, ours, _TO_CLIENT)


def _agent_data(payload: bytes, most_bytes: int = MESSAGE_BYTES) -> TcpData | None:
    """Read a ``tcp_data`` of exactly the form that all programs send.

    :returns: None for anything else, which JSON may yet understand
    """
    head = _match_agent_head(payload)
    return None if head is None else _data(payload, head.end(), head[1], most_bytes)


def _client_data(payload: bytes) -> TcpData | None:
    """:returns: as :func:`_agent_data`"""
    if not payload.startswith(_CLIENT_HEAD):
        return None
    return _data(payload, len(_CLIENT_HEAD), b"", MESSAGE_BYTES)


def _data(payload: bytes, start: int, connection_id: bytes, most_bytes: int) -> TcpData | None:
    end = len(payload) - len(_TAIL)
    if not start <= end <= most_bytes - len(_TAIL) or not payload.endswith(_TAIL):
        return None
    try:
        # strict: a quotation mark, with what may stand behind it, is an error here
        data = binascii.a2b_base64(memoryview(payload)[start:end], strict_mode=True)
    except binascii.Error:
        return None
    return TcpData(connection_id.decode("ascii"), data)


def _read(
    payload: bytes,
    ours: bool,
    readers: Mapping[str, Callable[[Members], _Read]],
    most_bytes: int = MESSAGE_BYTES,
) -> _Read:
    """Read any message by its kind.

    :raises ProtocolError: which never cites what was read: it may hold a secret
    """
    inner = _inner(payload, most_bytes)
    kind = inner.get("kind")
    if not isinstance(kind, str):
        raise ProtocolError("the message has no kind")
    reader = readers.get(kind)
    if reader is None or (kind in _OWN_KINDS and not ours):
        shown = f" {kind}" if _NAMEABLE.fullmatch(kind) else ""
        raise ProtocolError(f"unknown kind{shown}")
    return reader(Members(kind, inner, ours))


def _inner(payload: bytes, most_bytes: int) -> dict[str, object]:
    if len(payload) > most_bytes:
        raise TooLarge(f"the message is longer than {most_bytes} bytes")
    if sum(map(payload.count, (b",", b"[", b"{"))) > VALUES:
        raise TooLarge(f"the message has more than {VALUES} values")
    value: object = None
    try:
        text = payload.decode("utf-8")
        value = json.loads(text)
        if "\\ud" in text or "\\uD" in text:
            # half of a surrogate pair is no text, not even in a member that a later one replaces:
            # pairs keep both, and the original refuses both
            pairs = json.loads(text, object_pairs_hook=list)
            json.dumps(pairs, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        value = None
    # outside of the handler: JSONDecodeError holds the whole text, and the secret in it
    inner = value.get("inner") if isinstance(value, dict) else None
    if not isinstance(inner, dict):
        raise ProtocolError('the message is no JSON object with an object "inner"')
    return inner


def _tunnel_data(members: Members) -> TcpData:
    return members.data(members.text("connection_id"))


def _client_link_data(members: Members) -> TcpData:
    return members.data("")


def _keep_alive(members: Members) -> KeepAlive:
    return KeepAlive()


def _finish(members: Members) -> Finish:
    return Finish()


_OWN_KINDS = frozenset({"finish"})

_FROM_AGENT: Mapping[str, Callable[[Members], FromAgent]] = {
    "tcp_data": _tunnel_data,
    "keep_alive": _keep_alive,
    "initiate_connection_ok": lambda members: InitiateOk(
        members.text("connection_id"), members.own_number("credit", LARGEST_CREDIT)
    ),
    "initiate_connection_error": lambda members: InitiateError(
        members.text("connection_id"), members.text("message")
    ),
    "connection_reset": lambda members: ConnectionReset(
        members.text("connection_id"), members.text("message")
    ),
    "start": lambda members: AgentStart(
        members.text("name"), members.text("secret"), members.optional_text("last_error")
    ),
}
_TO_AGENT: Mapping[str, Callable[[Members], ToAgent]] = {
    "tcp_data": _tunnel_data,
    "keep_alive": _keep_alive,
    "initiate_connection": lambda members: InitiateConnection(
        members.text("connection_id"),
        members.target(),
        members.own_number("stream", LARGEST_STREAM),
        members.own_number("credit", LARGEST_CREDIT),
    ),
    "connection_close": lambda members: ConnectionClose(
        members.text("connection_id"), members.text("message")
    ),
}
_FROM_CLIENT: Mapping[str, Callable[[Members], FromClient]] = {
    "tcp_data": _client_link_data,
    "finish": _finish,
    "start": lambda members: ClientStart(
        members.text("connection_target"), members.target(), members.text("secret")
    ),
}
_TO_CLIENT: Mapping[str, Callable[[Members], ToClient]] = {
    "tcp_data": _client_link_data,
    "finish": _finish,
    "start_ok": lambda members: StartOk(),
    "error": lambda members: ErrorMessage(members.text("message")),
}

# -- writing ---------------------------------------------------------------------------------------


def _encode(kind: str, **members: object) -> bytes:
    message = {"inner": {"kind": kind, **members}}
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # texts of the operating system may be no UTF-8


KEEP_ALIVE = _encode("keep_alive")
START_OK = _encode("start_ok")


def encode_agent_start(name: str, secret: str, last_error: str | None = None) -> bytes:
    """:returns: V1 of §17: the first message of an agent"""
    return _encode("start", last_error=last_error, name=name, secret=secret)


def encode_client_start(agent: str, target: Target, secret: str) -> bytes:
    """:returns: V6 of §17: the first message of a client"""
    return _encode("start", connection_target=agent, **_wire_target(target), secret=secret)


def _wire_target(target: Target) -> dict[str, object]:
    return {
        "target_ip": target.host,
        "target_port": target.port,
        "protocol": target.protocol,
    }


def encode_initiate(
    connection_id: str, target: Target, stream: int | None = None, credit: int | None = None
) -> bytes:
    """:returns: V2 of §17, with what only ours understand where it is given"""
    own = {"stream": stream, "credit": credit}
    return _encode(
        "initiate_connection",
        **_wire_target(target),
        connection_id=connection_id,
        **{name: number for name, number in own.items() if number is not None},
    )


def encode_ok(connection_id: str, credit: int | None = None) -> bytes:
    """:returns: V3 of §17, with the credit that only ours understand where it is given"""
    own = {} if credit is None else {"credit": credit}
    return _encode("initiate_connection_ok", connection_id=connection_id, **own)


def encode_error(connection_id: str, message: str) -> bytes:
    """:returns: V4 of §17: no connection to the target"""
    return _encode("initiate_connection_error", message=message, connection_id=connection_id)


def encode_reset(connection_id: str, message: str = RESET_WHILE_WRITING) -> bytes:
    """:returns: V12 of §17: the connection to the target broke"""
    return _encode("connection_reset", message=message, connection_id=connection_id)


def encode_close(connection_id: str, message: str = CLOSED_BY_RELAY) -> bytes:
    """:returns: V13 of §17: the tunnel is over"""
    return _encode("connection_close", message=message, connection_id=connection_id)


def encode_client_error(message: str) -> bytes:
    """:returns: V8 to V10 of §17: a refusal, cut at SHOWN_TEXT_CHARACTERS"""
    return _encode("error", message=message[:SHOWN_TEXT_CHARACTERS])


def encode_finish() -> bytes:
    """:returns: the end of one direction of a client's tunnel; only ours understand it"""
    return _encode("finish")


def data_head(connection_id: str | None = None) -> bytes:
    """Make what stands before the base64 in each ``tcp_data`` of a tunnel (V5 and V11 of §17).

    :param connection_id: None: on a client's link
    """
    if connection_id is None:
        return _CLIENT_HEAD
    own = {"connection_id": connection_id}
    return _encode("tcp_data", **own, data_base64="").removesuffix(_TAIL)


def encode_data(head: bytes, data: bytes) -> bytes:
    """Make one ``tcp_data``.

    :param head: what :func:`data_head` gave for the tunnel
    :param data: four bytes for each three of these are sent
    """
    return b"".join((head, binascii.b2a_base64(data, newline=False), _TAIL))
