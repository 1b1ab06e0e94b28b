"""Our portal host and client, without a network."""

from __future__ import annotations

from typing import Any, cast

import pytest

from relay.dialects.portal.client import run_client
from relay.dialects.portal.host import run_host
from relay.errors import LimitReached, Refused, TargetRefused
from relay.outside import IOutward
from relay.settings.model import Door, Secret, TunnelSettings
from relay.vocabulary import Call, CallKey, OfferName, Reason, Role
from tests.dialects.at_once import AtOnce, finish
from tests.fakes.streams import FakeStream


class Token:
    """Where a token comes from."""

    origin = "web.token"
    warnings = ()

    def read(self) -> Secret:
        return Secret("t" * 40, self.origin)


class Link:
    """A link that stands, and has no room for a stream."""

    def __init__(self) -> None:
        self.closed: list[Reason] = []

    def stream(self) -> FakeStream:
        raise LimitReached("memory is short")

    def close(self, reason: Reason) -> None:
        self.closed.append(reason)


class Machine(AtOnce):
    """What a host or client may do to the world, done at once."""

    def __init__(self) -> None:
        super().__init__()
        self.link = Link()
        self.local = FakeStream()

    async def listen(self, endpoint: str, accepted: Any) -> str:
        accepted(self.local)
        return endpoint

    async def keep(self, errand: Any, final: Any = ()) -> None:
        await errand()

    async def connect(self, endpoint: str) -> FakeStream:
        return self.local

    async def call(self, *_: object) -> Link:
        return self.link

    async def websocket(self, path: str, _headers: object, _make: object, handle: Any) -> Link:
        if "host_control" in path:
            handle(Call(OfferName("portal:1"), "web", "alice", CallKey("7")))
        return self.link

    def join(self, *_: object) -> None:
        raise AssertionError("there is nothing to join")


def settings_of(role: Role) -> TunnelSettings:
    """A tunnel with one service."""
    return TunnelSettings(
        role, "web", "portal", "ws://r", Token(), (Door("web", "tcp:h:1"),), None, None, None,
        "yes", 1, 0, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("role", "what"), [(Role.CLIENT, "call for web"), (Role.HOST, "call of alice for web")]
)
def test_a_circuit_for_which_there_is_no_room(role: Role, what: str) -> None:
    """Neither the local connection nor the link to the router is left behind."""
    machine = Machine()
    run = run_client if role is Role.CLIENT else run_host
    finish(run(settings_of(role), cast(IOutward, machine)))
    assert machine.link.closed == [Reason.LIMIT]
    assert machine.local.events == ["reset limit"]
    assert machine.faults == [(what, Reason.LIMIT)]


class ServiceAndCallerGone(Machine):
    """The service is down, and the caller has left before that could be said."""

    async def connect(self, endpoint: str) -> FakeStream:
        raise TargetRefused(endpoint)

    async def websocket(self, path: str, headers: object, make: object, handle: Any) -> Link:
        if "host_accept" in path:
            raise Refused(502, "gone", Reason.NO_SUCH_OFFER)
        return await super().websocket(path, headers, make, handle)


def test_a_refusal_that_nobody_waits_for() -> None:
    """Both failures are told as what they are: of this call."""
    machine = ServiceAndCallerGone()
    finish(run_host(settings_of(Role.HOST), cast(IOutward, machine)))
    what = "call of alice for web"
    assert machine.faults == [(what, Reason.TARGET_REFUSED), (what, Reason.NO_SUCH_OFFER)]
