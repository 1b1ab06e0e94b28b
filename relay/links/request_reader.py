"""Reads the requests of one connection: a head, perhaps a body, and what follows them."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import h11

from relay.errors import BadRequest, TooLarge
from relay.vocabulary import Request

LINE_END = b"\r\n"
TLS_HANDSHAKE = b"\x16"


class RequestReader:
    """An HTTP/1.1 parser that gives back what is not its own.

    :param head_bytes: a longer head is refused
    """

    def __init__(self, head_bytes: int) -> None:
        self._head_bytes = head_bytes
        self._http = self._parser()
        self._unread = bytearray()
        self._raw = bytearray()
        self._body = bytearray()

    def receive(self, data: bytes) -> None:
        """Bytes arrived."""
        self._unread += data

    def unread_bytes(self) -> int:
        """:returns: how many bytes nobody has asked for yet."""
        return len(self._unread)

    def has_begun(self) -> bool:
        """:returns: whether a part of a head has come."""
        return bool(self._raw or self._unread)

    def head(self) -> h11.Request | None:
        """Read the head.

        :returns: None while it is not complete
        :raises TooLarge: above ``head_bytes``
        :raises BadRequest: for what is no HTTP/1.1
        """
        self._raw += self._unread
        try:
            event = self._event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                raise self._head_too_large() from error
            raise BadRequest(self._explain(error)) from error
        if not isinstance(event, h11.Request):
            return None
        trailing, _ = self._http.trailing_data
        head = self._raw[: len(self._raw) - len(trailing)]
        self._raw.clear()
        if len(head) > self._head_bytes:
            raise self._head_too_large()
        if head.count(b"\n") != head.count(LINE_END):
            raise BadRequest("a line of the request head ends without CR")
        return event

    def body(self, limit_bytes: int) -> bytes | None:
        """Read the body behind the head.

        :returns: None while it is not complete
        :raises TooLarge: above ``limit_bytes``
        :raises BadRequest: for what is no HTTP/1.1
        """
        try:
            while isinstance(event := self._event(), h11.Data):
                self._body += event.data
                if len(self._body) > limit_bytes:
                    raise TooLarge(f"the body is over {limit_bytes} bytes")
        except h11.RemoteProtocolError as error:
            raise BadRequest(f"this is not HTTP/1.1: {error}") from error
        return bytes(self._body) if isinstance(event, h11.EndOfMessage) else None

    def is_whole(self) -> bool:
        """:returns: whether the request was read to its end, so that another may follow."""
        return self._http.their_state is h11.DONE

    def rest(self) -> bytes:
        """:returns: what came behind the head, unread"""
        trailing, _ = self._http.trailing_data
        return bytes(trailing + self._unread)

    def begin_again(self) -> None:
        """Expect another request, whose beginning may be here already."""
        self._unread = bytearray(self.rest())
        self._http = self._parser()
        self._body.clear()

    def _parser(self) -> h11.Connection:
        return h11.Connection(h11.SERVER, max_incomplete_event_size=self._head_bytes)

    def _event(self) -> object:
        if self._unread:
            data = bytes(self._unread)
            self._unread.clear()
            self._http.receive_data(data)
        return self._http.next_event()

    def _head_too_large(self) -> TooLarge:
        return TooLarge(f"the request head is over {self._head_bytes} bytes")

    def _explain(self, error: Exception) -> str:
        if self._raw[:1] == TLS_HANDSHAKE:
            return "plain HTTP is spoken here, and TLS arrived: use ws:// or http://"
        return f"this is not HTTP/1.1: {error}"


def request_of(head: h11.Request, secure: bool) -> Request:
    """:returns: ``head`` in our words, without peer and body
    :raises BadRequest: for a target that is neither a path nor a URL
    """
    target = head.target.decode("latin-1")
    path, _, query = target.partition("?")
    return Request(
        method=head.method.decode("ascii"),
        target=target,
        path=_path_of(path) if "://" in path and not path.startswith("/") else path,
        query=query,
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers
        ),
        peer="",
        http_version=head.http_version.decode("ascii"),
        secure=secure,
    )


def _path_of(target: str) -> str:
    """:returns: the path of a target in absolute form. :raises BadRequest: when it is no URL."""
    try:
        return urlsplit(target).path or "/"
    except ValueError as error:
        raise BadRequest("the request target is neither a path nor a URL") from error
