"""Paths and control messages of portal (portal.md §2 and §5).

Payload of a control message: one JSON value in a text message, "externally tagged":
``"Connected"``, ``{"Status": text}`` or ``{"Incoming": {"client_name", "service_name", "nexus"}}``.
Ours adds ``"Finish"``, which originals ignore and which is sent only where both ends asked for it.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from relay.errors import BadRequest, MethodNotAllowed, NotFound
from relay.faces import Route
from relay.http import Request
from relay.vocabulary import CallKey, OfferName

CONTROL = "host_control"
ACCEPT = "host_accept"
CLIENT = "client"
FIRST_SEGMENT = "connect"

CONNECTED = b'"Connected"'
FINISH = b'"Finish"'

HALF_CLOSE_HEADER = "X-Relay-Half-Close"
HALF_CLOSE = (HALF_CLOSE_HEADER.lower(), "yes")
"""Between our own programs: this link understands ``"Finish"``."""

MAX_NEXUS = 2**64 - 1

_SERVICE = re.compile(rb"[A-Za-z0-9_-]+")
_NEXUS = re.compile(rb"\+?[0-9]{1,64}")


class Incoming(NamedTuple):
    """A client has arrived.

    :ivar nexus: 0 to 2**64-1
    """

    client_name: str
    service_name: str
    nexus: int


class Connected(NamedTuple):
    """The host has accepted."""


class Status(NamedTuple):
    """Free text for people."""

    text: str


class Finish(NamedTuple):
    """No further payload follows in this direction."""


Control = Incoming | Connected | Status | Finish


def offer_name(portal_id: int) -> OfferName:
    """:returns: the core's name of a portal."""
    return OfferName(f"portal:{portal_id}")


def parse_route(request: Request) -> Route:
    """Find the endpoint, in the original's order: path, method, path parameters.

    :raises NotFound: for any other path
    :raises MethodNotAllowed: for methods other than GET and HEAD
    :raises BadRequest: for a malformed service or nexus
    """
    segments = request.path.split("/")
    if segments[:2] != ["", FIRST_SEGMENT] or not all(segments[2:]):
        raise NotFound(f"nothing is served at {request.path[:200]}")
    endpoint, parameters = (segments[2] if len(segments) > 2 else ""), segments[3:]
    if (endpoint, len(parameters)) not in {(CONTROL, 0), (ACCEPT, 1), (CLIENT, 1)}:
        raise NotFound(f"nothing is served at {request.path[:200]}")
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"{request.method} is not served here", "GET,HEAD")
    if endpoint == ACCEPT:
        parameters = [_nexus(parameters[0])]
    elif endpoint == CLIENT:
        parameters = [_service(parameters[0])]
    # HEAD is answered as plain HTTP once the credential was judged
    return Route(endpoint, tuple(parameters), websocket=request.method == "GET")


def _service(segment: str) -> str:
    return check_service_name(unquote_to_bytes(segment).decode("latin-1"))


def _nexus(segment: str) -> CallKey:
    decoded = unquote_to_bytes(segment)
    if _NEXUS.fullmatch(decoded) is None or int(decoded) > MAX_NEXUS:
        raise BadRequest("a nexus is an integer from 0 to 2^64-1")
    return CallKey(str(int(decoded)))


def is_service_name(name: str) -> bool:
    """:returns: whether routers take it."""
    return _SERVICE.fullmatch(name.encode("utf-8", "surrogatepass")) is not None


def check_service_name(text: str) -> str:
    """:returns: the name, as it is. :raises BadRequest: when routers do not take it"""
    if not is_service_name(text):
        raise BadRequest("a service name consists of A-Z a-z 0-9 - _")
    return text


def encode_incoming(incoming: Incoming) -> bytes:
    """:returns: compact JSON in the original's field order."""
    value = {
        "Incoming": {
            "client_name": incoming.client_name,
            "service_name": incoming.service_name,
            "nexus": incoming.nexus,
        }
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def parse_control(payload: bytes) -> Control | None:
    """Read a control message.

    :returns: None for what is malformed or unknown: peers ignore that
    """
    try:
        value: object = json.loads(payload.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    except (ValueError, RecursionError):
        return None
    if value in ("Connected", {"Connected": None}):
        return Connected()
    if value == "Finish":
        return Finish()
    if isinstance(value, dict) and len(value) == 1:
        if isinstance(value.get("Status"), str):
            return Status(value["Status"])
        if "Incoming" in value:
            return _incoming(value["Incoming"])
    return None


def _incoming(value: object) -> Incoming | None:
    if isinstance(value, dict):
        value = [value.get(name) for name in ("client_name", "service_name", "nexus")]
    if not isinstance(value, list) or len(value) != len(Incoming._fields):
        return None
    client, service, nexus = value
    if not isinstance(client, str) or not isinstance(service, str) or type(nexus) is not int:
        return None
    return Incoming(client, service, nexus) if 0 <= nexus <= MAX_NEXUS else None
