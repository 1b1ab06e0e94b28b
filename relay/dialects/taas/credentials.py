"""What a request shows the registrar for itself, and how it is asked to; taas.md §3 and §4.

Senders write one form of it. Many more are taken, those that the original's server takes.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from relay.errors import BadRequest

SCHEME = "TOTP"
PARAMETERS = 32
"""Most parameters that are looked at; two of them count."""

_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^," ]+))', re.ASCII)
_OPAQUE = "2c75e9f93e484043b49c4b2ce278025d"
"""The same for everybody, and in all answers: hosts may compare it."""


class Shown(NamedTuple):
    """A code, and whose it is to be."""

    username: str
    response: str

    def __repr__(self) -> str:
        return f"Shown(username={self.username!r}, response=***)"


def parse_authorization(text: str) -> Shown:
    """Read the value of an ``Authorization``.

    Parameters come in any order, with any separators, in quotes or without; of those that come
    twice the last counts, and unknown ones do not matter. An apostrophe is no quote.

    :raises BadRequest: with a sentence that holds nothing of the text
    """
    scheme, space, rest = text.partition(" ")
    if not space or scheme != SCHEME:
        raise BadRequest(f"Authorization begins with another scheme than {SCHEME}")
    found: dict[str, str] = {}
    for number, match in enumerate(_PARAMETER.finditer(rest)):
        if number == PARAMETERS:
            raise BadRequest(f"Authorization has more than {PARAMETERS} parameters")
        found[match[1]] = match[3] if match[2] is None else match[2]
    shown = Shown(found.get("username", ""), found.get("response", ""))
    for name, value in zip(Shown._fields, shown, strict=True):
        if not value:
            raise BadRequest(f"Authorization has no {name}")
    return shown


def challenge(now: float) -> str:
    """:returns: the value of a ``WWW-Authenticate``, whose nonce nobody ever reads

    :param now: Unix seconds, of which the nonce is made
    """
    nonce = hashlib.md5(f"{now:.3f}".encode(), usedforsecurity=False).hexdigest()
    return f'{SCHEME} realm="taas", qop="auth, auth-int", nonce="{nonce}", opaque="{_OPAQUE}"'
