"""Answers of the access API of session-relay, and members of its topics, as bytes."""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple

from tests.rawpeer import DEADLINE_S, Ended, Ending, Frame, Head, Op, RawPeer

TOLD = b"read so far?"
MARK = b"what came before this is all there is"

_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """:returns: a topic or booking that no other test has"""
    return f"{stem}-{next(_numbers)}"


# -- answers -------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What the access API has answered.

    :ivar closed: whether the connection ended behind it
    """

    status: int
    head: Head
    body: bytes
    closed: bool

    def header(self, name: str) -> str | None:
        """:returns: the only header of that name"""
        return self.head.header(name)

    def is_framework(self, status: int, code: int, message: str) -> bool:
        """:returns: whether it has shape F of §3.1; :raises AssertionError: when not"""
        expected = json.dumps({"code": code, "message": message}, separators=(",", ":"))
        assert (self.status, self.body.decode()) == (status, expected)
        assert self.header("Content-Type") == "application/json"
        return True

    def is_handlers(self, status: int, message: str) -> bool:
        """:returns: whether it has shape H; :raises AssertionError: when not"""
        expected = json.dumps({"code": str(status), "message": message}, separators=(",", ":"))
        assert (self.status, self.body.decode()) == (status, expected + "\n")
        assert self.header("Content-Type") == "application/json"
        return True

    def is_word(self, status: int, text: str) -> bool:
        """:returns: whether it has shape S; :raises AssertionError: when not"""
        assert (self.status, self.body.decode()) == (status, json.dumps(text) + "\n")
        assert self.header("Content-Type") == "application/json"
        return True

    def data(self) -> Any:
        """:returns: the value of shape D"""
        assert self.status == 200, self
        assert self.header("Content-Type") == "application/json"
        text = self.body.decode()
        value = json.loads(text)
        assert text == json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
        return value


# -- members -------------------------------------------------------------------------------------


class Member:
    """A connection to the relay socket; Pings are answered as they are met.

    :ivar pings: when each came
    """

    def __init__(self, peer: RawPeer) -> None:
        self.peer = peer
        self.pings: list[float] = []

    async def admitted(self) -> None:
        """Wait until the relay reads what this one says, hence knows of it. :raises Late, Ended:"""
        self.peer.send(Op.PING, TOLD)
        frame = await self.peer.receive()
        assert (frame.opcode, frame.payload) == (Op.PONG, TOLD), frame

    def say(self, payload: bytes | str) -> None:
        """Send one message: a text for a str, otherwise binary."""
        if isinstance(payload, str):
            self.peer.send(Op.TEXT, payload.encode())
        else:
            self.peer.send(Op.BINARY, payload)

    async def message(self, deadline_s: float = DEADLINE_S) -> Frame:
        """:returns: the next message
        :raises Late:
        :raises Ended: behind a Close, too
        """
        expiry = self.peer.clock.seconds() + deadline_s
        while True:
            frame = await self.peer.receive_message(max(0.0, expiry - self.peer.clock.seconds()))
            if frame.opcode == Op.PING:
                self.pings.append(self.peer.clock.seconds())
                self.peer.send(Op.PONG, frame.payload)
            elif frame.opcode == Op.CLOSE:
                raise Ended(f"{frame!r} instead of a message")
            elif frame.opcode != Op.PONG:
                return frame

    async def hears(self, payload: bytes | str, deadline_s: float = DEADLINE_S) -> None:
        """Check the next message, its type included."""
        frame = await self.message(deadline_s)
        text = isinstance(payload, str)
        data = payload.encode() if isinstance(payload, str) else payload
        assert frame.payload == data, frame.payload[:100]
        assert frame.opcode == (Op.TEXT if text else Op.BINARY)

    async def payload(self, count: int, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: so many bytes, of however many messages"""
        came = b""
        while len(came) < count:
            came += (await self.message(deadline_s)).payload
        return came

    async def over(self, deadline_s: float = DEADLINE_S) -> Ending:
        """:returns: how it has ended, which the other side must see to"""
        return await self.peer.ending(deadline_s)

    async def cut(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait for the end, which ours announces by a Close, and before which nothing comes."""
        ending = await self.over(deadline_s)
        assert [one for one in ending.frames if one.opcode not in (Op.PING, Op.PONG)] == []

    async def passes(self, *others: Member, payload: bytes | str | None = None) -> None:
        """Say something, and see all others hear it next."""
        said = payload if payload is not None else fresh("message").encode()
        self.say(said)
        for other in others:
            await other.hears(said)

    async def heard_nothing(self, *sayers: Member) -> None:
        """Check that nothing was to be heard until now; :param sayers: write and are heard."""
        for sayer in sayers:
            await sayer.passes(self, payload=MARK)
