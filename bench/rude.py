"""Peers of a router that nobody invited: raw bytes, by which a portal's rules are kept or broken.

Each visit says what the router must answer, and fails when it does not.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import time
from collections.abc import Callable, Iterator

from bench.mixture import RANDOM, Kind, Seeded
from bench.programs import Workshop
from bench.scripted import MIB, Verdicts, Wrong, answer, line, reset
from relay.measuring.frames import MASK_BYTES, Deframer, masked
from relay.measuring.places import (
    Connection,
    Place,
    Refused,
    connect,
    read_message,
    shake_hands,
)
from relay.vocabulary import Role

KiB = 1024
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL = 0x80
ENDS_S = 5.0
HEAD_ENDS_S = 20.0
PINGS = 1500
FRAGMENTS = 40
NOBODY = 4242
LARGE_BYTES = 12 * MIB
FRAGMENT_BYTES = 600 * KiB
OFFERED_BYTES = 24 * MIB
STALL_S = 2.0
SERVICE = "/connect/client/echo"
CONNECTED = b'"Connected"'


def frame(
    opcode: int, payload: bytes = b"", final: bool = True, rsv: int = 0, masks: bool = True
) -> bytes:
    """:returns: one frame, right or wrong"""
    return head(opcode, len(payload), final, rsv, masks) + (
        _under_mask(payload) if masks else payload
    )


def head(opcode: int, size: int, final: bool = True, rsv: int = 0, masks: bool = True) -> bytes:
    """:returns: what stands before a mask, or before payload without one"""
    first = (FINAL if final else 0) | rsv << 4 | opcode
    bit = 0x80 if masks else 0
    if size < 126:
        return bytes([first, bit | size])
    if size < 65536:
        return bytes([first, bit | 126]) + size.to_bytes(2, "big")
    return bytes([first, bit | 127]) + size.to_bytes(8, "big")


def _under_mask(payload: bytes) -> bytes:
    key = os.urandom(MASK_BYTES)
    return key + (masked(payload, key) if payload else b"")


def close(code: int) -> bytes:
    """:returns: a Close"""
    return frame(CLOSE, code.to_bytes(2, "big"))


FAULTS = (
    (1002, b"\xff\xff" + b"not a frame, whatever one makes of it"),
    (1002, frame(BINARY, b"not masked", masks=False)),
    (1002, frame(BINARY, b"reserved", rsv=4)),
    (1002, frame(0x3, b"no such opcode")),
    (1002, frame(CONTINUATION, b"of nothing")),
    (1002, frame(PING, b"x" * 126)),
    (1002, frame(PING, b"in parts", final=False)),
    (1002, frame(CLOSE, b"\x03")),
    (1002, frame(BINARY, b"begun", final=False) + frame(BINARY, b"begun again")),
    (1009, head(BINARY, 1 << 62) + b"mask"),
    (1009, head(BINARY, 17 * MIB) + b"mask"),
    (1003, frame(TEXT, b'"Hello"')),
)
"""What breaks a rule on a data link, and the code of the Close that says so."""


class Rude:
    """Peers of one router.

    :param portal: a tunnel that stands, with the service behind it
    :param own: a portal of which they are host and client themselves
    """

    def __init__(
        self, shop: Workshop, port: int, portal: int, own: int, verdicts: Verdicts
    ) -> None:
        self._verdicts = verdicts
        self._port = port
        self._caller = self._place(shop.token(Role.CLIENT, portal))
        self._own_caller = self._place(shop.token(Role.CLIENT, own))
        self._own_host = self._place(shop.token(Role.HOST, own))
        self._nobody = self._place(shop.token(Role.CLIENT, NOBODY))
        self._turn = 0

    def _place(self, token: str) -> Place:
        return {"kind": "ws", "port": self._port, "token": token}

    # -- before a handshake ----------------------------------------------------------------------

    def wrong_token(self) -> int:
        """Show tokens that are none, and none at all."""
        header, payload, signature = str(self._caller["token"]).split(".")
        forged = f"{header}.{payload}.{signature[::-1]}"
        for token in (forged, "nonsense", ""):
            _refused({**self._caller, "token": token}, SERVICE, 401)
        _refused(self._own_host, SERVICE, 401)
        return 0

    def absent(self) -> int:
        """Call for hosts and services that are not there."""
        _refused(self._nobody, SERVICE, 502)
        _refused(self._caller, "/connect/client/nowhere", 502)
        _refused(self._caller, "/nowhere", 404)
        return 0

    def scan(self) -> int:
        """Knock as scanners do; the router must let go of all of them."""
        whole = f"GET {SERVICE} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        for said in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n", whole):
            with connect(self._caller) as connection:
                connection.sendall(said)
        for said in (b"\0" * 200 + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"x" * 70000):
            with connect(self._caller) as connection, contextlib.suppress(ConnectionError):
                connection.sendall(said)
                _ends(connection)
        with connect(self._caller) as connection:
            connection.sendall(whole)
            reset(connection)
        return 0

    def dawdle(self) -> int:
        """Send half a head and wait: the router must not."""
        with connect(self._caller) as connection:
            connection.sendall(b"GET /connect/host_control HTTP/1.1\r\nHos")
            _ends(connection, HEAD_ENDS_S)
        return 0

    # -- behind one ------------------------------------------------------------------------------

    def fault(self) -> int:
        """Break one rule after the other."""
        code, bad = FAULTS[self._turn % len(FAULTS)]
        self._turn += 1
        number = self._verdicts.number()
        with self._call() as connection:
            connection.socket.sendall(frame(BINARY, line("echo", number)) + bad)
            told = _close_code(connection.rest + _ends(connection.socket))
        # the service is reset, perhaps before it has read its line
        self._verdicts.forget(number)
        if told != code:
            raise Wrong(f"{bad[:20]!r} was answered with {told}, not {code}")
        return 0

    def garbage(self) -> int:
        """Send noise behind the handshake."""
        with self._call() as connection:
            with contextlib.suppress(ConnectionError):
                connection.socket.sendall(b"\xf3" + os.urandom(20_000))
            _ends(connection.socket)
        return 0

    def pings(self) -> int:
        """Send many Pings, and a question; the answer must come all the same."""
        number, question = self._verdicts.number(), RANDOM.randbytes(5000)
        with self._call() as connection:
            many = frame(PING, b"are you there" * 8) * PINGS
            asked = frame(BINARY, line("echo", number)) + frame(BINARY, question)
            connection.socket.sendall(many + asked + many)
            _compare(connection, [question])
            connection.socket.sendall(close(1000))
            _ends(connection.socket)
        self._verdicts.of(number)
        return 2 * len(question)

    def pings_unread(self) -> int:
        """Send many Pings and read nothing, then reset."""
        with self._call() as connection:
            connection.socket.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                for _ in range(20):
                    connection.socket.sendall(frame(PING, b"x" * 125) * PINGS)
            reset(connection.socket)
        return 0

    def fragments(self) -> int:
        """Send messages in fragments, between which there are Pings, in pieces of any size."""
        number = self._verdicts.number()
        parts = [RANDOM.randbytes(RANDOM.choice((0, 1, 125, 126, 5000))) for _ in range(FRAGMENTS)]
        frames = [frame(BINARY, line("echo", number))]
        for index, part in enumerate(parts):
            opcode = CONTINUATION if index else BINARY
            frames += (frame(PING, b"!"), frame(opcode, part, index == FRAGMENTS - 1))
        with self._call() as connection:
            for piece in _pieces(b"".join(frames)):
                connection.socket.sendall(piece)
                if RANDOM.random() < 0.02:
                    time.sleep(0.01)
            _compare(connection, parts)
            connection.socket.sendall(close(1000))
            _ends(connection.socket)
        self._verdicts.of(number)
        return 2 * sum(map(len, parts))

    def large(self) -> int:
        """Send a frame as large as may be, nearly, then a message as large in fragments."""
        number = self._verdicts.number()
        flow = Seeded(2 * LARGE_BYTES, RANDOM.randrange(1, 1_000_000))
        whole = b"".join(bytes(flow.next()) for _ in range(2 * LARGE_BYTES // (128 * KiB)))
        with self._call() as connection:
            said = frame(BINARY, line("count", number, flow.size, flow.seed))
            connection.socket.sendall(said + frame(BINARY, whole[:LARGE_BYTES]))
            for start in range(LARGE_BYTES, len(whole), FRAGMENT_BYTES):
                end = start + FRAGMENT_BYTES
                opcode = BINARY if start == LARGE_BYTES else CONTINUATION
                part = whole[start:end]
                connection.socket.sendall(frame(opcode, part, end >= len(whole)))
            _compare(connection, [answer(flow)])
        self._verdicts.of(number)
        return flow.size

    def stalled_pair(self) -> int:
        """Be host and client; nobody reads for a while, then all is read."""
        with self._pair() as (caller, callee):
            callee.socket.settimeout(ENDS_S)
            whole = RANDOM.randbytes(FRAGMENT_BYTES)
            unit = frame(BINARY, whole)
            offered = memoryview(unit * (OFFERED_BYTES // len(unit)))
            caller.socket.settimeout(STALL_S)
            sent = 0
            try:
                while sent < len(offered):
                    sent += caller.socket.send(offered[sent : sent + MIB])
            except TimeoutError:
                pass
            count = sent // len(unit)
            _compare(callee, [whole] * count)
            reset(caller.socket)
            _ends(callee.socket)
        return count * len(whole)

    def both_break(self) -> int:
        """Be host and client: the host breaks a rule, and the client is told."""
        with self._pair() as (caller, callee):
            callee.socket.sendall(frame(BINARY, b"fine") + frame(TEXT, b"not fine"))
            told = _close_code(caller.rest + _ends(caller.socket))
            own = _close_code(callee.rest + _ends(callee.socket))
        if (told, own) != (1011, 1003):
            raise Wrong(f"client and host were told {told}, {own}, not 1011, 1003")
        return 4

    def unanswered(self) -> int:
        """Be a host that does not answer, and a client that does not wait."""
        with shake_hands(self._own_host, "/connect/host_control").socket:
            for _ in range(5):
                with shake_hands(self._own_caller, SERVICE).socket as caller:
                    time.sleep(0.1)
                    reset(caller)
        return 0

    @contextlib.contextmanager
    def _call(self) -> Iterator[Connection]:
        called = shake_hands(self._caller, SERVICE)
        with called.socket:
            yield _connected(called)

    @contextlib.contextmanager
    def _pair(self) -> Iterator[tuple[Connection, Connection]]:
        control = shake_hands(self._own_host, "/connect/host_control")
        caller = shake_hands(self._own_caller, SERVICE)
        with control.socket, caller.socket:
            message, _ = read_message(control)
            nexus = json.loads(message)["Incoming"]["nexus"]
            callee = shake_hands(self._own_host, f"/connect/host_accept/{nexus}")
            with callee.socket:
                yield _connected(caller), callee


def kinds_of(rude: Rude) -> list[Kind]:
    """:returns: all that they do"""
    return [
        Kind("wrong tokens", rude.wrong_token, 15),
        Kind("calls for absent hosts", rude.absent, 5),
        Kind("port scans", rude.scan, 5),
        Kind("half a head", rude.dawdle, 10),
        Kind("faulty frames", rude.fault, 2),
        Kind("garbage", rude.garbage, 4),
        Kind("ping floods", rude.pings, 6),
        Kind("ping floods, nothing read", rude.pings_unread, 10),
        Kind("fragments", rude.fragments, 4),
        Kind("large messages", rude.large, 10),
        # these are hosts of the same portal, so they take turns
        Kind("raw host and client", _in_turn(rude), 5),
    ]


def _in_turn(rude: Rude) -> Callable[[], int]:
    ways = (rude.stalled_pair, rude.both_break, rude.unanswered)
    turn = random.Random(3)

    def visit() -> int:
        return turn.choice(ways)()

    return visit


def _refused(place: Place, path: str, status: int) -> None:
    try:
        with shake_hands(place, path).socket:
            raise Wrong(f"{path} was admitted, rather than refused with {status}")
    except Refused as error:
        if f" {status} " not in str(error):
            raise Wrong(f"{path} was to be refused with {status}, not {error}") from error


def _connected(called: Connection) -> Connection:
    message, rest = read_message(called)
    if message != CONNECTED:
        raise Wrong(f"a call was answered with {message!r}")
    return Connection(called.socket, rest)


def _pieces(said: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(said):
        end = start + RANDOM.choice((1, 2, 3, 7, 100, 1500, 9000))
        yield said[start:end]
        start = end


def _compare(connection: Connection, parts: list[bytes]) -> None:
    """Read payload until all of this has come, and compare. :raises Wrong:"""
    expected = b"".join(parts)
    got = bytearray()
    deframer = Deframer(lambda view: got.extend(view))
    seen = bytearray(connection.rest)
    while True:
        kept = deframer.feed(memoryview(bytes(seen))) if seen else 0
        del seen[: len(seen) - kept]
        if len(got) >= len(expected):
            break
        chunk = connection.socket.recv(256 * KiB)
        if not chunk:
            break
        seen += chunk
    if not got.startswith(expected):
        raise Wrong(f"{len(got)} of {len(expected)} bytes came back, or others")


def _ends(connection: socket.socket, within_s: float = ENDS_S) -> bytes:
    """:returns: what still came; :raises Wrong: when the router does not end the connection"""
    connection.settimeout(within_s)
    seen = b""
    try:
        while chunk := connection.recv(64 * KiB):
            seen += chunk
    except TimeoutError as error:
        raise Wrong(f"the router had not ended it after {within_s:g} s") from error
    except ConnectionError:
        pass
    return seen


def _close_code(seen: bytes) -> int:
    """:returns: of the Close in frames without a mask; 0: there is none"""
    start = 0
    while len(seen) - start >= 2:
        size, first = seen[start + 1], start + 2
        if size >= 126:
            more = 2 if size == 126 else 8
            size = int.from_bytes(seen[first : first + more], "big")
            first += more
        if seen[start] & 0x0F == CLOSE:
            return int.from_bytes(seen[first : first + 2], "big")
        start = first + size
    return 0
