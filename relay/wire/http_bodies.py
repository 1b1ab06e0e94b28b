"""Bodies of HTTP/1.1 messages (RFC 9112, sections 6 and 7): where they end, how they are framed.

Payload is counted and sliced where it lies, and copied nowhere. Chunks are read strictly: what two
parsers might understand differently is an error, since behind us stands a second parser.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from relay.errors import ProtocolError

Piece = bytes | memoryview
"""Payload as it came; a memoryview has items of one byte."""

Trailers = Sequence[tuple[bytes, bytes]]
"""Names in lower case and values, in order, both as they stand on the wire."""

EXTENSION_BYTES = 256
"""Of one chunk's extensions, which nobody reads."""

CHUNK_LINE_BYTES = 2 + 16 + EXTENSION_BYTES + 2
"""The longest line with a size, with the end of the chunk before it."""

TRAILERS_BYTES = 8 * 1024
TRAILERS_COUNT = 64

PIECES_COUNT = 64
"""More pieces than that are joined: they are tiny, and each would cost more than its copy."""

MAX_LENGTH_BYTES = 2**63 - 1

FORBIDDEN_TRAILERS = frozenset(
    b"age authorization cache-control connection content-encoding content-length content-range "
    b"content-type cookie date expect expires forwarded host if-match if-modified-since "
    b"if-none-match if-range if-unmodified-since keep-alive location max-forwards pragma "
    b"proxy-authenticate proxy-authorization proxy-connection range retry-after set-cookie te "
    b"trailer transfer-encoding upgrade vary via warning www-authenticate x-forwarded-for "
    b"x-forwarded-host x-forwarded-proto x-real-ip".split()
)
"""Fields for framing, routing, authentication and control, which mean nothing behind a body
(RFC 9110, section 6.5.1), and those that applications trust a proxy to have set."""

_EXTENSION = rb"(?:;[\t\x20-\x7e\x80-\xff]{0,%d})?" % (EXTENSION_BYTES - 1)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})" + _EXTENSION + rb"\r\n")
_NEXT_SIZE = re.compile(rb"\r\n([0-9A-Fa-f]{1,16})" + _EXTENSION + rb"\r\n")
_SIZE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}(?:" + _EXTENSION + rb"\r?)?)?")
_NEXT_SIZE_BEGUN = re.compile(rb"\r?|\r\n(?:[0-9A-Fa-f]{1,16}(?:" + _EXTENSION + rb"\r?)?)?")
_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_FIELD = rb"(%s):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN
_TRAILER = re.compile(rb"(?:" + _FIELD + rb")?\r\n")
_TRAILER_BEGUN = re.compile(rb"\r?|" + _TOKEN + rb"|" + _FIELD + rb"\r?")


class BodyReader(Protocol):
    """Finds the end of a body.

    :ivar done: whether the end was found; only then have ``rest`` and ``trailers`` a meaning
    :ivar rest: what came behind the end
    :ivar trailers: the fields behind a chunked body, without those that do not belong there
    """

    done: bool
    rest: bytes
    trailers: Trailers

    def feed(self, data: Piece) -> list[Piece]:
        """Bytes arrived.

        :returns: the payload in them, slices of ``data`` where that is possible
        :raises ProtocolError: when the framing is broken; nothing may be fed after that
        """

    def ended(self) -> None:
        """The connection ended.

        :raises ProtocolError: when the body is cut
        """


class LengthBody:
    """A body of ``length`` bytes; 0 is one that is over at once, or none at all."""

    trailers: Trailers = ()

    def __init__(self, length: int) -> None:
        self.done = not length
        self.rest = b""
        self._left = length

    def feed(self, data: Piece) -> list[Piece]:
        """:returns: what of ``data`` belongs to the body"""
        size = len(data)
        if size < self._left:
            self._left -= size
            return [data] if size else []
        if self.done:
            self.rest += data
            return []
        left, self._left, self.done = self._left, 0, True
        if size == left:
            return [data]
        view = memoryview(data)
        self.rest = bytes(view[left:])
        return [view[:left]]

    def ended(self) -> None:
        """:raises ProtocolError: when bytes are missing."""
        if not self.done:
            raise ProtocolError(f"the body was cut: {self._left} bytes are missing")


