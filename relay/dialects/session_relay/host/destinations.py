"""The destinations of a host: each a link that is kept up, between a router and a local feed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from relay.dialects.session_relay.entry import open_session, shown_url
from relay.dialects.session_relay.host.keeping import Recording, open_below
from relay.dialects.session_relay.host.notation import sorted_by_key
from relay.dialects.session_relay.host.rules import (
    EVERYTHING,
    BadRule,
    DestinationRule,
    feed_topic,
    shown,
)
from relay.dialects.session_relay.topic_link import TopicLink
from relay.outside import ILocalRouter, IOutward, IResident, ITunnelSession
from relay.vocabulary import Data, Enter, TopicName

DESTINATIONS = 1000
"""Most destination rules."""

LONGEST_PAUSE_S = 10.0
"""Between two tries, as the original (§8)."""

SHOWN_URL = 200
"""Most characters of a destination that the log repeats."""

_Token = Callable[[], Awaitable[str]]


class Destinations:
    """The rules of a host's destinations, at work.

    :param files: the folder where rules may have files written
    """

    def __init__(self, outward: IOutward, local: ILocalRouter, files: str) -> None:
        self._outward = outward
        self._local = local
        self._files = files
        self._at_work: dict[str, _Destination] = {}

    def add(self, rule: DestinationRule, token: _Token | None = None) -> None:
        """Connect a destination; one with the same id ends first.

        :param token: what to ask for it at each connect; None: the rule's own
        :raises BadRule: when there are too many, or its file may not be written
        """
        if rule.id == EVERYTHING:
            return
        if rule.id not in self._at_work and len(self._at_work) >= DESTINATIONS:
            raise BadRule(f"there are {DESTINATIONS} destinations already: delete one first")
        # the same file may be in the old rule: it is truncated before that one lets go of it
        recording = open_below(self._files, rule.file) if rule.file else None
        self.delete(rule.id)
        self._at_work[rule.id] = _Destination(rule, self._outward, self._local, token, recording)

    def delete(self, rule_id: str) -> None:
        """End a destination, or with the reserved id all; harmless when there is none."""
        if rule_id == EVERYTHING:
            self.delete_all_but(None)
        gone = self._at_work.pop(rule_id, None)
        if gone is not None:
            gone.end()

    def delete_all_but(self, rule_id: str | None) -> None:
        """End all destinations, or all but one."""
        for each in tuple(self._at_work):
            if each != rule_id:
                self.delete(each)

    def has(self, rule: DestinationRule) -> bool:
        """:returns: whether that very rule is at work"""
        known = self._at_work.get(rule.id)
        return known is not None and known.rule == rule

    def rule(self, rule_id: str) -> Mapping[str, str]:
        """:returns: a rule without its token; an empty one where there is none"""
        known = self._at_work.get(rule_id)
        return (known.rule if known is not None else DestinationRule()).shown()

    def all(self) -> Mapping[str, object]:
        """:returns: all rules by id, without their tokens, in order of ids"""
        return sorted_by_key((name, each.rule.shown()) for name, each in self._at_work.items())


class _Destination:
    """One rule at work, until :meth:`end`."""

    def __init__(
        self,
        rule: DestinationRule,
        outward: IOutward,
        local: ILocalRouter,
        token: _Token | None,
        recording: Recording | None,
    ) -> None:
        self.rule = rule
        self._outward = outward
        self._local = local
        self._token = token
        self._aside = None if recording is None else _Aside(rule, local, recording, outward)
        self._errand = outward.spawn(self._keep())

    def end(self) -> None:
        """End the link in order, and connect no more."""
        self._errand.cancel()
        if self._aside is not None:
            self._aside.end()

    async def _keep(self) -> None:
        await self._outward.keep(
            self._connect,
            gives_up=False,
            name=f"destination {shown(self.rule.id)}",
            longest_s=LONGEST_PAUSE_S,
        )

    async def _connect(self) -> ITunnelSession:
        token = self.rule.token if self._token is None else await self._token()
        session = await open_session(self._outward, self.rule.destination, token, TopicLink)
        self._local.enter(session, self._seat())
        self._outward.report(
            f"destination {shown(self.rule.id)}: {shown(self.rule.stream)} goes to "
            f"{shown_url(self.rule.destination)[:SHOWN_URL]}"
        )
        return session

    def _seat(self) -> Enter:
        if self._aside is not None:
            return Enter(self._aside.topic, writes=self.rule.is_two_way())
        return Enter(feed_topic(self.rule.stream), writes=self.rule.is_two_way())


class _Aside:
    """A topic between a feed and the one link of a rule that has a file.

    All that is said on the feed by others goes there by way of us, so that the file has what goes
    out and not what comes in; while the link is down, too.
    """

    def __init__(
        self, rule: DestinationRule, local: ILocalRouter, recording: Recording, outward: IOutward
    ) -> None:
        self.topic = TopicName(f"file:{rule.id}")
        self._outward = outward
        self._rule = rule
        self._recording = recording
        self._far: IResident = local.reside(self.topic, self._came_in)
        self._near: IResident = local.reside(feed_topic(rule.stream), self._goes_out)

    def end(self) -> None:
        """Give both seats up, and the file."""
        self._near.leave()
        self._far.leave()
        self._recording.close()

    def _goes_out(self, data: Data) -> None:
        error = self._recording.write(data.payload)
        if error is not None:
            self._outward.fault(f"destination {shown(self._rule.id)} records no more", error)
        self._far.say(data.payload, data.text)

    def _came_in(self, data: Data) -> None:
        if self._rule.is_two_way():
            self._near.say(data.payload, data.text)
