"""A small real application behind tunnels: threads of the standard library, plain HTTP/1.1."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.rawpeer.wire import Op, accept_key, encode_frame, take_frame

WAIT_S = 20.0
PART_BYTES = 1 << 16


def pattern(count: int) -> bytes:
    """:returns: ``count`` bytes that anybody can make again, and that do not repeat soon"""
    block = b"".join(hashlib.sha256(b"%d" % n).digest() for n in range(2053))
    return (block * (count // len(block) + 1))[:count]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # waiting for the threads could wait for viewers
    block_on_close = False


class Application:
    """Answers on a port of its own until it is closed.

    :ivar port: where it listens
    :ivar release: lets ``/parts`` go on
    :ivar closes: the codes of WebSockets that ended, 1006 for those without a Close
    """

    def __init__(self) -> None:
        self.release = threading.Event()
        self.closes: list[int] = []
        application = self

        class Handler(_Handler):
            app = application

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    app: Application

    def log_message(self, *_: Any) -> None:
        """Say nothing: the tests look at answers."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            # a viewer that left
            self.close_connection = True

    def answer(self) -> None:
        """Do what the first part of the path says."""
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        name = url.path.split("/")[1] or "echo"
        getattr(self, f"answer_{name}", self.answer_echo)()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815  # of http.server

    def body(self) -> bytes:
        """:returns: the request's body"""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            continue
        return b"".join(parts)

    def say(self, body: bytes, status: int = 200, **fields: str) -> None:
        """Answer with a body of known length."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_echo(self) -> None:
        """Tell what was asked."""
        told = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "body": self.body().decode("latin-1"),
        }
        self.say(json.dumps(told).encode(), Content_Type="application/json")

    def answer_parts(self) -> None:
        """Send one part, and the other when the test allows it."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.app.release.wait(WAIT_S)
        self.wfile.write(b"6\r\nsecond\r\n0\r\nX-Trailer: 1\r\n\r\n")

    def answer_close(self) -> None:
        """Let the end of the connection end the body."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(pattern(int(self.query["bytes"])))

    def answer_early(self) -> None:
        """Refuse an upload without reading it, and stay until the test allows to go."""
        self.say(b"no", 413, Connection="close")
        self.close_connection = True
        if "rude" not in self.query:
            self.connection.shutdown(socket.SHUT_WR)
            self.app.release.wait(WAIT_S)

    def answer_bulk(self) -> None:
        """Send many bytes."""
        self.say(pattern(int(self.query["bytes"])))

    def answer_upload(self) -> None:
        """Tell the digest of what came."""
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left:
            data = self.rfile.read(min(left, PART_BYTES))
            digest.update(data)
            left -= len(data)
        self.say(digest.hexdigest().encode())

    def answer_ws(self) -> None:
        """Echo the messages of a WebSocket, and answer its Pings and its Close."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept_key(self.headers["Sec-WebSocket-Key"]))
        self.end_headers()
        self.close_connection = True
        buffer, message, kind = bytearray(), bytearray(), 0
        while True:
            while (frame := take_frame(buffer)) is None:
                try:
                    data = self.connection.recv(PART_BYTES)
                except OSError:
                    data = b""
                if not data:
                    self.app.closes.append(1006)
                    return
                buffer += data
            if frame.opcode == Op.PING:
                self.wfile.write(encode_frame(Op.PONG, frame.payload))
            elif frame.opcode == Op.CLOSE:
                self.app.closes.append(frame.code or 1005)
                self.wfile.write(encode_frame(Op.CLOSE, frame.payload))
                return
            elif frame.opcode < Op.CLOSE:
                kind = frame.opcode or kind
                message += frame.payload
                if frame.fin:
                    self.wfile.write(encode_frame(kind, bytes(message)))
                    message.clear()
