"""The credentials file of a network-relay router that runs, and clients that it confines."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.integration.ini_services import write
from tests.integration.network_relay_ours import CREDENTIALS, RouterMaker
from tests.integration.network_relay_peers import (
    CLIENT_SECRET,
    NAMES,
    Router,
    agent_secret,
    credentials,
)
from tests.integration.network_relay_wire import OPENING_FAILED, WRONG_SECRET

NEW_SECRET = "a new secret of more than sixteen"
ADMIN = "admin's secret of more than sixteen"

pytest_plugins = ["tests.integration.network_relay_raw_fixtures"]


def change(maker: RouterMaker, text: str) -> None:
    """Write the file of the only router."""
    write(maker.folders[0] / CREDENTIALS, text)


@pytest.mark.parametrize("reloads", [False, True])
@pytest_twisted.ensureDeferred
async def test_changed_credentials(start_relay: RouterMaker, reloads: bool) -> None:
    """What the file says now counts for the next login, asked to reload or not; who is in stays."""
    relay = await start_relay.start()
    circuit = await relay.circuit()
    agents = {NAMES[0]: agent_secret(NAMES[0]), "newcomer": NEW_SECRET}
    changed = {"edge-agents": agents, "access-client-secrets": [NEW_SECRET]}
    change(start_relay, credentials(**changed))
    if reloads:
        start_relay.services[0].reload()
    newcomer = await relay.newcomer("newcomer", NEW_SECRET)
    await relay.settles(newcomer)
    caller = await relay.caller("newcomer", NEW_SECRET)
    await (await newcomer.circuit(caller)).passes()
    old = await relay.caller("newcomer", CLIENT_SECRET)
    assert await old.text() == WRONG_SECRET
    gone = await relay.newcomer(NAMES[1], agent_secret(NAMES[1]))
    assert await gone.over() is not None
    await circuit.passes()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"edge-agents": {"x": 1}}'])
@pytest_twisted.ensureDeferred
async def test_invalid_credentials(start_relay: RouterMaker, text: str) -> None:
    """A file that is not valid changes nothing."""
    relay = await start_relay.start()
    change(start_relay, text)
    await relay.works()


async def answer(relay: Router, agent: str, secret: str, ip: str, port: int) -> bytes:
    """:returns: what a client hears of a call that no agent has to answer"""
    caller = await relay.caller(agent, secret, ip=ip, port=port)
    return await caller.text()


@pytest_twisted.ensureDeferred
async def test_confined_client(start_relay: RouterMaker) -> None:
    """A client with a list of agents and targets reaches those, and hears why not any other."""
    confined = {"secret": ADMIN, "agents": [NAMES[0]], "targets": ["127.0.0.1:22", "10.0.0.0/8:*"]}
    relay = await start_relay.start(members={"access-clients": {"admin": confined}})
    first, second = await relay.agent(NAMES[0]), await relay.agent(NAMES[1])
    for ip, port in (("127.0.0.1", 22), ("10.1.2.3", 80)):
        caller = await relay.caller(NAMES[0], ADMIN, ip=ip, port=port)
        await (await first.circuit(caller)).passes()
    for name, ip, port in (
        (NAMES[1], "127.0.0.1", 22),
        (NAMES[0], "127.0.0.1", 23),
        (NAMES[0], "11.0.0.1", 22),
        (NAMES[0], "localhost", 22),
    ):
        text = (await answer(relay, name, ADMIN, ip, port)).decode()
        assert f"{OPENING_FAILED}wrong-scope: " in text
        assert ADMIN not in text
    await (await second.circuit(await relay.caller(NAMES[1], CLIENT_SECRET))).passes()
    await second.serves()
    await first.serves()
