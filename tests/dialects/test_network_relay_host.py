"""Our agent without a network: what it registers, connects and refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import pytest

from relay.dialects.network_relay.host import ADDRESSES, REFUSAL, run_host, tcp_endpoint
from relay.dialects.network_relay.keys import ALLOW_KEY, NAME_KEY
from relay.dialects.network_relay.serving import ServingLink
from relay.dialects.network_relay.targets import Target
from relay.errors import (
    CallGone,
    CannotConnect,
    GoingAway,
    LimitReached,
    Refused,
    RelayError,
    TargetRefused,
)
from relay.outside import IOutward
from relay.settings.endpoints import split_endpoint
from relay.settings.model import Door, TunnelSettings
from relay.vocabulary import Accept, Call, Event, Message, Reason, Reset, Role
from tests.dialects.at_once import AtOnce, finish
from tests.dialects.network_relay_samples import AGENT, AGENT_SECRET, OFFER
from tests.dialects.samples import KnownSecret
from tests.fakes.streams import FakeStream

NAMES = {
    "localhost": ("::1", "127.0.0.1"),
    "db.internal": ("10.0.0.7", "10.0.0.8", "10.0.0.9", "10.0.0.10"),
    "mixed": ("192.0.2.1", "10.0.0.7"),
    "elsewhere": ("192.0.2.1",),
    "mapped": ("::ffff:10.0.0.7",),
    "nowhere": (),
}


class Link:
    """A link to the router that stands.

    :ivar told: what was refused
    :ivar answered: the calls that were accepted
    """

    def __init__(self, error: RelayError | None) -> None:
        self.told: list[Event] = []
        self.answered: list[Call] = []
        self._error = error

    def answer(self, call: Call) -> FakeStream:
        """The call's stream."""
        if self._error is not None:
            raise self._error
        self.answered.append(call)
        return FakeStream()

    def perform(self, event: Event) -> None:
        """Record."""
        self.told.append(event)


class Machine(AtOnce):
    """What a host may do to the world, done at once.

    :param calls: what the router asks for; the first before the link has been handed on
    :ivar dialled: endpoints that were connected to, or tried
    :ivar handle: by which the router asks for something, once the host has begun to register
    :ivar down: endpoints that refuse
    :ivar refusals: by which the first attempts to register end
    """

    handle: Callable[[Event], None]

    def __init__(self, calls: Sequence[str] = (), error: RelayError | None = None) -> None:
        super().__init__()
        self.link = Link(error)
        self.calls = [Call(OFFER, call, stream=number) for number, call in enumerate(calls)]
        self.dialled: list[str] = []
        self.down: set[str] = set()
        self.refusals: list[RelayError] = []
        self.refused: list[RelayError] = []
        self.made: list[bytes] = []
        self.locals: list[FakeStream] = []
        self.joined: list[str] = []
        self.final: Sequence[int] = ()

    async def keep(self, errand: Callable[[], Awaitable[Link]], final: Sequence[int]) -> None:
        self.final = final
        for _ in range(len(self.refusals)):
            try:
                await errand()
            except RelayError as error:
                self.refused.append(error)
        await errand()

    async def register(
        self,
        path: str,
        headers: Mapping[str, str],
        conversation: Callable[[Mapping[str, str]], Any],
        handle: Callable[[Event], None],
        opened: Callable[[Link], None],
        silence_s: float,
    ) -> Link:
        self.handle = handle
        assert (path, dict(headers)) == (
            "/ws_for_edge_agents",
            {"X-Relay-Network-Relay": "binary"},
        )
        link = conversation({})
        assert isinstance(link, ServingLink)
        (start,) = link.opened(0.0)
        assert isinstance(start, Message)
        self.made.append(start.payload)
        if self.refusals:
            raise self.refusals.pop(0)
        for call in self.calls[:1]:
            handle(call)
        handle(Accept())
        opened(self.link)
        for call in self.calls[1:]:
            handle(call)
        return self.link

    async def resolve(self, host: str) -> Sequence[str]:
        found = NAMES.get(host, (host,))
        if not found:
            raise TargetRefused(f"{host}: no such host")
        return found

    async def connect(self, endpoint: str) -> FakeStream:
        self.dialled.append(endpoint)
        if endpoint in self.down:
            raise TargetRefused(f"{endpoint} is down")
        self.locals.append(FakeStream())
        return self.locals[-1]

    async def join(self, caller: object, callee: object, name: str) -> None:
        assert callee is self.locals[-1]
        self.joined.append(name)


def serve(machine: Machine, forwards: Sequence[str] = (), allow: Sequence[str] = ()) -> None:
    """Run our agent there."""
    doors = tuple(Door("", endpoint) for endpoint in forwards)
    settings = TunnelSettings(
        Role.HOST, "attic", "network-relay", "ws://r", KnownSecret(AGENT_SECRET), doors, None, None,
        None, "yes", 1, 0, 0, {NAME_KEY: AGENT, ALLOW_KEY: tuple(allow)},
    )  # fmt: skip
    finish(run_host(settings, cast(IOutward, machine)))


