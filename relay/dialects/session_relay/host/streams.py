"""The streams of a host: which feeds each is made of, now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from relay.dialects.session_relay.host.notation import sorted_by_key
from relay.dialects.session_relay.host.rules import (
    EVERYTHING,
    BadRule,
    StreamRule,
    feed_topic,
    is_fed,
)
from relay.dialects.session_relay.keys import STREAM_PREFIX
from relay.outside import ILocalRouter

STREAMS = 1000
"""Most stream rules."""


class Streams:
    """The rules of a host's streams, at work.

    A rule whose name does not begin with ``stream/`` is kept and has no effect, as in the original.
    A stream among the feeds of another says nothing there: who composed it of itself would hear
    every message for ever.
    """

    def __init__(self, local: ILocalRouter) -> None:
        self._local = local
        self._rules: dict[str, tuple[str, ...] | None] = {}

    def add(self, rule: StreamRule) -> None:
        """Compose a stream, or compose it anew. :raises BadRule: when there are too many"""
        if rule.stream == EVERYTHING:
            return
        if rule.stream not in self._rules and len(self._rules) >= STREAMS:
            raise BadRule(f"there are {STREAMS} streams already: delete one first")
        self._rules[rule.stream] = rule.feeds
        self._compose(rule.stream, rule.feeds or ())

    def delete(self, name: str) -> None:
        """Forget a stream, or with the reserved name all; who listens to it hears nothing more."""
        if name == EVERYTHING:
            for each in tuple(self._rules):
                self.delete(each)
        elif name in self._rules:
            del self._rules[name]
            self._compose(name, ())

    def knows(self, name: str) -> bool:
        """:returns: whether there is such a rule"""
        return name in self._rules

    def feeds(self, name: str) -> tuple[str, ...] | None:
        """:returns: the stream's feeds; None: it has none, or there is no such stream"""
        return self._rules.get(name)

    def all(self) -> Mapping[str, object]:
        """:returns: the feeds of each stream, in order of names"""
        return sorted_by_key(self._rules.items())

    def _compose(self, name: str, feeds: Iterable[str]) -> None:
        if name.startswith(STREAM_PREFIX):
            sources = {feed_topic(feed) for feed in feeds if is_fed(feed)}
            self._local.compose(feed_topic(name), sources)
