"""A router of taas under any order of events, beside a model of it on one page.

What has to hold: callers get hosts in order, at most 21 wait, no use of a code is lost or won, no
port is left, and nothing follows an end. Specification: taas.md §6 to §8 and §16.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from relay.dialects.taas.hidden import OPEN_S
from relay.dialects.taas.notions import WAITING, offer_name
from relay.dialects.taas.redirects import OPEN_S as MOBILE_S
from tests.dialects.taas_rooms import (
    CONFIG,
    HOST,
    ID,
    MOBILE,
    STRANGER,
    Party,
    Room,
    answered,
    port_of,
)

LABELS = ("alpha", "beta")
PORTS = 60
"""Few enough that they run out, and enough that a queue can run over."""
USES = 40
"""Far fewer than usual, so that codes are used up, too."""
MANY = 8
QUIET_S = 600.0


class Wire:
    """A connection, and what it is to have heard."""

    def __init__(self, label: str, party: Party) -> None:
        self.label = label
        self.party = party
        self.partner: Wire | None = None
        self.expects = b""
        self.early = b""
        self.said_end = False
        self.over = False

    def join(self, other: Wire) -> None:
        """The two are a pair; what the other has said already is for this one."""
        self.partner, other.partner = other, self
        self.expects = other.early


class Rendezvous(RuleBasedStateMachine):
    """The router, and the model."""

    hidden = Bundle("hidden ports")
    wires = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.room = Room(CONFIG._replace(numbers=range(20000, 20000 + PORTS), uses=USES))
        self.room.lists(*LABELS)
        self.queues: dict[str, list[Wire]] = {label: [] for label in LABELS}
        self.known: set[str] = set()
        self.waits: dict[int, tuple[str, float]] = {}
        self.mobile: dict[str, tuple[int, float]] = {}
        self.counts: dict[int, int] = {}  # uses by counter
        self.all: list[Wire] = []
        self.bytes = 0

    @property
    def now(self) -> float:
        """The router's clock."""
        return self.room.world.clock.seconds()

    # -- hosts -----------------------------------------------------------------------------------

    @rule(target=hidden, label=st.sampled_from(LABELS))
    def register(self, label: str) -> int:
        """A host asks for a port; it has one unless none is free, or its code is used up."""
        return self._register(label)

    def _register(self, label: str) -> int:
        """:returns: the port's number; 0: there is none"""
        free = PORTS - len(self.waits) - len(self.mobile)
        # a code is forgotten half a minute behind its step, when somebody asks
        self.counts = {step: n for step, n in self.counts.items() if 30 * step + 60 > self.now}
        counter = int(self.now // 30)
        response = self.room.register(label)
        if self.counts.get(counter, 0) == USES:
            assert response.status == 429
            return 0
        if not free:
            assert response.status == 500
            return 0
        assert response.status == 200
        number = int(response.body.rpartition(b":")[2])
        assert number not in self.waits
        self.waits[number] = (label, self.now + OPEN_S)
        self.counts[counter] = self.counts.get(counter, 0) + 1
        return number

    @rule(number=hidden, address=st.sampled_from([HOST, HOST, HOST, STRANGER]), target=wires)
    def arrive(self, number: int, address: str) -> Wire | None:
        """Somebody connects where a host was sent: once, in time, and from the same address."""
        return self._arrive(number, address)

    def _arrive(self, number: int, address: str) -> Wire | None:
        if number in {port for port, _ in self.mobile.values()}:
            return None  # it is somebody else's port by now
        party = self.room.connect(number, address)
        if number not in self.waits or address != HOST:
            assert party is None
            return None
        label, _ = self.waits.pop(number)
        assert party is not None
        return self._stands(label, party)

    @rule(label=st.sampled_from(LABELS), target=wires)
    def register_and_arrive(self, label: str) -> Wire | None:
        """A host does both."""
        return self._arrive(self._register(label), HOST)

    @rule(label=st.sampled_from(LABELS))
    def fill(self, label: str) -> None:
        """Many hosts come, as a pool does."""
        for _ in range(MANY):
            self._arrive(self._register(label), HOST)

    def _stands(self, label: str, party: Party) -> Wire:
        wire = Wire(label, party)
        self.all.append(wire)
        self.known.add(label)
        queue = self.queues[label]
        queue.append(wire)
        if len(queue) > WAITING:
            self._ended(queue.pop(0), reset=False)
        return wire

    # -- callers ---------------------------------------------------------------------------------

    @rule(label=st.sampled_from(LABELS))
    def seek(self, label: str) -> None:
        """Somebody looks for a label: sent at once where anybody waits, else not at once."""
        waiting = self.room.seeks(label)
        if not self.queues[label]:
            assert waiting.called == (label not in self.known)
            waiting.addErrback(lambda failure: None)
            waiting.cancel()
            return
        response = answered(waiting)
        if label not in self.mobile and len(self.waits) + len(self.mobile) == PORTS:
            assert response.status == 500
            return
        number = port_of(response)
        assert self.mobile.get(label, (number, 0.0))[0] == number
        self.mobile[label] = (number, self.now)

    @precondition(lambda self: any(self.queues[label] for label in self.mobile))
    @rule(target=wires, data=st.data())
    def call(self, data: st.DataObject) -> Wire:
        """Somebody connects where callers are sent, and gets whoever has waited longest."""
        label = data.draw(
            st.sampled_from(sorted(name for name in self.mobile if self.queues[name]))
        )
        number, _ = self.mobile[label]
        self.mobile[label] = (number, self.now)
        wire = Wire(label, self.room.connected(number, MOBILE))
        self.all.append(wire)
        wire.join(self.queues[label].pop(0))
        for counter in sorted(self.counts, reverse=True):
            if self.counts[counter]:
                self.counts[counter] -= 1
                break
        return wire

    # -- both ------------------------------------------------------------------------------------

    @rule(wire=wires)
    def say(self, wire: Wire | None) -> None:
        """Octets go to the partner; those of a host that waits, to the partner to come."""
        if wire is None or wire.over or wire.said_end:
            return
        self.bytes += 1
        payload = b"<%d>" % self.bytes
        wire.party.say(payload)
        if wire.partner is not None:
            wire.partner.expects += payload
        else:
            wire.early += payload

    @rule(wire=wires)
    def fin(self, wire: Wire | None) -> None:
        """No more comes from there."""
        if wire is None or wire.over or wire.said_end:
            return
        wire.party.fin()
        wire.said_end = True
        if wire.partner is None:
            self.queues[wire.label].remove(wire)
            self._ended(wire, reset=False)
        else:
            assert wire.partner.party.heard_end()
            if wire.partner.said_end:
                self._ended(wire, reset=False)
                self._ended(wire.partner, reset=False)

    @rule(wire=consumes(wires))
    def rst(self, wire: Wire | None) -> None:
        """It is gone; a partner is told so by the same."""
        if wire is None or wire.over:
            return
        wire.party.rst()
        wire.over = True
        if wire.partner is None:
            self.queues[wire.label].remove(wire)
        else:
            self._ended(wire.partner, reset=True)

    def _ended(self, wire: Wire, reset: bool) -> None:
        wire.over = True
        assert wire.party.reason is not None
        assert wire.party.was_reset() == reset

    # -- time ------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0, 31.0, 90.0, 121.0]))
    def wait(self, seconds: float) -> None:
        """Ports whose time is up are closed."""
        self.room.passes(seconds)
        now = self.now
        self.waits = {port: (label, end) for port, (label, end) in self.waits.items() if end > now}
        self.mobile = {
            label: (port, used)
            for label, (port, used) in self.mobile.items()
            if used + MOBILE_S > now
        }

    # -- what holds ------------------------------------------------------------------------------

    @invariant()
    def no_port_is_left(self) -> None:
        """Those that are open are those that wait, and one for each label in use."""
        mobile = {port for port, _ in self.mobile.values()}
        assert set(self.room.ports.open_ports) == set(self.waits) | mobile

    @invariant()
    def no_use_is_lost(self) -> None:
        """A code counts what was registered with it and came to nothing."""
        assert self.room.face.memory.uses.used(ID) == sum(self.counts.values())

    @invariant()
    def the_queue_is_the_models(self) -> None:
        """As many wait as are to, and no more than may."""
        standings = self.room.broker.registry._standings
        for label, queue in self.queues.items():
            assert len(queue) <= WAITING
            standing = standings.get(offer_name(label))
            held = [] if standing is None else list(standing.responders)
            assert held == [wire.party.session for wire in queue]

    @invariant()
    def everybody_heard_what_was_said(self) -> None:
        """All of it, in order, and nothing else; nothing follows an end."""
        for wire in self.all:
            heard = wire.party.heard()
            if not wire.over:
                assert heard == wire.expects
            else:
                assert wire.expects.startswith(heard)
            assert (wire.party.reason is not None) == wire.over

    def teardown(self) -> None:
        """Once everybody has left and time has passed, nothing is left."""
        for wire in self.all:
            if not wire.over:
                wire.party.rst()
        self.room.passes(QUIET_S)
        assert self.room.ports.open_ports == {}
        assert not self.room.broker.sessions
        assert not self.room.broker.circuits
        assert self.room.broker.registry.is_empty()
        memory = self.room.face.memory
        assert len(memory.redirects) == memory.hidden.waiting(ID) == memory.grace.waiting() == 0


TestRendezvous = Rendezvous.TestCase
TestRendezvous.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
