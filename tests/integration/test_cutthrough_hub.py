"""The hub serves all sockets in turns, and an end that fails or goes harms no other.

Sockets are pairs of this process; what is served is asked for by the test, so nothing is timed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from relay.links.cutthrough import Hub, RawEnd
from relay.links.cutthrough.channel import PlainChannel
from tests.rawpeer import the_reactor, until

pytestmark = pytest.mark.cut_through

HERE = IPv4Address("TCP", "127.0.0.1", 1)
CHUNK = b"x" * 65536


class Local:
    """The application's side of an end, and the far side of its socket.

    :param served: gets the name each time that bytes come
    :ivar lost: why the end is over
    """

    def __init__(
        self,
        hub: Hub,
        name: str,
        served: list[str],
        channel: Callable[[socket.socket], PlainChannel],
    ) -> None:
        self.name = name
        self.served = served
        self.data = b""
        self.lost: list[Failure] = []
        self.ended = False
        self.on_data: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None
        near, self.far = socket.socketpair()
        for handle in (near, self.far):
            handle.setblocking(False)
        self.end = RawEnd(hub, channel(near), b"", self, HERE, HERE)
        self.end.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        self.served.append(self.name)
        self.data += data
        self.on_data()

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        """Our half-close is out."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(reason)
        self.on_lost()

    def fill(self) -> int:
        """Send from the far side all that fits. :returns: how much that is"""
        sent = 0
        try:
            while True:
                sent += self.far.send(CHUNK)
        except BlockingIOError:
            return sent


@pytest.fixture
def locals_() -> Iterator[Callable[..., Local]]:
    """Makes ends of one hub in the running reactor; all are gone after the test."""
    hub = Hub(the_reactor())
    made: list[Local] = []
    served: list[str] = []

    def make(
        name: str = "end",
        hub: Hub = hub,
        channel: Callable[[socket.socket], PlainChannel] = PlainChannel,
    ) -> Local:
        made.append(Local(hub, name, served, channel))
        return made[-1]

    yield make
    for each in made:
        each.on_data = each.on_lost = lambda: None
        each.far.close()
        each.end.lose_now(Failure(ConnectionDone()))


@pytest.mark.parametrize("count", [1, 20, 400])
@pytest_twisted.ensureDeferred
async def test_small_ones_are_served_before_the_big_one_again(
    locals_: Callable[..., Local], count: int
) -> None:
    """However much one has, it gets its share, and then everybody else who is ready is served."""
    bulk = locals_("bulk")
    small = [locals_(f"small {number}") for number in range(count)]
    for round_ in range(5):
        bulk.fill()
        for each in small:
            each.far.send(b"small")
        bulk.served.clear()
        while set(bulk.served) != {"bulk", *(each.name for each in small)}:
            bulk.end.hub.doRead()
        again = [place for place, name in enumerate(bulk.served) if name == "bulk"][1:2]
        first = [bulk.served.index(each.name) for each in small]
        assert max(first) < (again or [len(bulk.served)])[0], round_
    assert {each.data for each in small} == {b"small" * 5}


@pytest_twisted.ensureDeferred
async def test_a_share_is_bounded(locals_: Callable[..., Local]) -> None:
    """Two that are ready all the time take turns, each with no more than a share."""
    first, second = locals_("first"), locals_("second")
    total = {each.name: 0 for each in (first, second)}
    for _ in range(10):
        for each in (first, second):
            total[each.name] += each.fill()
        first.served.clear()
        while not {"first", "second"} <= set(first.served):
            first.end.hub.doRead()
        for one, other in zip(first.served[::2], first.served[1::2], strict=False):
            assert one != other
    for each in (first, second):
        while len(each.data) < total[each.name]:
            each.end.hub.doRead()
        assert each.data == b"x" * total[each.name]


@pytest_twisted.ensureDeferred
async def test_one_that_fails_harms_no_other(
    locals_: Callable[..., Local], expected_log_errors: Callable[..., list[Any]]
) -> None:
    """In the same poll the others are served; the one that failed is told of its end."""

    def fails() -> None:
        raise RuntimeError("a mistake")

    ends = [locals_(f"end {number}") for number in range(3)]
    ends[1].on_data = fails
    for each in ends:
        each.far.send(b"x")
    await until(lambda: (ends[0].data and ends[2].data and ends[1].lost) or None, "service")
    assert len(expected_log_errors(RuntimeError)) == 1
    ends[0].far.send(b"y")
    await until(lambda: ends[0].data == b"xy" or None, "more service")
    assert not ends[0].lost
    assert not ends[2].lost


