"""Dialect taas: things behind NAT, called by name, through a redirect; router, host, client.

Source of the format: the public projects TheThingSystem/taas-server at commit 7549a4f,
node-taas-client at 9fa23b4 and steward at b26d8f5. What of it counts, and what we add, stands in
docs/dialects/taas.rst; "taas.md", here and in tests, is a longer specification of it that is not
part of the checkout. Modules, by who needs them:

* all: ``keys`` settings, ``traits`` and ``remarks`` what they open, to whom; ``notions`` words;
  ``records`` what a store says of an ID, and ``provisioned`` the file that a host is told it by;
* the router: ``router`` its face, ``users`` that of its operator;
* our ends: ``host`` and ``client``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from relay.dialects.taas.keys import CLIENT_KEYS, HOST_KEYS, ROUTER_KEYS
from relay.dialects.taas.notions import DIALECT
from relay.dialects.taas.traits import TRAITS
from relay.faces import IDialect, IRouterFace
from relay.outside import IOutward
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Traits
from relay.vocabulary import Role


@implementer(IPlugin, IDialect)
class TaasDialect:
    """The plugin."""

    name: str = DIALECT
    router_keys: Sequence[Key] = ROUTER_KEYS
    tunnel_keys: ClassVar[Mapping[Role, Sequence[Key]]] = {
        Role.HOST: HOST_KEYS,
        Role.CLIENT: CLIENT_KEYS,
    }
    traits: Traits = TRAITS

    def router_face(self, settings: DialectSettings, url: str) -> IRouterFace:
        """:raises ConfigurationError: when the database's password cannot be read."""
        from relay.dialects.taas.router import make_face

        return make_face(settings, url)

    def run(self, settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host or client."""
        if settings.role is Role.HOST:
            from relay.dialects.taas.host import run_host

            return run_host(settings, outward)
        from relay.dialects.taas.client import run_client

        return run_client(settings, outward)


dialect = TaasDialect()
