"""Our client without a network: each local connection is one tunnel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from relay.dialects.network_relay.access import CallingLink
from relay.dialects.network_relay.client import ANSWER_TIMEOUT_S, run_client
from relay.dialects.network_relay.keys import AGENT_KEY, TARGET_KEY
from relay.errors import CallerLeft, LimitReached, Refused, RelayError
from relay.outside import RETRY_CALL_S, IOutward
from relay.settings.model import Door, TunnelSettings
from relay.vocabulary import Message, Reason, Role
from tests.dialects.at_once import AtOnce, finish
from tests.dialects.network_relay_samples import AGENT, CLIENT_SECRET, TARGET
from tests.dialects.network_relay_vectors import V6
from tests.dialects.samples import KnownSecret
from tests.fakes.streams import FakeStream


class Link:
    """A link whose tunnel stands.

    :param error: why it has no room for a stream
    """

    def __init__(self, error: RelayError | None) -> None:
        self._error = error

    def stream(self) -> FakeStream:
        """The only stream."""
        if self._error is not None:
            raise self._error
        return FakeStream()


class Machine(AtOnce):
    """What a client may do to the world, done at once.

    :ivar refusals: by which the first calls end
    """

    def __init__(self, *refusals: RelayError, error: RelayError | None = None) -> None:
        super().__init__()
        self.refusals = list(refusals)
        self.local = FakeStream()
        self.link = Link(error)
        self.agreed: Mapping[str, str] = {}
        self.made: list[CallingLink] = []
        self.joined: list[str] = []
        self.slept = 0

    async def listen(self, endpoint: str, accepted: Callable[[FakeStream], None]) -> str:
        self.endpoint = endpoint
        accepted(self.local)
        return "127.0.0.1:2222"

    async def sleep(self, seconds: float) -> None:
        self.slept += 1

    async def call(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], Any],
        caller: FakeStream,
        timeout_s: float,
    ) -> Link:
        assert (path, dict(headers)) == (
            "/ws_for_access_clients",
            {"X-Relay-Network-Relay": "binary"},
        )
        assert (caller, timeout_s) == (self.local, ANSWER_TIMEOUT_S)
        link = conversation(self.agreed)
        assert isinstance(link, CallingLink)
        self.made.append(link)
        if self.refusals:
            raise self.refusals.pop(0)
        return self.link

    async def join(self, caller: object, callee: object, name: str) -> None:
        assert caller is self.local
        self.joined.append(name)


def use(machine: Machine) -> Machine:
    """Run our client there."""
    settings = TunnelSettings(
        Role.CLIENT, "ssh", "network-relay", "ws://r", KnownSecret(CLIENT_SECRET),
        (Door("", "tcp:2222"),), None, None, None, "yes", 1, 0, 0,
        {AGENT_KEY: AGENT, TARGET_KEY: str(TARGET)},
    )  # fmt: skip
    finish(run_client(settings, cast(IOutward, machine)))
    return machine


def test_a_local_connection_is_one_tunnel() -> None:
    """It begins as the original's does, and is joined once it stands."""
    machine = use(Machine())
    assert machine.endpoint == "tcp:2222"
    assert machine.joined == ["127.0.0.1:22 of attic-pi"]
    assert machine.reports == ["127.0.0.1:2222 leads to 127.0.0.1:22 of attic-pi at ws://r"]
    (link,) = machine.made
    assert list(link.opened(0.0)) == [Message(V6, text=True)]
    assert not link.carries.half_close


def test_what_our_router_agrees_to_is_used() -> None:
    """By the header of its 101."""
    machine = Machine()
    machine.agreed = {"x-relay-network-relay": "binary"}
    assert use(machine).made[0].carries.half_close
    machine = Machine()
    machine.agreed = {"x-relay-network-relay": "other"}
    assert not use(machine).made[0].carries.half_close


def test_a_refusal_ends_the_local_connection() -> None:
    """With its reason, which is told once, without the secret."""
    machine = use(Machine(Refused(1000, "no", Reason.TARGET_FORBIDDEN)))
    assert machine.local.events == ["reset target-forbidden"]
    assert machine.faults == [("call for 127.0.0.1:22 of attic-pi", Reason.TARGET_FORBIDDEN)]
    assert machine.joined == []
    assert (len(machine.made), machine.slept) == (1, 0)


def test_an_agent_that_reconnects_is_waited_for() -> None:
    """For as long as it takes one of ours to be back, and no longer."""
    absent = Refused(1000, "Agent not registered", Reason.HOST_ABSENT)
    machine = use(Machine(absent, absent))
    assert (len(machine.joined), machine.slept) == (1, 2)
    tries = len(RETRY_CALL_S) + 1
    machine = use(Machine(*[absent] * tries))
    assert machine.local.events == ["reset host-absent"]
    assert len(machine.made) == tries


def test_a_caller_that_has_left_is_not_called_for() -> None:
    """Nobody would hear the answer."""
    machine = Machine(Refused(1000, "Agent not registered", Reason.HOST_ABSENT))
    machine.local.left = True
    use(machine)
    assert machine.made == []
    assert machine.faults == [("call for 127.0.0.1:22 of attic-pi", CallerLeft.reason)]


def test_a_tunnel_for_which_there_is_no_room() -> None:
    """The local connection is not left behind."""
    machine = use(Machine(error=LimitReached("memory is short")))
    assert machine.local.events == ["reset limit"]
    assert machine.faults == [("call for 127.0.0.1:22 of attic-pi", Reason.LIMIT)]
