"""One-time codes, bookings that are cancelled, and the upgrade: checks 21 to 28 and 38."""

from __future__ import annotations

import time

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.integration.hurry import HURRY
from tests.integration.session_relay_peers import BOTH, OURS, UUID4, Router, Unnoticed, go_differs
from tests.integration.session_relay_vectors import ACCEPT, KEY, TOPIC, V1
from tests.integration.session_relay_wire import Member, fresh
from tests.rawpeer import Ended, Late, Op, accept_key, the_reactor, together, until

SLOW_GO = ["ours", pytest.param("go", marks=pytest.mark.slow)]
HURRIED = pytest.mark.parametrize("hurried_sr", SLOW_GO, indirect=True)
CUT_S = 1.0
WRITES_EVERY_S = 0.02
GOOD_S, DEAD_S = 25.0, 95.0
ORIGIN = {"Origin": "https://elsewhere.example"}

pytest_plugins = ["tests.integration.session_relay_fixtures"]


# -- bookings ------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_21_deny_cuts(sr: Router) -> None:
    """A cancelled booking loses every connection, on whatever topic; nobody else does."""
    booking, topic, other = fresh("bk"), fresh("topic"), fresh("topic")
    cancelled = [
        await sr.member(topic, booking=booking),
        await sr.member(topic, ("read",), booking),
        await sr.member(other, ("write",), booking),
    ]
    staying = [await sr.member(topic), await sr.member(topic)]
    await sr.deny(booking)
    await together(*(member.cut(CUT_S) for member in cancelled))
    await staying[0].passes(staying[1])
    await staying[1].passes(staying[0])


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_22_codes_of_a_denied_booking(sr: Router) -> None:
    """A code that was given out before stays void, also when the booking is allowed again."""
    booking, topic = fresh("bk"), fresh("topic")
    token = sr.token(topic, booking=booking)
    first, second = await sr.code(topic, token), await sr.code(topic, token)
    await sr.deny(booking)
    peer, head = await sr.enter(topic, first)
    await sr.refused(peer, head, topic)
    await sr.allow(booking)
    peer, head = await sr.enter(topic, second)
    await sr.refused(peer, head, topic)


@OURS
@pytest_twisted.ensureDeferred
async def test_check_23_allowed_again(sr: Router) -> None:
    """A booking that had a connection when it was cancelled comes back; this kills the original."""
    booking, topic = fresh("bk"), fresh("topic")
    before = await sr.member(topic, booking=booking)
    for _ in range(3):
        await sr.deny(booking)
        await before.cut(CUT_S)
        await sr.allow(booking)
        before = await sr.member(topic, booking=booking)
        other = await sr.member(topic)
        await before.passes(other)
        other.peer.drop()


@BOTH
@pytest_twisted.ensureDeferred
async def test_denied_before_and_after(sr: Router) -> None:
    """Cancelling what is cancelled, or what nobody knows, changes nothing."""
    booking = fresh("bk")
    for _ in range(2):
        await sr.deny(booking)
    assert booking in await sr.bookings("deny")
    await sr.allow(booking)
    await sr.allow(booking)
    assert booking not in await sr.bookings("deny")


@go_differs("who comes in while its booking is cancelled may stay", always=False)
@pytest_twisted.ensureDeferred
async def test_deny_while_connecting(sr: Router) -> None:
    """Whoever shows a code while its booking is cancelled is out when all is said and done."""
    booking, topic = fresh("bk"), fresh("topic")
    token = sr.token(topic, booking=booking)
    codes = [await sr.code(topic, token) for _ in range(8)]
    entering = together(*(sr.enter(topic, code) for code in codes))
    await sr.deny(booking)
    came = await entering
    first, second = await sr.member(topic), await sr.member(topic)
    for peer, head in came:
        if head.status == 101 and peer.end is None:
            Member(peer).say("from one that was cancelled")
    await first.passes(second)
    await second.passes(first)
    for peer, head in came:
        if sr.is_ours and head.status == 101:
            await peer.gone()
        said = b"" if head.status != 101 else peer.left()
        # a Close is all that may have come
        assert not said or said[0] == 0x80 | Op.CLOSE