@pytest_twisted.ensureDeferred
async def test_one_that_cannot_even_be_told(
    locals_: Callable[..., Local], expected_log_errors: Callable[..., list[Any]]
) -> None:
    """An application that fails twice harms nobody else either."""

    def fails() -> None:
        raise RuntimeError("a mistake")

    bad, good = locals_("bad"), locals_("good")
    bad.on_data = bad.on_lost = fails
    bad.far.send(b"x")
    await until(lambda: bad.lost or None, "end")
    good.far.send(b"x")
    await until(lambda: good.data or None, "service")
    assert len(expected_log_errors(RuntimeError)) == 2


@pytest_twisted.ensureDeferred
async def test_one_ends_another_that_is_ready_too(locals_: Callable[..., Local]) -> None:
    """What was ready in the same poll and is gone is not served; its number may be another's."""
    ends = [locals_(f"end {number}") for number in range(2)]
    for each, other in (ends, ends[::-1]):
        each.on_data = partial(other.end.lose_now, Failure(ConnectionDone()))
        each.far.send(b"x")
    await until(lambda: ends[0].lost or ends[1].lost or None, "end")
    assert sorted(len(each.lost) for each in ends) == [0, 1]
    assert sorted(each.data for each in ends) == [b"", b"x"]
    # the numbers of both descriptors are free, and get other owners
    again = locals_("again")
    again.far.send(b"x")
    await until(lambda: again.data or None, "service")


@pytest_twisted.ensureDeferred
async def test_the_last_goes_and_the_next_comes_in_one_turn(
    locals_: Callable[..., Local],
) -> None:
    """A hub that was empty for a moment serves the newcomer, who is not taken for lost."""
    last = locals_("last")
    came: list[Local] = []

    def replace() -> None:
        last.end.lose_now(Failure(ConnectionDone()))
        came.append(locals_("next"))
        came[0].far.send(b"y")

    last.on_data = replace
    last.far.send(b"x")
    await until(lambda: (came and (came[0].data or came[0].lost)) or None, "service")
    assert (came[0].data, came[0].lost) == (b"y", [])


@pytest_twisted.ensureDeferred
async def test_the_reactor_stops_with_open_ends(locals_: Callable[..., Local]) -> None:
    """Each is told of its loss once, and its descriptor is closed."""
    reactor = EPollReactor()
    hub = Hub(reactor)
    ends = [locals_(f"end {number}", hub) for number in range(3)]
    ends[0].end.pauseProducing()
    ends[1].fill()
    ends[1].end.write(CHUNK * 100)
    reactor.disconnectAll()
    assert [len(each.lost) for each in ends] == [1, 1, 1]
    assert [each.end.getHandle().fileno() for each in ends] == [-1, -1, -1]


@pytest_twisted.ensureDeferred
async def test_an_end_that_went_takes_nothing(locals_: Callable[..., Local]) -> None:
    """Whatever is still asked of it, in whatever order."""
    gone = locals_("gone")
    gone.end.lose_now(Failure(ConnectionDone()))
    gone.end.write(b"x")
    gone.end.resumeProducing()
    gone.end.pauseProducing()
    gone.end.loseWriteConnection()
    gone.end.loseConnection()
    gone.end.abortConnection()
    gone.end.forward(None, None)
    assert gone.end.put(memoryview(bytearray(b"x")), ((0, 1, True),), False)
    stays = locals_("stays")
    stays.far.send(b"x")
    await until(lambda: stays.data or None, "service")
    assert len(gone.lost) == 1


class _Answers(PlainChannel):
    """Has something to say to whatever it reads, as TLS to a KeyUpdate; it waits for a flush.

    :ivar only: nothing but that is in what comes
    """

    secure = True
    only = False

    def __init__(self, handle: socket.socket) -> None:
        super().__init__(handle)
        self.answer = b""

    def recv_into(self, view: memoryview, size: int) -> int:
        count = super().recv_into(view, size)
        self.answer = b"answer"
        if self.only and count:
            raise BlockingIOError
        return count

    def waiting_bytes(self) -> int:
        return len(self.answer)

    def flush(self) -> None:
        if self.answer:
            self.answer = self.answer[self.socket.send(self.answer) :]


@pytest.mark.parametrize("only", [False, True], ids=["beside-payload", "alone"])
@pytest_twisted.ensureDeferred
async def test_what_a_read_leaves_to_be_sent(locals_: Callable[..., Local], only: bool) -> None:
    """TLS answers by itself; what the kernel did not take at once goes out before all else."""
    local = locals_(channel=_Answers)
    assert isinstance(local.end.channel, _Answers)
    local.end.channel.only = only
    came = b""

    def hear(wanted: bytes) -> bool | None:
        nonlocal came
        try:
            came += local.far.recv(100)
        except BlockingIOError:
            return None
        return came == wanted or None

    local.far.send(b"renew")
    await until(lambda: hear(b"answer"), "answer")
    assert local.data == (b"" if only else b"renew")
    local.end.write(b", and more")
    await until(lambda: hear(b"answer, and more"), "more")