def refused_for(
    target: Target | str, forwards: Sequence[str] = (), allow: Sequence[str] = ()
) -> Reset:
    """How a call for ``target`` is refused, without anything being dialled."""
    machine = Machine([str(target)])
    serve(machine, forwards, allow)
    (told,) = machine.link.told
    assert isinstance(told, Reset)
    assert machine.dialled == []
    assert len(machine.faults) == 1
    return told


# -- what may be opened ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "allow", "dialled"),
    [
        ("10.0.0.7", "10.0.0.0/24:*", ["tcp:10.0.0.7:80"]),
        ("10.0.0.7", "[::ffff:10.0.0.7]:80", ["tcp:10.0.0.7:80"]),
        ("::ffff:10.0.0.7", "10.0.0.7:80", [r"tcp:\:\:ffff\:10.0.0.7:80"]),
        ("::1", "[::1]:80", [r"tcp:\:\:1:80"]),
        ("db.internal", "db.internal:*", ["tcp:10.0.0.7:80"]),
        ("mixed", "10.0.0.0/24:80", ["tcp:10.0.0.7:80"]),
        ("mapped", "10.0.0.0/24:80", [r"tcp:\:\:ffff\:10.0.0.7:80"]),
    ],
)
def test_what_is_allowed_is_dialled(host: str, allow: str, dialled: list[str]) -> None:
    """By address or name; a name that is not listed, at those of its addresses that are."""
    machine = Machine([str(Target(host, 80))])
    serve(machine, allow=[allow])
    assert machine.dialled == dialled
    assert machine.link.answered == machine.calls
    assert machine.joined == [f"{OFFER}/{Target(host, 80)}"]
    assert machine.link.told == []
    assert machine.faults == []


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        (Target("10.0.0.7", 81), "10.0.0.7:80"),
        (Target("10.0.1.7", 80), "10.0.0.0/24:80"),
        (Target("::ffff:10.0.1.7", 80), "10.0.0.0/24:80"),
        (Target("elsewhere", 80), "10.0.0.0/24:80"),
        (Target("mixed", 81), "10.0.0.0/24:80"),
        (Target("127.0.0.1", 80), "localhost:80"),
        (Target("localhost.evil", 80), "localhost:80"),
    ],
)
def test_what_is_not_allowed_is_forbidden(target: Target, allow: str) -> None:
    """Nothing is dialled; the caller is told which target it was."""
    told = refused_for(target, allow=[allow])
    assert told.reason is Reason.TARGET_FORBIDDEN
    assert told.text == f"{target} is not in this agent's list"


def test_a_forward_is_the_only_target_without_a_list() -> None:
    """Its endpoint is connected to as it stands, with all that it says."""
    forward = "tcp:db.internal:5432:timeout=3"
    machine = Machine(["db.internal:5432"])
    serve(machine, [forward])
    assert machine.dialled == [forward]
    for other in ("db.internal:5433", "192.0.2.1:5432", "db.internal:5432/udp"):
        assert refused_for(other, [forward]).stream == 0


def test_a_forward_may_be_called_by_another_name() -> None:
    """What resolves to its address is it."""
    machine = Machine(["localhost:22"])
    serve(machine, ["tcp:127.0.0.1:22"])
    assert machine.dialled == ["tcp:127.0.0.1:22"]


def test_a_forward_to_an_address_with_a_zone() -> None:
    """It can be called, though no list can tell a zone."""
    forward = r"tcp:fe80\:\:1%eth0:22"
    machine = Machine([str(Target("fe80::1%eth0", 22))])
    serve(machine, [forward], ["10.0.0.1:22"])
    assert machine.dialled == [forward]


@pytest.mark.parametrize("port", [0, -1, 65536, 70000, 2**63 - 1])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    """Whatever is allowed."""
    told = refused_for(Target("127.0.0.1", port), allow=["0.0.0.0/0:*"])
    assert told.reason is Reason.TARGET_REFUSED
    assert "port" in told.text


@pytest.mark.parametrize("protocol", ["udp", "TCP", "", "x" * 1000])
def test_only_tcp_is_carried(protocol: str) -> None:
    """Compared exactly, as the original does, with its text."""
    told = refused_for(Target("127.0.0.1", 22, protocol), ["tcp:127.0.0.1:22"])
    assert told.reason is Reason.TARGET_REFUSED
    assert told.text == f"Unsupported protocol: {protocol[:100]}"


def test_a_name_that_does_not_resolve_is_refused() -> None:
    """In the resolver's words."""
    told = refused_for(Target("nowhere", 22), allow=["0.0.0.0/0:*"])
    assert (told.reason, told.text) == (Reason.TARGET_REFUSED, "nowhere: no such host")


# -- connecting ------------------------------------------------------------------------------------


