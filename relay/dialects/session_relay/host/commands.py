"""The command API of a host: JSON in messages on the feed ``api``, answered there.

Specification: session-relay.md §9.4. Whoever may speak on that feed may command: programs beside
the host, and the members of each topic that a destination with ``"stream": "api"`` leads to.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.dialects.session_relay.host.destinations import Destinations
from relay.dialects.session_relay.host.notation import (
    BadJson,
    decode,
    encode,
    members,
    plain,
    text_of,
)
from relay.dialects.session_relay.host.rules import (
    ALL,
    EVERYTHING,
    DestinationRule,
    read_destination,
    read_stream,
)
from relay.dialects.session_relay.host.streams import Streams
from relay.errors import BadRequest

API_FEED = "api"
API_RULE = "apiRule"
"""The destination by which commands come from afar; no command deletes it alone."""

COMMAND_BYTES = 64 * 1024
"""Longest command."""

UNKNOWN = "unrecognised Command"

_NAMES = ("verb", "what", "which", "rule", "error")


class Commands:
    """What each command does.

    :param api: WebSocket URL of the destination that stays; empty: there is none
    """

    def __init__(self, destinations: Destinations, streams: Streams, api: str) -> None:
        self._destinations = destinations
        self._streams = streams
        self._api = api

    def begin(self) -> None:
        """Connect the destination by which commands come, where there is one."""
        rule = DestinationRule(API_RULE, API_FEED, self._api)
        # as it stands it is left alone: the answer to a command goes out by it
        if self._api and not self._destinations.has(rule):
            self._destinations.add(rule)

    def answer(self, message: bytes) -> bytes | None:
        """Obey a command.

        :param message: of any kind and length
        :returns: a text for all others on the feed; None for another host's error, since two that
            tell each other of errors would never end
        """
        if len(message) > COMMAND_BYTES:
            return _error(f"a command has at most {COMMAND_BYTES} bytes")
        try:
            given = members(decode(message), _NAMES, "a command")
            verb, what, which = (
                text_of(given.get(name, ""), name) for name in ("verb", "what", "which")
            )
        except BadJson:
            return _error(UNKNOWN)
        if "error" in given and "verb" not in given:
            return None
        try:
            return self._obey(verb, what, which, given.get("rule"))
        except BadRequest as error:
            return _error(error.text)

    def _obey(self, verb: str, what: str, which: str, rule: object) -> bytes:
        if verb == "healthcheck":
            return b'{"healthcheck":"ok"}'
        obey = self._COMMANDS.get((verb, what))
        return _error(UNKNOWN) if obey is None else obey(self, which, rule)

    def _add_destination(self, which: str, rule: object) -> bytes:
        added = read_destination(_given(rule))
        self._destinations.add(added)
        return encode(added.as_json())

    def _add_stream(self, which: str, rule: object) -> bytes:
        added = read_stream(_given(rule))
        self._streams.add(added)
        return encode(added.as_json())

    def _list_destination(self, which: str, rule: object) -> bytes:
        return encode(self._destinations.all() if which == ALL else self._destinations.rule(which))

    def _list_stream(self, which: str, rule: object) -> bytes:
        if which == ALL:
            return encode(self._streams.all())
        return encode({"feeds": self._streams.feeds(which)}) if which else _error(UNKNOWN)

    def _delete_destination(self, which: str, rule: object) -> bytes:
        if which == API_RULE:
            return _error("cannot delete apiRule")
        if which == ALL:
            self._destinations.delete_all_but(API_RULE if self._api else None)
            self.begin()
            return _deleted(EVERYTHING)
        if not which:
            return _error(UNKNOWN)
        self._destinations.delete(which)
        return _deleted(which)

    def _delete_stream(self, which: str, rule: object) -> bytes:
        name = EVERYTHING if which == ALL else which
        self._streams.delete(name)
        return _deleted(name)

    _COMMANDS: dict[tuple[str, str], Callable[[Commands, str, object], bytes]] = {
        ("add", "destination"): _add_destination,
        ("add", "stream"): _add_stream,
        ("list", "destination"): _list_destination,
        ("list", "stream"): _list_stream,
        ("delete", "destination"): _delete_destination,
        ("delete", "stream"): _delete_stream,
    }


def _given(rule: object) -> object:
    if rule is None:
        raise BadRequest("add needs a rule")
    return rule


def _deleted(name: str) -> bytes:
    return plain({"deleted": name}).encode()


def _error(text: str) -> bytes:
    return plain({"error": text}).encode()
