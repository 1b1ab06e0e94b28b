"""Our network-relay agent: keeps its name registered, and connects each tunnel to its target.

Specification: network-relay.md §5, §7 and §12. What may be opened is this machine's own decision:
the targets of ``forward`` and what ``allow`` lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from relay.dialects.network_relay.keys import ALLOW_KEY, NAME_KEY, forward_target
from relay.dialects.network_relay.paths import AGENTS, AGREEMENT, is_agreed, offer_name
from relay.dialects.network_relay.serving import ServingLink
from relay.dialects.network_relay.targets import LARGEST_PORT, TCP, AllowList, Target
from relay.errors import ConfigurationError, Refused, RelayError, TargetForbidden, TargetRefused
from relay.interfaces import IConversation, IStream
from relay.outside import FINAL_STATUSES, IOutward, ITunnelSession
from relay.settings.model import TunnelSettings
from relay.settings.secrets import read_secret
from relay.vocabulary import Call, Event, Reason, Reset

ADDRESSES = 3
"""So many addresses of one name are tried."""

ANSWERING = 1024
"""So many calls are being answered. One that its caller gives up goes on until its target has
answered, or has not in time."""

SILENCE_S = 5.0
"""A router that takes us says nothing; one that does not closes the link (§5)."""

TRY_LATER = 1013
REFUSAL = 1000
"""The Close by which a router refuses name or secret (§9)."""


async def run_host(settings: TunnelSettings, outward: IOutward) -> None:
    """Keep the section's agent registered until cancelled."""
    await outward.keep(_Agent(settings, outward).register, (*FINAL_STATUSES, REFUSAL))


class _Agent:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        self._name = cast(str, settings.values[NAME_KEY])
        self._forwards = {forward_target(door.endpoint): door.endpoint for door in settings.doors}
        listed = cast("tuple[str, ...]", settings.values.get(ALLOW_KEY) or ())
        self._allowed = AllowList.parse(
            (*filter(_can_be_listed, map(str, self._forwards)), *listed)
        )
        self._last_error: str | None = None
        self._answering = 0

    async def register(self) -> ITunnelSession:
        """Open the agent's link: it is registered, as far as silence tells."""
        try:
            session = await self._register()
        except Refused as error:
            self._last_error = error.text
            raise self._explained(error) from error
        except RelayError as error:
            self._last_error = error.text
            raise
        self._last_error = None
        self._outward.report(
            f"{offer_name(self._name)} stands; reach it with: relay connect "
            f"--dialect network-relay --router {self._settings.router} "
            f"--secret-file SECRET {self._name} {self._example()}   "
            "(a SECRET comes from: relay token network-relay client NAME)"
        )
        return session

    def _explained(self, error: Refused) -> Refused:
        """A router has no words for an agent that it refuses; only the code of its Close."""
        if error.reason is Reason.LIMIT and error.status == TRY_LATER:
            text = f"another agent named {self._name} is registered, and alive"
            return Refused(error.status, text, error.reason, "give each agent a name of its own")
        if error.status != REFUSAL:
            return error
        return Refused(
            error.status,
            f"the router knows no agent {self._name} with this secret",
            error.reason,
            f'make one with "relay token network-relay agent {self._name}"',
        )

    async def _register(self) -> ITunnelSession:
        secret = read_secret(self._settings.token)
        sessions: list[ITunnelSession] = []
        early: list[Call] = []

        def conversation(headers: Mapping[str, str]) -> IConversation:
            return ServingLink(self._name, secret, self._last_error, is_agreed(headers.get))

        def handle(event: Event) -> None:
            if isinstance(event, Call):
                if sessions:
                    self._spawn(sessions[0], event)
                else:
                    early.append(event)

        def opened(session: ITunnelSession) -> None:
            sessions.append(session)
            for call in early:
                self._spawn(session, call)

        return await self._outward.register(
            f"/{AGENTS}", AGREEMENT, conversation, handle, opened, SILENCE_S
        )

    def _example(self) -> str:
        """:returns: a target for the user to type"""
        for target in self._forwards:
            return f"{target.host} {target.port}"
        return "ADDRESS PORT"

    def _spawn(self, session: ITunnelSession, call: Call) -> None:
        if self._answering >= ANSWERING:
            why = f"{ANSWERING} connections are being made already"
            session.perform(Reset(Reason.LIMIT, call.stream, None, why))
            return
        self._answering += 1
        self._outward.spawn(self._answer(session, call))

    async def _answer(self, session: ITunnelSession, call: Call) -> None:
        """Connect one tunnel to its target."""
        try:
            local = await self._reach(call)
        except RelayError as error:
            self._outward.fault(f"a call for {call.service[:200]} is refused", error)
            session.perform(Reset(error.reason, call.stream, None, error.text))
            return
        finally:
            self._answering -= 1
        try:
            stream = session.answer(call)
        except RelayError as error:
            local.reset(error.reason, None)
            return
        await self._outward.join(stream, local, f"{call.name}/{call.service}")

    async def _reach(self, call: Call) -> IStream:
        return await self._connect(await self._endpoints(Target.parse(call.service)))

    async def _connect(self, endpoints: Sequence[str]) -> IStream:
        """:returns: the first that can be reached. :raises TargetRefused: as the first of them"""
        first: RelayError | None = None
        for endpoint in endpoints[:ADDRESSES]:
            try:
                return await self._outward.connect(endpoint)
            except TargetRefused as error:
                first = first or error
        raise first or TargetRefused("no address to connect to")

    async def _endpoints(self, target: Target) -> Sequence[str]:
        """:returns: client endpoint strings, at least one

        :raises TargetForbidden, TargetRefused: why there is none
        """
        if target.protocol != TCP:
            raise TargetRefused(f"Unsupported protocol: {target.protocol[:100]}")
        if not 0 < target.port <= LARGEST_PORT:
            raise TargetRefused(f"the port is not a number from 1 to {LARGEST_PORT}")
        forward = self._forwards.get(target)
        if forward is not None:
            return (forward,)
        addresses = await self._outward.resolve(target.host)
        if not self._allowed.allows_name(target.host, target.port):
            # a name that is not listed may stand for an address that is; that very one is dialled
            addresses = [a for a in addresses if self._allowed.allows_address(a, target.port)]
        if not addresses:
            raise TargetForbidden(
                f"{str(target)[:200]} is not in this agent's list", "allow it, if that is meant"
            )
        return [tcp_endpoint(address, target.port) for address in addresses]


def _can_be_listed(target: str) -> bool:
    """Whether a forward may be called by other names of its address, too."""
    try:
        AllowList.parse((target,))
    except ConfigurationError:
        return False  # an address with a zone, for one: it is called as it is written
    return True


def tcp_endpoint(host: str, port: int) -> str:
    """:returns: the client endpoint string of that address"""
    quoted = host.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    return f"tcp:{quoted}:{port}"