def test_the_addresses_of_a_name_are_tried_in_turn() -> None:
    """A few of them, until one can be reached."""
    machine = Machine(["db.internal:80"])
    machine.down = {"tcp:10.0.0.7:80"}
    serve(machine, allow=["db.internal:80"])
    assert machine.dialled == ["tcp:10.0.0.7:80", "tcp:10.0.0.8:80"]
    assert len(machine.joined) == 1


def test_a_target_that_is_down_is_refused_as_the_first_address_was() -> None:
    """No further than the bound."""
    machine = Machine(["db.internal:80"])
    machine.down = {f"tcp:10.0.0.{host}:80" for host in range(20)}
    serve(machine, allow=["db.internal:80"])
    assert len(machine.dialled) == ADDRESSES
    assert machine.link.told == [Reset(Reason.TARGET_REFUSED, 0, None, "tcp:10.0.0.7:80 is down")]


def test_calls_before_the_link_is_handed_on_are_answered() -> None:
    """In order, with those that follow; a refused one harms no other."""
    machine = Machine(["127.0.0.1:22", "127.0.0.1:23", "127.0.0.1:22"])
    serve(machine, ["tcp:127.0.0.1:22"])
    assert [call.stream for call in machine.link.answered] == [0, 2]
    assert [cast(Reset, told).stream for told in machine.link.told] == [1]


@pytest.mark.parametrize("error", [CallGone("over"), LimitReached("full")])
def test_a_call_that_is_over_meanwhile_leaves_no_connection(error: RelayError) -> None:
    """The target hears of it; the router was told by the link, where it was to be."""
    machine = Machine(["127.0.0.1:22"], error)
    serve(machine, ["tcp:127.0.0.1:22"])
    assert machine.locals[0].events == [f"reset {error.reason.value}"]
    assert machine.joined == []
    assert machine.link.told == []


def test_a_program_that_stops_says_so() -> None:
    """To the caller whose target it no longer connects."""
    machine = Machine(["127.0.0.1:22"])

    async def stopping(endpoint: str) -> FakeStream:
        raise GoingAway("this program is stopping")

    machine.connect = stopping  # type: ignore[method-assign]
    serve(machine, ["tcp:127.0.0.1:22"])
    assert machine.link.told == [Reset(Reason.GOING_AWAY, 0, None, "this program is stopping")]


@pytest.mark.parametrize("host", ["::1", "a=b", "c:\\d", "127.0.0.1"])
def test_an_address_is_quoted_for_its_endpoint(host: str) -> None:
    """Nothing in it is taken for another part of the endpoint."""
    parts = split_endpoint(tcp_endpoint(host, 22))
    assert (parts.kind, parts.argument("host", 0), parts.argument("port", 1)) == ("tcp", host, "22")


# -- registering -----------------------------------------------------------------------------------


def test_why_the_last_attempt_failed_is_said_in_the_next() -> None:
    """And no more once one has succeeded; the secret is in no report."""
    machine = Machine()
    machine.refusals = [CannotConnect("nobody listens"), Refused(403, "go away", Reason.LOST)]
    serve(machine, ["tcp:127.0.0.1:22"])
    assert b'"last_error":null' in machine.made[0]
    assert b'"last_error":"nobody listens"' in machine.made[1]
    assert b'"last_error":"go away"' in machine.made[2]
    assert AGENT_SECRET not in " ".join(machine.reports)


def test_a_success_clears_the_last_error() -> None:
    """The original keeps a stale one for ever."""
    machine = Machine()
    machine.refusals = [CannotConnect("nobody listens")]

    async def keep(errand: Callable[[], Awaitable[Link]], final: Sequence[int]) -> None:
        with pytest.raises(CannotConnect):
            await errand()
        await errand()
        await errand()

    machine.keep = keep  # type: ignore[method-assign]
    serve(machine, ["tcp:127.0.0.1:22"])
    assert [b'"last_error":null' in start for start in machine.made] == [True, False, True]


def test_a_refusal_is_explained() -> None:
    """A Close of 1000 has no words; one of 1013 means that the name is taken."""
    machine = Machine()
    machine.refusals = [
        Refused(REFUSAL, "the router refused us", Reason.TOKEN_INVALID),
        Refused(1013, "the router refused us", Reason.LIMIT),
        Refused(1012, "the router leaves", Reason.GOING_AWAY),
    ]
    serve(machine, ["tcp:127.0.0.1:22"])
    texts = [error.text for error in machine.refused]
    assert texts[0] == f"the router knows no agent {AGENT} with this secret"
    assert "registered, and alive" in texts[1]
    assert texts[2] == "the router leaves"
    assert {401, 403, REFUSAL} == set(machine.final)


def test_what_stands_is_reported_with_a_target_to_type() -> None:
    """The first forward, where there is one."""
    machine = Machine()
    serve(machine, ["tcp:127.0.0.1:22"])
    assert f"SECRET {AGENT} 127.0.0.1 22 " in machine.reports[0]
    machine = Machine()
    serve(machine, allow=["10.0.0.0/8:*"])
    assert f"SECRET {AGENT} ADDRESS PORT " in machine.reports[0]
