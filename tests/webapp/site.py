"""The addresses of the application, each a function of its request."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.http import FOUND
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from twisted.web.static import File

from tests.webapp.boards import Boards, Gathering
from tests.webapp.payload import blocks, digest_of
from tests.webapp.sockets import socket_resource
from tests.webapp.streams import Download, Upload

FILES = Path(__file__).resolve().parent / "files"
Render = Callable[[Request], bytes | int]


class Page(Resource):
    """What a function answers, whatever the method."""

    isLeaf = True

    def __init__(self, answer: Render) -> None:
        super().__init__()
        self._answer = answer

    def render(self, request: Request) -> bytes | int:
        """Ask the function."""
        return self._answer(request)


class CountingSite(Site):
    """Its requests have an :class:`Upload` for their body."""

    noisy = False

    def getContentFile(self, length: int | None) -> Upload:  # noqa: N802  # Twisted's name
        """:returns: where a body goes"""
        return Upload()


def make_site() -> Site:
    """:returns: the application"""
    boards, gathering, events = Boards(), Gathering(), Events()
    root = File(str(FILES))
    pages: dict[str, Render] = {
        "json": echo,
        "upload": echo,
        "download": download,
        "cookie": cookie,
        "redirect": redirect,
        "slow": slow,
        "together": partial(together, gathering),
        "board": partial(board, boards),
        "events": events.listen,
        "say": events.say,
    }
    for name, answer in pages.items():
        root.putChild(name.encode(), Page(answer))
    root.putChild(b"ws", socket_resource(boards))
    return CountingSite(root)


# -- what requests ask ---------------------------------------------------------------------------


def asked(request: Request, name: str, default: str = "") -> str:
    """:returns: a parameter of the query"""
    values = cast(dict[bytes, list[bytes]], request.args).get(name.encode())
    return values[0].decode() if values else default


def answer_json(request: Request, value: object) -> bytes:
    """:returns: the body, once the header is set"""
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(value).encode()


def answer_later(request: Request, value: Deferred[Any]) -> int:
    """Answer with JSON once ``value`` is there; forget it when the viewer leaves first."""

    def arrived(result: object) -> None:
        request.write(answer_json(request, result))
        request.finish()

    def left(failure: Failure) -> None:
        value.cancel()

    def given_up(failure: Failure) -> None:
        failure.trap(CancelledError)

    request.notifyFinish().addErrback(left)
    value.addCallbacks(arrived, given_up)
    return NOT_DONE_YET


# -- plain answers -------------------------------------------------------------------------------


def echo(request: Request) -> bytes:
    """Tell as JSON what came: method, target, headers, size and digest of the body, its text."""
    body = cast(Upload, request.content)
    body.seek(0)
    headers = {
        name.decode().lower(): [value.decode("latin-1") for value in values]
        for name, values in request.requestHeaders.getAllRawHeaders()
    }
    value = {
        "method": request.method.decode(),
        "target": request.uri.decode("latin-1"),
        "headers": headers,
        "bytes": body.size,
        "sha256": body.digest(),
        "text": body.read(4096).decode("latin-1"),
    }
    return answer_json(request, value)


def cookie(request: Request) -> bytes:
    """Set two cookies, and tell what came."""
    request.addCookie(b"first", b"1", path=b"/")
    request.addCookie(b"second", b"2", httpOnly=True)
    return echo(request)


def redirect(request: Request) -> bytes:
    """Send the viewer to the address of ``to``, as it stands there."""
    request.setResponseCode(FOUND)
    request.setHeader(b"Location", asked(request, "to", "json").encode())
    return b""


def slow(request: Request) -> int:
    """Answer after ``s`` seconds."""
    from twisted.internet import reactor

    return answer_later(request, deferLater(cast(Any, reactor), float(asked(request, "s")), str))


def together(gathering: Gathering, request: Request) -> int:
    """Answer once ``count`` requests of the same ``room`` are here."""
    count = int(asked(request, "count"))
    return answer_later(request, gathering.join(asked(request, "room"), count))


def board(boards: Boards, request: Request) -> bytes | int:
    """POST leaves JSON under ``name``; GET takes it, and waits for it."""
    name = asked(request, "name")
    if request.method == b"POST":
        body = cast(Upload, request.content)
        body.seek(0)
        boards.put(name, json.loads(body.read()))
        return answer_json(request, {"left": name})
    return answer_later(request, boards.take(name))


def download(request: Request) -> int:
    """Send ``bytes`` of payload; ``framing`` is ``length``, ``chunked`` or ``close``."""
    size, framing = int(asked(request, "bytes")), asked(request, "framing", "length")
    request.setHeader(b"Content-Type", b"application/octet-stream")
    if asked(request, "digest"):
        request.setHeader(b"X-SHA256", digest_of(size).encode())
    if framing == "length":
        request.setHeader(b"Content-Length", b"%d" % size)
    elif framing == "close":
        # what Twisted does for old viewers: no length, no chunks, the end is the end
        request.clientproto = b"HTTP/1.0"
        request.channel.persistent = False
    Download(request, blocks(size))
    return NOT_DONE_YET


# -- Server-Sent Events --------------------------------------------------------------------------


class Events:
    """Rooms with listeners; what is said in one is heard there as an event."""

    def __init__(self) -> None:
        self._rooms: dict[str, list[Request]] = {}

    def listen(self, request: Request) -> int:
        """Send ``hello``, then what is said; or ``count`` ticks, one every ``pause`` seconds."""
        request.setHeader(b"Content-Type", b"text/event-stream")
        request.setHeader(b"Cache-Control", b"no-store")
        request.write(b"retry: 100\ndata: hello\n\n")
        if count := int(asked(request, "count", "0")):
            self._tick(request, count, float(asked(request, "pause", "0.1")))
            return NOT_DONE_YET
        listeners = self._rooms.setdefault(asked(request, "room"), [])
        listeners.append(request)
        request.notifyFinish().addBoth(lambda _: listeners.remove(request))
        return NOT_DONE_YET

    def say(self, request: Request) -> bytes:
        """Tell the room the text of the body; ``end`` ends its streams. Answers who heard it."""
        body = cast(Upload, request.content)
        body.seek(0)
        text = body.read()
        listeners = list(self._rooms.get(asked(request, "room"), ()))
        for listener in listeners:
            if text == b"end":
                listener.finish()
            else:
                listener.write(b"data: %s\n\n" % text)
        return answer_json(request, {"listeners": len(listeners)})

    def _tick(self, request: Request, count: int, pause_s: float) -> None:
        from twisted.internet import reactor

        timers: list[IDelayedCall] = []

        def tick(number: int) -> None:
            request.write(b"id: %d\ndata: tick %d\n\n" % (number, number))
            if number == count:
                request.finish()
            else:
                timers[:] = [cast(Any, reactor).callLater(pause_s, tick, number + 1)]

        def left(failure: Failure) -> None:
            for timer in timers:
                timer.cancel()

        request.notifyFinish().addErrback(left)
        tick(1)
