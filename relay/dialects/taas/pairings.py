"""Who was joined with whom, for ``/pairings/``; taas.md §9.

The texts are the original's: scheme, address, port and method of the request by which somebody
came. Who comes in no such way, through a fixed port for instance, has a text with fewer words.
"""

from __future__ import annotations

import json
from collections import deque
from typing import NamedTuple

from relay.http import Request

PER_LABEL = 100
"""Pairings that are kept of one label; the oldest goes first."""
LABELS = 10_000
"""Labels of which any are kept; the one that was paired longest ago goes first."""
PATH_CHARACTERS = 200
"""So much of a path is kept."""
ORIGIN_CHARACTERS = 400

_WORDS = 4
"""Of a request's text; the path follows them."""


class Pairing(NamedTuple):
    """One responder and the caller that it was given.

    :ivar responder: how it came
    :ivar initiator: how the caller came
    :ivar pathname: what the caller asked for; empty: it did not ask
    :ivar timestamp: Unix milliseconds
    """

    responder: str
    initiator: str
    pathname: str
    timestamp: int


def tag(request: Request) -> str:
    """:returns: how somebody came who made a request: ``https 192.0.2.7 54300 PUT``"""
    scheme = "https" if request.secure else "http"
    return f"{scheme} {request.peer} {request.port} {request.method}"


def origin_of(request: Request) -> str:
    """:returns: the same with the path, for :attr:`relay.vocabulary.Call.origin`"""
    return f"{tag(request)} {request.path[:PATH_CHARACTERS]}"


def paired(responder: str, origin: str, now: float) -> Pairing:
    """Read what a call says of its origin.

    :param origin: of this module, or what another dialect says of a caller
    :param now: Unix seconds
    """
    words = origin[:ORIGIN_CHARACTERS].split(" ", _WORDS)
    path = words[_WORDS] if len(words) > _WORDS else ""
    return Pairing(responder, " ".join(words[:_WORDS]), path, int(now * 1000))


class Pairings:
    """The last pairings of each label."""

    def __init__(self, labels: int = LABELS, per_label: int = PER_LABEL) -> None:
        self._labels = labels
        self._per_label = per_label
        self._pairings: dict[str, deque[Pairing]] = {}  # the label paired last at the end

    def note(self, label: str, pairing: Pairing) -> None:
        """Somebody was joined."""
        known = self._pairings.pop(label, None)
        if known is None:
            known = deque(maxlen=self._per_label)
        known.append(pairing)
        self._pairings[label] = known
        if len(self._pairings) > self._labels:
            del self._pairings[next(iter(self._pairings))]

    def of(self, label: str) -> list[Pairing]:
        """:returns: the oldest first"""
        return list(self._pairings.get(label, ()))

    def to_json(self, label: str) -> str:
        """:returns: an array of objects, as the original writes it"""
        members = [
            {name: value for name, value in pairing._asdict().items() if value != ""}
            for pairing in self.of(label)
        ]
        return json.dumps(members, separators=(",", ":"))