class EndlessBody:
    """A body that ends with the connection."""

    rest = b""
    trailers: Trailers = ()

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: Piece) -> list[Piece]:
        """:returns: all of it"""
        return [data] if len(data) else []

    def ended(self) -> None:
        """That was all."""
        self.done = True


class ChunkedBody:
    """A chunked body.

    Payload: chunks, a chunk of size 0, trailer lines, an empty line. A chunk is its size (1 to 16
    hexadecimal digits), extensions, CRLF, so many bytes, CRLF (RFC 9112, section 7.1).
    """

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.trailers: Trailers = ()
        self._left = 0  # of the chunk that is being read
        self._held = b""  # the beginning of a line
        self._line, self._begun = _SIZE, _SIZE_BEGUN  # what the next line is, what begins one
        self._trailers: list[tuple[bytes, bytes]] = []
        self._trailer_bytes = 0
        self._trailer_count = 0

    def feed(self, data: Piece) -> list[Piece]:
        """:returns: the payload of the chunks in ``data``

        :raises ProtocolError: when the framing is broken, or a line or the trailers are too long
        """
        size = len(data)
        if size < self._left:
            self._left -= size
            return [data] if size else []
        if self.done:
            self.rest += data
            return []
        view, at = memoryview(data), 0
        pieces: list[Piece] = []
        while at < size:
            if self._left:
                piece = view[at : at + self._left]
                pieces.append(piece)
                self._left -= len(piece)
                at += len(piece)
                continue
            at = self._read_line(view, at)
            if self.done:
                self.rest = bytes(view[at:])
                break
        return pieces if len(pieces) <= PIECES_COUNT else [b"".join(pieces)]

    def ended(self) -> None:
        """:raises ProtocolError: when the last chunk, or the empty line, has not come."""
        if not self.done:
            raise ProtocolError("the body was cut: its last chunk is missing")

    def _read_line(self, view: memoryview, at: int) -> int:
        """:returns: where the line ends that began at ``at``, or earlier"""
        held = self._held
        in_trailers = self._line is _TRAILER
        limit = TRAILERS_BYTES - self._trailer_bytes if in_trailers else CHUNK_LINE_BYTES
        window: Piece = view[at : at + limit - len(held)]
        if held:
            window = held + window
        match = self._line.match(window)
        if match is None:
            return self._hold(bytes(window), limit, at - len(held))
        self._held = b""
        end = match.end()
        if in_trailers:
            self._trailer_received(match, end)
        else:
            self._left = int(match[1], 16)
            if self._left:
                self._line, self._begun = _NEXT_SIZE, _NEXT_SIZE_BEGUN
            else:
                self._line, self._begun = _TRAILER, _TRAILER_BEGUN
        return at + end - len(held)

    def _hold(self, window: bytes, limit: int, start: int) -> int:
        """Keep the beginning of a line. :returns: where what was kept ends"""
        what = "the trailer section" if self._line is _TRAILER else "the size of a chunk"
        if self._begun.fullmatch(window) is None:
            raise ProtocolError(f"{what} is malformed")
        if len(window) >= limit:
            raise ProtocolError(f"{what} is over {limit} bytes")
        self._held = window
        return start + len(window)

    def _trailer_received(self, line: re.Match[bytes], length: int) -> None:
        if line[1] is None:
            self.done, self.trailers = True, self._trailers
            return
        self._trailer_bytes += length
        self._trailer_count += 1
        if self._trailer_count > TRAILERS_COUNT or self._trailer_bytes >= TRAILERS_BYTES:
            raise ProtocolError(f"over {TRAILERS_COUNT} trailers, or {TRAILERS_BYTES} bytes")
        name = bytes(line[1]).lower()
        if name not in FORBIDDEN_TRAILERS:
            self._trailers.append((name, bytes(line[2]).strip(b" \t")))


