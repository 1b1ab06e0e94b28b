"""The links of all dialects, and the way that the core takes with them, for the contract suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from relay.auth import verify
from relay.dialects import find_dialects
from relay.faces import IRouterFace
from relay.http import Request
from relay.interfaces import IConversation, IGreeting
from relay.vocabulary import Call, Data, Event, Grant, Granted, Hello, Message, Shape
from tests.dialects.samples import Link, samples_of

DIALECTS = find_dialects()


def face_of(name: str) -> IRouterFace:
    """The router's face, configured."""
    face: IRouterFace = DIALECTS[name].router_face(samples_of(name).settings, "wss://example.org")
    return face


def admitted(name: str, request: Request) -> IConversation:
    """The conversation of a handshake, by the way that admission takes."""
    face = face_of(name)
    route = face.route(request)
    grant = None
    if not route.greets:
        claims = verify(face.credential(request, route), samples_of(name).now)
        grant = face.grant(claims, request, route)
    conversation: IConversation = face.conversation(request, route, grant)
    return conversation


def links_of(name: str) -> list[Link]:
    """All sample links of a dialect."""
    samples = samples_of(name)

    def maker(request: Request) -> Callable[[], IConversation]:
        return lambda: admitted(name, request)

    count = len(samples.requests)
    begins: Sequence[tuple[Message, ...]]
    begins = [(hello,) for hello in samples.hellos] or [()] * count
    unwraps = samples.unwraps or [None] * count
    return [
        Link(request.target, maker(request), told, arrives, first, unwrap)
        for request, (told, arrives), first, unwrap in zip(
            samples.requests, samples.arrives, begins, unwraps, strict=True
        )
    ] + list(samples.links)


ALL_LINKS = [
    link._replace(label=f"{name}: {number} {link.label}")
    for name in DIALECTS
    for number, link in enumerate(links_of(name))
]
each_dialect = pytest.mark.parametrize("name", DIALECTS)
each_link = pytest.mark.parametrize("link", ALL_LINKS, ids=lambda link: link.label)
# Hypothesis draws links too: pytest-twisted cannot run its tests with parameters
ANY_DIALECT = st.sampled_from(sorted(DIALECTS))
ANY_LINK = st.sampled_from(ALL_LINKS)
PER_LINK = 40
thoroughly = settings(max_examples=PER_LINK * len(ALL_LINKS), deadline=None)


def granted(conversation: IConversation, hello: Hello) -> Grant:
    """What a credential inside the conversation allows, by the way that admission takes."""
    grant: Grant = IGreeting(conversation).grant(verify(hello.credential, 0.0))
    return grant


def begun(link: Link) -> IConversation:
    """A conversation whose peer may speak now."""
    conversation = link.make()
    list(conversation.opened(0.0))
    for output in heard(conversation, link.begins):
        if isinstance(output, Hello):
            list(conversation.perform(Granted(granted(conversation, output)), 0.0))
    for event in link.told:
        if isinstance(event, Call) and conversation.shape in (Shape.CREDIT, Shape.CREDITLESS):
            assert conversation.begin(event).stream == event.stream
        list(conversation.perform(event, 0.0))
    return conversation


def heard(conversation: IConversation, messages: Iterable[Message]) -> list[Event | Message]:
    """Everything that a conversation makes of these messages."""
    return [output for message in messages for output in conversation.receive(message, 1.0)]


def whole(outputs: Iterable[Event | Message], boundaries: bool) -> list[Event | Message]:
    """The same with the parts of each message put together.

    :param boundaries: whether messages have any; without, all that comes in a row is put together
    """
    result: list[Event | Message] = []
    open_parts: dict[int, int] = {}
    for output in outputs:
        if isinstance(output, Data) and not boundaries:
            output = output._replace(final=True)
        last = result[-1] if result else None
        if (
            isinstance(last, Data)
            and isinstance(output, Data)
            and not boundaries
            and last.stream == output.stream
        ):
            result[-1] = last._replace(payload=last.payload + output.payload)
        elif isinstance(output, Data) and output.stream in open_parts:
            at = open_parts.pop(output.stream)
            start = result[at]
            assert isinstance(start, Data)
            result[at] = output._replace(payload=start.payload + output.payload, text=start.text)
        else:
            at = len(result)
            result.append(output)
        if isinstance(output, Data) and not output.final:
            open_parts[output.stream] = at
    return result
