"""Messages of network-relay as bytes, and a raw link that speaks them."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.dialects.network_relay_vectors import V7, V8, V9, V14
from tests.rawpeer import DEADLINE_S, Ended, Ending, Frame, Op, PeerError, RawPeer

AGENT_PATH = "/ws_for_edge_agents"
CLIENT_PATH = "/ws_for_access_clients"
START_OK, WRONG_SECRET, NO_AGENT, KEEP_ALIVE = V7, V8, V9, V14
OPENING_FAILED = "Error initiating connection: "
CLOSED = "Connection closed by relay"
RESET = "Connection reset while writing data"
PART_BYTES = 1 << 16


def compact(kind: str, **members: object) -> bytes:
    """:returns: a message in the form that the originals send"""
    inner = {"kind": kind, **members}
    return json.dumps({"inner": inner}, separators=(",", ":"), ensure_ascii=False).encode()


def armoured(data: bytes) -> str:
    """:returns: base64"""
    return base64.b64encode(data).decode()


class Talk:
    """One end of a link; Pings are answered, keep-alives counted and left out.

    :ivar keep_alives: when each came, in seconds
    :ivar pings: the same of Pings
    """

    def __init__(self, peer: RawPeer) -> None:
        self.peer = peer
        self.keep_alives: list[float] = []
        self.pings: list[float] = []
        self._spare = bytearray()

    def say(self, kind: str, /, **members: object) -> None:
        """Send a message in the originals' form."""
        self.send(compact(kind, **members))

    def send(self, text: bytes) -> None:
        """Send a text as it is."""
        self.peer.send(Op.TEXT, text)

    async def text(self, deadline_s: float = DEADLINE_S) -> bytes:
        """:returns: the next text that is no keep-alive
        :raises Late:
        :raises Ended: behind a Close, too
        """
        expiry = self.peer.clock.seconds() + deadline_s
        while True:
            now = self.peer.clock.seconds()
            frame = await self.peer.receive_message(max(0.0, expiry - now))
            if frame.opcode == Op.PING:
                self.pings.append(self.peer.clock.seconds())
                self.peer.send(Op.PONG, frame.payload)
            elif frame.opcode == Op.CLOSE:
                self.peer.send(Op.CLOSE, frame.payload)
                raise Ended(f"{frame!r} instead of a text")
            elif frame.opcode == Op.TEXT and frame.payload == KEEP_ALIVE:
                self.keep_alives.append(self.peer.clock.seconds())
            elif frame.opcode == Op.TEXT:
                return frame.payload
            elif frame.opcode != Op.PONG:
                raise PeerError(f"{frame!r} instead of a text")

    async def hear(self, kind: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """:returns: the members of the next message, which has to be of this kind
        :raises PeerError: when it is another
        """
        text = await self.text(deadline_s)
        inner: dict[str, Any] = json.loads(text)["inner"]
        if inner.pop("kind") != kind:
            raise PeerError(f"{text[:200]!r} instead of {kind}")
        return inner

    async def payload(self, count: int, deadline_s: float = DEADLINE_S, **members: object) -> bytes:
        """:param members: what each ``tcp_data`` has to have beside its data
        :returns: ``count`` bytes, however they were cut
        """
        while len(self._spare) < count:
            data = await self.hear("tcp_data", deadline_s)
            self._spare += base64.b64decode(data.pop("data_base64"), validate=True)
            assert data == members
        taken = bytes(self._spare[:count])
        del self._spare[:count]
        return taken

    async def send_parts(self, data: bytes, **members: object) -> None:
        """Send ``data`` in parts, no faster than the other end takes them."""
        for start in range(0, len(data), PART_BYTES):
            await self.peer.writable()
            self.data(data[start : start + PART_BYTES], **members)

    def data(self, data: bytes, **members: object) -> None:
        """Send ``tcp_data``."""
        self.say("tcp_data", **members, data_base64=armoured(data))

    async def over(self, deadline_s: float = DEADLINE_S) -> Frame | None:
        """Wait for the end, before which no message may come.

        :returns: the Close, None where there was none
        """
        ending = await self.ending(deadline_s)
        said = [frame for frame in ending.frames if frame.opcode < Op.CLOSE]
        assert [frame for frame in said if frame.payload != KEEP_ALIVE] == []
        return ending.close

    async def ending(self, deadline_s: float = DEADLINE_S) -> Ending:
        """:returns: what came, up to the end; a server ends TCP behind the Close"""
        return await self.peer.ending(deadline_s, leave=not self.peer.masks)
