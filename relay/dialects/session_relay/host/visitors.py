"""Who may speak to a host's local HTTP API, which asks for no credential.

Whatever runs on the machine may, as with the original. Web pages of elsewhere may not, though the
browser that shows them runs here: neither under their own name (``Origin``), nor by a name of
theirs that was made to lead here (``Host``).
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from relay.addresses import is_address, is_loopback
from relay.errors import BadRequest
from relay.http import Request

ANY = "*"
"""Among the origins: pages of everywhere may, as with the original."""


class ForeignPage(BadRequest):
    """A request that a web page of elsewhere has made."""

    status = 403


class Visitors:
    """The rule.

    :param origins: pages that may, such as ``https://lab.example``, and ``*``
    """

    def __init__(self, origins: Collection[str]) -> None:
        self._any = ANY in origins
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._hosts = frozenset(_host_of_url(origin) for origin in self._origins)

    def check(self, request: Request) -> None:
        """:raises ForeignPage: when the request may not be answered"""
        if self._any:
            return
        named = request.header("host") or ""
        if not self._is_own(named):
            raise ForeignPage(
                f"nothing is served here under the name {named[:200]}; key origins can allow it"
            )
        for name, origin in request.headers:
            if name == "origin" and not self._may_ask(origin.strip().lower(), named.lower()):
                raise ForeignPage(
                    f"pages of {origin[:200]} may not use this host; key origins can allow it"
                )

    def _is_own(self, named: str) -> bool:
        """Names without a dot are not in the public DNS, and addresses lead where they say."""
        host = _host_of(named)
        return "." not in host or is_address(host) or is_loopback(host) or host in self._hosts

    def _may_ask(self, origin: str, named: str) -> bool:
        return (
            origin in self._origins
            or is_loopback(_host_of_url(origin))
            or origin in (f"http://{named}", f"https://{named}")
        )


def _host_of(named: str) -> str:
    return _host_of_url(f"//{named}")


def _host_of_url(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return "no.host"  # of brackets that do not close: nobody's
