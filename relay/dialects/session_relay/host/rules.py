"""What a host is told to do: rules for destinations and streams, as texts and as JSON.

Specification: session-relay.md §9.2. Nothing in a rule is judged but its kind and size, as in the
original: a destination that cannot be reached is tried again for ever.
"""

from __future__ import annotations

from typing import NamedTuple

from relay.dialects.session_relay.host.notation import members, text_of, texts_of
from relay.dialects.session_relay.keys import STREAM_PREFIX
from relay.errors import BadRequest
from relay.settings.faults import printable, quoted
from relay.vocabulary import TopicName

EVERYTHING = "deleteAll"
"""No rule has this name: deleting it deletes all."""

ALL = "all"
"""The same in paths and commands, which the original means and does not do."""

MASK = "***"
"""Stands for a token that is not shown."""

FEEDS = 100
"""Most feeds of one stream."""

_DESTINATION = ("id", "stream", "destination", "token", "file")
_STREAM = ("stream", "feeds")


class BadRule(BadRequest):
    """A rule that is understood, and not taken."""


class DestinationRule(NamedTuple):
    """Where a feed or stream goes.

    :ivar stream: a feed, or a stream that begins with ``stream/``
    :ivar destination: a session's URL where there is a token, else a WebSocket's
    :ivar file: where to put what goes out; empty: nowhere
    """

    id: str = ""
    stream: str = ""
    destination: str = ""
    token: str = ""
    file: str = ""

    def __repr__(self) -> str:
        return f"DestinationRule(id={self.id!r}, stream={self.stream!r}, token=***)"

    def is_two_way(self) -> bool:
        """:returns: whether what comes from the destination goes into the feed"""
        return not self.stream.startswith(STREAM_PREFIX)

    def as_json(self) -> dict[str, str]:
        """:returns: all five members, the token as it is"""
        return self._asdict()

    def shown(self) -> dict[str, str]:
        """:returns: all five members, without the token: whoever asks need not know it"""
        return self._replace(token=self.token and MASK)._asdict()


class StreamRule(NamedTuple):
    """Which feeds a stream is made of.

    :ivar feeds: None where nobody said; an empty list is something else to those who ask
    """

    stream: str
    feeds: tuple[str, ...] | None

    def as_json(self) -> dict[str, object]:
        """:returns: both members"""
        return self._asdict()


def read_destination(value: object) -> DestinationRule:
    """Read a decoded rule; one leading slash of ``stream`` goes.

    :raises BadJson: when it is no such object
    """
    given = members(value, _DESTINATION, "a destination rule")
    rule = DestinationRule(**{name: text_of(member, name) for name, member in given.items()})
    return rule._replace(stream=rule.stream.removeprefix("/"))


def read_stream(value: object) -> StreamRule:
    """Read a decoded rule; one leading slash of ``stream`` goes.

    :raises BadJson: when it is no such object
    :raises BadRule: for more than FEEDS feeds
    """
    given = members(value, _STREAM, "a stream rule")
    stream = text_of(given.get("stream", ""), "stream").removeprefix("/")
    feeds = texts_of(given["feeds"], "feeds") if "feeds" in given else None
    if feeds is not None and len(feeds) > FEEDS:
        raise BadRule(f"a stream has at most {FEEDS} feeds, and this one {len(feeds)}")
    return StreamRule(stream, feeds)


def shown(name: str) -> str:
    """:returns: a name that somebody chose, on one line of a log"""
    return printable(quoted(name))


def feed_topic(name: str) -> TopicName:
    """:returns: what a feed, or a stream, is called in the local router"""
    return TopicName(f"feed:{name}")


def is_fed(name: str) -> bool:
    """:returns: whether anybody hears what is said there: on a stream nobody does"""
    return not name.startswith(STREAM_PREFIX)
