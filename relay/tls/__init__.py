"""TLS: endpoints that always verify, a listener's certificate, and what went wrong in words."""

from relay.tls.client import ClientTls, TlsEndpoint
from relay.tls.faults import certificate_names, explain_tls_failure, explain_visitor_failure
from relay.tls.files import normal_name
from relay.tls.server import ServerTls

__all__ = [
    "ClientTls",
    "ServerTls",
    "TlsEndpoint",
    "certificate_names",
    "explain_tls_failure",
    "explain_visitor_failure",
    "normal_name",
]
