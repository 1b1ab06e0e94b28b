"""Targets of network-relay: what a caller names, and the list of what an agent allows.

Specification: network-relay.md §4 and §6 (``target_ip``, ``target_port``, ``protocol``). On the
wire
these are any strings and any integer; as one text they are ``HOST:PORT``, ``[V6]:PORT`` or
``HOST:PORT/PROTOCOL``, from which the same target can be read again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from relay.addresses import unmapped
from relay.errors import ConfigurationError
from relay.settings.faults import printable, quoted

TCP = "tcp"
"""The only protocol there is; originals compare it exactly."""

SMALLEST_PORT_NUMBER = -(2**63)
LARGEST_PORT_NUMBER = 2**63 - 1
"""What the wire carries; whoever connects judges whether it is a port."""

LARGEST_PORT = 2**16 - 1
ANY = "*"

_TARGET = re.compile(
    r"(?:\[(?P<v6>[^\[\]/]*:[^\[\]/]*)\]|(?P<host>[^:\[\]/]*))"
    r":(?P<port>-?[0-9]{1,19})(?:/(?P<protocol>[^/]*))?",
)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNSEEN = re.compile(r"[\s\x00-\x1f\x7f]")

_ENTRY = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[^:\[\]]*)")
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[Xx][0-9A-Fa-f]*")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Target(NamedTuple):
    """What a caller wants to reach, as the agent's machine sees it.

    :ivar host: an IP address or a name; on the wire any text
    :ivar port: on the wire any integer of 64 bits
    :ivar protocol: on the wire any text
    """

    host: str
    port: int
    protocol: str = TCP

    def __str__(self) -> str:
        """Say it as one text, from which :meth:`parse` reads the same target."""
        host = f"[{_escape(self.host, ':')}]" if ":" in self.host else _escape(self.host)
        suffix = "" if self.protocol == TCP else f"/{_escape(self.protocol)}"
        return f"{host}:{self.port}{suffix}"

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``HOST:PORT``, ``[V6]:PORT``, each with ``/PROTOCOL`` where it is not ``tcp``.

        :param text: what ``str`` gives; what a person writes may hold letters beyond ASCII
        :raises ValueError: saying what is wrong with it
        """
        match = _TARGET.fullmatch(text)
        if match is None or _UNSEEN.search(text):
            raise ValueError(f"{_shown(text)} is no target, like 127.0.0.1:22 or [::1]:22")
        if _BAD_ESCAPE.search(text):
            raise ValueError(f"{_shown(text)} has a % without two hexadecimal digits behind it")
        port = int(match["port"])
        if not SMALLEST_PORT_NUMBER <= port <= LARGEST_PORT_NUMBER:
            raise ValueError(f"{_shown(text)} has a port of more than 64 bits")
        host = match["host"] if match["v6"] is None else match["v6"]
        protocol = TCP if match["protocol"] is None else match["protocol"]
        try:
            return cls(_unescape(host), port, _unescape(protocol))
        except UnicodeDecodeError:
            raise ValueError(f"{_shown(text)} has escapes that are not UTF-8") from None


def _escape(text: str, safe: str = "") -> str:
    return quote(text, safe, "utf-8", "surrogatepass")


def _unescape(text: str) -> str:
    # only where needed: text beyond ASCII that is not escaped passes as it is
    return unquote_to_bytes(text).decode("utf-8", "surrogatepass") if "%" in text else text


def _shown(text: str) -> str:
    return printable(quoted(text))


class _Rule(NamedTuple):
    """One entry of the list.

    :ivar place: a network (an address is one of its own), or a name in lower case
    :ivar port: None: each
    """

    place: _Network | str
    port: int | None


