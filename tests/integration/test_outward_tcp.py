"""Raw links that a host or client makes: plain, and TLS with either side as the server."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import pytest_twisted
import trustme
from twisted.internet.defer import CancelledError, Deferred

from relay.core.session import Session
from relay.errors import CannotConnect, GoingAway, Misconfigured, TlsFailed
from relay.links import secure
from relay.outside import ExpectsTls, ITunnelSession, ServesTls
from relay.vocabulary import CLEAN_REASONS, Event, Reason
from tests.fakes.raw_talks import RawTalk
from tests.integration.outward_room import Room
from tests.integration.portal_ours import own_descriptors
from tests.integration.tls_peer import TlsPeer
from tests.rawpeer import RawPeer, RawServer, noise, together, until

MiB = 1024 * 1024
NAME = "cam.example"
SHORT_S = 0.05
both_gears = pytest.mark.parametrize("gear", [True, False], ids=["cut-through", "message"])


def ignore(_event: Event) -> None:
    """What is no stream's means nothing here."""


def dial(
    room: Room, tls: ServesTls | ExpectsTls | None = None, address: str = ""
) -> Deferred[ITunnelSession]:
    """:returns: a raw link to the room's server, once it stands"""
    where = address or f"127.0.0.1:{room.port}"
    return Deferred.fromCoroutine(room.outward.tcp(where, RawTalk(), ignore, tls))


class Files(NamedTuple):
    """What TLS needs, on either side."""

    serves: ServesTls
    roots: Path
    client: ssl.SSLContext
    server: ssl.SSLContext


@pytest.fixture
def files(tls_authority: trustme.CA, tmp_path: Path) -> Files:
    """A certificate, and who trusts it."""
    issued = tls_authority.issue_cert(NAME)
    certificate, key, roots = (tmp_path / f"{name}.pem" for name in ("certificate", "key", "ca"))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    tls_authority.cert_pem.write_to_path(str(roots))
    client = ssl.create_default_context()
    tls_authority.configure_trust(client)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(server)
    return Files(ServesTls(certificate, key), roots, client, server)


class Service:
    """A local service, and a raw link that is joined with it."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.server = RawServer()

    async def join(self, session: ITunnelSession) -> RawPeer:
        """:returns: the service's side of the circuit"""
        stream = cast(Session, session).stream()  # which keeps what comes meanwhile
        port = await self.server.listen()
        local = await self.room.outward.connect(f"tcp:127.0.0.1:{port}")
        self.room.outward.join(stream, local, "cam")
        peer = await self.server.accept()
        peer.stays_half_open = True
        return peer


async def run(test: Callable[[Room, Service], Any], **changes: Any) -> None:
    """Do ``test`` with a room and a service, and end what it began."""
    before = own_descriptors()

    async def inner(room: Room) -> None:
        service = Service(room)
        try:
            await test(room, service)
        finally:
            await service.server.close()

    await Room(**changes).run(inner)
    await until(lambda: own_descriptors() <= before + 1 or None, "descriptors")


@both_gears
@pytest_twisted.ensureDeferred
async def test_an_answer_behind_a_fin(gear: bool) -> None:
    """A FIN of the far end is no end of the other direction."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room)
        far = await room.server.accept()
        far.stays_half_open = True
        near = await service.join(await dialling)
        far.half_close()
        await near.half_ended()
        near.write(b"answer")
        assert await far.exactly(6) == b"answer"
        near.half_close()
        await far.half_ended()

    await run(test, cut_through=gear)


@both_gears
@pytest_twisted.ensureDeferred
async def test_a_plain_link_and_a_service(gear: bool) -> None:
    """Bulk goes both ways; each half-close comes behind it, and then all is over."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room)
        far = await room.server.accept()
        far.stays_half_open = True
        session = await dialling
        near = await service.join(session)
        there, back = noise(2 * MiB), noise(MiB)
        await together(far.write_all(there), near.write_all(back))
        far.half_close()
        assert await near.half_ended() == there
        near.half_close()
        assert await far.half_ended() == back
        ending = await cast("Deferred[Any]", session.when_closed())
        assert ending.reason in CLEAN_REASONS

    await run(test, cut_through=gear)


@both_gears
@pytest.mark.parametrize("far_first", [True, False])
@pytest_twisted.ensureDeferred
async def test_a_reset_from_either_side(gear: bool, far_first: bool) -> None:
    """The other side sees one, too."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room)
        far = await room.server.accept()
        near = await service.join(await dialling)
        first, second = (far, near) if far_first else (near, far)
        second.write(b"x")
        await first.exactly(1)
        first.reset()
        await second.gone()
        assert second.was_reset()

    await run(test, cut_through=gear)


@both_gears
@pytest_twisted.ensureDeferred
async def test_we_serve_tls(gear: bool, files: Files) -> None:
    """The far end finds our certificate, whenever it comes; goodbyes are passed as half-closes."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room, files.serves)
        below = await room.server.accept()
        session = await dialling  # though nobody has said anything yet
        near = await service.join(session)
        far = TlsPeer(below, files.client, NAME)
        await far.handshake()
        there, back = noise(2 * MiB), noise(MiB)
        far.write(there)
        assert await near.exactly(len(there)) == there
        near.write(back)
        assert await far.exactly(len(back)) == back
        near.write(b"the last of it")
        near.half_close()
        assert await far.goodbye() == b"the last of it"
        far.say_goodbye()
        await near.half_ended()
        ending = await cast("Deferred[Any]", session.when_closed())
        assert ending.reason in CLEAN_REASONS

    await run(test, cut_through=gear)


