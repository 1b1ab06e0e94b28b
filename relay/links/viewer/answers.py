"""An application's answer on its way to the viewer: what is read from a stream, and written anew.

Applications are sloppy, so their heads are read leniently; what decides where the body ends is
not, and all of it is written anew. No part of a body is looked at.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

import h11

from relay.errors import BadAnswer
from relay.links.responses import phrase
from relay.links.viewer.requests import HTTP_11, Terms
from relay.wire.http_bodies import (
    CHUNKED,
    NO_BODY,
    UNTIL_CLOSE,
    BodyReader,
    BodyWriter,
    ChunkedWriter,
    Delimiter,
    Framing,
    Piece,
    PlainWriter,
    SilentWriter,
    encode_fields,
)

ANSWER_HEAD_BYTES = 64 * 1024
"""Of all heads of one answer together, interim ones included."""

INTERIM_COUNT = 16
"""How many interim answers may come before the final one."""

SWITCHING = 101
FIRST_FINAL = 200
NO_CONTENT = 204
WITHOUT_BODY = (NO_CONTENT, 304)

ASKED = h11.Request(method="GET", target="/", headers=[("Host", "x"), ("Upgrade", "x")])
"""h11 reads answers to requests only; to this one every answer is allowed."""

MADE_ANEW = frozenset((b"connection", b"transfer-encoding", b"content-length", b"trailer"))
MADE_ANEW_ON_SWITCH = frozenset((b"transfer-encoding", b"content-length"))
"""Neither may stand in an interim answer (RFC 9112, section 6)."""

HEAD_END = re.compile(rb"\n\r?\n")
OVERLAP_BYTES = 2


class Answer(NamedTuple):
    """The final answer of an application.

    :ivar headers: names in lower case and values as they came, in order
    :ivar framing: of its body
    :ivar body: reads its body; a switch has none
    :ivar switches: the answer is 101: what follows belongs to another protocol, both ways
    :ivar rest: what came behind the head; not yet fed to ``body``
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    framing: Framing
    body: BodyReader
    rest: Piece
    switches: bool = False

    def header(self, name: bytes) -> bytes | None:
        """:returns: the first header of that (lower case) name, or None."""
        return next((value for key, value in self.headers if key == name), None)


class AnswerReader:
    """Reads heads until the final one.

    :param method: of the request
    :param upgrade: whether the request asked for another protocol, so that 101 is an answer
    """

    def __init__(self, method: str, upgrade: bool = False) -> None:
        self._method = method
        self._upgrade = upgrade
        self._received = bytearray()  # of a head that is not complete
        self._interim_count = 0
        self._left_bytes = ANSWER_HEAD_BYTES

    def feed(self, data: Piece) -> Answer | None:
        """Bytes arrived; none may be fed behind an answer.

        :returns: the final answer, None while its head is not complete
        :raises BadAnswer: for what is no HTTP/1.1, heads that are too long or too many, and a 101
            that nobody asked for
        """
        held, searched = self._received, len(self._received)
        if searched:
            held += data
        source = held if searched else data
        start = 0
        while True:
            match = HEAD_END.search(source, max(start, searched - OVERLAP_BYTES))
            end = len(source) if match is None else match.end()
            if end - start > self._left_bytes:
                raise BadAnswer(f"the answer's head is over {ANSWER_HEAD_BYTES} bytes")
            if match is None:
                self._received = bytearray(source[start:]) if start or not searched else held
                return None
            head = _parse(bytes(source[start:end]))
            self._left_bytes -= end - start
            start = end
            if head.status_code >= FIRST_FINAL or head.status_code == SWITCHING:
                self._received = bytearray()
                return self._answer(head, memoryview(source)[start:])
            self._interim_count += 1
            if self._interim_count > INTERIM_COUNT:
                raise BadAnswer(f"over {INTERIM_COUNT} interim answers came")

    def ended(self) -> None:
        """The stream ended.

        :raises BadAnswer: always, since there was no answer
        """
        if self._received:
            raise BadAnswer("the answer was cut within its head")
        raise BadAnswer("the service behind the host closed without an answer")

    def _answer(self, head: h11.Response | h11.InformationalResponse, rest: Piece) -> Answer:
        headers = tuple([(name.lower(), value) for name, value in head.headers.raw_items()])
        switches = head.status_code == SWITCHING
        if switches and not self._upgrade:
            raise BadAnswer("the answer is 101, and nobody asked for another protocol")
        framing = NO_BODY if switches else self._framing(head.status_code, headers)
        return Answer(head.status_code, headers, framing, framing.reader(), rest, switches)

    def _framing(self, status: int, headers: tuple[tuple[bytes, bytes], ...]) -> Framing:
        """:returns: how the body is framed; h11 has seen that there is one length, one coding"""
        if self._method == "HEAD" or status in WITHOUT_BODY:
            return NO_BODY
        framing = UNTIL_CLOSE
        for name, value in headers:
            if name == b"transfer-encoding":
                return CHUNKED
            if name == b"content-length":
                framing = Framing(Delimiter.LENGTH, int(value))
        return framing


