"""What a tunnel asks of HTTP servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
import pytest_twisted
import trustme
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import capturedLogs

from relay.errors import CannotConnect, Misconfigured, NotARouter, TlsFailed
from relay.links import asking as links_asking
from relay.links.listening import listen
from relay.links.secure import SecureFactory
from relay.outside import HttpAnswer
from relay.tls import ServerTls
from tests.integration.outward_room import Room
from tests.rawpeer import Head, RawPeer, the_reactor, until

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Case: Kept\r\n\r\nok"
LIMIT_BYTES = 64
SHORT_S = 0.05
NAME = "access.example"

Asking = Deferred[HttpAnswer]


def ask(room: Room, path: str = "/", method: str = "POST", **headers: str) -> Asking:
    """:returns: the answer to a question, once there is one"""
    question = room.outward.http(method, room.url(path), headers, LIMIT_BYTES)
    return Deferred.fromCoroutine(question)


async def asked(room: Room, answer: bytes) -> tuple[RawPeer, Head]:
    """Answer the next request. :returns: its connection and head"""
    peer, head = await room.server.accept_request()
    peer.write(answer)
    return peer, head


@pytest_twisted.ensureDeferred
async def test_a_question_and_its_answer() -> None:
    """The request says that it has no body; answer and connection are whole."""

    async def test(room: Room) -> None:
        asking = ask(room, "/session/a%2Fb?x=1", Authorization="token")
        peer, head = await asked(room, ANSWER)
        answer = await asking
        assert answer == HttpAnswer(200, {"content-length": "2", "x-case": "Kept"}, b"ok")
        assert head.first_line == "POST /session/a%2Fb?x=1 HTTP/1.1"
        assert head.header("Host") == f"127.0.0.1:{room.port}"
        assert head.header("Authorization") == "token"
        assert head.header("Content-Length") == "0"
        assert head.header("Accept-Encoding") is None
        await peer.gone()
        assert not peer.was_reset()

    await Room().run(test)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 500, b"ok"),
        (b"HTTP/1.1 103 Hints\r\n\r\n" + ANSWER, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", 302, b""),
    ],
)
@pytest_twisted.ensureDeferred
async def test_answers_of_all_kinds(answer: bytes, status: int, body: bytes) -> None:
    """Refusals are answers, too; their meaning is the dialect's matter."""

    async def test(room: Room) -> None:
        asking = ask(room)
        await asked(room, answer)
        got = await asking
        assert (got.status, got.body) == (status, body)

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_ends_with_its_connection() -> None:
    """As HTTP/1.0 frames it."""

    async def test(room: Room) -> None:
        asking = ask(room)
        peer, _ = await asked(room, b"HTTP/1.0 200 OK\r\n\r\nall of it")
        peer.drop()
        assert (await asking).body == b"all of it"

    await Room().run(test)


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
@pytest_twisted.ensureDeferred
async def test_redirections(status: int, method: str) -> None:
    """They are followed on the same server; only 307 and 308 keep the method."""

    async def test(room: Room) -> None:
        asking = ask(room, "/old/place", Authorization="token")
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: ../new?y\r\nContent-Length: 0\r\n\r\n"
        await asked(room, moved.encode())
        _, head = await asked(room, ANSWER)
        assert head.first_line == f"{method} /new?y HTTP/1.1"
        assert head.header("Authorization") == "token"
        assert (await asking).status == 200

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_a_redirection_to_another_server() -> None:
    """What we show to one is not for another."""

    async def test(room: Room) -> None:
        asking = ask(room)
        moved = b"HTTP/1.1 307 Moved\r\nLocation: https://evil.example/x?t\r\n"
        await asked(room, moved + b"Content-Length: 0\r\n\r\n")
        with pytest.raises(Misconfigured, match=r"to another server, https://evil\.example:443$"):
            await asking

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_redirections_without_end() -> None:
    """Five are followed."""

    async def test(room: Room) -> None:
        asking = ask(room)
        for _ in range(6):
            await asked(room, b"HTTP/1.1 307 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(NotARouter, match="redirects more than 5 times"):
            await asking
        assert room.server.arrivals == 6

    await Room().run(test)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "in the midst of its answer|not whole|something else"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno", "not whole"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n" + b"a" * 65, "over 64 bytes"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "something else answers there: 'SSH-2.0"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "TLS is spoken there"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_is_no_answer(answer: bytes, why: str) -> None:
    """It is told from others, and the connection is closed."""

    async def test(room: Room) -> None:
        asking = ask(room)
        peer, _ = await asked(room, answer)
        peer.drop()
        with pytest.raises(NotARouter, match=why):
            await asking
        await peer.gone()

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_nobody_there() -> None:
    """The sentence names the address."""

    async def test(room: Room) -> None:
        url = room.url()
        await room.server.close()
        with pytest.raises(CannotConnect, match=f"nothing listens at 127.0.0.1:{room.port}"):
            await room.outward.http("POST", url, {}, LIMIT_BYTES)

    await Room().run(test)


@pytest_twisted.ensureDeferred
async def test_a_question_that_is_taken_back() -> None:
    """Cancelling closes the connection."""

    async def test(room: Room) -> None:
        asking = ask(room)
        peer, _ = await room.server.accept_request()
        asking.cancel()
        with pytest.raises(CancelledError):
            await asking
        await peer.gone()

    await Room().run(test)


class Says(Protocol):
    """Gives one answer to whatever comes."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(ANSWER)


@pytest.mark.parametrize(
    ("router", "tls_name", "good"),
    [("", NAME, True), ("wss://127.0.0.1:1", NAME, True), ("wss://r.example", NAME, False)],
)
@pytest_twisted.ensureDeferred
async def test_the_name_of_a_certificate(
    router: str, tls_name: str, good: bool, tls_authority: trustme.CA, tmp_path: Any
) -> None:
    """``tls-name`` is that of the router, and of all servers where a tunnel has no router."""
    roots = tmp_path / "ca.pem"
    tls_authority.cert_pem.write_to_path(str(roots))
    issued = tls_authority.issue_cert(NAME)
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(files[0]))
    issued.private_key_pem.write_to_path(str(files[1]))
    factory = SecureFactory(ServerTls(*files), False, Factory.forProtocol(Says), the_reactor())
    listening = await listen(the_reactor(), "tcp:0:interface=127.0.0.1", factory)

    async def test(room: Room) -> None:
        url = f"https://127.0.0.1:{cast(IPv4Address, listening.getHost()).port}/"
        asking = room.outward.http("GET", url, {}, LIMIT_BYTES)
        if good:
            assert (await asking).body == b"ok"
        else:
            with pytest.raises(TlsFailed):
                await asking

    try:
        await Room(ca_file=roots, router=router, tls_name=tls_name).run(test)
    finally:
        await maybeDeferred(listening.stopListening)


@pytest_twisted.ensureDeferred
async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is reported while it is still waited for."""
    monkeypatch.setattr(links_asking, "SILENT_S", SHORT_S)

    async def test(room: Room) -> None:
        with capturedLogs() as events:
            asking = ask(room)
            peer = await room.server.accept()
            line = await until(lambda: said_nothing(events), "line of the log")
            peer.write(ANSWER)
            assert (await asking).body == b"ok"
        assert f"127.0.0.1:{room.port} accepts connections but has said nothing" in line

    await Room().run(test)


def said_nothing(events: Sequence[Mapping[str, Any]]) -> str | None:
    """:returns: what was logged of silence"""
    texts = [str(event.get("text")) for event in events]
    return next((text for text in texts if "said nothing" in text), None)