# -- codes ---------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_24_used_twice(sr: Router) -> None:
    """A code opens one connection; the second one hears and says nothing."""
    topic = fresh("topic")
    code = await sr.code(topic)
    peer, head = await sr.enter(topic, code)
    assert head.status == 101
    first = Member(peer)
    await first.admitted()
    peer, head = await sr.enter(topic, code)
    await sr.refused(peer, head, topic)
    # what the members of that check have said
    assert sr.is_ours or len([await first.message() for _ in range(2)]) == 2
    await first.passes(await sr.member(topic))


@BOTH
@pytest_twisted.ensureDeferred
async def test_one_code_shown_by_many_at_once(sr: Router) -> None:
    """Of those who show a code at the same time exactly one is let in."""
    topic = fresh("topic")
    code = await sr.code(topic)
    async with Unnoticed(sr):
        came = await together(*(sr.enter(topic, code) for _ in range(12)))
        let_in = [peer for peer, head in came if head.status == 101]
        assert len(let_in) == (1 if sr.is_ours else 12)
        for peer in let_in:
            peer.send(Op.PING, b"inside?")
        await until(lambda: [one for one in let_in if one.left()] or None, "a Pong")
    assert len([one for one in let_in if one.left()]) == 1


@OURS
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=",
        "?code=hello",
        "?code=00000000-0000-4000-8000-000000000000",
        "?Code={code}",
        "?code=x&code={code}",
        "?code=%00",
        "?code=" + "9" * 5000,
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_code(sr: Router, query: str) -> None:
    """Whoever shows no code, or one that nobody was given, gets 401."""
    topic = fresh("topic")
    code = await sr.code(topic)
    _, head = await sr.knock(f"/session/{topic}{query.format(code=code)}")
    assert head.status == 401
    peer, head = await sr.enter(topic, code)
    assert head.status == 101
    await Member(peer).admitted()


@HURRIED
@pytest_twisted.ensureDeferred
async def test_check_25_life_of_a_code(hurried_sr: Router) -> None:
    """A code is good for 25 s, and dead at 95 s."""
    times = HURRY if hurried_sr.is_ours else 1
    topic = fresh("topic")
    good, late = await hurried_sr.code(topic), await hurried_sr.code(topic)
    await deferLater(the_reactor(), GOOD_S / times)
    peer, head = await hurried_sr.enter(topic, good)
    assert head.status == 101
    await Member(peer).admitted()
    await deferLater(the_reactor(), (DEAD_S - GOOD_S) / times)
    peer, head = await hurried_sr.enter(topic, late)
    await hurried_sr.refused(peer, head, topic)


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_26_on_another_topic(sr: Router) -> None:
    """A code that is shown on another topic's path is not taken, and spent."""
    topic, other = fresh("topic"), fresh("topic")
    code = await sr.code(topic)
    peer, head = await sr.enter(other, code)
    await sr.refused(peer, head, other)
    peer, head = await sr.enter(topic, code)
    await sr.refused(peer, head, topic)


@BOTH
@pytest_twisted.ensureDeferred
async def test_scopes_that_open_nothing(sr: Router) -> None:
    """A token with neither read nor write gets a code, which opens nothing."""
    topic = fresh("topic")
    for scopes in (["stats"], ["Read", "WRITE"], ["relay:admin"]):
        code = await sr.code(topic, sr.token(topic, scopes))
        peer, head = await sr.enter(topic, code)
        await sr.refused(peer, head, topic)


