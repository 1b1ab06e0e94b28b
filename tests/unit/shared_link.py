"""A link of many streams, with the test as its far end and as the reader of each stream."""

from __future__ import annotations

from relay.core.session import Session
from relay.core.stream import Circuit, join
from relay.vocabulary import Carries, Message
from tests.fakes import (
    DEFAULT_WINDOW_BYTES,
    HALF_CLOSE,
    CreditTalk,
    FakeStream,
    FakeSwitch,
    MemoryLink,
    MuxTalk,
    World,
    pump,
)

WINDOW = DEFAULT_WINDOW_BYTES


class Shared:
    """A shared link of which the test is the far end, and a reader for each of its streams."""

    def __init__(self, talk: MuxTalk, world: World | None = None) -> None:
        self.world = world or World()
        self.talk = talk
        self.link = MemoryLink()
        self.switch = FakeSwitch()
        self.session = Session(self.link, talk, self.switch, self.world.around, "shared")
        self.session.opened()
        self.circuits: dict[int, Circuit] = {}

    def stream(self, number: int, carries: Carries = HALF_CLOSE, credit: int = 0) -> FakeStream:
        """Join stream ``number`` with a reader of its own."""
        reader = FakeStream(carries, f"reader-{number}")
        stream = self.session.open_stream(number, credit)
        self.circuits[number] = join("n", stream, reader, self.world.wheel, lambda _: None)
        return reader

    def data(self, number: int, payload: bytes, final: bool = True, text: bool = False) -> None:
        """Payload arrives on stream ``number``."""
        flags = bytes([text + 2 * final])
        self.frame(b"D", number, flags + payload)

    def frame(self, kind: bytes, number: int, body: bytes = b"") -> None:
        """A frame arrives."""
        self.link.arrive(Message(kind + number.to_bytes(4, "big") + body))

    def sent(self, kind: bytes) -> list[tuple[int, bytes]]:
        """Stream and body of the frames of that kind which the far end took."""
        pump(self.link)
        return [
            (int.from_bytes(message.payload[1:5], "big"), message.payload[5:])
            for message in self.link.sent
            if message.payload[:1] == kind
        ]

    def payload_sent(self, number: int) -> bytes:
        """All payload that went out on stream ``number``."""
        return b"".join(body[1:] for stream, body in self.sent(b"D") if stream == number)


def credit_link(window: int = WINDOW, world: World | None = None) -> Shared:
    """A link with windows."""
    world = world or World(window_bytes=window)
    return Shared(CreditTalk(window_bytes=window), world)


def creditless_link(world: World | None = None) -> Shared:
    """A link without."""
    return Shared(MuxTalk(), world)
