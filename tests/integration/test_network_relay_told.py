"""What our host of network-relay says in its log, beside a router of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
import pytest_twisted
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher

from relay.vocabulary import Role
from tests.integration.network_relay_ours import RouterMaker, TunnelMaker
from tests.integration.network_relay_peers import NAMES, agent_secret
from tests.rawpeer import until

NAME = NAMES[0]

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The lines of the log."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    yield lines
    globalLogPublisher.removeObserver(observer)


def first(lines: list[str], part: str) -> str | None:
    """:returns: the first line with that in it"""
    return next((line for line in lines if part in line), None)


@pytest_twisted.ensureDeferred
async def test_a_host_says_what_it_opens_and_a_second_one_whose_the_name_is(
    start_relay: RouterMaker, nr_tunnels: TunnelMaker, said: list[str]
) -> None:
    """What is allowed is told without a forward, and a name that another has does not stand."""
    relay = await start_relay.start()
    keys = {"name": NAME, "allow": "127.0.0.1:22"}
    await nr_tunnels.start(Role.HOST, relay.url(""), agent_secret(NAME), **keys)
    await until(lambda: first(said, "stands; reach it"), "name that stands")
    opened = f'x: whoever its router lets call agent "{NAME}" can open 127.0.0.1:22, '
    assert f"{opened}and nothing else" in said
    await nr_tunnels.start(Role.HOST, relay.url(""), agent_secret(NAME), **keys)
    taken = f"another agent named {NAME} is registered, and alive"
    await until(lambda: first(said, taken), "word of the other agent")
    assert sum("stands; reach it" in line for line in said) == 1
