"""Hidden servers and mobile callers of taas: a registration, a redirect, and what they lead to.

A *hidden* place is ``port`` (of the front door, plain HTTP on loopback), ``registrar``, ``label``,
``username`` and ``secret`` (base32); a *mobile* one ``port`` and ``host`` (LABEL.SERVERS).
"""

from __future__ import annotations

import base64
import hmac
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from relay.measuring.figures import percentile
from relay.measuring.places import LOOPBACK, Connection, Place, Refused, more, say
from relay.measuring.talk import ANSWER, QUESTION

TIMEOUT_S = 20.0
HEAD_END = b"\r\n\r\n"
ANSWER_BYTES = 64 * 1024
CHUNKED = b"transfer-encoding: chunked"
STEP_S, DIGITS = 30, 6
TRIES = 50
"""A mobile connection that an empty queue ends at once asks again so many times."""


def request(method: str, path: str, host: str, *headers: str) -> bytes:
    """:returns: a request without a body, whose answer ends with the connection"""
    lines = (f"{method} {path} HTTP/1.1", f"Host: {host}", *headers)
    return "\r\n".join((*lines, "Connection: close", "Content-Length: 0", "", "")).encode()


def ask(port: int, said: bytes) -> tuple[bytes, bytes]:
    """:returns: head and body of the answer. :raises OSError:"""
    with socket.create_connection((LOOPBACK, port), TIMEOUT_S) as asking:
        asking.sendall(said)
        came = b""
        while chunk := asking.recv(ANSWER_BYTES):
            came += chunk
    head, _, body = came.partition(HEAD_END)
    if CHUNKED in head.lower():
        body = body.partition(b"\r\n")[2].partition(b"\r\n")[0]
    return head, body


def connect(port: int) -> socket.socket:
    """:returns: a connection to a port that the router has opened. :raises OSError:"""
    made = socket.create_connection((LOOPBACK, port), TIMEOUT_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def code(secret: str, unix_s: float) -> str:
    """:param secret: base32, of whole bytes
    :returns: the code for then, or for a step beside it where it would begin with a zero that the
        original does not write (taas §5)
    """
    for shift in (0, -1, 1):
        counter = int(unix_s) // STEP_S + shift
        digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", counter), "sha1")
        start = digest[-1] & 15
        text = str(struct.unpack(">I", digest[start : start + 4])[0] & 0x7FFFFFFF)
        if len(text) >= DIGITS:
            break
    return text.zfill(DIGITS)[-DIGITS:]


def hidden(place: Place) -> Connection:
    """:returns: a connection that waits for a partner. :raises Refused, OSError:"""
    path = f"/register/{place['label']}"
    shown = f'username="{place["username"]}", response="{code(place["secret"], time.time())}"'
    said = request("PUT", path, place["registrar"], f"Authorization: TOTP {shown}")
    head, body = ask(place["port"], said)
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise Refused(head[:200].decode("latin-1"))
    return Connection(connect(int(body.rpartition(b":")[2])))


def mobile(place: Place) -> Connection:
    """:returns: a connection to where a redirect leads. :raises Refused, OSError:"""
    head, _ = ask(place["port"], request("GET", "/", place["host"]))
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "location" and (port := urlsplit(value.strip()).port):
            return Connection(connect(port))
    raise Refused(head[:200].decode("latin-1"))


# -- loads -----------------------------------------------------------------------------------------


def wait(job: dict[str, Any]) -> None:
    """Keep ``count`` hidden connections waiting at each of ``places``, until a signal."""
    held = [hidden(place) for place in job["places"] for _ in range(job["count"])]
    say(open=len(held))
    signal.pause()


def attend(job: dict[str, Any]) -> None:
    """Keep ``count`` hidden connections waiting; each answers one question, and is then replaced,
    until a signal.
    """
    waiting = [hidden(job["place"]) for _ in range(job["count"])]
    for connection in waiting:
        threading.Thread(target=_attend, args=(job["place"], connection), daemon=True).start()
    say(ready=True)
    signal.pause()


def _attend(place: Place, waiting: Connection) -> None:
    """Answer one question on each, and close behind the other side."""
    while True:
        with waiting.socket as asked:
            asked.settimeout(None)
            got = b""
            while len(got) < len(QUESTION):
                got += more(asked)
            asked.sendall(ANSWER)
            asked.recv(1)
        waiting = hidden(place)


class _Call(NamedTuple):
    """One call that was answered.

    :ivar redirected_s: until the redirect was followed, and the connection stood
    :ivar answered_s: until the answer's first bytes
    """

    redirected_s: float
    answered_s: float


def call(job: dict[str, Any]) -> None:
    """Ask for a redirect, follow it, ask, hear the answer, close; ``at_once`` at a time.

    For ``seconds``. The result has the calls, those that an empty queue ended first, and times.
    """
    calls: list[_Call] = []
    drained: list[int] = []
    started = time.monotonic()
    end = started + job["seconds"]

    def work() -> None:
        for one in _calls(job["place"], lambda: time.monotonic() < end, drained):
            calls.append(one)

    workers = [threading.Thread(target=work) for _ in range(job["at_once"])]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first = [one.answered_s * 1000 for one in calls]
    say(
        count=len(calls),
        seconds=time.monotonic() - started,
        drained=len(drained),
        redirected_ms=percentile([one.redirected_s * 1000 for one in calls], 0.5),
        p50_ms=percentile(first, 0.5),
        p99_ms=percentile(first, 0.99),
    )


def _calls(place: Place, goes_on: Callable[[], bool], drained: list[int]) -> Iterator[_Call]:
    while goes_on():
        began = time.monotonic()
        for _ in range(TRIES):
            with mobile(place).socket as calling:
                stood = time.monotonic()
                if _is_answered(calling):
                    yield _Call(stood - began, time.monotonic() - began)
                    break
            drained.append(1)
        else:
            raise OSError("no hidden connection waits")


def _is_answered(calling: socket.socket) -> bool:
    """:returns: whether it is answered; False: nobody was there. :raises Refused:"""
    got = b""
    try:
        calling.sendall(QUESTION)
        while len(got) < len(ANSWER):
            got += more(calling)
    except OSError:
        if not got:
            return False
        raise
    if got != ANSWER:
        raise Refused(repr(got[:80]))
    return True
