"""A router of session-relay made of bytes, for hosts and clients to come to."""

from __future__ import annotations

import json
import secrets
from typing import NamedTuple

from tests.integration.session_relay_wire import Member
from tests.rawpeer import DEADLINE_S, Head, PeerError, RawPeer, RawServer

JSON = "application/json"
INVALID = b'{"code":500,"message":"token invalid"}'


class Asked(NamedTuple):
    """A request for a session that waits for its answer.

    :ivar at: when it came, in the reactor's seconds
    """

    peer: RawPeer
    head: Head
    at: float

    def answer(self, body: bytes, status: int = 200) -> None:
        """Answer, and close."""
        lines = (
            f"HTTP/1.1 {status} Whatever",
            f"Content-Type: {JSON}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        self.peer.write("\r\n".join((*lines, "", "")).encode() + body)
        self.peer.drop()

    def refuse(self) -> None:
        """Answer as to a token that is none."""
        self.answer(INVALID, 500)


class Lobby:
    """Takes requests for sessions, and the connections that they lead to, at one port.

    :ivar port: where it listens
    """

    def __init__(self) -> None:
        self._server = RawServer()
        self.port = 0

    async def listen(self) -> None:
        """Listen."""
        self.port = await self._server.listen()

    @property
    def arrivals(self) -> int:
        """:returns: how many connections have come so far"""
        return self._server.arrivals

    def url(self, topic: str) -> str:
        """:returns: where a session is to be asked for"""
        return f"http://127.0.0.1:{self.port}/session/{topic}"

    async def asked(self, topic: str, token: str, deadline_s: float = DEADLINE_S) -> Asked:
        """:returns: the next request, which has to be as the original's"""
        peer, head = await self._server.accept_request(deadline_s)
        if head.first_line != f"POST /session/{topic} HTTP/1.1":
            raise PeerError(head.first_line)
        assert head.header("Authorization") == token
        assert head.header("Content-Length") in ("0", None)
        return Asked(peer, head, peer.clock.seconds())

    async def let_in(self, asked: Asked, status: int = 200) -> Member:
        """Answer with a code, and take the connection that shows it. :returns: it"""
        code = f"code-{secrets.token_hex(4)}"
        uri = f"ws://127.0.0.1:{self.port}/session/x?code={code}"
        asked.answer(json.dumps({"uri": uri}).encode() + b"\n", status)
        peer, head = await self._server.accept_upgrade()
        assert head.target == f"/session/x?code={code}"
        assert head.header("Sec-WebSocket-Extensions") is None
        return Member(peer)

    async def guest(self, topic: str, token: str, deadline_s: float = DEADLINE_S) -> Member:
        """:returns: a host or client that has come in"""
        return await self.let_in(await self.asked(topic, token, deadline_s))

    async def dialled(self, path: str) -> Member:
        """:returns: one that has come without a session"""
        peer, head = await self._server.accept_upgrade()
        assert head.target == path
        return Member(peer)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self._server.close()
