"""What is wrong with a certificate or a handshake, in words and with a remedy."""

from __future__ import annotations

import os
import ssl as stdlib_ssl
from datetime import UTC, datetime

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.error import ConnectionClosed
from twisted.python.failure import Failure

from relay.addresses import is_address
from relay.errors import TlsFailed

SHOWN_NAMES = 5
SHOWN_CHARACTERS = 100

# X509_V_ERR_* of openssl/x509_vfy.h
_SELF_SIGNED = {18, 19}
_ISSUER_UNKNOWN = {2, 20, 21}
_NOT_YET_VALID = 9
_EXPIRED = 10
_OTHER_FAULTS = {
    23: "is revoked",
    24: "was issued by a certificate that may not issue others",
    26: "is not meant for TLS servers",
    66: "has too short a key",
    67: "was issued by a certificate with too short a key",
    68: "was signed with a digest that is too weak",
    79: "was issued by a certificate that may not issue others",
}

_NO_TLS = (
    "wrong version number",
    "http request",
    "https proxy request",
    "packet length too long",
    "record layer failure",
    "unknown protocol",
)
_NO_COMMON_VERSION = ("unsupported protocol", "alert protocol version", "version too low")
_NO_COMMON_CIPHER = ("alert handshake failure", "no shared cipher", "alert insufficient security")
_PEER_DISTRUSTS = (
    "alert unknown ca",
    "alert bad certificate",
    "alert certificate unknown",
    "alert certificate expired",
    "alert certificate revoked",
    "alert unsupported certificate",
)


def explain_tls_failure(cause: Failure | BaseException, host: str) -> TlsFailed:
    """Say in one sentence why a TLS handshake, or a session later on, failed.

    :param cause: what ended the connection: of OpenSSL, of Twisted, or a TlsFailed, returned as is
    :param host: the peer, as the text shall name it
    """
    error = cause.value if isinstance(cause, Failure) else cause
    if isinstance(error, TlsFailed):
        return error
    if isinstance(error, ConnectionClosed):
        return TlsFailed(
            f"{host} closed the connection during the TLS handshake",
            "check host and port; use ws:// or http:// if the router has no TLS",
        )
    reasons = openssl_reasons(error)
    if _any_of(_NO_TLS, reasons):
        return TlsFailed(
            f"{host} does not speak TLS on this port",
            "check the port, or use ws:// or http:// if the router has no TLS",
        )
    if _any_of(_NO_COMMON_VERSION, reasons):
        return TlsFailed(
            f"{host} and this program have no TLS version in common",
            "the other side must speak TLS 1.2 or later",
        )
    if _any_of(("unrecognized name",), reasons):
        return TlsFailed(
            f"{host} has no certificate for this name", "set tls-name to the name that it serves"
        )
    if _any_of(_NO_COMMON_CIPHER, reasons):
        return TlsFailed(
            f"{host} and this program have no cipher in common",
            "the other side may have no certificate for this name; see tls-name",
        )
    if _any_of(_PEER_DISTRUSTS, reasons):
        return TlsFailed(
            f"{host} refused our certificate ({reasons})",
            "it needs the certificate's issuer as ca-file, and the name it calls us by in there",
        )
    if _any_of(("certificate required",), reasons):
        return TlsFailed(f"{host} asks for a client certificate, which relay does not send")
    return TlsFailed(f"TLS with {host} failed: {reasons or type(error).__name__}")


