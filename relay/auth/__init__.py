"""Credentials to claims: every kind is verified here, and failed logins are counted here.

A dialect says what a credential is and, from the claims, what it allows; whether the credential is
genuine and in date is decided in this package alone. Times are Unix seconds and always arguments.
No text of an error contains any part of a credential or of a secret, so each may be shown to the
peer.
"""

from relay.auth.logins import LOGIN_ADDRESSES, LOGIN_DELAY_S, LOGINS_WAITING, FailedLogins
from relay.auth.shared import time_code
from relay.auth.tokens import TOKEN_BYTES, in_words, inspect, mint
from relay.auth.verification import Codes, verify
from relay.auth.verified import VerifiedTokens

__all__ = [
    "LOGINS_WAITING",
    "LOGIN_ADDRESSES",
    "LOGIN_DELAY_S",
    "TOKEN_BYTES",
    "Codes",
    "FailedLogins",
    "VerifiedTokens",
    "in_words",
    "inspect",
    "mint",
    "time_code",
    "verify",
]
