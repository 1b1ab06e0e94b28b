"""The exception tree: each error has a reason, a text that is safe to show a peer, and a remedy.

Decoders raise :class:`ProtocolError` and nothing else for bad input. Session and front door alone
turn errors into frames and statuses, through the dialect's ``wire_code``.
"""

from __future__ import annotations

from relay.vocabulary import Reason


class RelayError(Exception):
    """Base of all errors that a peer or a user can cause.

    :param text: one sentence that names what and where; shown to the peer that caused it
    :param remedy: what to try, for the log of the side that can
    :param retry_after_s: when to try again, for those who ask over HTTP
    """

    reason: Reason = Reason.INTERNAL
    close_code: int | None = None
    """The WebSocket close code for the link that erred; None: the dialect decides."""

    headers: tuple[tuple[str, str], ...] = ()
    """What an answer over HTTP has to say besides."""

    def __init__(self, text: str = "", remedy: str = "", retry_after_s: int | None = None) -> None:
        super().__init__(text or self.reason.value)
        self.text = text or self.reason.value
        self.remedy = remedy
        self.retry_after_s = retry_after_s


class ProtocolError(RelayError):
    """The peer broke the rules of its dialect or of the transport below it."""

    reason = Reason.PROTOCOL_ERROR
    close_code = 1002


class UnsupportedData(ProtocolError):
    """A message of the wrong kind: text where binary belongs, or the reverse."""

    close_code = 1003


class TooLarge(ProtocolError):
    """A head, frame or message is longer than allowed."""

    reason = Reason.TOO_LARGE
    close_code = 1009


class BadRequest(ProtocolError):
    """A request head or a part of its path is malformed.

    :cvar status: the HTTP status, in every dialect
    """

    status = 400


class ExpectationFailed(BadRequest):
    """A request expects something else than ``100-continue``."""

    status = 417


class UnknownCoding(BadRequest):
    """A request's body has a transfer coding other than ``chunked``."""

    status = 501


class UnknownVersion(BadRequest):
    """A request is neither HTTP/1.0 nor HTTP/1.1."""

    status = 505


class BadHandshake(BadRequest):
    """A WebSocket handshake is malformed, or of another version."""

    headers = (("Sec-WebSocket-Version", "13"),)


class NotFound(ProtocolError):
    """Nothing is served at this path."""


class MethodNotAllowed(ProtocolError):
    """The path is known, the method is not.

    :param allow: the ``Allow`` header's value; empty: none is sent
    """

    def __init__(self, text: str = "", allow: str = "") -> None:
        super().__init__(text)
        self.allow = allow


class UpgradeRequired(ProtocolError):
    """Only a WebSocket handshake is served at this path."""


class AuthError(RelayError):
    """A credential did not pass.

    :ivar subject: whom it was shown for, where that name is known here
    """

    reason = Reason.TOKEN_INVALID
    subject: str = ""


class TokenMissing(AuthError):
    reason = Reason.TOKEN_MISSING


class TokenInvalid(AuthError):
    reason = Reason.TOKEN_INVALID


class TokenExpired(AuthError):
    reason = Reason.TOKEN_EXPIRED


class WrongRole(AuthError):
    reason = Reason.WRONG_ROLE


class WrongScope(AuthError):
    reason = Reason.WRONG_SCOPE


class WrongName(AuthError):
    reason = Reason.WRONG_NAME


class Revoked(AuthError):
    reason = Reason.REVOKED


class Unreachable(RelayError):
    """The call cannot be carried; the caller's credential was good."""


class NoSuchOffer(Unreachable):
    """No host has ever announced that name here, where names are listed."""

    reason = Reason.NO_SUCH_OFFER


class HostAbsent(Unreachable):
    """No host is registered under that name now."""

    reason = Reason.HOST_ABSENT


class HostSilent(Unreachable):
    """The host did not answer the call in time."""

    reason = Reason.HOST_SILENT


class CallGone(Unreachable):
    """The call that was to be joined does not exist, or exists no more."""

    reason = Reason.NO_SUCH_OFFER


class CallFailed(Unreachable):
    """A call that was admitted came to nothing.

    :param reason: why
    """

    def __init__(self, text: str = "", reason: Reason = Reason.INTERNAL) -> None:
        self.reason = reason  # first: it stands in for a text that is empty
        super().__init__(text)


class TargetRefused(Unreachable):
    """The host could not connect to the service behind it."""

    reason = Reason.TARGET_REFUSED


class TargetForbidden(Unreachable):
    """The host's own list does not allow that target."""

    reason = Reason.TARGET_FORBIDDEN


class BadAnswer(Unreachable):
    """What the service behind the host answered is no HTTP/1.1, or it ended before its head."""

    reason = Reason.PROTOCOL_ERROR


class LimitReached(RelayError):
    """A configured limit stands in the way."""

    reason = Reason.LIMIT


class StoreFailed(RelayError):
    """A store of records cannot be asked."""

    reason = Reason.INTERNAL


class GoingAway(RelayError):
    """The router drains."""

    reason = Reason.GOING_AWAY


class TlsFailed(RelayError):
    """A certificate's chain or name, or the TLS handshake, did not pass."""

    reason = Reason.TLS_FAILED


class Refused(RelayError):
    """A router answered our request with a refusal.

    :param status: the HTTP status, or the WebSocket close code
    :param reason: the router's own word where it told one, else what the status means
    """

    def __init__(
        self,
        status: int,
        text: str,
        reason: Reason,
        remedy: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        self.reason = reason  # first: it stands in for a text that is empty
        super().__init__(text, remedy, retry_after_s)
        self.status = status


class CannotConnect(RelayError):
    """The address cannot be reached, or what answers there is no relay router."""

    reason = Reason.LOST
    passing = True
    """Whether trying again soon may help."""


class NoToken(CannotConnect):
    """The command that is to print our token did not, this time."""

    reason = Reason.TOKEN_MISSING
    passing = False


class ProxyRefuses(CannotConnect):
    """The proxy on the way out does not let us, or is none."""

    passing = False


class Misconfigured(CannotConnect):
    """What we were told of the router, or of the way to it, cannot work as it stands."""

    passing = False


class CallerLeft(RelayError):
    """Whoever wanted the call left before it was answered."""

    reason = Reason.PEER_CLOSED


class CannotListen(RelayError):
    """A local door cannot be opened."""

    reason = Reason.LOST


class NotARouter(CannotConnect):
    """Something answers at that address, but it does not speak HTTP/1.1."""

    passing = False


class ConfigurationError(Exception):
    """One or several faults in options, environment or INI.

    :ivar faults: one line each, naming file, section, key and what is wrong
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
