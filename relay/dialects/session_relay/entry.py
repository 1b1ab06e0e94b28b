"""Our way into a topic: a token is shown at the access API, and the address that it answers with is
dialled.

Specification: session-relay.md §3.2, §3.3 and §8; check 42.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from relay.addresses import is_loopback
from relay.errors import (
    Misconfigured,
    NotARouter,
    Refused,
    RelayError,
    Revoked,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    WrongName,
)
from relay.interfaces import IConversation
from relay.outside import HttpAnswer, IOutward, ITunnelSession
from relay.vocabulary import Reason
from relay.wire.tokens import peek_claims

ANSWER_BYTES = 64 * 1024
"""Longest answer of an access API; the longest of an original is its list of bookings, which nobody
asks for here."""

TEXT_LENGTH = 200
"""Characters of an answer that are repeated in a message."""

URI_LENGTH = 8 * 1024
"""Characters of an address that is dialled: what servers take of a handshake's first line."""

NO_HEADERS: Mapping[str, str] = {}
BUSY = (429, 503)
GATEWAY = (502, 503, 504)
"""What a proxy says whose router is not there."""

_MINT = 'mint one with "relay token session-relay"'
_SPENT = "is its target another router's, or one of several that know nothing of each other?"
_ONCE = "a code is good once: name the session URL, and a token"


async def open_session(
    outward: IOutward,
    session_url: str,
    token: str,
    conversation: Callable[[], IConversation],
) -> ITunnelSession:
    """Become a member of a topic.

    :param session_url: ``AUDIENCE/session/TOPIC`` of an access API; without a token the address
        (``ws``, ``wss``) that is dialled as it is
    :raises TokenMissing, TokenInvalid, TokenExpired, WrongName, Revoked: when the access API does
        not want that token, in its own words
    :raises Refused: when it, or the relay socket, refuses otherwise
    :raises CannotConnect, TlsFailed: when there is nobody to talk to, or what answers is no access
        API
    """
    address = session_url
    if token:
        answer = await outward.http("POST", session_url, {"Authorization": token}, ANSWER_BYTES)
        address = judge(answer, session_url, token, outward.now())
    try:
        return await outward.websocket_at(
            address, NO_HEADERS, lambda _: conversation(), lambda _: None
        )
    except Refused as error:
        if error.status in (401, 403):
            # it is the code that is refused: no token helps
            error.remedy = _SPENT if token else _ONCE
        raise


def shown_url(url: str) -> str:
    """:returns: an address for a message: without its query, in which there may be a code"""
    return url.partition("?")[0]


def judge(answer: HttpAnswer, session_url: str, token: str, now: float) -> str:
    """Read an access API's answer; its status counts for nothing where there is a ``uri`` (§8.2).

    :param now: Unix seconds, to tell a token that is over from one that never was good
    :returns: the address to dial; it holds a code, and belongs into no message
    :raises RelayError: as :func:`open_session`
    """
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        uri = said.get("uri")
        if isinstance(uri, str) and uri:
            return _checked(uri, session_url)
        said = said.get("message")
    if isinstance(said, str) and said:
        raise _refusal(answer, _shown(said, token), token, now)
    raise _stranger(answer)


class _Refusal(NamedTuple):
    """What words of an access API mean (§3.2, §3.3)."""

    words: str
    kind: type[RelayError]
    remedy: str


_REFUSALS = (
    _Refusal("unauthenticated", TokenMissing, _MINT),
    _Refusal("token invalid", TokenInvalid, "is it signed with this router's secret, and in date?"),
    _Refusal("does not match this host", TokenInvalid, "mint one for this router's audience"),
    _Refusal("token wrong topic", WrongName, "the token is for another topic than the URL"),
    _Refusal("deny-listed", Revoked, "ask the router's operator"),
    _Refusal("token missing required claims", TokenInvalid, _MINT),
    _Refusal("empty bookingid", TokenInvalid, "mint one with a booking id"),
    _Refusal("token ", TokenInvalid, _MINT),
)
"""The first that fits counts; words are compared without regard to case."""


def _refusal(answer: HttpAnswer, text: str, token: str, now: float) -> RelayError:
    status = answer.status
    if status in BUSY:
        reason = Reason.LIMIT if status == 429 else Reason.GOING_AWAY
        return Refused(status, text, reason, retry_after_s=_retry_after_s(answer))
    low = text.lower()
    for refusal in _REFUSALS:
        if refusal.words in low:
            expires = peek_claims(token).get("exp")
            if refusal.kind is TokenInvalid and isinstance(expires, int | float) and expires <= now:
                return TokenExpired(f"{text}: it expired {now - expires:.0f} s ago", _MINT)
            return refusal.kind(text, refusal.remedy)
    if status in (401, 403):
        return TokenInvalid(text, _MINT)
    if status == 404:
        return Refused(status, text, Reason.NO_SUCH_OFFER, "is it AUDIENCE/session/TOPIC?")
    return Refused(status, text, Reason.PROTOCOL_ERROR)


def _stranger(answer: HttpAnswer) -> RelayError:
    """:returns: what an answer means that is none of an access API"""
    if answer.status in (*GATEWAY, *BUSY):
        reason = Reason.LIMIT if answer.status == 429 else Reason.GOING_AWAY
        return Refused(
            answer.status,
            f"a server in front of the router answers with status {answer.status}",
            reason,
            "is the router behind it running?",
            _retry_after_s(answer),
        )
    return NotARouter(
        f"what answers there is no access API of a session relay (status {answer.status})",
        "the session URL is AUDIENCE/session/TOPIC",
    )


def _checked(uri: str, session_url: str) -> str:
    """:returns: the address. :raises Misconfigured: when it is not to be dialled; it is not shown,
    since a code is in it
    """
    remedy = "correct the target of the router"
    if len(uri) > URI_LENGTH or not (uri.isascii() and uri.isprintable()) or " " in uri:
        raise Misconfigured("the router answers with an address that nobody can dial", remedy)
    try:
        parts = urlsplit(uri)
        host, secure, known = parts.hostname, parts.scheme == "wss", parts.scheme in ("ws", "wss")
        dialable = bool(host) and (parts.port is None or parts.port > 0)
    except ValueError:
        host, secure, known, dialable = None, False, True, False
    if not known:
        raise Misconfigured(
            "the router answers with an address that is not ws:// or wss://", remedy
        )
    if not dialable or parts.username is not None or parts.fragment:
        raise Misconfigured("the router answers with an address that nobody can dial", remedy)
    encrypted = urlsplit(session_url).scheme == "https"
    if encrypted and not secure and not is_loopback(host or ""):
        # whoever asks over TLS does not expect that the messages go without
        raise Misconfigured(
            "the router answers over TLS with an unencrypted address (ws://)",
            "let its target begin with wss://",
        )
    return uri


def _shown(text: str, token: str) -> str:
    """:returns: what a stranger said, safe for a log; a token that it repeats is masked"""
    text = text.replace(token, "***")[:TEXT_LENGTH]
    return "".join(c if c.isprintable() else " " for c in text).strip() or "no reason given"


def _retry_after_s(answer: HttpAnswer) -> int | None:
    """:returns: seconds, where the answer names them in digits"""
    text = answer.headers.get("retry-after", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
