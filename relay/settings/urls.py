"""URLs of routers and of the proxies on the way to them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from relay.addresses import is_loopback
from relay.settings.faults import Wrong, listed, nearest, quoted

PROXY_SCHEMES = ("http", "socks5", "socks5h")
NO_PROXY_WORD = "none"
_SECURE_SCHEMES = ("wss", "https")


def check_url(text: str, schemes: tuple[str, ...]) -> str:
    """Check a URL.

    :returns: the URL
    :raises Wrong: when it has another scheme, no host, or a user
    """
    parts = _split(text, schemes)
    if parts.username is not None:
        raise Wrong(
            "a user or password has no place in this URL, where anybody may read it; "
            "a token goes into token-file"
        )
    if parts.fragment:
        raise Wrong(f"nothing may follow # in {quoted(text)}")
    return text


def check_proxy(text: str) -> str | None:
    """:returns: the proxy's URL, None for ``none``. :raises Wrong: when it is neither."""
    if text == NO_PROXY_WORD:
        return None
    try:
        _split(text, PROXY_SCHEMES)
    except Wrong:
        # The text may hold a password, so that nothing of it is repeated.
        raise Wrong(
            f"is no proxy, which is http://HOST:PORT, socks5://HOST:PORT or {NO_PROXY_WORD}"
        ) from None
    return text


def check_database(text: str, schemes: tuple[str, ...]) -> str:
    """Check a database's URL: ``SCHEME://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]``.

    :returns: the URL
    :raises Wrong: when it is none
    """
    example = f"{schemes[0]}://HOST:PORT/NUMBER"
    try:
        parts = _split(text, schemes)
    except Wrong:
        # The text may hold a password, so that nothing of it is repeated.
        raise Wrong(f"is no database, which is a file's path or {example}") from None
    number = parts.path.removeprefix("/")
    if parts.query or parts.fragment or (number and not re.fullmatch("[0-9]{1,4}", number)):
        raise Wrong(f"names no database by its number; write it as {example}")
    return text


def has_password(url: str) -> bool:
    """:returns: whether a checked URL holds one"""
    return urlsplit(url).password is not None


def masked(url: str) -> str:
    """:returns: the URL without user and password."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else url


def callers_url(router: str, name: str) -> str:
    """:returns: what a browser opens for an offer whose name is the first part of its path

    :param router: as hosts and clients dial it; empty: nobody knows
    """
    scheme, separator, rest = masked(router).partition("://")
    if not separator:
        return f"https://ROUTER/{name}/"
    scheme = {"ws": "http", "wss": "https"}.get(scheme, scheme)
    return f"{scheme}://{rest.rstrip('/')}/{name}/"


def is_encrypted(url: str) -> bool:
    """:returns: whether what goes to a checked URL goes over TLS."""
    return urlsplit(url).scheme in _SECURE_SCHEMES


def is_local(url: str) -> bool:
    """:returns: whether a checked URL is on this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def proxy_variable(url: str, environ: Mapping[str, str]) -> str | None:
    """Choose the proxy that the environment has for a URL.

    Loopback needs none. ``no_proxy`` lists hosts, ``.suffix``, networks, or ``*`` for all.

    :returns: the name of the variable that holds it, None: there is none
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if is_loopback(host) or any(_covers(entry, host) for entry in excepted.split(",")):
        return None
    scheme = "https" if parts.scheme in _SECURE_SCHEMES else "http"
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    return next((name for name in names if environ.get(name, "").strip()), None)


def _covers(entry: str, host: str) -> bool:
    entry = entry.strip().lower()
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except (ValueError, TypeError):
        suffix = entry.removeprefix("*").lstrip(".")
        return bool(suffix) and (host == suffix or host.endswith("." + suffix))


def _split(text: str, schemes: tuple[str, ...]) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise Wrong(f"{quoted(text)} is no URL: it holds white space or control characters")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise Wrong(f"{quoted(text)} is no URL: {str(error)[:80]}") from None
    if "://" not in text:
        raise Wrong(
            f'{quoted(text)} has no scheme; did you mean "{_likely_scheme(text, schemes)}://{text}"?'
        )
    if parts.scheme not in schemes:
        raise Wrong(
            f"unknown scheme {quoted(parts.scheme)}, known are {listed(schemes)}"
            f"{nearest(parts.scheme, schemes)}"
        )
    if not parts.hostname or port == 0:
        raise Wrong(f"{quoted(text)} names no {'port but 0' if parts.hostname else 'host'}")
    return parts


def _likely_scheme(text: str, schemes: tuple[str, ...]) -> str:
    host = text.partition("/")[0].rpartition(":")[0] or text.partition("/")[0]
    if is_loopback(host.strip("[]")):
        return schemes[0]
    return next((scheme for scheme in schemes if scheme in _SECURE_SCHEMES), schemes[0])
