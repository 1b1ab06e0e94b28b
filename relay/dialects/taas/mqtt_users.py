"""Users of the original's MQTT broker, whose records stand in the same store; taas.md §10 and §13.

No router of ours lets them in: they are kept for a broker that shares the store.
"""

from __future__ import annotations

import json

import bcrypt

LEAST_CHARACTERS = 12
MOST_BYTES = 72
"""bcrypt looks at no more of a password."""
COST = 10
"""2 to that power rounds, some 50 ms, as the original has it."""
VARIANT = b"2a"
"""Old Nodes know no newer one."""
NAME_CHARACTERS = 200
LEAST_PARTS = 3

_FORBIDDEN = "#+*"


def check_user(name: str) -> str:
    """:returns: the name, like ``owntracks/alpha/bob``. :raises ValueError: when it is none"""
    parts = name.split("/")
    if len(name) > NAME_CHARACTERS or len(parts) < LEAST_PARTS or not all(parts):
        raise ValueError(f"a user's name has {LEAST_PARTS} parts or more with / between them")
    if not name.isprintable() or any(character in name for character in _FORBIDDEN):
        raise ValueError(f"a user's name has none of {' '.join(_FORBIDDEN)}")
    return name


def user_record(name: str, password: str) -> str:
    """Make the record of a user.

    :param name: checked
    :returns: as the store has it
    :raises ValueError: with a sentence without the password, when that is too short or too long
    """
    octets = password.encode("utf-8", "replace")
    if len(password) < LEAST_CHARACTERS or len(octets) > MOST_BYTES or b"\0" in octets:
        raise ValueError(
            f"a password has {LEAST_CHARACTERS} characters or more, in at most {MOST_BYTES} bytes"
        )
    digest = bcrypt.hashpw(octets, bcrypt.gensalt(COST, VARIANT)).decode("ascii")
    members = {"username": name, "authParams": {"protocol": "bcrypt", "hash": digest}}
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)
