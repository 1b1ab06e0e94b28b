"""Words of taas that its modules share, and what is a label and an ID; taas.md §1, §3 and §4."""

from __future__ import annotations

import re
from typing import NamedTuple

from relay.settings.faults import quoted
from relay.vocabulary import OfferName

DIALECT = "taas"
GRACE_S = 3.0
"""How long a mobile connection waits for a responder of a label that has had one (§15)."""
WAITING = 21
"""How many responders wait for a label at most (§6)."""
STEP_S = 30
"""A code's time step where the record does not say it (§5)."""
LARGEST_PORT = 65535
LABEL_CHARACTERS = 200
"""A label's length; what it is part of is a name in DNS, of at most 253 characters."""
ID_CHARACTERS = 200
"""An ID's length; a UUID has 36."""

_LABEL = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)


class Label(NamedTuple):
    """A name below ``servers``, as a record lists it.

    :ivar name: lower-case, perhaps with dots within
    :ivar fixed_port: on which it is reached besides (§9); 0: none
    """

    name: str
    fixed_port: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.fixed_port}" if self.fixed_port else self.name


def parse_label(text: str) -> Label:
    """Read ``LABEL`` or ``LABEL:PORT``, without case.

    :raises ValueError: with a sentence on what is wrong with it
    """
    name, colon, port = text.partition(":")
    lower = name.lower()
    if not name.isascii() or len(lower) > LABEL_CHARACTERS or not _LABEL.fullmatch(lower):
        raise ValueError(
            f"{quoted(text)} is no label, which is made of letters, digits and -, "
            "perhaps in several parts with a dot between them"
        )
    if not colon:
        return Label(lower)
    if not _PORT.fullmatch(port) or int(port) > LARGEST_PORT:
        raise ValueError(f"{quoted(text)}: the port is not a number from 1 to {LARGEST_PORT}")
    return Label(lower, int(port))


def is_id(text: str) -> bool:
    """:returns: whether that can be an ID, in practice a UUID (§4); IDs differ by case"""
    return len(text) <= ID_CHARACTERS and _ID.fullmatch(text) is not None


def offer_name(label: str) -> OfferName:
    """:returns: what a label is called in the core"""
    return OfferName(f"{DIALECT}:{label.lower()}")