@dataclass(frozen=True, slots=True)
class AllowList:
    """The targets that may be reached.

    An IPv4 address inside an IPv6 one (``::ffff:10.0.0.1``) counts as the IPv4 address, in entries
    and in what is asked for.
    """

    rules: tuple[_Rule, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> AllowList:
        """Read ``127.0.0.1:22``, ``10.0.0.0/24:*``, ``[::1]:22``, ``[fd00::/8]:*``, ``db:5432``.

        :raises ConfigurationError: one line for each entry that is none of these
        """
        rules: list[_Rule] = []
        faults: list[str] = []
        for entry in entries:
            try:
                rules.append(_rule(entry))
            except ValueError as error:
                faults.append(f"{_shown(entry)} {error}")
        if faults:
            raise ConfigurationError(faults)
        return cls(tuple(rules))

    def allows_name(self, host: str, port: int) -> bool:
        """Judge a target before its name is looked up.

        :param host: a name, in any case, or an address; an address is judged as one
        :returns: False also for a name that is not listed itself: its addresses may be
        """
        address = _address(host)
        if address is not None:
            return self._allows(address, port)
        name = host.lower().removesuffix(".")
        return any(rule.place == name and _fits(rule, port) for rule in self.rules)

    def allows_address(self, ip: str, port: int) -> bool:
        """Judge the address that will be connected to.

        :param ip: as a resolver gives it, with or without a zone; anything else is not allowed
        """
        address = _address(ip)
        return address is not None and self._allows(address, port)

    def _allows(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
        return any(
            not isinstance(rule.place, str) and address in rule.place and _fits(rule, port)
            for rule in self.rules
        )


def _fits(rule: _Rule, port: int) -> bool:
    # the bounds: some resolvers take a port modulo 2**16
    return 0 < port <= LARGEST_PORT and rule.port in (None, port)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(unmapped(host))
    except ValueError:
        return None


def _rule(entry: str) -> _Rule:
    """:raises ValueError: what is wrong, to be read behind the entry"""
    match = _ENTRY.fullmatch(entry)
    if match is None:
        if entry.count(":") > 1 and "[" not in entry:
            raise ValueError("has no brackets around its IPv6 address, as in [::1]:22")
        if "]/" in entry:
            raise ValueError("has its prefix length behind the bracket, not inside: [fd00::/8]:22")
        raise ValueError("is not HOST:PORT, like 127.0.0.1:22, 10.0.0.0/24:* or [::1]:22")
    if match["v6"] is not None:
        place: _Network | str = _network(match["v6"])
        if ":" not in match["v6"]:
            raise ValueError("has brackets around what is no IPv6 address")
    else:
        place = _place(match["host"])
    return _Rule(place, _port(match["port"]))


def _port(text: str) -> int | None:
    if text == ANY:
        return None
    if _PORT.fullmatch(text) is None or not 0 < int(text) <= LARGEST_PORT:
        raise ValueError(f"has a port that is neither 1 to {LARGEST_PORT} nor {ANY}")
    return int(text)


def _place(host: str) -> _Network | str:
    if host == ANY:
        raise ValueError("allows no address; 0.0.0.0/0 and [::/0] stand for all of them")
    if "/" in host:
        return _network(host)
    labels = host.removesuffix(".").split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        # resolvers read 127.1 or 0x7f000001 as addresses: a name never ends in a number
        return _network(host)
    if not all(_LABEL.fullmatch(label) for label in labels) or len(host) > 254:
        raise ValueError("has neither an address, a network nor a name of A-Z a-z 0-9 - _ and dots")
    return ".".join(labels).lower()


def _network(text: str) -> _Network:
    if "%" in text:
        raise ValueError("has a zone, which an entry cannot tell")
    address, slash, length = text.partition("/")
    if slash and re.fullmatch(r"[0-9]{1,3}", length) is None:
        raise ValueError("has a prefix length that is no number")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("has a host that is no IP address or network") from None
    if slash and network.network_address != ipaddress.ip_address(address):
        raise ValueError(f"has an address inside a network; the network is {network}")
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        inner = network.network_address.ipv4_mapped
        return ipaddress.ip_network(f"{inner}/{network.prefixlen - _MAPPED.prefixlen}")
    return network