# -- the upgrade ---------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_27_other_connection_types(sr: Router) -> None:
    """Only ``session`` is served at the relay socket; a code shown elsewhere is not spent."""
    topic = fresh("topic")
    code = await sr.code(topic)
    for path in (f"/shell/{topic}", f"/other/{topic}", "/"):
        _, head = await sr.knock(f"{path}?code={code}")
        assert head.status == 404
    peer, head = await sr.enter(topic, code)
    assert head.status == 101
    await Member(peer).admitted()


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_27_type_of_the_token(sr: Router) -> None:
    """A token for a shell gets a session whose URI is served nowhere."""
    topic = fresh("topic")
    uri = await sr.uri(topic, sr.token(topic, prefix="shell"))
    assert uri.startswith(f"{sr.target}/shell/{topic}?code=")
    _, head = await sr.knock(uri.removeprefix(sr.target))
    assert head.status == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_28_subprotocol_and_origin(sr: Router) -> None:
    """The subprotocol ``null`` is taken up, no other; whatever page asks, it is let in."""
    for offered, chosen in (
        ({"Sec-WebSocket-Protocol": "null"}, "null"),
        ({"Sec-WebSocket-Protocol": "a, null"}, "null"),
        ({"Sec-WebSocket-Protocol": "binary"}, None),
        ({}, None),
    ):
        topic = fresh("topic")
        headers = {**offered, **ORIGIN, "Sec-WebSocket-Extensions": "permessage-deflate"}
        peer, head = await sr.enter(topic, await sr.code(topic), headers)
        assert head.status == 101
        assert head.header("Sec-WebSocket-Protocol") == chosen
        assert head.header("Sec-WebSocket-Extensions") is None
        await Member(peer).admitted()


@BOTH
@pytest_twisted.ensureDeferred
async def test_vector_of_the_upgrade(sr: Router) -> None:
    """The handshake of §17 is answered as it says."""
    headers = {"Sec-WebSocket-Key": KEY, "Sec-WebSocket-Protocol": "null"}
    code = await sr.code(TOPIC, V1)
    assert UUID4.fullmatch(code)
    _, head = await sr.enter(TOPIC, code, headers)
    assert head.header("Sec-WebSocket-Accept") == ACCEPT == accept_key(KEY)


@BOTH
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Connection": "close"}, 400),
        ("GET", {"Upgrade": None}, 400),
        ("GET", {"Sec-WebSocket-Version": "8"}, 400),
        ("GET", {"Sec-WebSocket-Version": None}, 400),
        ("GET", {"Sec-WebSocket-Key": None}, 400),
        ("GET", {"Sec-WebSocket-Key": ""}, 400),
        ("POST", {}, 405),
    ],
    ids=["connection", "upgrade", "version", "no-version", "no-key", "empty-key", "method"],
)
@pytest_twisted.ensureDeferred
async def test_bad_handshakes(
    sr: Router, method: str, headers: dict[str, str | None], status: int
) -> None:
    """A handshake that is none is refused, and spends no code."""
    topic = fresh("topic")
    code = await sr.code(topic)
    _, head = await sr.knock(f"/session/{topic}?code={code}", headers, method=method)
    assert head.status == status or (sr.is_ours and head.status in (400, 404, 405, 426))
    peer, head = await sr.enter(topic, code)
    assert head.status == 101
    await Member(peer).admitted()


# -- expiry --------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_check_38_expiry(sr: Router) -> None:
    """A connection ends between its token's end and a second later, whatever goes on."""
    topic = fresh("topic")
    exp = int(time.time()) + 3
    ending = await sr.member(topic, exp=exp)
    writing = await sr.member(topic, ("write",), exp=exp)
    staying = await sr.member(topic)
    over = Deferred.fromCoroutine(ending.over())
    await writes_on(writing)
    await over
    assert exp - 0.05 <= time.time() <= exp + 1.2
    while not staying.peer.nothing_came():
        await staying.message()
    await staying.passes(await sr.member(topic))


async def writes_on(member: Member) -> None:
    """Say something again and again, until the end or a Close that is not answered."""
    while True:
        try:
            frame = await member.peer.receive(WRITES_EVERY_S)
        except Late:
            member.say(b"still here")
        except Ended:
            return
        else:
            assert frame.opcode in (Op.PING, Op.CLOSE), frame
            if frame.opcode == Op.CLOSE:
                return
