"""What is said to an upstream proxy: HTTP CONNECT (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928, 1929).

Names are resolved by the proxy. The proxy's password appears in no text and no repr.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from typing import Protocol
from urllib.parse import unquote, urlsplit

from relay.addresses import with_port
from relay.errors import CannotConnect, ConfigurationError, ProxyRefuses

HEAD_BYTES = 32 * 1024
SHOWN_CHARACTERS = 60
DEFAULT_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}
SOCKS_FIELD_BYTES = 255

HOST = re.compile(r"[A-Za-z0-9._-]{1,255}|[0-9A-Fa-f:.]{2,45}")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")
_SOCKS_REFUSALS = {
    1: ("failed", ""),
    2: ("does not allow it", "ask its operator to allow that host and port"),
    3: ("cannot reach its network", ""),
    4: ("cannot reach or resolve it", "check the name"),
    5: ("found its port closed", "check the port"),
    6: ("got no answer from it in time", ""),
    7: ("does not know the command CONNECT", "it needs a proxy that can"),
    8: ("does not know that kind of address", "use a name or an IPv4 address"),
}
_SOCKS_FINAL = (2, 7, 8)
"""Refusals that have nothing to do with the router; the others may pass as soon as it is back."""


class Proxy:
    """An upstream proxy, from its URL.

    :param url: ``http://[USER[:PASSWORD]@]HOST[:PORT]`` or ``socks5://…``; user and password
        percent-encoded; ``socks5h`` means the same as ``socks5``
    :raises ConfigurationError: when it is no such URL; the text never repeats it
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigurationError(["proxy: is no URL such as http://proxy:3128"]) from None
        if parts.scheme not in DEFAULT_PORTS:
            raise ConfigurationError(
                ["proxy: must begin with http:// or socks5://, for instance http://proxy:3128"]
            )
        if not parts.hostname or not HOST.fullmatch(parts.hostname):
            raise ConfigurationError(["proxy: names no host, as http://proxy:3128 does"])
        self.scheme = parts.scheme
        self.host = parts.hostname
        self.port = port or DEFAULT_PORTS[self.scheme]
        self.user = unquote(parts.username) if parts.username is not None else None
        self.password = unquote(parts.password or "")
        if self.scheme != "http" and self.user is not None:
            for word in (self.user, self.password):
                if not 0 < len(word.encode()) <= SOCKS_FIELD_BYTES:
                    raise ConfigurationError(
                        ["proxy: SOCKS5 wants user and password, each of 1 to 255 bytes"]
                    )

    def __str__(self) -> str:
        return f"{self.scheme}://{with_port(self.host, self.port)}"

    def __repr__(self) -> str:
        return f"Proxy({self})"

    def negotiation(self, host: str, port: int) -> Negotiation:
        """:returns: what is said to this proxy to reach ``host``."""
        return (HttpConnect if self.scheme == "http" else Socks5)(self, host, port)


class Negotiation(Protocol):
    """What is said to a proxy until it lets bytes through: a pure function of its answers."""

    rest: bytes | None

    def begin(self) -> bytes:
        """:returns: what to send first."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the proxy; once ``rest`` is not None they belong to the peer behind it.

        :returns: what to send next
        :raises CannotConnect: when the proxy refuses or is none
        """