def encode_answer(answer: Answer, terms: Terms, keep: bool, now: float) -> tuple[bytes, BodyWriter]:
    """Write an answer's head for the viewer.

    :param terms: of the viewer's request
    :param keep: whether we would keep the connection; the viewer's own wish is in ``terms``
    :param now: Unix seconds
    :returns: the head, and what frames the body; the connection stays open behind it when
        ``keep`` and ``terms.keep`` are true and the writer's ``ends_connection`` is not
    """
    status = answer.status
    line = b"HTTP/1.1 %d %b\r\n" % (status, phrase(status).encode("ascii"))
    if answer.switches:
        fields = [field for field in answer.headers if field[0] not in MADE_ANEW_ON_SWITCH]
        return line + encode_fields(fields) + b"\r\n", SilentWriter()
    fields = [field for field in answer.headers if field[0] not in MADE_ANEW]
    if answer.header(b"date") is None:
        fields.append((b"date", date_of(int(now))))
    writer = _frame(answer, terms, fields)
    if writer.ends_connection or not (keep and terms.keep):
        fields.append((b"connection", b"close"))
    elif terms.http_version != HTTP_11:
        fields.append((b"connection", b"keep-alive"))
    return line + encode_fields(fields) + b"\r\n", writer


@lru_cache(maxsize=4)
def date_of(second: int) -> bytes:
    """:returns: a time in Unix seconds, as ``Date`` has it"""
    return formatdate(second, usegmt=True).encode("ascii")


def _frame(answer: Answer, terms: Terms, fields: list[tuple[bytes, bytes]]) -> BodyWriter:
    """Choose how the body reaches the viewer, and add the headers that say so."""
    delimiter, length = answer.framing
    if delimiter is Delimiter.NONE:
        told = answer.header(b"content-length")  # as it would be for a GET
        chunked = answer.header(b"transfer-encoding") is not None
        if told is not None and not chunked and answer.status != NO_CONTENT:
            fields.append((b"content-length", told))
        return SilentWriter()
    if delimiter is Delimiter.LENGTH:
        fields.append((b"content-length", b"%d" % length))
        return PlainWriter()
    if terms.http_version != HTTP_11:
        return PlainWriter(ends_connection=True)
    fields.append((b"transfer-encoding", b"chunked"))
    with_trailers = terms.trailers and delimiter is Delimiter.CHUNKS
    if with_trailers:
        fields += [field for field in answer.headers if field[0] == b"trailer"]
    return ChunkedWriter(with_trailers)


def _parse(head: bytes) -> h11.Response | h11.InformationalResponse:
    """:raises BadAnswer: when it is no head of an HTTP/1.1 answer."""
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_HEAD_BYTES)
    http.send(ASKED)
    try:
        http.receive_data(head)
        event = http.next_event()
    except h11.RemoteProtocolError as error:
        raise BadAnswer(f"the answer is not HTTP/1.1: {error}") from error
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise BadAnswer("the answer is not HTTP/1.1")
    if not event.http_version.startswith(b"1."):
        raise BadAnswer("the answer is in another version of HTTP")
    return event
