"""Questions and answers of a few bytes: who asks, who answers, and how long that took.

Every question is the same, and every answer, so both are built before and an answer is known by
its size and compared as a whole: what a load does itself for one round trip is two system calls.
"""

from __future__ import annotations

import selectors
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from relay.measuring import web
from relay.measuring.figures import percentile
from relay.measuring.frames import MASK_BYTES, frame
from relay.measuring.places import Connection, connections, more, say

QUESTION_BYTES = 64
QUESTION = bytes(range(QUESTION_BYTES))
ANSWER = QUESTION[::-1]
READ_BYTES = 64 * 1024
MASK = b"\x5a\xa5\x0f\xf0"
DEADLINE_S = 10.0
assert len(MASK) == MASK_BYTES


def _asked(job: dict[str, Any], masks: bool) -> list[bytes]:
    """:returns: the question in the pieces in which it is written."""
    pieces = job.get("pieces", 1)
    size = QUESTION_BYTES // pieces
    parts = [QUESTION[start : start + size] for start in range(0, QUESTION_BYTES, size)]
    return [_carried(job, part, masks) for part in parts]


def _carried(job: dict[str, Any], payload: bytes, masks: bool) -> bytes:
    if not job.get("framed"):
        return payload
    return frame(payload, MASK if masks else b"")


def asking(job: dict[str, Any]) -> tuple[list[bytes], Callable[[bytes], bool]]:
    """:returns: a question, in the pieces in which it is written, and what tells whether bytes are
    the whole answer; that raises OSError when they are another
    """
    place = job["place"]
    if place["kind"] == "web":
        return [web.get(place, web.SMALL_BYTES)], web.answered(web.SMALL_BYTES)
    answer = _carried(job, ANSWER, masks=False)

    def is_whole(got: bytes) -> bool:
        if got == answer:
            return True
        if not answer.startswith(got):
            raise OSError(f"a wrong answer: {got!r}")
        return False

    return _asked(job, masks=True), is_whole


def echo(job: dict[str, Any]) -> None:
    """Answer each question on ``count`` connections (0: as many as come) until a signal ends it.

    ``framed``: whether questions and answers are WebSocket messages; ``pieces``: of a question.
    """
    is_server = job["place"]["kind"] == "serve"  # of the WebSocket: it hears masks and uses none
    answer = _carried(job, ANSWER, masks=not is_server)
    size = sum(len(part) for part in _asked(job, masks=is_server))
    if count := job.get("count", 0):
        selector = selectors.DefaultSelector()
        for connection in connections(job["place"], count):
            _enter(selector, connection)
        _answer(selector, None, answer, size)
    listener = socket.create_server(("127.0.0.1", job["place"]["port"]), backlog=1024)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    say(ready=True)
    _answer(selector, listener, answer, size)


def _enter(selector: selectors.BaseSelector, connection: Connection) -> None:
    connection.socket.setblocking(True)
    selector.register(connection.socket, selectors.EVENT_READ, [len(connection.rest)])


def _answer(
    selector: selectors.BaseSelector, listener: socket.socket | None, answer: bytes, size: int
) -> None:
    while True:
        for key, _ in selector.select():
            source = key.fileobj
            assert isinstance(source, socket.socket)
            if source is listener:
                _accept(selector, listener)
                continue
            try:
                came = len(source.recv(READ_BYTES))
                key.data[0] += came
                if key.data[0] >= size:
                    asked, key.data[0] = divmod(key.data[0], size)
                    source.sendall(answer * asked)
            except OSError:
                came = 0
            if not came:
                selector.unregister(source)
                source.close()


def _accept(selector: selectors.BaseSelector, listener: socket.socket) -> None:
    try:
        while True:
            accepted, _ = listener.accept()
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _enter(selector, Connection(accepted))
    except OSError:
        return


