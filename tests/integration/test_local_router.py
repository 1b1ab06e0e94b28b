"""A router inside a host: local sockets, links and parts of the host in one topic."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from relay.errors import CannotListen
from relay.vocabulary import Data, Enter
from tests.conftest import Flush
from tests.integration.local_router_room import LOOPBACK, Ear, Lab
from tests.integration.outward_room import talk
from tests.integration.topic_face import topic
from tests.rawpeer import Op, RawPeer, until


async def heard(peer: RawPeer) -> tuple[int, bytes]:
    """:returns: kind and payload of the next message"""
    frame = await peer.receive_message()
    return frame.opcode, frame.payload


@pytest_twisted.ensureDeferred
async def test_local_sockets_hear_each_other() -> None:
    """Kinds and boundaries are kept, and a speaker does not hear itself."""

    async def test(lab: Lab) -> None:
        one, two = await lab.member("a"), await lab.member("a")
        other = await lab.member("b")
        one.send(Op.TEXT, b"text")
        one.send(Op.BINARY, b"")
        two.send(Op.BINARY, b"back")
        assert await heard(two) == (Op.TEXT, b"text")
        assert await heard(two) == (Op.BINARY, b"")
        assert await heard(one) == (Op.BINARY, b"back")
        assert one.nothing_came()
        assert other.nothing_came()

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_link_of_ours_takes_part() -> None:
    """For as long as it stands, in both directions."""

    async def test(lab: Lab) -> None:
        local = await lab.member("cam")
        dialling = Deferred.fromCoroutine(
            lab.outward.websocket_at(lab.url("/", "ws"), {}, talk, lambda _: None)
        )
        far, _ = await lab.server.accept_upgrade()
        lab.router.enter(await dialling, Enter(topic("cam")))
        local.send(Op.TEXT, b"out")
        assert await heard(far) == (Op.TEXT, b"out")
        far.send(Op.BINARY, b"in")
        assert await heard(local) == (Op.BINARY, b"in")
        far.drop()
        await until(lambda: lab.members("cam") == 1 or None, "empty seat")

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_resident_hears_and_speaks() -> None:
    """Until it leaves."""

    async def test(lab: Lab) -> None:
        local, ear = await lab.member("api"), Ear()
        resident = lab.router.reside(topic("api"), ear)
        local.send(Op.TEXT, b"command")
        assert await ear.hears(1) == [(b"command", True)]
        resident.say(b"reply", True)
        assert await heard(local) == (Op.TEXT, b"reply")
        assert len(ear.heard) == 1
        resident.leave()
        resident.leave()
        resident.say(b"nobody hears", True)
        assert lab.members("api") == 1

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_resident_with_a_bug(expected_log_errors: Flush) -> None:
    """It is logged; whoever spoke stays."""

    async def test(lab: Lab) -> None:
        one, two = await lab.member("api"), await lab.member("api")

        def stumble(_data: Data) -> None:
            raise ValueError("a bug")

        lab.router.reside(topic("api"), stumble)
        one.send(Op.TEXT, b"still there")
        assert await heard(two) == (Op.TEXT, b"still there")
        one.send(Op.TEXT, b"again")
        assert await heard(two) == (Op.TEXT, b"again")

    await Lab().work(test)
    assert len(expected_log_errors(ValueError)) == 2


@pytest_twisted.ensureDeferred
async def test_composed_topics() -> None:
    """They hear what is said on their sources, as these change, and say nothing back."""

    async def test(lab: Lab) -> None:
        router, stream = lab.router, topic("stream/x")
        mixed = Ear()
        listener = router.reside(stream, mixed)
        one, two = Ear(), Ear()
        video = router.reside(topic("video"), one)
        audio = router.reside(topic("audio"), two)
        router.compose(stream, [topic("video"), topic("audio")])
        video.say(b"v", False)
        audio.say(b"a", True)
        listener.say(b"not back", True)
        assert mixed.heard == [(b"v", False), (b"a", True)]
        router.compose(stream, [topic("audio")])
        video.say(b"v", False)
        audio.say(b"b", True)
        assert mixed.heard[2:] == [(b"b", True)]
        router.compose(stream, [])
        audio.say(b"c", True)
        assert len(mixed.heard) == 3
        assert one.heard == two.heard == []
        assert lab.members("audio") == 1

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_topics_composed_of_each_other() -> None:
    """Nothing goes in a circle: what is composed is no source, until it is composed no more."""

    async def test(lab: Lab) -> None:
        router, a, b = lab.router, topic("a"), topic("b")
        hears_a, hears_b = Ear(), Ear()
        router.reside(b, hears_b)
        says = router.reside(a, hears_a)
        router.compose(a, [b, a])
        router.compose(b, [a])
        says.say(b"once", True)
        assert hears_a.heard == hears_b.heard == []
        router.compose(a, [])
        says.say(b"twice", True)
        assert hears_b.heard == [(b"twice", True)]
        assert hears_a.heard == []

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_host_that_stops() -> None:
    """Local sockets get a Close, and the door is shut."""

    async def test(lab: Lab) -> None:
        local, idle = await lab.member("a"), await lab.dial()
        stopping = Deferred.fromCoroutine(lab.outward.stop(0))
        assert (await local.ending()).close is not None
        await idle.gone()
        await stopping
        assert lab.router.broker.topics == {}

    await Lab().work(test)


@pytest_twisted.ensureDeferred
async def test_a_door_that_cannot_be_opened() -> None:
    """The sentence says where."""

    async def test(lab: Lab) -> None:
        with pytest.raises(CannotListen, match=f"127.0.0.1:{lab.local}"):
            await lab.router.listen(LOOPBACK.replace("0", str(lab.local), 1))

    await Lab().work(test)