@pytest_twisted.ensureDeferred
async def test_a_handshake_that_is_never_finished(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may begin late, but from then on it is not waited for without end."""
    monkeypatch.setattr(secure, "HANDSHAKE_S", SHORT_S)

    async def test(room: Room, _service: Service) -> None:
        dialling = dial(room, files.serves)
        far = await room.server.accept()
        session = await dialling
        far.write(b"\x16\x03\x01")
        await far.gone()
        assert far.was_reset()
        ending = await cast("Deferred[Any]", session.when_closed())
        assert ending.reason is Reason.LOST

    await run(test)


@both_gears
@pytest_twisted.ensureDeferred
async def test_words_behind_a_goodbye(gear: bool, files: Files) -> None:
    """We have said all, and the far end has more to say: it is heard."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room, files.serves)
        far = TlsPeer(await room.server.accept(), files.client, NAME)
        near = await service.join(await dialling)
        near.write(b"request")
        near.half_close()
        await far.handshake()
        assert await far.goodbye() == b"request"
        far.write(b"answer")
        assert await near.exactly(6) == b"answer"
        far.say_goodbye()
        await near.half_ended()

    await run(test, cut_through=gear)


@both_gears
@pytest_twisted.ensureDeferred
async def test_we_expect_tls(gear: bool, files: Files) -> None:
    """The far end's certificate is verified by the tunnel's roots, and by the name that is told."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room, ExpectsTls(NAME))
        far = TlsPeer(await room.server.accept(), files.server, None)
        await far.handshake()
        far.write(b"early")
        near = await service.join(await dialling)
        assert await near.exactly(5) == b"early"
        back = noise(MiB)
        near.write(back)
        assert await far.exactly(MiB) == back
        far.say_goodbye()
        await near.half_ended()

    await run(test, cut_through=gear, ca_file=files.roots, tls_name="router.example")


@pytest_twisted.ensureDeferred
async def test_a_certificate_of_another(files: Files) -> None:
    """There is no link, and the far end is told so."""

    async def test(room: Room, _service: Service) -> None:
        dialling = dial(room, ExpectsTls("other.example"))
        far = TlsPeer(await room.server.accept(), files.server, None)
        shaking = Deferred.fromCoroutine(far.handshake())
        shaking.addErrback(lambda _: None)  # which side finds the end of it first does not matter
        with pytest.raises(TlsFailed, match=r"other\.example"):
            await dialling

    await run(test, ca_file=files.roots)


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_is_renewed(files: Files, tls_authority: trustme.CA) -> None:
    """The next link serves the new one."""

    async def test(room: Room, _service: Service) -> None:
        for name in (NAME, "new.example"):
            issued = tls_authority.issue_cert(name)
            issued.cert_chain_pems[0].write_to_path(str(files.serves.certificate))
            issued.private_key_pem.write_to_path(str(files.serves.key))
            dialling = dial(room, files.serves)
            far = TlsPeer(await room.server.accept(), files.client, name)
            await dialling
            await far.handshake()

    await run(test)


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    """It is told which file cannot be read, before anybody is dialled."""

    async def test(room: Room, _service: Service) -> None:
        with pytest.raises(Misconfigured, match="No such file"):
            await dial(room, ServesTls(tmp_path / "none.pem", tmp_path / "key.pem"))
        assert room.server.arrivals == 0

    await run(test)


@pytest.mark.parametrize("address", ["", "here", "h:x", ":1", "h:0", "a/b:1", "u@h:1", "[::1:2"])
@pytest_twisted.ensureDeferred
async def test_addresses_that_are_none(address: str) -> None:
    """They are refused in a sentence."""

    async def test(room: Room, _service: Service) -> None:
        with pytest.raises(Misconfigured, match="is no HOST:PORT"):
            await room.outward.tcp(address, RawTalk(), ignore)

    await run(test)


@pytest_twisted.ensureDeferred
async def test_nobody_there() -> None:
    """The sentence names the address."""

    async def test(room: Room, _service: Service) -> None:
        await room.server.close()
        with pytest.raises(CannotConnect, match=f"nothing listens at 127.0.0.1:{room.port}"):
            await dial(room)

    await run(test)


@pytest_twisted.ensureDeferred
async def test_through_the_proxy() -> None:
    """The tunnel's proxy is asked for the address."""

    async def test(room: Room, service: Service) -> None:
        dialling = dial(room, address="cam.example:4711")
        far, head = await proxy.accept_request()
        assert head.first_line == "CONNECT cam.example:4711 HTTP/1.1"
        far.write(b"HTTP/1.1 200 OK\r\n\r\nearly")
        near = await service.join(await dialling)
        assert await near.exactly(5) == b"early"
        near.write(b"answer")
        assert await far.exactly(6) == b"answer"

    proxy = RawServer()
    port = await proxy.listen()
    try:
        await run(test, proxy=f"http://127.0.0.1:{port}")
    finally:
        await proxy.close()


@pytest_twisted.ensureDeferred
async def test_a_tunnel_that_stops() -> None:
    """Its raw links are reset or closed, and none is made any more."""

    async def test(room: Room, _service: Service) -> None:
        dialling = dial(room)
        far = await room.server.accept()
        await dialling
        await room.outward.stop(0)
        await far.gone()
        with pytest.raises(GoingAway):
            await dial(room)

    await run(test)


@pytest_twisted.ensureDeferred
async def test_a_dial_that_is_taken_back(files: Files) -> None:
    """The connection is closed."""

    async def test(room: Room, _service: Service) -> None:
        dialling = dial(room, ExpectsTls(NAME))
        far = await room.server.accept()
        await far.some()
        dialling.cancel()
        with pytest.raises(CancelledError):
            await dialling
        await far.gone()

    await run(test, ca_file=files.roots)