def certificate_names(certificate: x509.Certificate) -> list[str]:
    """:returns: the DNS names and addresses that the certificate is good for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def judge(name: str, certificate: crypto.X509, code: int, depth: int, ok: bool) -> TlsFailed | None:
    """What is wrong with one certificate of the chain; ``code`` is OpenSSL's X509_V_ERR_*."""
    if not ok:
        return _chain_fault(name, certificate.to_cryptography(), code, depth)
    if depth != 0:
        return None
    wanted = IPAddress_ID(name) if is_address(name) else DNS_ID(name)
    try:
        verify_service_identity(extract_patterns(certificate), [wanted], [])
    except (VerificationError, CertificateError):
        names = certificate_names(certificate.to_cryptography())
        if not names:
            return TlsFailed(
                f"the certificate of {name} names no host (subjectAltName)",
                "the router needs a certificate with its name in there",
            )
        shown = ", ".join(map(_printable, names[:SHOWN_NAMES]))
        more = ", …" if len(names) > SHOWN_NAMES else ""
        return TlsFailed(
            f"the certificate is not for {name} but for {shown}{more}",
            f"connect to that name, or set tls-name = {_printable(names[0])} if you trust it",
        )
    return None


def _chain_fault(name: str, certificate: x509.Certificate, code: int, depth: int) -> TlsFailed:
    whose = f"the certificate of {name}" if depth == 0 else f"an issuer of {name}'s certificate"
    if code == _EXPIRED:
        return TlsFailed(
            f"{whose} expired on {day(certificate.not_valid_after_utc)}",
            "renew it on the router; if it is valid, this machine's clock is wrong",
        )
    if code == _NOT_YET_VALID:
        return TlsFailed(
            f"{whose} is not valid before {day(certificate.not_valid_before_utc)}",
            "this machine's clock is probably wrong",
        )
    if code in _SELF_SIGNED and depth == 0:
        return TlsFailed(
            f"{whose} is self-signed and not trusted here",
            "put the certificate itself into ca-file",
        )
    if code in _SELF_SIGNED | _ISSUER_UNKNOWN:
        issuer = _printable(certificate.issuer.rfc4514_string())
        remedy = "put its issuer into ca-file, or let the router send the whole chain"
        return TlsFailed(
            f"the certificate of {name} comes from an unknown issuer ({issuer})",
            _system_store_fault() or remedy,
        )
    fault = _OTHER_FAULTS.get(code, f"was rejected (X509_V_ERR {code})")
    return TlsFailed(f"{whose} {fault}", "the router needs another certificate")


def _system_store_fault() -> str:
    """What keeps the system's own roots from being found; empty: nothing does."""
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(variable)
        if path is not None and not os.path.exists(path):
            return f"{variable} names {path}, which does not exist: no CA certificate is trusted"
    # the interpreter's OpenSSL, not the one in use here, but it looks in the same usual places
    paths = stdlib_ssl.get_default_verify_paths()
    found = paths.cafile or (paths.capath and any(os.scandir(paths.capath)))
    if found:
        return ""
    return "this system has no CA certificates: install ca-certificates or set ca-file"


def openssl_reasons(error: BaseException | None) -> str:
    """What OpenSSL's error queue says, oldest first."""
    arguments = error.args if error is not None else ()
    queue = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return "; ".join(str(entry[-1]) for entry in queue)


def explain_visitor_failure(failure: Failure) -> str:
    """Say why a client did not finish the TLS handshake with us.

    :returns: one sentence; empty when it was not TLS that failed
    """
    reasons = openssl_reasons(failure.value) if failure.check(SSL.Error) else ""
    if "http request" in reasons:
        return "plain HTTP arrived, and TLS is spoken here: use wss:// or https://"
    if _any_of(("unknown ca", "bad certificate", "certificate unknown"), reasons):
        return f"the client does not trust our certificate ({reasons}): see its ca-file"
    if _any_of(("unsupported protocol", "version"), reasons):
        return f"the client speaks no TLS 1.2 or later ({reasons})"
    return f"the handshake failed ({reasons})" if reasons else ""


def _any_of(phrases: tuple[str, ...], reasons: str) -> bool:
    return any(phrase in reasons for phrase in phrases)


def day(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _printable(text: str) -> str:
    """A peer's text, fit for a log line."""
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= SHOWN_CHARACTERS else shown[:SHOWN_CHARACTERS] + "…"
