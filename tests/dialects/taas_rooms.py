"""A router's taas without a network: requests and connections in, answers and octets out.

What is between, a reception, a broker and the links' sessions, is the router's own.
"""

from __future__ import annotations

import itertools
import json

import pyotp
from twisted.internet.defer import Deferred

from relay.core.admission import Admission, Reception
from relay.core.broker import Broker
from relay.core.services import Services
from relay.core.session import Session
from relay.dialects.taas.router import TaasFace
from relay.dialects.taas.state import Config
from relay.errors import RelayError
from relay.faces import Welcome
from relay.http import Request, Response
from relay.links.responses import refusal
from relay.settings.model import Limits
from relay.vocabulary import Close, Message, Reason
from tests.fakes import Drop, MemoryLink, World, pump
from tests.fakes.ports import FakePorts, FakeRecords

NOW = 1_700_000_010.0
SECRET = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"
ID = "2f402f80-da50-11e1-9b23-0000000000aa"
OTHER_ID = "2f402f80-da50-11e1-9b23-0000000000bb"
CODE = "898251"
"""Of :data:`SECRET` at :data:`NOW`."""
REGISTRAR = "taas-registrar.example.com"
SERVERS = "taas.example.com"
HOST = "192.0.2.7"
MOBILE = "198.51.100.9"
STRANGER = "203.0.113.66"
CONFIG = Config(REGISTRAR, SERVERS, "192.0.2.1", range(20000, 20100), "192.0.2.1")
FIN = Message(b"")


def stored(
    *labels: object, base32: str | None = SECRET, step: object = None, **members: object
) -> str:
    """A record as a store has it; what is None is left out."""
    params = {"base32": base32, "step": step}
    said = {name: value for name, value in params.items() if value is not None}
    return json.dumps({"authParams": said, "labels": list(labels), **members})


def authorization(code: str, username: str = ID) -> str:
    """As hosts write it."""
    return f'TOTP username="{username}", response="{code}"'


class Party:
    """One connection to a port, with the test as its far end."""

    def __init__(self, room: Room, welcome: Welcome, label: str) -> None:
        self.link = MemoryLink()
        self.conversation = welcome.conversation
        self.session = Session(
            self.link, self.conversation, room.reception, room.around, label, welcome.grant
        )
        room.broker.add(self.session)
        self.session.opened()

    @property
    def reason(self) -> Reason | None:
        """Why the link ended, None while it lives."""
        return self.session.reason

    def say(self, payload: bytes) -> None:
        """Octets arrive."""
        self.link.arrive(Message(payload, final=False))

    def fin(self) -> None:
        """The far end sends no more."""
        self.link.arrive(FIN)

    def rst(self) -> None:
        """The far end is gone."""
        self.link.arrive(Drop())

    def heard(self) -> bytes:
        """What the far end was sent."""
        pump(self.link)
        return b"".join([message.payload for message in self.link.sent])

    def heard_end(self) -> bool:
        """Whether the far end was sent a FIN, with or without all of the rest."""
        pump(self.link)
        return FIN in self.link.sent or self.link.close_sent == Close(None)

    def was_reset(self) -> bool:
        """Whether the far end was sent a RST."""
        pump(self.link)
        return self.link.aborted


