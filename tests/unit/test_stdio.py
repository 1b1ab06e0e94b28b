"""Standard input and output as a stream: real pipes, a clock, and no reactor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import cast

import pytest
from twisted.internet.task import Clock

from relay.core.liveness import Wheel
from relay.core.stream import Stream, join
from relay.links.stdio import QUEUE_BYTES, IReactor, StdioStream
from relay.vocabulary import Carries, Close, Data, Reason
from tests.unit.stdio_pipes import UserPipes

KiB = 1024


class Watch(Clock):
    """A clock that also knows which descriptors are watched; ``turn`` serves them all once."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[object] = []
        self.writers: list[object] = []
        for name, watched in (("Reader", self.readers), ("Writer", self.writers)):
            setattr(self, f"add{name}", lambda one, to=watched: one in to or to.append(one))
            setattr(self, f"remove{name}", lambda one, to=watched: one in to and to.remove(one))

    def turn(self) -> None:
        """Serve what is watched now, as a reactor whose descriptors are all ready."""
        for reader in tuple(self.readers):
            reader.doRead()  # type: ignore[attr-defined]  # an IReadDescriptor
        for writer in tuple(self.writers):
            writer.doWrite()  # type: ignore[attr-defined]  # an IWriteDescriptor
        self.advance(0)


class Far(Stream):
    """The other side of the circuit: notes what it is told."""

    def __init__(self) -> None:
        super().__init__(Carries(half_close=True), "far")
        self.told: list[object] = []

    def send(self, data: Data) -> None:
        self.told.append(data.payload)

    def finish(self) -> None:
        self.told.append("finish")

    def reset(self, reason: Reason, close: Close | None) -> None:
        self.told.append(reason)

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def is_paused(self) -> bool:
        return False


class Pipes(UserPipes):
    """A stream over two pipes, and the ends that a user would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()
        self.far = Far()
        self.stream = StdioStream(
            cast(IReactor, self.watch), self.gone.append, self.stdin, self.stdout
        )

    def join(self) -> None:
        """Make the circuit, and forget what that told the other side."""
        join("x", self.stream, self.far, Wheel(self.watch), lambda _: None)
        self.far.told.clear()

    def take(self) -> bytes:
        """:returns: what the output holds now"""
        return os.read(self.output, 16 * 1024 * KiB)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """A stream over pipes, without a partner."""
    made = Pipes()
    yield made
    made.close()


def test_nothing_is_read_without_a_partner(pipes: Pipes) -> None:
    """Input waits for the circuit."""
    os.write(pipes.input, b"early")
    assert pipes.watch.readers == []
    pipes.join()
    pipes.watch.turn()
    assert pipes.far.told == [b"early"]


def test_each_direction_ends_by_itself(pipes: Pipes) -> None:
    """The end of the input is told, and output still comes; its end closes the pipe."""
    pipes.join()
    pipes.leave("input")
    pipes.watch.turn()
    assert pipes.far.told == ["finish"]
    pipes.stream.send(Data(b"late"))
    assert pipes.take() == b"late"
    assert pipes.stream.circuit is not None
    pipes.stream.circuit.finished(pipes.far)
    pipes.watch.turn()
    assert pipes.take() == b""
    assert pipes.gone == [Reason.FINISHED]


def test_output_ends_before_input(pipes: Pipes) -> None:
    """The reader sees the end of the output, though this process keeps the descriptor."""
    pipes.join()
    pipes.stream.send(Data(b"all"))
    pipes.stream.finish()
    assert pipes.take() == b"all"
    assert pipes.take() == b""
    os.write(pipes.input, b"more")
    pipes.watch.turn()
    assert pipes.far.told == [b"more"]


def test_a_cut_is_not_an_end(pipes: Pipes) -> None:
    """What was sent comes out, but no end: that is for whoever knows why it was cut to show."""
    pipes.join()
    pipes.stream.send(Data(b"half"))
    pipes.stream.reset(Reason.LOST, None)
    pipes.watch.turn()
    assert pipes.gone == [Reason.LOST]
    assert pipes.take() == b"half"
    with pytest.raises(BlockingIOError):
        pipes.take()
    pipes.leave("stdout")
    assert pipes.take() == b""


def test_full_output(pipes: Pipes) -> None:
    """A reader that takes nothing pauses the sender; what was sent before the end comes whole."""
    pipes.join()
    sent = b""
    while "pause" not in pipes.far.told:
        chunk = os.urandom(100 * KiB)
        pipes.stream.send(Data(chunk))
        sent += chunk
    pipes.stream.reset(Reason.FINISHED, None)
    came = b""
    while not pipes.gone:
        came += pipes.take()
        pipes.watch.turn()
    assert len(sent) > QUEUE_BYTES
    while rest := pipes.take():
        came += rest
    assert came == sent
    assert pipes.far.told == ["pause", "resume"]


def test_reader_leaves_with_bytes_waiting(pipes: Pipes) -> None:
    """What can no longer be written is a fault, and ends the circuit."""
    pipes.join()
    pipes.leave("output")
    pipes.stream.send(Data(b"x"))
    pipes.watch.turn()
    assert isinstance(pipes.stream.fault, BrokenPipeError)
    assert pipes.far.told == [Reason.PEER_CLOSED]
    pipes.watch.turn()
    assert pipes.gone == [Reason.PEER_CLOSED]


def test_both_ends_leave(pipes: Pipes) -> None:
    """An input that ends when nobody reads the output any more ends the circuit in order.

    Whichever is noticed first, a reader that left is a fault.
    """
    pipes.join()
    pipes.leave("output")
    pipes.leave("input")
    pipes.watch.turn()
    assert pipes.far.told == [Reason.FINISHED]
    assert isinstance(pipes.stream.fault, BrokenPipeError)
    pipes.watch.turn()
    assert pipes.gone == [Reason.PEER_CLOSED]


@pytest.mark.parametrize("ended", [False, True])
def test_hang_up(pipes: Pipes, ended: bool) -> None:
    """What was written still goes out; the end is in order only if the input's was."""
    pipes.join()
    os.write(pipes.input, b"goodbye")
    if ended:
        pipes.leave("input")
    pipes.stream.hang_up()
    told = ["finish", Reason.PEER_CLOSED] if ended else [Reason.GOING_AWAY]
    assert pipes.far.told == [b"goodbye", *told]
    assert pipes.watch.readers == pipes.watch.writers == []


def test_blocking_mode_is_left_alone(pipes: Pipes) -> None:
    """Pipes are opened once more rather than changed."""
    assert os.get_blocking(pipes.stdin)
    assert os.get_blocking(pipes.stdout)


def test_blocking_mode_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they cannot be opened once more, they are as before at the end."""

    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr("relay.links.descriptors.os.open", refuse)
    pipes = Pipes()
    assert not os.get_blocking(pipes.stdin)
    assert not os.get_blocking(pipes.stdout)
    pipes.stream.close()
    assert os.get_blocking(pipes.stdin)
    assert os.get_blocking(pipes.stdout)
    pipes.close()


def test_closed_descriptor() -> None:
    """A descriptor that is closed is refused at once."""
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        StdioStream(cast(IReactor, Watch()), lambda _: None, read, write)
