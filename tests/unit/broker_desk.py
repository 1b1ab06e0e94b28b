"""A broker at work, with the test as the far end of each of its links."""

from __future__ import annotations

import itertools

from relay.core.broker import Broker
from relay.core.session import Session
from relay.errors import RelayError
from relay.settings.model import Limits
from relay.vocabulary import (
    Answer,
    Call,
    CallKey,
    Event,
    Grant,
    Join,
    Message,
    Offer,
    OfferName,
    Reason,
    Rivalry,
    TopicName,
)
from tests.fakes import ControlTalk, MemoryLink, MuxTalk, Talk, World, grant, pump

NAME = OfferName("talk:1")
OTHER = OfferName("talk:2")
PENDING_S = 30.0
LATE_S = 0.5


class Party:
    """One link of the router, with the test as its far end."""

    def __init__(self, desk: Desk, talk: Talk, its_grant: Grant | None) -> None:
        self.talk = talk
        self.link = MemoryLink()
        label = f"link-{next(desk.numbers)}"
        self.session = Session(self.link, talk, desk.broker, desk.world.around, label, its_grant)
        desk.broker.add(self.session)
        self.session.opened()

    @property
    def reason(self) -> Reason | None:
        """Why the link ended, None while it lives."""
        return self.session.reason

    def told(self) -> list[bytes]:
        """What the router said in text."""
        pump(self.link)
        return self.link.texts()

    def keys(self) -> list[str]:
        """The keys of the calls that were announced here."""
        return [
            text.removeprefix(b"call:").decode() for text in self.told() if text[:5] == b"call:"
        ]

    def accepted(self) -> bool:
        """Whether the call that this link made was answered."""
        return b"accepted" in self.told()

    def payload(self) -> bytes:
        """What came for it."""
        pump(self.link)
        return b"".join(message.payload for message in self.link.sent if not message.text)

    def says(self, payload: bytes) -> None:
        """The far end sends payload."""
        self.link.arrive(Message(payload))

    def frames(self, kind: bytes) -> list[int]:
        """Streams of the frames of that kind, on a shared link."""
        pump(self.link)
        return [
            int.from_bytes(message.payload[1:5], "big")
            for message in self.link.sent
            if message.payload[:1] == kind
        ]

    def frame(self, kind: bytes, stream: int, body: bytes = b"") -> None:
        """A frame arrives on a shared link."""
        self.link.arrive(Message(kind + stream.to_bytes(4, "big") + body))


class Desk:
    """A broker and the world around it."""

    def __init__(self, limits: Limits | None = None, world: World | None = None) -> None:
        self.world = world or World()
        self.metrics = self.world.metrics
        self.numbers = itertools.count(1)
        self.bits = itertools.count(1)
        self.broker = Broker(self.world.limited(limits), lambda bits: next(self.bits))

    def party(
        self, talk: Talk, subject: str = "somebody", name: OfferName | TopicName | None = None
    ) -> Party:
        """A link with that conversation, begun."""
        return Party(self, talk, grant(talk.role, subject, name))

    def host(
        self,
        services: tuple[str, ...] | None = None,
        answer: Answer = Answer.ANNOUNCE,
        rivalry: Rivalry = Rivalry.NEWEST_WINS,
        subject: str = "host",
    ) -> Party:
        """A host of NAME that is told of calls."""
        return self.party(ControlTalk(Offer(NAME, answer, rivalry, services)), subject)

    def mux_host(self) -> Party:
        """A host of NAME that answers on streams of its link."""
        return self.party(MuxTalk(Offer(NAME, Answer.STREAM)))

    def responder(self) -> Party:
        """One of the links of NAME that wait for a call."""
        return self.party(Talk(Offer(NAME, Answer.QUEUE)))

    def caller(self, service: str = "", subject: str = "caller") -> Party:
        """A client that calls NAME."""
        return self.party(Talk(Call(NAME, service)), subject)

    def accepter(self, key: str, name: OfferName = NAME) -> Party:
        """A host's link that joins a call."""
        return self.party(Talk(Join(name, CallKey(key))), "host")

    def circuit(self) -> tuple[Party, Party]:
        """A caller and an accepter, joined."""
        caller = self.caller()
        (host,) = [s for s in self.broker.sessions if isinstance(s.conversation, ControlTalk)]
        assert isinstance(host.link, MemoryLink)
        pump(host.link)
        accepter = self.accepter(host.link.texts()[-1].removeprefix(b"call:").decode())
        return caller, accepter

    def is_clean(self) -> bool:
        """Whether nothing is remembered of names, calls and circuits."""
        broker = self.broker
        return not (
            broker.sessions
            or broker.circuits
            or broker.topics
            or broker._expiries
            or not broker.registry.is_empty()
        )


def refusal(desk: Desk, intent: Event | None, its_grant: Grant | None = None) -> type | None:
    """How the broker would refuse this before the handshake is over."""
    try:
        desk.broker.judge(intent, its_grant or grant())
    except RelayError as error:
        return type(error)
    return None


def call(party: Party, stream: int, name: OfferName = NAME) -> None:
    """A shared link's peer calls on one of its streams."""
    party.frame(b"O", stream, f"{name}\0".encode())
