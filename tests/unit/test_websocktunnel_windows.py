"""Windows of wsmux against originals of all ages (conformance checks 31 to 37)."""

from __future__ import annotations

import pytest

from relay.core.flow.credit import TAIL_STALL_S
from relay.dialects.websocktunnel.mux import SILENT_CALLS, SILENT_S
from relay.vocabulary import Close, Message, Reason, Reset
from relay.wire.wsmux import WINDOW_BYTES, Kind, encode_ack, encode_fin, encode_syn
from tests.fakes import MemoryLink, World, pump
from tests.unit.mux_rooms import End, host_end, router_end
from tests.unit.stream_rooms import Side
from tests.unit.wsmux_original import FragmentingLink, Original, OriginalStream

KiB = 1024
MiB = 1024 * KiB
SOME_BYTES = 1500


class Room:
    """Our router and an original host, one stream after the other."""

    def __init__(self, buffer: int) -> None:
        self.world = World()
        self.links = (MemoryLink(), FragmentingLink())
        self.links[0].far, self.links[1].far = self.links[1], self.links[0]
        self.original = Original(self.links[1], buffer, opens=False)
        self.router: End = router_end(self.world, self.links[0])

    def stream(self) -> tuple[Side, OriginalStream]:
        """A call that is accepted."""
        side = self.router.call()
        pump(*self.links)
        stream = list(self.original.streams.values())[-1]
        stream.accept()
        pump(*self.links)
        assert side.joined
        return side, stream

    def kinds(self) -> list[Kind]:
        """What our router sent, by kind."""
        pump(*self.links)
        return [Kind(message.payload[0]) for message in self.links[0].sent]


def echo(room: Room, stream: OriginalStream) -> None:
    """Read and write back, then finish behind the caller."""
    echoed = 0
    while True:
        stream.read(300)
        pump(*room.links)
        if echoed == len(stream.heard):
            break
        stream.write(bytes(stream.heard[echoed:]))
        echoed = len(stream.heard)
        pump(*room.links)
    if stream.got_fin:
        stream.close()
    pump(*room.links)


def test_numbers_of_streams() -> None:
    """The first stream that a router opens is 0, the second 2."""
    room = Room(KiB)
    assert [room.stream()[1].number, room.stream()[1].number] == [0, 2]


def test_an_echo_through_a_small_window_behind_the_writers_fin() -> None:
    """A hundred writers that said FIN first still get all of it back."""
    room = Room(KiB)
    pairs = [room.stream() for _ in range(100)]
    for number, (side, _) in enumerate(pairs):
        side.say(bytes([number]) * SOME_BYTES)
        side.finish()
        pump(*room.links)
    for number, (side, stream) in enumerate(pairs):
        echo(room, stream)
        assert side.stream.payload() == bytes([number]) * SOME_BYTES
        assert side.over
        assert stream.over
    assert room.router.clean()