class BodyWriter(Protocol):
    """Frames a body for the next hop.

    :ivar ends_connection: whether the body's end is the connection's end
    """

    ends_connection: bool

    def part(self, pieces: Sequence[Piece]) -> list[Piece]:
        """:returns: what to send for this part of the payload, in order"""

    def end(self, trailers: Trailers = ()) -> bytes:
        """:returns: what to send behind the last part"""


class PlainWriter:
    """Payload as it is: its length was told, or its end is the connection's."""

    def __init__(self, ends_connection: bool = False) -> None:
        self.ends_connection = ends_connection

    def part(self, pieces: Sequence[Piece]) -> list[Piece]:
        """:returns: the pieces"""
        return list(pieces)

    def end(self, trailers: Trailers = ()) -> bytes:
        """:returns: nothing: there is no place for trailers"""
        return b""


class SilentWriter:
    """No body, whatever comes: for the answer to a HEAD."""

    ends_connection = False

    def part(self, pieces: Sequence[Piece]) -> list[Piece]:
        """:returns: nothing"""
        return []

    def end(self, trailers: Trailers = ()) -> bytes:
        """:returns: nothing"""
        return b""


class ChunkedWriter:
    """Makes a chunk of each part.

    :param with_trailers: whether the next hop wants them
    """

    ends_connection = False

    def __init__(self, with_trailers: bool = True) -> None:
        self._with_trailers = with_trailers

    def part(self, pieces: Sequence[Piece]) -> list[Piece]:
        """:returns: a chunk; nothing for an empty part, which would be the last chunk"""
        size = sum([len(piece) for piece in pieces])
        return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []

    def end(self, trailers: Trailers = ()) -> bytes:
        """:returns: the last chunk, and the trailers where they are wanted"""
        if not trailers or not self._with_trailers:
            return b"0\r\n\r\n"
        return b"0\r\n" + encode_fields(trailers) + b"\r\n"


class Delimiter(enum.Enum):
    """What tells where a body ends."""

    NONE = "none"
    """There is no body."""
    LENGTH = "length"
    CHUNKS = "chunks"
    CLOSE = "close"
    """The end of the connection."""


class Framing(NamedTuple):
    """How a body is framed.

    :ivar length: in bytes, where that is the delimiter
    """

    delimiter: Delimiter
    length: int = 0

    def reader(self) -> BodyReader:
        """:returns: a reader for one such body"""
        if self.delimiter is Delimiter.CHUNKS:
            return ChunkedBody()
        if self.delimiter is Delimiter.CLOSE:
            return EndlessBody()
        return LengthBody(self.length)

    def writer(self) -> BodyWriter:
        """:returns: a writer for one such body, which passes trailers on"""
        if self.delimiter is Delimiter.CHUNKS:
            return ChunkedWriter()
        if self.delimiter is Delimiter.NONE:
            return SilentWriter()
        return PlainWriter(self.delimiter is Delimiter.CLOSE)


NO_BODY = Framing(Delimiter.NONE)
CHUNKED = Framing(Delimiter.CHUNKS)
UNTIL_CLOSE = Framing(Delimiter.CLOSE)

CACHED_NAMES = 512
CACHED_NAME_BYTES = 64


class _CanonicalNames(dict[bytes, bytes]):
    """Names as Go writes them, by what they are in lower case; bounded, since peers invent them."""

    def __missing__(self, name: bytes) -> bytes:
        canonical = b"-".join([part.capitalize() for part in name.split(b"-")])
        if len(self) < CACHED_NAMES and len(name) <= CACHED_NAME_BYTES:
            self[name] = canonical
        return canonical


canonical_names = _CanonicalNames()
"""``canonical_names[b"x-api-key"]`` is ``b"X-Api-Key"``, also for a name in another case."""


def encode_fields(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """:returns: a line for each field, names in Go's canonical case"""
    names = canonical_names
    return b"".join([b"%b: %b\r\n" % (names[name], value) for name, value in fields])
