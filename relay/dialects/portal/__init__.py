"""Dialect portal: Matic Portal, all four faces.

Source of the format: the public project MaticianInc/portal at commit 1c75f42. What of it counts,
and what we add, stands in docs/dialects/portal.rst; "portal.md", here and in tests, is a longer
specification of it that is not part of the checkout. Modules: ``wire`` paths
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
from relay.dialects.portal.tokens import SECRET_ENVIRONMENT, SECRET_KEYS, parse_portal_id
from relay.dialects.portal.wire import check_service_name
from relay.faces import IDialect
from relay.outside import IOutward
from relay.settings.model import DialectSettings, TunnelSettings
from relay.settings.schema import Key, Kind, Naming, Traits
from relay.vocabulary import Role

SECRET = Key(
    SECRET_KEYS[0],
    Kind.SECRET_FILE,
    "the HS256 secret that signs all portal tokens (AUTH_SECRET of the original)",
    secret_environment=SECRET_ENVIRONMENT,
    example="portal.secret",
)
TOKEN = Key(
    "token-file",
    Kind.SECRET_FILE,
    "the portal token; '-' reads standard input (--auth-token of the original)",
    secret_environment=("PORTAL_TOKEN",),
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

    traits: Traits = Traits(
        host_token="portal host --id 1234",
        client_token="portal client --id 1234",
        naming=Naming(lambda text: str(parse_portal_id(text)), check_service_name),
    )

    def router_face(self, settings: DialectSettings, url: str) -> PortalFace:
        """:raises ConfigurationError: when the secret cannot be read."""
        return make_face(settings)

    def run(self, settings: TunnelSettings, outward: IOutward) -> Awaitable[None]:
        """Be one host or client."""
        run = run_host if settings.role is Role.HOST else run_client
        return run(settings, outward)


dialect = PortalDialect()