@pytest.mark.parametrize(
    ("size", "buffer"), [(32 * KiB, KiB), (4 * MiB, 4 * KiB)], ids=["32 KiB", "4 MiB"]
)
def test_much_through_a_small_window(size: int, buffer: int) -> None:
    """Both ways, whole and unchanged; our memory is the peer's window, not the body."""
    room = Room(buffer)
    side, stream = room.stream()
    body = bytes(range(256)) * (size // 256)
    side.say(body)
    stream.write(body)
    pump(*room.links)
    most = 0
    while len(stream.heard) < size:
        before = len(stream.heard)
        most = max(most, len(stream._unread))
        stream.read(32 * KiB)
        pump(*room.links)
        assert len(stream.heard) > before
    assert bytes(stream.heard) == body
    assert side.stream.payload() == body
    assert most == buffer


def test_a_download_that_waits_costs_what_the_original_believes() -> None:
    """A viewer that does not read holds one window of its host's, however much is to come."""
    for buffer in (KiB, 4 * KiB, WINDOW_BYTES):
        room = Room(buffer)
        side, stream = room.stream()
        side.stream.stop_reading()
        stream.write(bytes(2 * buffer))
        pump(*room.links)
        assert buffer <= room.router.held_bytes() <= buffer + buffer // 4 + KiB
        side.stream.read_on()
        pump(*room.links)
        assert len(side.stream.payload()) == 2 * buffer


def test_a_peer_that_takes_twelve_bytes_is_sent_twelve() -> None:
    """And no more, ever; when the writer leaves, its tail is given up in time."""
    world, link = World(), MemoryLink()
    router = router_end(world, link)
    side = router.call()
    link.arrive(Message(encode_ack(0, 12)))
    side.say(b"more than twelve bytes")
    side.stream.hang_up()
    world.passes(TAIL_STALL_S + 1)
    pump(link)
    assert [message.payload for message in link.sent] == [
        encode_syn(0),
        b"\0\0\0\0\0more than tw",
        encode_fin(0),
    ]
    assert world.ledger.total == 0


@pytest.mark.parametrize(
    "message",
    [
        Message(b"\2\2\0\0\0\0\0"),
        Message(encode_syn(0), text=True),
        Message(b""),
        Message(b"\1\2\0\0"),
        Message(b"\4\0\0\0\0"),
        Message(b"\1\0\0\0\0\xff"),
        Message(b"\3\0\0\0\0\xff"),
    ],
)
@pytest.mark.parametrize("role", ["router", "host"])
def test_faults_are_told_with_1008(role: str, message: Message) -> None:
    """And end that link, whichever side we are."""
    world, link = World(), MemoryLink()
    end = router_end(world, link) if role == "router" else host_end(world, link, 9, 9)
    link.arrive(message)
    pump(link)
    assert link.close_sent == Close(1008, "protocol-error")
    assert end.session.reason is Reason.PROTOCOL_ERROR


def test_one_that_sends_beyond_4_mib_is_told_so() -> None:
    """``NeverWaits``: its link ends with 1008, with a window of it in our memory until then."""
    world, link = World(), MemoryLink()
    router = router_end(world, link)
    side = router.call()
    link.arrive(Message(encode_ack(0, WINDOW_BYTES)))
    side.stream.stop_reading()
    for _ in range(4):
        link.arrive(Message(b"\0\0\0\0\0" + bytes(MiB)))
    assert router.session.reason is None
    link.arrive(Message(b"\0\0\0\0\0x"))
    pump(link)
    assert link.close_sent == Close(1008, "protocol-error")


def test_a_late_ack_is_answered_with_one_fin() -> None:
    """A call that was given up is accepted late: its stream ends in order, and others go on."""
    room = Room(KiB)
    room.router.call()
    pump(*room.links)
    room.router.session.end_stream(0, Reason.HOST_SILENT)
    assert room.kinds() == [Kind.SYN]
    late = room.original.streams[0]
    late.accept()
    late.write(bytes(3 * KiB))
    late.close()
    assert room.kinds() == [Kind.SYN, Kind.FIN, Kind.ACK]
    assert late.over
    assert room.router.clean()
    side, stream = room.stream()
    side.say(b"hi")
    pump(*room.links)
    stream.read(2)
    assert stream.heard == b"hi"


def test_a_host_that_never_accepts_is_dropped() -> None:
    """Several calls in a row that were given up end the link, and say why."""
    room = Room(KiB)
    for number in range(SILENT_CALLS):
        room.router.call()
        room.router.session.end_stream(2 * number, Reason.HOST_SILENT)
    room.world.passes(SILENT_S - 1)
    assert room.router.session.reason is None
    room.world.passes(2)
    pump(*room.links)
    assert room.router.session.reason is Reason.HOST_SILENT
    assert room.original.close == Close(1011, "host-silent")


def test_a_host_that_refuses_a_call_frees_it() -> None:
    """Our host accepts and finishes at once; an original router's request is dropped."""
    world = World()
    links = (MemoryLink(), FragmentingLink())
    links[0].far, links[1].far = links[1], links[0]
    original = Original(links[1], WINDOW_BYTES, opens=True)
    host = host_end(world, links[0], KiB, WINDOW_BYTES)
    stream = original.open()
    pump(*links)
    host.session.perform(Reset(Reason.TARGET_REFUSED, 0))
    stream.write(bytes(10 * KiB))
    pump(*links)
    assert stream.got_fin
    stream.close()
    pump(*links)
    assert stream.over
    assert host.clean()