class Room:
    """A router and its surroundings.

    :ivar refusals: of connections
    """

    def __init__(self, config: Config = CONFIG, limits: Limits | None = None) -> None:
        self.world = World()
        self.world.clock.rightNow = NOW
        self.around = self.world.limited(limits)
        self.broker = Broker(self.around, lambda bits: next(self._numbers))
        self.reception = Reception(self.broker, self.around)
        self.records, self.ports = FakeRecords(), FakePorts()
        self.services = Services(self.broker, self.world.clock, lambda dialect, url: self.records)
        self.services.ports = self.ports
        self.face = TaasFace(config)
        self.config = config
        self.refusals: list[RelayError] = []
        self._numbers = itertools.count(1)
        self.lists("alpha")

    def lists(self, *labels: str, subject: str = ID) -> None:
        """The store has that record."""
        self.records.texts[subject] = stored(*labels)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.world.passes(seconds)

    def code(self, subject_secret: str = SECRET) -> str:
        """The code of this moment."""
        return pyotp.TOTP(subject_secret).at(int(self.world.clock.seconds()))

    # -- requests ------------------------------------------------------------------------------

    def begins(self, request: Request) -> Deferred[Response]:
        """A request, by the way that a front door takes."""
        return Deferred.fromCoroutine(self._serve(request))

    def asks(self, request: Request) -> Response:
        """What is answered to a request that waits for nothing."""
        return answered(self.begins(request))

    async def _serve(self, request: Request) -> Response:
        face = self.face
        try:
            route = face.route(request)
            assert route.spares_body
            if route.looks_up:
                admitted = await self.reception.look_up(face, request, route, self.services)
            else:
                found = self.reception.admit(face, request, route)
                admitted = found if isinstance(found, Admission) else await found
            assert admitted.grant is not None
            return await face.answer(request, admitted.route, admitted.grant, self.services)
        except RelayError as error:
            return refusal(error, face, request)

    def register(
        self,
        label: str = "alpha",
        method: str = "PUT",
        path: str | None = None,
        shown: str | None = None,
        peer: str = HOST,
        subject: str = ID,
    ) -> Response:
        """A host asks the registrar.

        :param shown: the ``Authorization``; None: one that is right
        """
        shown = authorization(self.code(), subject) if shown is None else shown
        headers = {"authorization": shown} if shown else {}
        target = f"/register/{label}" if path is None else path
        return self.asks(request_of(method, target, REGISTRAR, peer, **headers))

    def port(self, label: str = "alpha", peer: str = HOST, subject: str = ID) -> int:
        """The hidden port that a host is given."""
        response = self.register(label, peer=peer, subject=subject)
        assert response.status == 200, response
        address, _, number = response.body.decode().rpartition(":")
        assert address == self.config.advertise
        return int(number)

    def seek(self, label: str = "alpha", target: str = "/", peer: str = MOBILE) -> Response:
        """Somebody looks for a label."""
        return self.asks(request_of("GET", target, f"{label}.{SERVERS}", peer))

    def seeks(self, label: str = "alpha", peer: str = MOBILE) -> Deferred[Response]:
        """Somebody looks for a label, and may have to wait."""
        return self.begins(request_of("GET", "/", f"{label}.{SERVERS}", peer))

    # -- connections ---------------------------------------------------------------------------

    def connect(self, number: int, address: str = HOST) -> Party | None:
        """Somebody connects; None: nobody listens, or it is refused."""
        port = self.ports.open_ports.get(number)
        if port is None:
            return None
        count = next(self._numbers)
        try:
            welcome = port.welcome(address, 40000 + count)
            self.broker.judge(welcome.conversation.intent, welcome.grant)
        except RelayError as error:
            self.refusals.append(error)
            return None
        return Party(self, welcome, f"{address}:{40000 + count}/{count}")

    def connected(self, number: int, address: str = HOST) -> Party:
        """Somebody connects, and stays."""
        party = self.connect(number, address)
        assert party is not None
        return party

    def responder(self, label: str = "alpha", subject: str = ID, peer: str = HOST) -> Party:
        """A host registers and connects."""
        return self.connected(self.port(label, peer, subject), peer)

    def mobile(self, label: str = "alpha", peer: str = MOBILE) -> Party:
        """Somebody looks for a label, and connects where they are sent."""
        return self.connected(port_of(self.seek(label, peer=peer)), peer)


def request_of(
    method: str, target: str, host: str | None, peer: str = MOBILE, **headers: str
) -> Request:
    """A request; underscores in the names of headers are hyphens."""
    path, _, query = target.partition("?")
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    if host is not None:
        named.insert(0, ("host", host))
    return Request(method, target, path, query, tuple(named), peer, secure=True, port=54300)


def answered(waiting: Deferred[Response]) -> Response:
    """The answer, which is there."""
    got: list[Response] = []
    waiting.addCallback(got.append)
    assert got, "it waits"
    return got[0]


def header(response: Response, name: str) -> str | None:
    """A header of an answer, if it has that."""
    found = [value for key, value in response.headers if key.lower() == name.lower()]
    assert len(found) < 2
    return found[0] if found else None


def port_of(response: Response) -> int:
    """Where a redirect leads."""
    assert response.status == 307, response
    location = header(response, "location") or ""
    return int(location.split("/")[2].rpartition(":")[2])
