"""Reads the requests of one connection: a head, perhaps a body, and what follows them."""

from __future__ import annotations

import h11

from relay.errors import TooLarge
from relay.links.heads import (
    check_beginning,
    check_head,
    find_head_end,
    in_words,
    with_ascii_target,
)


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
        raw = self._raw
        searched = len(raw)
        raw += self._unread
        self._unread.clear()
        end = find_head_end(raw, searched)
        check_beginning(raw, self._head_bytes if end < 0 else len(raw))
        if end < 0:
            return None
        head = bytes(raw[:end])
        check_head(head, self._head_bytes)
        self._unread = raw[end:]
        self._raw = bytearray()
        try:
            self._http.receive_data(with_ascii_target(head))
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise in_words(error, head, self._head_bytes) from error
        return event if isinstance(event, h11.Request) else None

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
            raise in_words(error, b"", self._head_bytes) from error
        return bytes(self._body) if isinstance(event, h11.EndOfMessage) else None

    def is_whole(self) -> bool:
        """:returns: whether the request was read to its end, so that another may follow."""
        return self._http.their_state is h11.DONE

    def rest(self) -> bytes:
        """:returns: what came behind the head, unread"""
        trailing, _ = self._http.trailing_data
        return bytes(trailing + self._unread)

    def take(self) -> bytes:
        """:returns: what nobody has asked for yet; it is nobody's afterwards"""
        data = bytes(self._unread)
        self._unread.clear()
        return data

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
