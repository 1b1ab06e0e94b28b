"""Standard input and output as one stream: pipes, sockets, terminals or files."""

from __future__ import annotations

import errno
import os
import select
import stat
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from twisted.internet.interfaces import (
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.python.failure import Failure
from typing_extensions import override
from zope.interface import implementer

from relay.core.stream import Stream
from relay.links.cutthrough import Hub
from relay.links.cutthrough.hub import READ
from relay.links.descriptors import IChannel, open_channel
from relay.outlets import IInlet, IOutlet, Span
from relay.vocabulary import CLEAN_REASONS, Carries, Close, Data, Reason

STDIO_CARRIES = Carries(half_close=True)
FIRST_READ_BYTES = 16 * 1024
READ_BYTES = 256 * 1024
"""Input is read in portions between these: large ones for who fills them, since each costs a buffer
of its size, and an interactive user needs none.
"""

QUEUE_BYTES = 256 * 1024
"""With more than this waiting for the reader of our output, the other side is to wait too."""

WRITE_CHUNKS = 64
LAST_READ_BYTES = 1024 * 1024
"""How much input that was written before a signal came still goes out."""


class IReactor(IReactorTime, IReactorFDSet):
    """What standard input and output need of the reactor."""


@implementer(IOutlet)
class StdioStream(Stream):
    """Standard input and output; nothing is read before there is a partner.

    :param gone: called with the reason, once all output was taken or cannot be
    :param stdin: descriptor; likewise ``stdout``
    :param hub: that looks at input with its sockets; None: the reactor does
    :ivar fault: why output could not be written, or input not be read
    :raises OSError: when one of the descriptors is closed
    """

    def __init__(
        self,
        reactor: IReactor,
        gone: Callable[[Reason], None],
        stdin: int = 0,
        stdout: int = 1,
        hub: Hub | None = None,
    ) -> None:
        super().__init__(STDIO_CARRIES, "stdio")
        self.fault: OSError | None = None
        self._reactor = reactor
        self._gone = gone
        self._input = _Input(self, open_channel(stdin, os.O_RDONLY))
        self._watch_input = _watcher(self._input, reactor, hub)
        self._output = _Output(self, open_channel(stdout, os.O_WRONLY))
        self._queue: deque[bytes | memoryview] = deque()
        self._queued_bytes = 0
        self._holding = False
        self._inlet: IInlet | None = None
        self._paused = False
        self._input_ended = False
        self._finishing = False
        self._reason: Reason | None = None

    # -- IStream ---------------------------------------------------------------------------------

    @override
    def send(self, data: Data) -> None:
        """A chunk for standard output."""
        chunk: bytes | memoryview = data.payload
        if self._reason is not None or self.closed or self.fault is not None or not chunk:
            return
        if not self._queue:
            written = self._write([chunk])
            if written == len(chunk) or self.fault is not None:
                return
            chunk = memoryview(chunk)[written:]
        self._keep(chunk)
        if self._queued_bytes > QUEUE_BYTES and not self._holding and self.partner is not None:
            self._holding = True
            self.partner.pause()

    @override
    def outlet(self) -> IOutlet:
        """:returns: this"""
        return self

    def put(self, view: memoryview, spans: Sequence[Span], text: bool) -> bool:
        """Payload for standard output, straight from where it was read."""
        for start, end, _ in spans:
            if self._reason is not None or self.closed or self.fault is not None:
                return True
            written = 0 if self._queue else self._write([view[start:end]])
            if written < end - start and self.fault is None:
                self._keep(bytes(view[start + written : end]))
        return self._queued_bytes <= QUEUE_BYTES

    def room(self) -> int:
        """:returns: what the queue has room for"""
        return max(0, QUEUE_BYTES - self._queued_bytes)

    def feed(self, source: IInlet | None) -> None:
        """From now on ``source`` hears when there is room again."""
        self._inlet = source

    @override
    def finish(self) -> None:
        """End the output, behind all that was sent."""
        self._finishing = True
        self._check_drained()

    @override
    def reset(self, reason: Reason, close: Close | None) -> None:
        """End: what was sent still goes out, however long its reader takes."""
        if self._reason is None:
            self._reason = reason
            self.pause()
            self._check_drained()

    @override
    def pause(self) -> None:
        """Read no more input."""
        self._paused = True
        self._watch_input(False)

    @override
    def resume(self) -> None:
        """Read on."""
        self._paused = False
        if not self._input_ended and self._reason is None:
            self._watch_input(True)

    @override
    def is_paused(self) -> bool:
        """:returns: whether the partner has asked for a pause."""
        return self._paused

    @override
    def has_left(self) -> bool | None:
        """:returns: True when nobody reads our output any more; None: unknown."""
        poll = select.poll()
        poll.register(self._output.fileno(), 0)
        if not poll.poll(0):
            return None
        self.output_left()
        return True

    # -- the end ---------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Somebody wants us to end: what was written before goes out, and then we are gone.

        The other side is told of an end in order only if the input had one.
        """
        circuit = self.circuit
        if circuit is None or self._reason is not None:
            self.close()
            return
        left_bytes = LAST_READ_BYTES
        while not self._input_ended and left_bytes > 0:
            before = self.bytes_in
            self._input.doRead()
            if self.bytes_in == before:
                break
            left_bytes -= self.bytes_in - before
        reason = Reason.PEER_CLOSED if self._input_ended else Reason.GOING_AWAY
        circuit.broken(self, reason)
        self.close()

    def close(self) -> None:
        """Let go of the descriptors, as they were; what was not written is lost."""
        if not self.closed:
            self.closed = True
            self._watch_input(False)
            self._reactor.removeReader(self._output)
            self._reactor.removeWriter(self._output)
            self._input.channel.close()
            self._output.channel.close()

    # -- what the descriptors say ----------------------------------------------------------------

    def input_ended(self) -> None:
        """No more input comes."""
        self._watch_input(False)
        self._input_ended = True
        if self.circuit is not None:
            self.circuit.finished(self)
        if not self.closed and stat.S_ISFIFO(os.fstat(self._output.fileno()).st_mode):
            # Nothing else would tell, while nothing is to be written.
            self._reactor.addReader(self._output)

    def output_left(self) -> None:
        """Nobody reads our output any more, and its end had not been reached."""
        self._reactor.removeReader(self._output)
        self.failed(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), "output")

    def failed(self, error: OSError, what: str) -> None:
        """A descriptor is of no more use.

        :param what: ``input`` or ``output``
        """
        if self.fault is None and not self.closed:
            self.fault = OSError(error.errno, error.strerror, f"standard {what}")
            self._queue.clear()
            left = isinstance(self.fault, BrokenPipeError)
            reason = Reason.PEER_CLOSED if left else Reason.LOST
            self._reactor.callLater(0, self._break, reason)

    def drain(self) -> None:
        """Output is taken again."""
        written = self._write(list(islice(self._queue, WRITE_CHUNKS)))
        self._queued_bytes -= written
        while written:
            chunk = self._queue.popleft()
            if len(chunk) > written:
                self._queue.appendleft(memoryview(chunk)[written:])
                break
            written -= len(chunk)
        if not self._queue:
            self._reactor.removeWriter(self._output)
            self._check_drained()
            if self._holding and self.partner is not None:
                self._holding = False
                self.partner.resume()
            if self._inlet is not None:
                self._inlet.unblock()

    # -- inside ----------------------------------------------------------------------------------

    def _keep(self, chunk: bytes | memoryview) -> None:
        """It waits for the reader of our output."""
        if not self._queue:
            self._reactor.addWriter(self._output)
        self._queue.append(chunk)
        self._queued_bytes += len(chunk)

    def _write(self, chunks: list[bytes | memoryview]) -> int:
        try:
            return self._output.channel.write(chunks)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.failed(error, "output")
            return 0

    def _break(self, reason: Reason) -> None:
        if not self.closed:
            if self.circuit is not None:
                self.circuit.broken(self, reason)
            self._let_go(reason)

    def _let_go(self, reason: Reason) -> None:
        self.close()
        # Not at once: the circuit may still be about to tell the other side of its end.
        self._reactor.callLater(0, self._gone, reason)

    def _check_drained(self) -> None:
        if self._queue or self.closed or self.fault is not None:
            return
        # An end that is none of the stream's own is seen only when we exit, so that our reason has
        # been said before ssh, say, gives up.
        if self._finishing or self._reason in CLEAN_REASONS:
            self._finishing = False
            self._reactor.removeReader(self._output)
            self._output.channel.finish()
        if self._reason is not None:
            self._let_go(self._reason)


class _Descriptor:
    """What the reactor watches."""

    def __init__(self, stream: StdioStream, channel: IChannel) -> None:
        self.stream = stream
        self.channel = channel

    def fileno(self) -> int:
        """:returns: the descriptor."""
        return self.channel.fd

    def logPrefix(self) -> str:
        """:returns: a name for Twisted's log."""
        return "stdio"


def _watcher(source: _Input, reactor: IReactor, hub: Hub | None) -> Callable[[bool], None]:
    """:returns: begins or ends looking at the input; by the hub where that is possible"""
    if hub is None or not (hub.is_available() and source.channel.pollable):
        return lambda on: reactor.addReader(source) if on else reactor.removeReader(source)
    watching = False

    def watch(on: bool) -> None:
        nonlocal watching
        if on and not watching:
            hub.add(source)
            hub.watch(source.fd, 0, READ)
        elif watching and not on:
            hub.watch(source.fd, READ, 0)
            hub.forget(source)
        watching = on

    return watch


@implementer(IReadDescriptor)
class _Input(_Descriptor):
    _read_bytes = FIRST_READ_BYTES

    @property
    def fd(self) -> int:
        """:returns: the descriptor, for the hub"""
        return self.channel.fd

    def ready(self, events: int) -> None:
        """There is input, or its end."""
        self.doRead()

    def lose_now(self, reason: Failure) -> None:
        """The hub looks no more."""
        self.stream.input_ended()

    def doRead(self) -> None:
        """There is input."""
        size = self._read_bytes
        try:
            data = self.channel.read(size)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.stream.failed(error, "input")
            return
        if len(data) == size:
            self._read_bytes = min(2 * size, READ_BYTES)
        elif len(data) < size // 4 and size > FIRST_READ_BYTES:
            self._read_bytes = size // 2
        if data:
            self.stream.deliver(Data(data))
        else:
            self.stream.input_ended()

    def connectionLost(self, reason: Failure) -> None:
        """The pipe's other end is closed and all was read."""
        self.stream.input_ended()


@implementer(IReadDescriptor, IWriteDescriptor)
class _Output(_Descriptor):
    def doRead(self) -> None:
        """A pipe's writing end is readable only when its reader is gone."""
        self.stream.output_left()

    def doWrite(self) -> None:
        """The reader of our output takes more."""
        self.stream.drain()

    def connectionLost(self, reason: Failure) -> None:
        """The reader of our output is gone."""
        self.stream.output_left()
