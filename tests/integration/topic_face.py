"""A small dialect of topics: sockets at ``/ws/TOPIC``, bodies at ``/ts/TOPIC``."""

from __future__ import annotations

from zope.interface import implementer

from relay.errors import NotFound, RelayError
from relay.faces import IFeedFace, IServices, ISink, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.vocabulary import (
    Claims,
    Credential,
    Enter,
    Grant,
    Message,
    Nothing,
    Role,
    TopicName,
)
from tests.fakes import MemberTalk


def topic(name: str) -> TopicName:
    """:returns: the whole name"""
    return TopicName(f"topics:{name}")


@implementer(ISink)
class Sink:
    """Says each part of a body on a topic.

    :ivar over: ``finish`` or ``lost``, once told
    """

    def __init__(self, services: IServices, name: str) -> None:
        self._services = services
        self._topic = topic(name)
        self.parts: list[bytes] = []
        self.over: list[str] = []

    def write(self, data: bytes) -> None:
        """Say it."""
        self.parts.append(data)
        self._services.broker.publish(self._topic, Message(data))

    def finish(self) -> None:
        """Record."""
        self.over.append("finish")

    def lost(self) -> None:
        """Record."""
        self.over.append("lost")


@implementer(IFeedFace)
class TopicFace:
    """The face.

    :ivar sinks: all that were asked for
    """

    name = "topics"
    catch_all = True

    def __init__(self) -> None:
        self.sinks: list[Sink] = []

    def matches(self, request: Request) -> bool:
        """:returns: True"""
        return True

    def route(self, request: Request) -> Route:
        """:raises NotFound: for other paths"""
        kind, _, name = request.path.removeprefix("/").partition("/")
        if kind not in ("ws", "ts"):
            raise NotFound("no such path")
        return Route(kind, (name,), websocket=kind == "ws", feeds=kind == "ts")

    def credential(self, request: Request, route: Route) -> Credential:
        """:returns: none"""
        return Nothing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """:returns: one for anybody"""
        return Grant(self.name, Role.CLIENT, "")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """:returns: a member's"""
        return MemberTalk(Enter(topic(route.parameters[0])))

    def sink(self, request: Request, route: Route, services: IServices) -> ISink:
        """:raises NotFound: for a topic without a name"""
        if not route.parameters[0]:
            raise NotFound("name a topic")
        self.sinks.append(Sink(services, route.parameters[0]))
        return self.sinks[-1]

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """:returns: nothing of interest"""
        return Response(204)

    def wire_code(self, error: RelayError) -> int:
        """:returns: 404 for what is not there"""
        return 404 if isinstance(error, NotFound) else getattr(error, "status", 400)
