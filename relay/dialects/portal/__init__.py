"""Dialect portal: Matic Portal, all four faces.

Source of the format: the public project MaticianInc/portal at commit 1c75f42, as described in the
project's specification of it (docs/dialects/portal.rst names what we add). Modules: ``wire`` paths
and control messages, ``tokens`` claims, ``data`` the payload links, ``router`` the router's face,
``host`` and ``client`` ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from relay.dialects.portal.client import run_client
from relay.dialects.portal.host import run_host
from relay.dialects.portal.router import PortalFace, make_face
from relay.interfaces import IDialect, IOutward
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Kind
from relay.vocabulary import Role

SECRET = Key(
    "secret-file",
    Kind.SECRET_FILE,
    "the HS256 secret that signs all portal tokens (AUTH_SECRET of the original)",
    secret_environment=("AUTH_SECRET",),
    example="portal.secret",
)
TOKEN = Key(
    "token-file",
    Kind.SECRET_FILE,
    "the portal token; '-' reads standard input (--auth-token of the original)",
    environment=("RELAY_TOKEN_FILE",),
    secret_environment=("PORTAL_TOKEN", "RELAY_TOKEN"),
    example="web.token",
)


@implementer(IPlugin, IDialect)
class PortalDialect:
    """The plugin."""

    name: str = "portal"
    router_keys: Sequence[Key] = (SECRET,)
    tunnel_keys: ClassVar[Mapping[Role, Sequence[Key]]] = {
        Role.HOST: (TOKEN,),
        Role.CLIENT: (TOKEN,),
    }

    def router_face(self, settings: DialectSettings, url: str) -> PortalFace:
        """:raises ConfigurationError: when the secret cannot be read."""
        return make_face(settings)

    def run(self, settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host or client."""
        run = run_host if settings.role is Role.HOST else run_client
        return run(settings, outward)


dialect = PortalDialect()
