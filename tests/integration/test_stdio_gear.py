"""Standard input and output in the cut-through gear: looked at by the hub, written to unread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.epollreactor import EPollReactor

from relay.core.liveness import Wheel
from relay.core.stream import join
from relay.links.cutthrough import Hub
from relay.links.stdio import QUEUE_BYTES, IReactor, StdioStream
from relay.vocabulary import Reason
from tests.fakes import FakeStream
from tests.unit.stdio_pipes import UserPipes

pytestmark = pytest.mark.cut_through

CHUNK = bytes(range(256)) * 256


class Pipes(UserPipes):
    """A stream over two pipes, joined with a fake; the test is reactor and user."""

    def __init__(self, stdin: int | None = None) -> None:
        super().__init__()
        self.reactor = EPollReactor()
        self.hub = Hub(self.reactor)
        self.stream = StdioStream(
            cast(IReactor, self.reactor),
            self.gone.append,
            self.stdin if stdin is None else stdin,
            self.stdout,
            self.hub,
        )
        self.far = FakeStream()
        join("x", self.far, self.stream, Wheel(self.reactor), lambda _: None)

    def put(self, data: bytes) -> bool:
        """Payload comes for the output. :returns: whether there is room for more"""
        return self.stream.put(memoryview(data), ((0, len(data), True),), False)

    def taken(self) -> bytes:
        """:returns: what the user of the output finds now"""
        try:
            return os.read(self.output, 1 << 24)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        super().close()
        self.reactor.disconnectAll()


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    made.close()


def test_the_hub_reads(pipes: Pipes) -> None:
    """What comes goes to the partner, and nothing once that has asked for a pause."""
    os.write(pipes.input, b"one")
    pipes.hub.doRead()
    assert pipes.far.payload() == b"one"
    pipes.stream.pause()
    os.write(pipes.input, b"two")
    pipes.hub.doRead()
    assert pipes.far.payload() == b"one"
    pipes.stream.resume()
    pipes.hub.doRead()
    assert pipes.far.payload() == b"onetwo"


def test_the_end_of_the_input(pipes: Pipes) -> None:
    """It is told once, behind what came before."""
    os.write(pipes.input, b"last")
    pipes.leave("input")
    pipes.hub.doRead()
    pipes.hub.doRead()
    assert pipes.far.payload() == b"last"
    assert pipes.far.events.count("finish") == 1


def test_large_input_comes_whole(pipes: Pipes) -> None:
    """Portions grow while they come full; nothing is lost between two of them."""
    sent = 0
    os.set_blocking(pipes.input, False)
    for _ in range(40):
        sent += os.write(pipes.input, CHUNK)
        pipes.hub.doRead()
    pipes.hub.doRead()
    assert len(pipes.far.payload()) == sent


def test_a_file_is_looked_at_by_the_reactor(tmp_path: Path) -> None:
    """The kernel cannot tell when there is something to read in it, as there always is."""
    path = tmp_path / "input"
    path.write_bytes(b"text")
    fd = os.open(path, os.O_RDONLY)
    made = Pipes(fd)
    made.hub.doRead()
    assert made.far.payload() == b""
    made.close()
    os.close(fd)


def test_output_is_written_from_where_it_lies(pipes: Pipes) -> None:
    """Nothing is kept of what the pipe takes at once."""
    assert pipes.put(b"straight")
    assert pipes.taken() == b"straight"


def test_output_that_is_not_taken_is_kept_in_order(pipes: Pipes) -> None:
    """Up to a bound, behind which the other side waits until all of it was taken."""

    class Inlet:
        unblocked = 0

        def unblock(self) -> None:
            self.unblocked += 1

    inlet = Inlet()
    pipes.stream.feed(inlet)  # type: ignore[arg-type]  # as far as an outlet cares
    sent = b""
    while True:
        chunk = CHUNK[len(sent) % 251 :]
        sent += chunk
        if not pipes.put(chunk):
            break
    assert pipes.stream.room() == 0
    assert inlet.unblocked == 0
    taken = b""
    while len(taken) < len(sent):
        taken += pipes.taken()
        if pipes.stream.room() < QUEUE_BYTES:
            pipes.stream.drain()
    assert taken == sent
    assert inlet.unblocked == 1
    assert pipes.stream.room() == QUEUE_BYTES


def test_output_that_nobody_reads_any_more(pipes: Pipes) -> None:
    """It is the end of the stream, and costs the inlet nothing."""
    pipes.leave("output")
    assert pipes.put(b"x")
    pipes.reactor.runUntilCurrent()
    pipes.reactor.runUntilCurrent()
    assert pipes.gone == [Reason.PEER_CLOSED]
