"""A small dialect whose credentials are looked up, and that looks at no body."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from relay.errors import BadRequest, RelayError
from relay.faces import ILookingUpFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.vocabulary import Claims, Credential, Grant, Missing, Nothing, Role
from tests.fakes import Talk

BODY_BYTES = 1000


@implementer(ILookingUpFace)
class LookingFace:
    """The face. Paths say what is found: ``/missing``, ``/bad``, or anything else.

    :ivar looking: requests whose look-up is under way, while :attr:`holds`
    :ivar cancelled: how many of these nobody waits for any more
    :ivar answered: the bodies of those that were answered
    """

    name = "looking"
    catch_all = True

    def __init__(self) -> None:
        self.holds = False
        self.looking: list[Deferred[None]] = []
        self.cancelled = 0
        self.answered: list[tuple[str, bytes]] = []

    def matches(self, request: Request) -> bool:
        """:returns: True"""
        return True

    def route(self, request: Request) -> Route:
        """:returns: the same for all"""
        return Route("all", websocket=False, body_bytes=BODY_BYTES, looks_up=True, spares_body=True)

    def credential(self, request: Request, route: Route) -> Credential:
        """:raises AssertionError: always: it is looked up"""
        raise AssertionError("nobody asks for what is looked up")

    async def look_up(self, request: Request, route: Route, services: IServices) -> Credential:
        """Look it up, once the test lets it. :raises BadRequest: for ``/bad``"""
        if self.holds:
            waiting: Deferred[None] = Deferred(lambda _: self._cancelled())
            self.looking.append(waiting)
            await waiting
        if request.path == "/bad":
            raise BadRequest("no such credential")
        return Missing() if request.path == "/missing" else Nothing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:returns: one for anybody"""
        return Grant(self.name, Role.CLIENT, "")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """:returns: none that is of use"""
        return Talk()

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """:returns: the path"""
        self.answered.append((request.path, request.body))
        return Response(200, body=request.path.encode())

    def wire_code(self, error: RelayError) -> int:
        """:returns: 401 without a credential, else 400"""
        return 401 if error.reason.value == "token-missing" else 400

    def _cancelled(self) -> None:
        self.cancelled += 1
