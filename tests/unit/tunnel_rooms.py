"""Both ends of an agent's link of network-relay in memory; each tunnel ends in the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from relay.auth import verify
from relay.core.session import Session
from relay.dialects.network_relay.agents import AgentLink
from relay.dialects.network_relay.serving import ServingLink
from relay.dialects.network_relay.tunnels import TunnelsLink
from relay.errors import CallGone
from relay.interfaces import ILink, IStream
from relay.vocabulary import Accept, Event, Granted, Hello, Message, Offer
from relay.wire.wsmux import FrameReader
from tests.dialects.network_relay_samples import AGENT, AGENT_SECRET, OFFER
from tests.fakes import FakeStream, SplittingLink, World
from tests.unit.stream_rooms import Room

OVER = ("connection_close", "connection_reset", "initiate_connection_error")


class TellingLink(SplittingLink):
    """A link that splits, and keeps what is said on it.

    :ivar said: every message, in order, those that nobody has taken too
    """

    said: list[Message]

    def send_message(self, message: Message) -> None:
        """Keep it, and send it."""
        self.said = [*getattr(self, "said", ()), message]
        super().send_message(message)


class TunnelsEnd(Room[TunnelsLink[Any]]):
    """A session of ours."""

    def answer(self, number: int) -> None:
        """The agent has connected; a call that is over by then is let go."""
        try:
            super().answer(number)
        except CallGone:
            self.sides[number].joined = True

    def accepted(self, session: Session, event: Accept) -> None:
        """A call was answered; a welcome has no call."""
        if event.stream in self.sides and event.stream in self.session.streams():
            super().accepted(session, event)

    def is_clean(self) -> bool:
        """Whether nothing is left of any tunnel."""
        talk = self.talk
        left = [self.session.streams(), talk._tunnels, talk._numbers]
        if isinstance(talk, ServingLink):
            left += [talk._ending]
        return not any(left)

    def _asked(self, session: Session, event: Event) -> None:
        if isinstance(event, Hello):
            assert isinstance(self.talk, AgentLink)
            grant = self.talk.grant(verify(event.credential, 0.0))
            self.session.perform(Granted(grant))
        elif not isinstance(event, Offer):
            super()._asked(session, event)

    def _ends(self, number: int) -> tuple[IStream, IStream]:
        stream, side = super()._ends(number)
        return (stream, side) if isinstance(self.talk, ServingLink) else (side, stream)


def router_end(
    world: World,
    link: ILink,
    binary: bool,
    window: int,
    make: Callable[[], FakeStream] = FakeStream,
) -> TunnelsEnd:
    """The router's end.

    :param window: bytes that an agent of ours may send ahead
    """
    kind = type("AgentLink", (AgentLink,), {"window_bytes": window, "__slots__": ()})
    bits = iter(range(1, 1 << 20))
    secrets = {AGENT: (AGENT_SECRET,)}
    talk = kind(lambda name: secrets.get(name, ()), lambda _: next(bits), binary)
    return TunnelsEnd(OFFER, world, link, talk, make)


def agent_end(
    world: World,
    link: ILink,
    binary: bool,
    window: int,
    make: Callable[[], FakeStream] = FakeStream,
) -> TunnelsEnd:
    """Our agent's end; as :func:`router_end`."""
    kind = type("ServingLink", (ServingLink,), {"window_bytes": window, "__slots__": ()})
    return TunnelsEnd(OFFER, world, link, kind(AGENT, AGENT_SECRET, None, binary), make)


def behind_ends(said: Iterable[Message], numbers: dict[str, int]) -> list[Message]:
    """What was said of a tunnel behind its end, but for one more close.

    :param numbers: streams by id
    """
    over: set[int] = set()
    late = []
    reader = FrameReader()
    for message in said:
        if not message.text:
            frame = reader.feed(message)
            if frame is not None and frame.stream in over:
                late.append(message)
            continue
        inner = json.loads(message.payload)["inner"]
        number = numbers.get(inner.get("connection_id", ""), -1)
        if number in over and inner["kind"] not in OVER:
            late.append(message)
        if inner["kind"] in OVER:
            over.add(number)
    return late


def numbers_by_id(said: Iterable[Message]) -> dict[str, int]:
    """The streams of all ids that a router has said, in the order of its calls."""
    messages = [json.loads(message.payload)["inner"] for message in said if message.text]
    asked = [inner for inner in messages if inner["kind"] == "initiate_connection"]
    return {inner["connection_id"]: number for number, inner in enumerate(asked)}
