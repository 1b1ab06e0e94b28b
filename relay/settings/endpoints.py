"""Endpoint strings, checked as far as that goes without Twisted.

The point is to find misspellings before anything starts. Which kinds there really are is known to
Twisted's plugins alone, so an unknown kind that resembles none of ours passes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from relay import addresses
from relay.settings.faults import Wrong, nearest, quoted

SERVER_KINDS = ("tcp", "tcp6", "unix", "ssl", "tls", "systemd", "stdio", "haproxy", "relay")
CLIENT_KINDS = ("tcp", "unix", "ssl", "tls", "stdio", "relay")
WEBSOCKET = "ws"
"""What a client's door begins with at which a dialect accepts WebSockets; no kind of Twisted's."""
DOOR_KINDS = (*SERVER_KINDS, WEBSOCKET)
LOOPBACK = "127.0.0.1"
_SERVER_ARGUMENTS = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "interface", "backlog"),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "systemd": ("domain", "index", "name"),
    WEBSOCKET: ("port", "interface"),
}
_CLIENT_ARGUMENTS = {
    "tcp": ("host", "port", "timeout", "bindAddress"),
    "unix": ("path", "timeout", "lockfile"),
}
"""What Twisted takes, in its order; kinds that are not here are left to it."""
_DOMAINS = ("INET6", "INET", "UNIX")
_NUMBERS = ("backlog", "timeout", "index", "mode", "lockfile")
_PORT_KINDS = ("tcp", "tcp6", "ssl", "tls", WEBSOCKET)
_TOKEN = re.compile(r"(?:[^\\:]|\\.)*", re.DOTALL)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")


class Endpoint(NamedTuple):
    """An endpoint string's parts.

    :ivar kind: what stands before the first colon
    :ivar arguments: the positional ones
    :ivar named: the ``name=value`` ones
    """

    kind: str
    arguments: tuple[str, ...]
    named: dict[str, str]

    def argument(self, name: str, position: int) -> str:
        """:returns: an argument by name or position, empty when it is not there."""
        if name in self.named:
            return self.named[name]
        return self.arguments[position] if position < len(self.arguments) else ""


def split_endpoint(text: str) -> Endpoint:
    """Take an endpoint string apart; a backslash takes the meaning from the next character.

    :raises Wrong: when it ends with a backslash
    """
    if (len(text) - len(text.rstrip("\\"))) % 2:
        raise Wrong(f"{quoted(text)} ends with a backslash")
    parts, position = [], 0
    while position <= len(text):
        match = _TOKEN.match(text, position)
        part = match[0] if match else ""
        parts.append(part)
        position += len(part) + 1
    arguments, named = [], {}
    for part in parts[1:]:
        name, equals, value = part.partition("=")
        if equals and not name.endswith("\\"):
            named[name] = _plain(value)
        else:
            arguments.append(_plain(part))
    return Endpoint(_plain(parts[0]), tuple(arguments), named)


def check_server(text: str) -> str:
    """:returns: the endpoint string. :raises Wrong: when nothing could listen on it."""
    if split_endpoint(text).kind == WEBSOCKET:
        raise Wrong(f"{quoted(text)}: a WebSocket door is of no use here; write it as tcp:8080")
    return _check_server(text, SERVER_KINDS)


def check_door(text: str) -> str:
    """Check a server endpoint string, or ``ws:PORT`` or ``ws:PORT:interface=ADDRESS``.

    :returns: the text
    :raises Wrong: when nothing could listen there
    """
    return _check_server(text, DOOR_KINDS)


def behind_websocket(text: str) -> str | None:
    """Take a checked door apart.

    :returns: the TCP endpoint string of a WebSocket door, on loopback unless that says otherwise;
        None: it is a door for bytes
    """
    endpoint = split_endpoint(text)
    if endpoint.kind != WEBSOCKET:
        return None
    interface = _interface(endpoint).replace(":", "\\:")
    kind = "tcp6" if ":" in interface else "tcp"
    return f"{kind}:{endpoint.argument('port', 0)}:interface={interface}"


def on_loopback(text: str) -> str:
    """Read a TCP server endpoint at which people are let in as they come.

    :returns: the same, on loopback unless it says otherwise
    :raises Wrong: when nothing could listen there
    """
    endpoint = split_endpoint(check_server(text))
    port, backlog = int(endpoint.argument("port", 0)), endpoint.argument("backlog", 2)
    interface = (_interface(endpoint) or LOOPBACK).replace(":", "\\:")
    return f"tcp:{port}:interface={interface}" + (f":backlog={backlog}" if backlog else "")


def _check_server(text: str, kinds: tuple[str, ...]) -> str:
    endpoint = _checked(text, kinds, "tcp:8080")
    _check_arguments(text, endpoint, _SERVER_ARGUMENTS)
    if endpoint.kind in _PORT_KINDS:
        _check_port(text, endpoint.argument("port", 0), "tcp:8080:interface=127.0.0.1")
    if endpoint.kind == "unix" and not endpoint.argument("address", 0):
        raise Wrong(f"{quoted(text)} names no file; write it as unix:/run/relay/relay.sock")
    if endpoint.kind == "systemd":
        _check_systemd(text, endpoint)
    return text


def check_client(text: str) -> str:
    """:returns: the endpoint string. :raises Wrong: when nothing could connect to it."""
    endpoint = _checked(text, CLIENT_KINDS, "tcp:127.0.0.1:22")
    _check_arguments(text, endpoint, _CLIENT_ARGUMENTS)
    if endpoint.kind in _PORT_KINDS:
        example = f"{endpoint.kind}:127.0.0.1:22"
        host = endpoint.argument("host", 0)
        if not host or host.isdigit():
            raise Wrong(f"{quoted(text)} names no host; write it as {example}")
        position = 0 if "host" in endpoint.named else 1
        _check_port(text, endpoint.argument("port", position), example)
    if endpoint.kind == "unix" and not endpoint.argument("path", 0):
        raise Wrong(f"{quoted(text)} names no file; write it as unix:/run/service.sock")
    return text


def reach(text: str) -> str:
    """:returns: in words, from where a checked server endpoint can be reached."""
    endpoint = split_endpoint(text)
    if endpoint.kind == "unix":
        return "this machine only"
    if endpoint.kind == "stdio":
        return "standard input only"
    if endpoint.kind not in _PORT_KINDS:
        return f"as {endpoint.kind} decides"
    interface = _interface(endpoint)
    if is_loopback(text):
        return "loopback only"
    return f"interface {interface}" if interface.strip("0.:") else "every interface"


def is_loopback(text: str) -> bool:
    """:returns: whether a checked server endpoint is out of other machines' reach."""
    endpoint = split_endpoint(text)
    if endpoint.kind in ("unix", "stdio"):
        return True
    return addresses.is_loopback(_interface(endpoint))


