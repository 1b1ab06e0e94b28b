"""The admin address, served by the same front door as everything else.

It never shares a port with the public listeners. On an address that other machines reach it asks
for the bearer token in ``STATE-DIR/admin.token``, which is made when it is missing.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Protocol, cast

from zope.interface import implementer

from relay.admin.exposition import CONTENT_TYPE, exposition
from relay.core.broker import Broker
from relay.core.surroundings import Surroundings
from relay.errors import (
    AuthError,
    BadRequest,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
)
from relay.faces import IRouterFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings import MadeSecretFile
from relay.vocabulary import Claims, Credential, Grant, Missing, Nothing, Role, SharedSecret

API = "/api/v1"
BODY_BYTES = 64 * 1024
GET_PATHS = ("/livez", "/readyz", "/metrics", f"{API}/status", f"{API}/links", f"{API}/offers",
             f"{API}/circuits", f"{API}/topics")  # fmt: skip
POST_PATHS = (f"{API}/revoke",)


class IObserved(Protocol):
    """What the admin address looks at."""

    around: Surroundings
    broker: Broker

    def is_ready(self) -> str:
        """:returns: empty when new links are taken, else why not."""


@implementer(IRouterFace)
class AdminFace:
    """Health, metrics and status over plain HTTP.

    :param observed: the router
    :param state_dir: where the bearer token is kept
    :ivar needs_token: whether callers must show it
    """

    name: str = "admin"
    catch_all: bool = True

    def __init__(self, observed: IObserved, state_dir: Path) -> None:
        self._observed = observed
        self._token = MadeSecretFile(state_dir / "admin.token")
        self.needs_token = False

    def require_token(self) -> str:
        """From now on callers must show the token. :returns: where it is kept."""
        self.needs_token = True
        self._token.ensure()
        return self._token.origin

    def matches(self, request: Request) -> bool:
        """Everything here is ours."""
        return True

    def route(self, request: Request) -> Route:
        """:raises NotFound, MethodNotAllowed: as HTTP has it."""
        if request.path in GET_PATHS:
            allow = "GET,HEAD"
        elif request.path in POST_PATHS:
            allow = "POST"
        else:
            known = " ".join(GET_PATHS + POST_PATHS)
            raise NotFound(f"nothing is served at {request.path[:200]}; there are {known}")
        if request.method not in allow.split(","):
            raise MethodNotAllowed(f"{request.method} is not served here", allow)
        return Route(request.path, websocket=False, body_bytes=BODY_BYTES if allow == "POST" else 0)

    def credential(self, request: Request, route: Route) -> Credential:
        """The bearer token, on addresses that other machines reach."""
        if not self.needs_token or route.name in ("/livez", "/readyz"):
            return Nothing()
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            return Missing()
        return SharedSecret("admin", token.strip(), (self._token.read().reveal(),))

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """Whoever gets here may look."""
        return Grant(self.name, Role.CLIENT, "operator")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """:raises NotFound: always: there are no links here."""
        raise NotFound("no WebSocket is served here")

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """One of the pages."""
        if route.name == "/livez":
            return Response(200, b"alive\n")
        if route.name == "/readyz":
            why_not = self._observed.is_ready()
            return Response(503 if why_not else 200, f"{why_not or 'ready'}\n".encode())
        if route.name == "/metrics":
            return Response(200, exposition(self._observed), content_type=CONTENT_TYPE)
        if route.name == f"{API}/revoke":
            return self._revoke(request)
        part = route.name.rpartition("/")[2]
        whole = self._status()
        return json_response(whole if part == "status" else whole[part])

    def wire_code(self, error: RelayError) -> int:
        """:returns: the HTTP status."""
        if isinstance(error, AuthError):
            return 401
        if isinstance(error, NotFound):
            return 404
        if isinstance(error, MethodNotAllowed):
            return 405
        if isinstance(error, TooLarge):
            return 413
        return 400

    def _revoke(self, request: Request) -> Response:
        if request.header("origin") is not None:
            # only browsers say it: loopback is open to the pages of anybody
            raise BadRequest("a web page may not ask for this")
        try:
            wanted: object = json.loads(request.body)
        except (ValueError, RecursionError):
            wanted = None
        if not isinstance(wanted, dict):
            raise BadRequest('the body is a JSON object, for instance {"subject": "lab-host"}')
        names = {"dialect", "subject", "offer", "token_id", "until"}
        unknown = sorted(set(wanted) - names)
        if unknown:
            raise BadRequest(f"unknown member {unknown[0]!r}; known are {', '.join(sorted(names))}")
        until = wanted.pop("until", None)
        if until is not None and not _is_time(until):
            raise BadRequest("until is a time in Unix seconds")
        if not all(isinstance(value, str) for value in wanted.values()):
            raise BadRequest("dialect, subject, offer and token_id are strings")
        try:
            ended = self._observed.broker.revoke(until=until, **wanted)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return json_response({"ended": ended})

    def _status(self) -> dict[str, object]:
        broker, now = self._observed.broker, self._observed.around.wheel.now()
        return {
            "ready": not self._observed.is_ready(),
            "draining": broker.draining,
            "pending_calls": broker.pending_calls(),
            "buffered_bytes": self._observed.around.ledger.total,
            "links": [
                {
                    "link": session.label,
                    "dialect": session.grant.dialect if session.grant else None,
                    "role": session.conversation.role.value,
                    "subject": session.grant.subject if session.grant else None,
                    "seconds": round(now - session.started, 1),
                }
                for session in broker.sessions
            ],
            "offers": [
                {
                    "offer": name,
                    "link": session.label,
                    "subject": session.grant.subject if session.grant else None,
                    "services": getattr(session.conversation.intent, "services", None),
                    "seconds": round(now - session.started, 1),
                }
                for name, session in broker.offers().items()
            ],
            "circuits": [
                {
                    "offer": circuit.name,
                    "caller": circuit.caller.label,
                    "callee": circuit.callee.label,
                    "bytes_up": circuit.bytes()[0],
                    "bytes_down": circuit.bytes()[1],
                    "seconds": round(now - circuit.started, 1),
                }
                for circuit in broker.circuits
            ],
            "topics": [
                {
                    "topic": topic.name,
                    "members": len(topic.members),
                    "readers": len(topic.readers),
                    "bytes_in": topic.bytes()[0],
                    "bytes_out": topic.bytes()[1],
                    "lost": topic.lost,
                }
                for topic in broker.topics.values()
            ],
        }


def _is_time(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and -math.inf < cast(float, value) < math.inf


def json_response(value: object, status: int = 200) -> Response:
    """:returns: ``value`` as a JSON answer."""
    return Response(status, json.dumps(value, indent=1).encode() + b"\n", (), "application/json")