class HttpConnect:
    """The client's side of CONNECT.

    :ivar rest: what followed the answer; None: no answer yet
    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self.rest: bytes | None = None
        self._proxy = proxy
        self._target = with_port(host, port)
        self._head = b""

    def begin(self) -> bytes:
        lines = [f"CONNECT {self._target} HTTP/1.1", f"Host: {self._target}"]
        if self._proxy.user is not None:
            pair = f"{self._proxy.user}:{self._proxy.password}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair).decode()}")
        return "\r\n".join([*lines, "", ""]).encode()

    def receive(self, data: bytes) -> bytes:
        self._head += data
        while self.rest is None:
            self._check_start()
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if len(head) > HEAD_BYTES:
                raise CannotConnect(f"proxy {self._proxy} sent an answer of more than 32 KiB")
            if not end:
                break
            match = _STATUS_LINE.match(head + b"\r\n")
            if match is None:
                raise self._no_proxy()
            self._head = rest
            status = int(match[1])
            if status >= 300:
                raise self._refusal(status, head.decode("latin-1"))
            if status >= 200:
                self.rest, self._head = rest, b""
        return b""

    def _check_start(self) -> None:
        """Name a peer that is no HTTP server at once: it might never send an empty line."""
        start = self._head[:7]
        if not b"HTTP/1.".startswith(start):
            raise self._no_proxy()

    def _no_proxy(self) -> CannotConnect:
        return ProxyRefuses(
            f"{self._proxy} is no HTTP proxy: it answers otherwise",
            "check its port; a SOCKS proxy is written socks5://",
        )

    def _refusal(self, status: int, head: str) -> CannotConnect:
        proxy, target = self._proxy, self._target
        if status == 407:
            return self._unauthorized(head)
        if status == 403:
            return ProxyRefuses(
                f"proxy {proxy} does not allow connections to {target} (403)",
                "ask its operator to allow that host and port; port 443 often is",
            )
        if status in (400, 405, 501):
            return ProxyRefuses(
                f"{proxy} does not serve CONNECT ({status})",
                "check its address: it may be a web server or a proxy for plain HTTP only",
            )
        status_line = head.partition("\r\n")[0].partition(" ")[2]
        shown = "".join(filter(str.isprintable, status_line))[:SHOWN_CHARACTERS]
        return CannotConnect(
            f"proxy {proxy} cannot reach {target} ({shown.strip()})",
            "the name may not resolve there, or the router may be down",
        )

    def _unauthorized(self, head: str) -> CannotConnect:
        offered = re.findall(r"(?im)^proxy-authenticate:\s*([a-z0-9]+)", head)
        if offered and "basic" not in [scheme.lower() for scheme in offered]:
            return ProxyRefuses(
                f"proxy {self._proxy} wants {' or '.join(offered)} authentication (407)",
                "relay knows Basic only; a local helper such as cntlm can translate",
            )
        if self._proxy.user is None:
            return ProxyRefuses(
                f"proxy {self._proxy} asks for user and password (407)",
                "write them into the URL: http://USER:PASSWORD@HOST:PORT",
            )
        return ProxyRefuses(
            f"proxy {self._proxy} refuses this user or password (407)",
            "check both; special characters in the URL are written as %40 and so on",
        )


class Socks5:
    """The client's side of SOCKS5, with user and password if the proxy wants them.

    Payload::

        uint8 version (5)     uint8 count     uint8[count] methods              RFC 1928, 3
        uint8 version (5)     uint8 method                                      answer
        uint8 version (1)     string8 user    string8 password                  RFC 1929, 2
        uint8 version (1)     uint8 status                                      answer
        uint8 version (5)     uint8 command (1)   uint8 (0)   address           RFC 1928, 4
        uint8 version (5)     uint8 reply         uint8 (0)   address           answer

    where an address is a uint8 type (1 IPv4, 3 name, 4 IPv6), 4, 16 or string8 bytes, uint16 port.

    :ivar rest: what followed the answer; None: no answer yet
    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self.rest: bytes | None = None
        self._proxy = proxy
        self._target = with_port(host, port)
        self._address = _socks_address(host) + port.to_bytes(2)
        self._buffer = b""
        self._step = self._method_chosen

    def begin(self) -> bytes:
        return b"\x05\x01\x00" if self._proxy.user is None else b"\x05\x02\x00\x02"

    def receive(self, data: bytes) -> bytes:
        self._buffer += data
        sent = b""
        while self.rest is None:
            answer = self._step()
            if answer is None:
                break
            sent += answer
        return sent

    def _take(self, count: int) -> bytes | None:
        """The next ``count`` bytes, None while they are not all there."""
        if len(self._buffer) < count:
            return None
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _method_chosen(self) -> bytes | None:
        if not b"\x05".startswith(self._buffer[:1]):
            raise ProxyRefuses(
                f"{self._proxy} is no SOCKS5 proxy: it answers otherwise",
                "check its port; an HTTP proxy is written http://",
            )
        answer = self._take(2)
        if answer is None:
            return None
        if answer[1] == 0:
            return self._request()
        if answer[1] == 2 and self._proxy.user is not None:
            self._step = self._authenticated
            user, password = self._proxy.user.encode(), self._proxy.password.encode()
            return bytes((1, len(user))) + user + bytes((len(password),)) + password
        if self._proxy.user is None:
            raise ProxyRefuses(
                f"proxy {self._proxy} asks for user and password",
                "write them into the URL: socks5://USER:PASSWORD@HOST:PORT",
            )
        raise ProxyRefuses(f"proxy {self._proxy} takes no user and password")

    def _authenticated(self) -> bytes | None:
        answer = self._take(2)
        if answer is None:
            return None
        if answer[1] != 0:
            raise ProxyRefuses(f"proxy {self._proxy} refuses this user or password", "check both")
        return self._request()

    def _request(self) -> bytes:
        self._step = self._connected
        return b"\x05\x01\x00" + self._address

    def _connected(self) -> bytes | None:
        head = self._buffer[:5]
        if len(head) < 2:
            return None
        if head[0] != 5:
            raise CannotConnect(f"proxy {self._proxy} broke the SOCKS5 protocol")
        if head[1] != 0:
            what, remedy = _SOCKS_REFUSALS.get(head[1], (f"refused it (code {head[1]})", ""))
            kind = ProxyRefuses if head[1] in _SOCKS_FINAL else CannotConnect
            raise kind(f"proxy {self._proxy}, asked for {self._target}, {what}", remedy)
        if len(head) < 5:
            return None
        lengths = {1: 4, 3: 1 + head[4], 4: 16}
        if head[3] not in lengths:
            raise CannotConnect(f"proxy {self._proxy} broke the SOCKS5 protocol")
        if self._take(4 + lengths[head[3]] + 2) is None:
            return None
        self.rest, self._buffer = self._buffer, b""
        return b""


def _socks_address(host: str) -> bytes:
    """Type and bytes of an address or name, as SOCKS5 has them."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes((3, len(host))) + host.encode("ascii")
    return bytes((1 if address.version == 4 else 4,)) + address.packed