def ping(job: dict[str, Any]) -> None:
    """Ask again as soon as the answer is there, on ``count`` connections, for ``seconds``.

    The result has the round trips, and their p50 and p99 in milliseconds.
    """
    question, is_whole = asking(job)
    sockets = _open(job, question, is_whole)
    say(asking=True)
    times = array("d")
    started = time.perf_counter()
    end = started + job["seconds"]
    if len(sockets) == 1:
        _ask_one(sockets[0], question, is_whole, end, times)
    else:
        _ask_many(sockets, question, is_whole, end, times)
    _report(times, time.perf_counter() - started)


def _open(
    job: dict[str, Any], question: Sequence[bytes], is_whole: Callable[[bytes], bool]
) -> list[socket.socket]:
    """:returns: the connections; programs have been asked once, so that none is still starting"""
    sockets = [one.socket for one in connections(job["place"], job.get("count", 1))]
    if job["place"]["kind"] == "stdio":
        for source in sockets:
            source.sendall(b"".join(question))
            got = more(source)
            while not is_whole(got):
                got += more(source)
    return sockets


def _ask_one(
    source: socket.socket,
    question: Sequence[bytes],
    is_whole: Callable[[bytes], bool],
    end: float,
    times: array[float],
) -> None:
    now = time.perf_counter
    source.settimeout(DEADLINE_S)
    source.setblocking(True)
    while (begun := now()) < end:
        for part in question:
            source.sendall(part)
        got = more(source)
        while not is_whole(got):
            got += more(source)
        times.append(now() - begun)


def _ask_many(
    sockets: Sequence[socket.socket],
    question: Sequence[bytes],
    is_whole: Callable[[bytes], bool],
    end: float,
    times: array[float],
) -> None:
    now = time.perf_counter
    asked = b"".join(question)
    selector = selectors.DefaultSelector()
    states: list[tuple[float, bytes]] = []
    for number, source in enumerate(sockets):
        source.setblocking(True)
        selector.register(source, selectors.EVENT_READ, number)
        states.append((now(), b""))
        source.sendall(asked)
    while now() < end:
        for key, _ in selector.select(DEADLINE_S):
            number = key.data
            source = sockets[number]
            got = states[number][1] + more(source)
            if is_whole(got):
                moment = now()
                times.append(moment - states[number][0])
                states[number] = (moment, b"")
                source.sendall(asked)
            else:
                states[number] = (states[number][0], got)


def pace(job: dict[str, Any]) -> None:
    """Ask every ``every_s`` on each of ``count`` connections, as people at keyboards do.

    A connection that has no answer yet asks no further; the wait counts from when the question was
    due, so a stall is not told as one slow answer among many quick ones.
    """
    now, every_s = time.perf_counter, job["every_s"]
    pieces, is_whole = asking(job)
    question = b"".join(pieces)
    selector = selectors.DefaultSelector()
    sockets = _open(job, pieces, is_whole)
    say(asking=True)
    times = array("d")
    started = now()
    due = [started + every_s * number / len(sockets) for number in range(len(sockets))]
    waiting = [False] * len(sockets)
    for number, source in enumerate(sockets):
        source.setblocking(True)
        selector.register(source, selectors.EVENT_READ, number)
    end = started + job["seconds"]
    got = [b""] * len(sockets)
    turn = 0
    while (moment := now()) < end:
        # in the order in which they fall due; one that still waits holds its turn
        while due[turn] <= moment and not waiting[turn]:
            sockets[turn].sendall(question)
            waiting[turn] = True
            turn = (turn + 1) % len(sockets)
        pause_s = DEADLINE_S if waiting[turn] else due[turn] - moment
        for key, _ in selector.select(max(0.0, min(pause_s, end - moment))):
            number = key.data
            got[number] += more(sockets[number])
            if is_whole(got[number]):
                times.append(now() - due[number])
                got[number], waiting[number] = b"", False
                due[number] += every_s
    _report(times, now() - started)


def _report(times: array[float], seconds: float) -> None:
    say(
        trips=len(times),
        seconds=seconds,
        p50_ms=percentile(times, 0.5) * 1000,
        p99_ms=percentile(times, 0.99) * 1000,
    )
