"""An exchange between a viewer and a host that the test plays both."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IPushProducer

from relay.core.stream import Circuit, join
from relay.errors import RelayError
from relay.faces import Forwarding
from relay.http import Request
from relay.links.viewer.exchange import Exchange
from relay.vocabulary import Call, OfferName, Reason
from tests.fakes import FakeStream, World

NAME = OfferName("websocktunnel:demo")
OK = b"HTTP/1.1 200 OK\r\nDate: x\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = (("connection", "Upgrade"), ("upgrade", "x"))
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"


class FakeTransport:
    """Records what a viewer is sent; takes it all, unless :attr:`stuck`.

    :ivar reading: whether we read from the viewer
    :ivar producer: who is told when there is no room
    :ivar dataBuffer: what the viewer has yet to take, as Twisted names it
    :ivar calls: what else was asked of it, in order
    """

    def __init__(self) -> None:
        self.sent = b""
        self.reading = True
        self.stuck = False
        self.producer: IPushProducer | None = None
        self.calls: list[str] = []
        self.dataBuffer = b""

    def write(self, data: bytes) -> None:
        """Send."""
        assert "half-close" not in self.calls, "bytes behind our end"
        self.sent += data
        if self.stuck and self.producer is not None:
            self.producer.pauseProducing()

    def take(self) -> None:
        """The viewer takes what was sent."""
        self.stuck = False
        if self.producer is not None:
            self.producer.resumeProducing()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """As Twisted's: one at a time."""
        assert self.producer is None, "two producers"
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Nobody cares any more."""
        self.producer = None

    def pauseProducing(self) -> None:
        """Read nothing."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read on."""
        self.reading = True

    def loseWriteConnection(self) -> None:
        """Our half is over."""
        self.calls.append("half-close")

    def getHost(self) -> IPv4Address:
        """Where nothing can be known of the other end: there is no handle."""
        return IPv4Address("TCP", "192.0.2.1", 80)

    getPeer = getHost


class FakeVisit:
    """The connection of a request; what it is told is recorded.

    :ivar told: ``failed REASON``, ``kept``, ``closed`` or ``broken``, in order
    :ivar waiting: what came behind the request's head and nobody has asked for
    """

    def __init__(self, waiting: bytes = b"", secure: bool = False) -> None:
        self.transport = FakeTransport()
        self.secure = secure
        self.told: list[str] = []
        self.errors: list[RelayError] = []
        self.waiting = waiting

    def early(self) -> bytes:
        """What came behind the head."""
        early, self.waiting = self.waiting, b""
        return early

    def unread(self, rest: bytes) -> None:
        """Of the next request."""
        self.waiting += rest

    def read_on(self) -> None:
        """Read on, as far as the visit wants to."""
        self.transport.calls.append("read on")
        self.transport.reading = True

    def half_close(self) -> bool:
        """Say that nothing more comes."""
        if not self.secure:
            self.transport.loseWriteConnection()
        return not self.secure

    def failed(self, error: RelayError) -> None:
        """There is no answer."""
        self.errors.append(error)
        self._tell(f"failed {error.reason.value}")

    def answered(self, keep: bool) -> None:
        """The answer is out."""
        self._tell("kept" if keep else "closed")

    def broken(self) -> None:
        """The answer was cut."""
        self._tell("broken")

    def _tell(self, what: str) -> None:
        assert self.transport.producer is None, "a producer is left behind"
        self.told.append(what)


class Scene:
    """A viewer, its exchange, and a host's stream.

    :ivar host: the stream; joined at once, unless told otherwise
    """

    def __init__(
        self,
        *headers: tuple[str, str],
        method: str = "GET",
        version: str = "1.1",
        waiting: bytes = b"",
        secure: bool = False,
        joined: bool = True,
    ) -> None:
        self.world = World()
        self.visit = FakeVisit(waiting, secure)
        self.wire = self.visit.transport
        fields = (("host", "h"), *headers)
        request = Request(method, "/demo/", "/demo/", "", fields, "192.0.2.7", version)
        forwarding = Forwarding(Call(NAME), "/", fields)
        self.exchange = Exchange(self.visit, self.world.wheel, request, forwarding, "viewer")
        self.host = FakeStream()
        self.ends: list[Circuit] = []
        self.circuit: Circuit | None = None
        if joined:
            self.join()

    def join(self) -> None:
        """The host has accepted the call."""
        self.circuit = join(
            NAME, self.exchange, self.host, self.world.wheel, self.ends.append, idle_s=0
        )

    @property
    def told(self) -> list[str]:
        """What the visit was told."""
        return self.visit.told

    @property
    def sent(self) -> bytes:
        """What the viewer was sent."""
        return self.wire.sent

    def reason(self) -> Reason | None:
        """Why the circuit ended, which was told once; None: it has not."""
        assert len(self.ends) < 2
        return self.ends[0].reason if self.ends else None

    def asked(self) -> bytes:
        """What the host got behind the request's head."""
        return self.host.payload().partition(b"\r\n\r\n")[2]