def interface_of(text: str) -> str:
    """:returns: the address that a checked server endpoint is bound to, empty: all, or no TCP"""
    endpoint = split_endpoint(text)
    return _interface(endpoint) if endpoint.kind in _PORT_KINDS else ""


def port_of(text: str) -> int:
    """:returns: the TCP port of a checked server endpoint, 0: it is given one, or has none"""
    endpoint = split_endpoint(text)
    return int(endpoint.argument("port", 0)) if endpoint.kind in _PORT_KINDS else 0


def same_port(one: str, other: str) -> bool:
    """:returns: whether two server endpoints cannot both listen; port 0 is a new one each time."""
    if one == other:
        return one != "stdio" and split_endpoint(one).argument("port", 0) != "0"
    first, second = split_endpoint(one), split_endpoint(other)
    if first.kind not in _PORT_KINDS or second.kind not in _PORT_KINDS:
        return False
    if (first.kind == "tcp6") != (second.kind == "tcp6"):
        return False
    port = first.argument("port", 0)
    if port == "0" or port != second.argument("port", 0):
        return False
    interfaces = {_interface(first), _interface(second)}
    return len(interfaces) == 1 or bool(interfaces & {"", "0.0.0.0", "::"})


def _interface(endpoint: Endpoint) -> str:
    """:returns: the address that a port is bound to, empty: all"""
    otherwise = LOOPBACK if endpoint.kind == WEBSOCKET else ""
    position = 1 if endpoint.kind in ("tcp", "tcp6", WEBSOCKET) else len(endpoint.arguments)
    return endpoint.argument("interface", position) or otherwise


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _checked(text: str, kinds: tuple[str, ...], example: str) -> Endpoint:
    if address := _ADDRESS.fullmatch(text):
        kind, port = address[1], address[2]
        if kind not in kinds and not nearest(kind, kinds):
            host = kind.strip("[]").replace(":", "\\:")
            hint = f"tcp:{host}:{port}" if kinds is CLIENT_KINDS else _listening(kind, host, port)
            raise Wrong(f'{quoted(text)} is no endpoint; did you mean "{hint}"?')
    if text.isdecimal():
        raise Wrong(f"{quoted(text)} is no endpoint; write it as {example}")
    endpoint = split_endpoint(text)
    kind = endpoint.kind
    if kind in kinds and not text.startswith(f"{WEBSOCKET}://"):
        return endpoint
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", kind) or ":" not in text:
        raise Wrong(
            f"{quoted(text)} is no endpoint, which is KIND:… like {example}{nearest(kind, kinds)}"
        )
    if text.startswith(f"{kind}://"):
        raise Wrong(f"{quoted(text)} is a URL; an endpoint is written like {example}")
    if hint := nearest(kind, kinds):
        raise Wrong(f"unknown kind of endpoint {quoted(kind)}{hint}")
    return endpoint


