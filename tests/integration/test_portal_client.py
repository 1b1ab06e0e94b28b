"""Our portal client, and the original's, against a router that each test scripts."""

from __future__ import annotations

import socket

import pytest
import pytest_twisted

from relay.links.outgoing import CALLER_CHECK_S
from tests.integration.portal_daemon import (
    KINDS,
    MALFORMED,
    OURS_ONLY,
    SOON_S,
    VALID_INCOMING,
    Daemon,
    answers,
    check_handshake,
)
from tests.integration.portal_peers import CONNECTED
from tests.rawpeer import Ended, Frame, Late, Op, RawPeer, noise

KiB = 1024
MiB = 1024 * KiB
NOT_FOR_CLIENTS = VALID_INCOMING["edge"] % 7

pytest_plugins = ["tests.integration.portal_fixtures"]


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_handshake(daemon: Daemon) -> None:
    """Each local connection is one call for the service."""
    knock = await daemon.client()
    await knock()
    _, request = await daemon.router.accept_request()
    check_handshake(request, "/connect/client/ssh")
    assert request.target == "/connect/client/ssh"


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_waits_for_connected(daemon: Daemon) -> None:
    """Nothing but Pongs is sent before ``Connected``; what else a router says is ignored."""
    user, data = await daemon.call()
    user.write(b"impatient")
    for text in [*MALFORMED, b'{"Status":"router ready"}', NOT_FOR_CLIENTS]:
        data.send(Op.TEXT, text)
    await answers(data)
    data.send(*CONNECTED[:2])
    assert await data.receive() == Frame(Op.BINARY, b"impatient", masked=True)
    data.send(Op.TEXT, b'{"Status":"late"}')
    data.send(Op.BINARY, b"answer")
    assert await user.exactly(6) == b"answer"


@KINDS
@pytest.mark.parametrize("form", ["null", "fragments", "spaces", "same-segment"])
@pytest_twisted.ensureDeferred
async def test_client_understands_every_form_of_connected(daemon: Daemon, form: str) -> None:
    """``{"Connected":null}``, fragments and white space mean the same."""
    knock = await daemon.client()
    user = await knock()
    data, request = await daemon.router.accept_request()
    data.answer_upgrade(request)
    if form == "null":
        data.send(Op.TEXT, b'{"Connected":null}')
    elif form == "fragments":
        data.send(Op.TEXT, b'"Conn', fin=False)
        data.send(Op.CONTINUATION, b'ected"')
    elif form == "spaces":
        data.send(Op.TEXT, b' \n"Connected"\t')
    else:
        data.send(*CONNECTED[:2])
    data.send(Op.BINARY, b"banner")
    assert await user.exactly(6) == b"banner"
    user.write(b"request")
    assert await data.receive() == Frame(Op.BINARY, b"request", masked=True)


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_ends_with_the_router(daemon: Daemon) -> None:
    """All that came before a drop or Close reaches the user, then the connection ends."""
    knock = await daemon.client()
    for end in (RawPeer.drop, RawPeer.send_close):
        user = await knock()
        data, _ = await daemon.router.accept_upgrade()
        data.send(*CONNECTED[:2])
        payload = noise(64 * KiB)
        data.send(Op.BINARY, payload)
        end(data)
        assert await user.exactly(len(payload)) == payload
        await data.ending(leave=True)
        await user.gone()
        assert not user.was_reset()


@KINDS
@pytest_twisted.ensureDeferred
async def test_client_ends_with_its_user(daemon: Daemon) -> None:
    """All that the user said before it left comes out; ours then says Close 1000."""
    user, data = await daemon.call()
    data.send(*CONNECTED[:2])
    payload = noise(MiB)
    user.write(payload)
    user.drop()
    ending = await data.ending(leave=True)
    assert ending.data == payload
    assert daemon.is_ours == (ending.close is not None)
    assert ending.close is None or ending.close.code == 1000


@OURS_ONLY
@pytest.mark.parametrize("end", ["drop", "close", "payload", "refused"])
@pytest_twisted.ensureDeferred
async def test_client_fails_before_connected(daemon: Daemon, end: str) -> None:
    """A link that ends or misbehaves before ``Connected`` is a failure that the user notices."""
    knock = await daemon.client()
    user = await knock()
    data, request = await daemon.router.accept_request()
    if end == "refused":
        data.refuse(401)
    else:
        data.answer_upgrade(request)
    if end == "drop":
        data.drop()
    elif end == "close":
        data.send_close(1011, "host-silent")
    elif end == "payload":
        data.send(Op.BINARY, b"too early")
    with pytest.raises(Ended):
        await user.exactly(1)
    assert user.was_reset()


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_client_waits_for_a_host_that_is_late(daemon: Daemon) -> None:
    """A host that is absent for a moment is asked for again before the user notices."""
    knock = await daemon.client()
    user = await knock()
    for _ in range(2):
        (await daemon.router.accept_request())[0].refuse(502)
    data, _ = await daemon.router.accept_upgrade(SOON_S)
    data.send(*CONNECTED[:2])
    data.send(Op.BINARY, b"banner")
    assert await user.exactly(6) == b"banner"


@OURS_ONLY
@pytest.mark.parametrize("how", ["drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_a_user_leaves_before_connected(daemon: Daemon, how: str) -> None:
    """The router is told within a second or so; what a user said who resets is not wanted."""
    knock = await daemon.client()
    user = await knock()
    if how == "reset":
        user.write(b"impatient")
    data, _ = await daemon.router.accept_upgrade()
    getattr(user, how)()
    ending = await data.ending(SOON_S)
    assert ending.frames == []
    assert ending.close is not None
    assert ending.close.code == 1000


@OURS_ONLY
@pytest.mark.parametrize("wait_s", [0, 2 * CALLER_CHECK_S])
@pytest_twisted.ensureDeferred
async def test_an_upload_whose_user_left_is_carried(daemon: Daemon, wait_s: float) -> None:
    """Who says all and closes before anybody answered wants it to be delivered."""
    door = "127.0.0.1", await daemon.client_port()
    with socket.create_connection(door) as user:
        user.sendall(b"fire and forget")
    data, _ = await daemon.router.accept_upgrade()
    if wait_s:
        with pytest.raises(Late):
            await data.receive(wait_s)
    data.send(*CONNECTED[:2])
    ending = await data.ending(SOON_S)
    assert ending.data == b"fire and forget"


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_a_user_that_only_listens_is_waited_for(daemon: Daemon) -> None:
    """A half-close is no reason to give up: what the user said is a request."""
    knock = await daemon.client()
    user = await knock()
    user.write(b"request")
    user.half_close()
    data, _ = await daemon.router.accept_upgrade()
    with pytest.raises(Late):
        await data.receive(2 * CALLER_CHECK_S)
    data.send(*CONNECTED[:2])
    assert await data.receive() == Frame(Op.BINARY, b"request", masked=True)
    data.send(Op.BINARY, b"answer")
    assert await user.exactly(6) == b"answer"


@OURS_ONLY
@pytest_twisted.ensureDeferred
async def test_client_serves_several_users(daemon: Daemon) -> None:
    """Users do not wait for each other."""
    knock = await daemon.client()
    users = [await knock() for _ in range(3)]
    links = [(await daemon.router.accept_upgrade())[0] for _ in users]
    for number, data in enumerate(reversed(links)):
        data.send(*CONNECTED[:2])
        data.send(Op.BINARY, bytes([number]))
    assert sorted([await user.exactly(1) for user in users]) == [b"\0", b"\1", b"\2"]
