"""Dialect session-relay: topics with many readers, by booking; router, host and client.

Source of the format: the public project practable/relay at v0.9.3. What of it counts, and what we
add, stands in docs/dialects/session-relay.rst; "session-relay.md", here and in tests, is a longer
specification of it that is not part of the checkout. Modules, by who needs them:

* all: ``keys`` settings (``originals`` what variables mean, ``durations`` how Go writes times),
  ``notions`` words, ``tokens`` what tokens say and ``issuing`` how they are made, ``payload_link``
  what links have in common;
* the router: ``router`` its face, ``paths`` where a request goes, ``access`` the rules of the API
  (``media`` and ``bookings`` among them), ``words`` what is answered, ``members`` the links,
  ``reports`` who is connected;
* our ends: ``entry`` from a token to a link, ``topic_link`` that link, ``client``; ``recording``,
  ``playing`` (with ``patterns``), ``player`` and ``monitoring`` what the commands ``relay record``,
  ``play`` and ``monitor`` do; ``host`` a package of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from relay.dialects.session_relay.keys import CLIENT_KEYS, HOST_KEYS, ROUTER_KEYS, TRAITS
from relay.dialects.session_relay.notions import DIALECT
from relay.faces import IDialect, IRouterFace
from relay.outside import IOutward
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Traits
from relay.vocabulary import Role


@implementer(IPlugin, IDialect)
class SessionRelayDialect:
    """The plugin."""

    name: str = DIALECT
    router_keys: Sequence[Key] = ROUTER_KEYS
    tunnel_keys: ClassVar[Mapping[Role, Sequence[Key]]] = {
        Role.HOST: HOST_KEYS,
        Role.CLIENT: CLIENT_KEYS,
    }
    traits: Traits = TRAITS

    def router_face(self, settings: DialectSettings, url: str) -> IRouterFace:
        """:raises ConfigurationError: when the secret cannot be read."""
        from relay.dialects.session_relay.router import make_face

        return make_face(settings, url)

    def run(self, settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host or client."""
        if settings.role is Role.HOST:
            from relay.dialects.session_relay.host.host import run_host

            return run_host(settings, outward)
        from relay.dialects.session_relay.client import run_client

        return run_client(settings, outward)


dialect = SessionRelayDialect()