def _listening(name: str, host: str, port: str) -> str:
    if name.startswith("["):
        return f"tcp6:{port}:interface={host}"
    if name == "localhost":
        return f"tcp:{port}:interface=127.0.0.1"
    return f"tcp:{port}:interface={host}" if re.fullmatch(r"[0-9.]+", name) else f"tcp:{port}"


def _check_arguments(text: str, endpoint: Endpoint, known: Mapping[str, Sequence[str]]) -> None:
    names = known.get(endpoint.kind)
    if names is None:
        return
    for name, value in endpoint.named.items():
        if name not in names:
            raise Wrong(f"{quoted(text)}: unknown argument {quoted(name)}{nearest(name, names)}")
        if name in _NUMBERS and not (value.isascii() and value.isdigit()):
            raise Wrong(f"{quoted(text)}: {name} {quoted(value)} is not a number")
    if len(endpoint.arguments) > len(names):
        raise Wrong(f"{quoted(text)} has more parts than {endpoint.kind}:{':'.join(names)}")


def _check_systemd(text: str, endpoint: Endpoint) -> None:
    example = "systemd:domain=INET6:index=0"
    domain = endpoint.argument("domain", 0)
    if domain not in _DOMAINS:
        raise Wrong(
            f"{quoted(text)}: domain {quoted(domain)} is none of "
            f"{', '.join(_DOMAINS)}{nearest(domain.upper(), _DOMAINS)}, as in {example}"
        )
    if bool(endpoint.argument("index", 1)) == bool(endpoint.argument("name", 2)):
        raise Wrong(f"{quoted(text)} needs one of index and name; write it as {example}")


def _check_port(text: str, port: str, example: str) -> None:
    if not port:
        raise Wrong(f"{quoted(text)} names no port; write it as {example}")
    if "," in port:
        raise Wrong(f"{quoted(text)}: several endpoints stand one a line, without a comma")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise Wrong(f"{quoted(text)}: port {quoted(port)} is not a number from 0 to 65535")
