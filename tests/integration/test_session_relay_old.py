"""Session-relay with programs of v0.7.0, which are still in use: play files, hosts, reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import pytest_twisted

from tests.integration.session_relay_company import (
    OLD,
    START_S,
    Company,
    joined,
    session_url,
)
from tests.integration.session_relay_wire import fresh
from tests.rawpeer import noise

PLAYERS = pytest.mark.parametrize("mix", ["ours-ours", "ours-old", "go-ours", "go-old"])
PLAY = r"""#+ start of check
|+> "speed"
{"set":"speed","to":3}
[250ms] {"get":"speed"}
<'"speed":\s*3',4,10s> {"set":"stop"}
|reset>
[1s]
"""
"""The file of §17."""

BROKEN = '{"fine":1}\n[0.1] never\n'
TIMES = re.compile(r"^\[[^\]]+\] ", re.MULTILINE)

pytest_plugins = ["tests.integration.session_relay_fixtures"]


@PLAYERS
@pytest_twisted.ensureDeferred
async def test_play(sr_company: Company, mix: str, tmp_path: Path) -> None:
    """The lines of a file are said, with their waits and conditions, and answers written down."""
    router_kind, player_kind = mix.split("-")
    router = await sr_company.router(router_kind)
    topic, file, log = fresh("topic"), tmp_path / "check.play", tmp_path / "check.log"
    file.write_text(PLAY)
    far = await router.member(topic)
    token, url = router.token(topic), session_url(router, topic)
    player = sr_company.player(player_kind, url, token, file, log)
    await far.hears('{"set":"speed","to":3}', START_S)
    await far.hears('{"get":"speed"}')
    beside = await router.member(topic, ("read",))
    # one by one, as the original glues what it has not sent yet; and as often as it takes, since
    # nobody sees from afar when a player begins to count
    await far.passes(beside, payload='{"other":1}')
    number = 0
    while far.peer.nothing_came():
        number += 1
        said = f'{{"speed": 3, "number": {number}}}'
        far.say(said)
        while said.encode() not in (await beside.message()).payload:
            continue  # the player's own words
    assert number >= 4
    await far.hears('{"set":"stop"}')
    assert await player.exited() == 0
    lines = TIMES.sub("", log.read_text())
    assert "start of check" in lines
    assert '{"speed": 3' in lines
    assert "other" not in lines or not router.is_ours


@PLAYERS
@pytest_twisted.ensureDeferred
async def test_play_of_a_broken_file(sr_company: Company, mix: str, tmp_path: Path) -> None:
    """Nothing of a file with a line that is none is said."""
    router_kind, player_kind = mix.split("-")
    router = await sr_company.router(router_kind)
    topic, file = fresh("topic"), tmp_path / "check.play"
    file.write_text(BROKEN)
    far = await router.member(topic)
    url, token = session_url(router, topic), router.token(topic)
    player = sr_company.player(player_kind, url, token, file, tmp_path / "check.log")
    assert await player.exited() != 0
    await far.heard_nothing(await router.member(topic))


@pytest_twisted.ensureDeferred
async def test_old_host(sr_company: Company) -> None:
    """A host of v0.7.0 carries feeds and streams to our router."""
    router, host = await sr_company.router("ours"), await sr_company.host(OLD)
    topic, video = fresh("topic"), fresh("topic")
    local, far = await host.feed("data"), await router.member(topic)
    viewer = await router.member(video)
    await host.destination("d1", "data", session_url(router, topic), router.token(topic))
    await host.stream("stream/all", "data")
    await host.destination("d2", "stream/all", session_url(router, video), router.token(video))
    await joined(router, topic, 2)
    await joined(router, video, 2)
    await host.carries(local, viewer, "for both")
    await far.message()
    far.peer.drop()
    far = await router.member(topic)
    for payload in ("hello", noise(50_000)):
        await host.carries(far, local, payload)
