"""One socket in the cut-through gear: what those of local streams and of WebSockets share.

An end reads into the hub's buffer and writes at once. What the kernel does not take is its *tail*,
the only queue there is; while there is one, whoever writes to it is asked to pause. An end whose
partner is an end too hands on what it reads without anybody else looking at it.
"""

from __future__ import annotations

import itertools
import socket
import struct
from collections import deque
from collections.abc import Sequence

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.interfaces import IStream
from relay.links.cutthrough.channel import MAX_PARTS, Channel
from relay.links.cutthrough.hub import HEADROOM, READ, READ_BYTES, WRITE, Hub
from relay.links.linger import Linger
from relay.links.sockets import send_room
from relay.outlets import Buffer, IInlet, IOutlet

KiB = 1024
FIRST_READ_BYTES = 16 * KiB
"""How much a flow that begins, or rests, is read at once."""

KEPT_BYTES = 64 * KiB
"""A larger read is made only as far as the partner has room for it."""

FULL_PART = 16
"""A read that is full but for this part wants to be longer: TLS takes something for itself."""

GOODBYE_REPLY_S = 1.0
"""How long a peer may take for its own TLS goodbye, once it has taken all that was sent before."""

_RESET = struct.pack("ii", 1, 0)


@implementer(IInlet)
class End:
    """One socket.

    :param channel: its bytes
    :param tail: what was written before and has yet to go out
    """

    __slots__ = (
        "__dict__",
        "_events",
        "_reading",
        "channel",
        "fd",
        "hub",
    )

    # as on nearly every link nearly always: only one that differs has a place for it
    _blocked: bool = False
    _broken: bool = False
    _counted: IStream | None = None
    _full: bool = False
    _kick: bool = False
    _losing: bool = False
    _linger: Linger | None = None
    _outlet: IOutlet | None = None
    _read_bytes: int = FIRST_READ_BYTES
    _read_over: bool = False
    _source: IInlet | None = None
    _tail: deque[Buffer] | None = None
    _tail_bytes: int = 0

    def __init__(self, hub: Hub, channel: Channel, tail: bytes) -> None:
        self.hub = hub
        self.channel = channel
        self.fd = channel.socket.fileno()
        self._events = 0
        self._reading = False
        hub.add(self)
        if tail or channel.waiting_bytes():
            self.push([tail], len(tail))

    # -- for sockets.py --------------------------------------------------------------------------

    def getHandle(self) -> socket.socket:
        """:returns: the socket."""
        return self.channel.socket

    def queued_bytes(self) -> int:
        """:returns: bytes that the kernel has yet to take."""
        return self._tail_bytes + self.channel.waiting_bytes()

    # -- cutting through -------------------------------------------------------------------------

    def forward(self, counted: IStream | None, outlet: IOutlet | None) -> None:
        """From now on hand payload straight to ``outlet``; None: to nobody any more.

        :param counted: whose ``bytes_in`` it is
        """
        if self._outlet is not None and self._outlet is not outlet:
            self._outlet.feed(None)
        self._outlet, self._counted = outlet, counted
        if outlet is not None:
            outlet.feed(self)
        elif self._blocked:
            self.unblock()

    def room(self) -> int:
        """:returns: bytes that the kernel is likely to take at once"""
        try:
            return send_room(self)
        except OSError:
            return READ_BYTES  # it is gone, and takes anything

    def feed(self, source: IInlet | None) -> None:
        """Tell ``source`` when there is room again."""
        self._source = source

    def is_blocked(self) -> bool:
        """:returns: whether the outlet has yet to take what was read."""
        return self._blocked

    def block(self) -> None:
        """Read nothing until the outlet has taken what was read."""
        self._blocked = True
        self._watch()

    def unblock(self) -> None:
        """Read on."""
        self._blocked = False
        self._read_on()

    # -- reading ---------------------------------------------------------------------------------

    def read_on(self, reading: bool) -> None:
        """Read, or read no more."""
        if self._reading != reading:
            self._reading = reading
            self._read_on()

    def _read_on(self) -> None:
        self._watch()
        if self._kick and self._reading and not self._blocked:
            self.hub.soon(self._kicked)

    def kick(self) -> None:
        """Something may have come already, of which the kernel will not tell."""
        self._kick = True
        self.hub.soon(self._kicked)

    def _kicked(self) -> None:
        if self._kick and self._reading and not self._blocked and self.fd >= 0:
            self._kick = False
            self.ready(READ)

    def ready(self, events: int) -> None:
        """The kernel says that something can be done.

        An error shows at the next read or write.
        """
        if self._events & WRITE and events & ~READ:
            self._drain()
        if self._reading and not self._blocked and self.fd >= 0 and events & ~WRITE:
            self._read()

    def _read(self) -> None:
        size = min(self._read_bytes, self.hub.share_bytes)
        if size > KEPT_BYTES and self._outlet is not None:
            # what the partner's kernel does not take has to be kept
            size = min(size, max(self._outlet.room(), KEPT_BYTES))
        view = self.hub.view
        try:
            count = self.channel.recv_into(view[HEADROOM:], size)
        except BlockingIOError:
            if self.channel.secure:
                self._watch_answer()
            if self._broken:
                self._lose_broken()
            return
        except OSError:
            return self.lose_now(Failure(ConnectionLost()))
        if self.channel.secure:
            self._watch_answer()
        if count >= FIRST_READ_BYTES:
            self.hub.busy = True
        if count >= size - size // FULL_PART:
            self._read_bytes = min(2 * size, READ_BYTES)
        elif count < size // 4 and size > FIRST_READ_BYTES:
            self._read_bytes = max(size // 2, FIRST_READ_BYTES)
        if self._losing:
            # nobody wants what still comes; an end of it is the answer to ours
            if not count and self.queued_bytes():
                self.read_on(False)  # who has said everything may still read
            elif not count:
                self._lose_done()
        elif count:
            self.received(view, HEADROOM, HEADROOM + count)
            if self.channel.over and self.fd >= 0:
                self._read()
            elif self._broken:
                self.kick()
        elif self._broken:
            self._lose_broken()
        else:
            self.read_ended()

    def _watch_answer(self) -> None:
        """TLS may have answered to what was read, and the kernel may not have taken that."""
        if self.channel.waiting_bytes():
            self._watch()

    def received(self, view: memoryview, start: int, end: int) -> None:
        """Bytes came."""
        raise NotImplementedError

    def read_ended(self) -> None:
        """No more bytes will come."""
        raise NotImplementedError

    # -- writing ---------------------------------------------------------------------------------

    def push(self, parts: Sequence[Buffer], size: int) -> bool:
        """Send now what can be sent, and keep the rest.

        :returns: whether everything is with the kernel
        """
        if self._losing or self._broken or self.fd < 0:
            return True
        if self._tail_bytes or self.channel.waiting_bytes():
            self._keep(parts, size, 0)
            self._watch()  # what waits may be OpenSSL's own answer to something that was read
            return False
        try:
            sent = self.channel.send(parts, size)
        except OSError:
            self.write_failed()
            return True
        if sent < size:
            self._keep(parts, size, sent)
        elif not self.channel.waiting_bytes():
            return True
        self._watch()
        return False

    def _keep(self, parts: Sequence[Buffer], size: int, sent: int) -> None:
        if self._tail is None:
            self._tail = deque()
        whole = bytes(parts[0]) if len(parts) == 1 else b"".join(parts)
        self._tail.append(memoryview(whole)[sent:] if sent else whole)
        self._tail_bytes += size - sent

    def _drain(self) -> None:
        """The kernel takes more: the tail first, then whoever waited."""
        tail = self._tail
        try:
            self.channel.flush()
            while tail and not self.channel.waiting_bytes():
                parts = list(itertools.islice(tail, MAX_PARTS))
                size = sum(map(len, parts))
                sent = self.channel.send(parts, size)
                self._tail_bytes -= sent
                short = sent < size
                while tail and sent >= len(tail[0]):
                    sent -= len(tail.popleft())
                if short:
                    if sent:
                        tail[0] = memoryview(tail[0])[sent:]
                    break
        except OSError:
            return self.write_failed()
        if tail or self.channel.waiting_bytes():
            return
        self._tail = None
        self._watch()
        self.drained()

    def write_failed(self) -> None:
        """The peer takes nothing more; what it said before that may still lie in the kernel, an
        answer to an upload that it did not want, for instance. The loss is told behind that.
        """
        self._broken = True
        self._tail, self._tail_bytes = None, 0
        nothing_comes = self._read_over or self.channel.secure or self.channel.waiting_bytes()
        if self._losing or nothing_comes:
            self._losing = True
            self.hub.soon(self._lose_broken)
        else:
            if self._source is not None:
                self.hub.soon(self._source.unblock)  # what it still has is dropped
            self._watch()
            self.kick()

    def drained(self) -> None:
        """All that was written is with the kernel."""
        if self._losing:
            self._say_goodbye()
            return
        if self._source is not None:
            self._source.unblock()

    def _watch(self) -> None:
        if self.fd < 0:
            return
        events = self._awaited()
        if events != self._events:
            self.hub.watch(self.fd, self._events, events)
            self._events = events

    def _awaited(self) -> int:
        """:returns: what the kernel is to tell"""
        events = READ if self._reading and not self._blocked else 0
        if self._tail_bytes or self.channel.waiting_bytes():
            events |= WRITE
        return events

    # -- the end ---------------------------------------------------------------------------------

    def lose(self) -> None:
        """Close behind all that was written."""
        if self._losing or self.fd < 0:
            return
        self._losing = True
        if not (self._tail_bytes or self.channel.waiting_bytes()):
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        try:
            if self.channel.secure:
                self.channel.finish()
        except OSError:
            self.hub.soon(self._lose_broken)
            return
        if not self.channel.secure or (self.channel.over and not self.queued_bytes()):
            self.hub.soon(self._lose_done)
            return
        # a peer that says its own goodbye has read everything; who does not, has a moment
        self._blocked = False
        self.read_on(True)
        self._watch()
        if self._linger is not None:
            self._linger.stop()
        self._linger = Linger(self, self.hub.reactor, GOODBYE_REPLY_S, self._lose_done, self.abort)

    def abort(self) -> None:
        """Close at once."""
        if self.fd >= 0:
            self._losing = True
            self._reading = False
            self._tail, self._tail_bytes = None, 0
            self.hub.soon(self._lose_aborted)

    def _lose_done(self) -> None:
        self.lose_now(Failure(ConnectionDone()))

    def _lose_broken(self) -> None:
        self.lose_now(Failure(ConnectionLost()))

    def _lose_aborted(self) -> None:
        self.lose_now(Failure(ConnectionAborted()))

    def lose_now(self, reason: Failure) -> None:
        """The connection is gone, or is to be.

        :param reason: ConnectionAborted makes it a reset
        """
        if self.fd < 0:
            return
        if self._linger is not None:
            self._linger.stop()
            self._linger = None
        if self._events:
            self.hub.watch(self.fd, self._events, 0)
            self._events = 0
        self.hub.forget(self)
        self.fd = -1
        handle = self.channel.socket
        try:
            if reason.check(ConnectionAborted):
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the peer was quicker
        self.channel.close()
        outlet, self._outlet = self._outlet, None
        if outlet is not None:
            outlet.feed(None)
        self._tail, self._tail_bytes = None, 0
        self.connection_lost(reason)

    def connection_lost(self, reason: Failure) -> None:
        """The connection is gone."""
        raise NotImplementedError
