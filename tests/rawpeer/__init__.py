"""A WebSocket peer made of bytes: it sends what a test asks for, right or wrong.

Either side of a connection: :func:`connect` makes a client, :class:`RawServer` hands out servers.
Nothing is answered by itself; every wait has a deadline. What speaks HTTP and wsmux
(:func:`read_response`, :class:`MuxLink`) stands upon it.
"""

from tests.rawpeer.connecting import RawServer, connect
from tests.rawpeer.http import Response, read_chunk, read_head, read_response, request
from tests.rawpeer.mux import MUX_WINDOW_BYTES, Mux, MuxFrame, MuxLink, MuxStream, encode_mux
from tests.rawpeer.peer import RawPeer
from tests.rawpeer.waiting import (
    DEADLINE_S,
    POLL_S,
    Ended,
    Late,
    PeerError,
    the_reactor,
    together,
    until,
)
from tests.rawpeer.wire import (
    PERFECT_HANDSHAKE,
    SAMPLE_KEY,
    Ending,
    Frame,
    Head,
    Op,
    accept_key,
    close_body,
    encode_frame,
    noise,
    request_head,
)

__all__ = [
    "DEADLINE_S",
    "MUX_WINDOW_BYTES",
    "PERFECT_HANDSHAKE",
    "POLL_S",
    "SAMPLE_KEY",
    "Ended",
    "Ending",
    "Frame",
    "Head",
    "Late",
    "Mux",
    "MuxFrame",
    "MuxLink",
    "MuxStream",
    "Op",
    "PeerError",
    "RawPeer",
    "RawServer",
    "Response",
    "accept_key",
    "close_body",
    "connect",
    "encode_frame",
    "encode_mux",
    "noise",
    "read_chunk",
    "read_head",
    "read_response",
    "request",
    "request_head",
    "the_reactor",
    "together",
    "until",
]
