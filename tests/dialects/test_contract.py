"""What every dialect owes the core, whatever it puts on the wire."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyClass, verifyObject

import relay.errors
from relay.auth import verify
from relay.dialects import find_dialects
from relay.errors import (
    ConfigurationError,
    GoingAway,
    ProtocolError,
    RelayError,
)
from relay.faces import IDialect, IRouterFace
from relay.http import Request
from relay.interfaces import IConversation, IGreeting
from relay.vocabulary import (
    CLEAN_REASONS,
    Close,
    Data,
    End,
    Event,
    Granted,
    Hello,
    Message,
    Nothing,
    Passing,
    Reason,
    Reset,
    Role,
    Shape,
)
from tests.dialects.contract import (
    ALL_LINKS,
    ANY_DIALECT,
    ANY_LINK,
    DIALECTS,
    PER_LINK,
    admitted,
    begun,
    each_dialect,
    each_link,
    face_of,
    granted,
    heard,
    links_of,
    thoroughly,
    whole,
)
from tests.dialects.samples import Link, Samples, samples_of

LARGEST_MESSAGE_BYTES = 64 * 1024 * 1024
MEMORY_CAP_BYTES = 16 * 1024 * 1024
"""Nobody collects more than this before reading it."""
CLOSE_TEXT_BYTES = 123
ERRORS = [
    kind
    for _, kind in inspect.getmembers(relay.errors, inspect.isclass)
    if issubclass(kind, RelayError)
]
REASONS = st.sampled_from(Reason)
BEFORE_THE_HANDSHAKE = (
    relay.errors.BadRequest,
    relay.errors.NotFound,
    relay.errors.MethodNotAllowed,
    relay.errors.UpgradeRequired,
    relay.errors.TooLarge,
    relay.errors.TokenMissing,
    relay.errors.TokenInvalid,
    relay.errors.TokenExpired,
    relay.errors.WrongRole,
    relay.errors.WrongScope,
    relay.errors.WrongName,
    relay.errors.Revoked,
)
"""What can be a peer's fault while it can still be told so with a status."""


def made(kind: type[RelayError]) -> RelayError:
    """An error of that class."""
    if kind is relay.errors.Refused:
        return relay.errors.Refused(404, "refused", Reason.NO_SUCH_OFFER)
    return kind("some text")


# -- doors -----------------------------------------------------------------------------------------


@each_dialect
def test_a_dialect_provides_its_interfaces(name: str) -> None:
    """Plugin and router face have every method and attribute, and go by the same name."""
    dialect, face = DIALECTS[name], face_of(name)
    verifyObject(IDialect, dialect)
    verifyObject(IRouterFace, face)
    assert dialect.name == face.name == name
    assert set(dialect.tunnel_keys) == set(Role)


@each_link
def test_a_conversation_provides_its_interface(link: Link) -> None:
    """Every attribute is set on a fresh conversation, to something of the right kind."""
    conversation = link.make()
    verifyObject(IConversation, conversation)
    verifyClass(IConversation, type(conversation))
    assert isinstance(conversation.shape, Shape)
    assert isinstance(conversation.role, Role)
    assert conversation.deadline() is None


def test_an_enabled_dialect_must_be_there() -> None:
    """A missing one is named, with those that are installed."""
    with pytest.raises(ConfigurationError, match=r"dialect nonesuch is not installed.*portal"):
        find_dialects(["portal", "nonesuch"])


@given(ANY_DIALECT, st.text(max_size=30), st.sampled_from(["GET", "OPTIONS", "CONNECT"]))
def test_any_request_may_be_asked_about(name: str, path: str, method: str) -> None:
    """Whether a request is the dialect's is said without an exception, for ``*`` too."""
    face = face_of(name)
    for target in (path, f"/{path}", "*", "host:443"):
        request = Request(method, target, target, "", (), "192.0.2.1")
        assert face.matches(request) in (True, False)
        try:
            face.route(request)
        except ProtocolError:
            pass


@each_dialect
def test_own_paths_are_recognized(name: str) -> None:
    """Every sample request matches, has a route, and makes a link of a permitted shape."""
    face = face_of(name)
    for request in samples_of(name).requests:
        assert face.matches(request)
        route = face.route(request)
        assert route.websocket
        if route.greets:
            assert isinstance(face.credential(request, route), Nothing)
        intent = admitted(name, request).intent
        assert intent is None or isinstance(intent, tuple)


# -- input -----------------------------------------------------------------------------------------


def in_parts(message: Message, cuts: set[int]) -> Iterable[Message]:
    """A message as a link hands it on in parts; text this short comes whole."""
    payload = message.payload
    inner = [] if message.text else sorted(cut for cut in cuts if cut <= len(payload))
    for start, end in itertools.pairwise([0, *inner]):
        yield Message(payload[start:end], message.text, final=False)
    yield Message(payload[inner[-1] if inner else 0 :], message.text)


@thoroughly
@given(st.sampled_from([link for link in ALL_LINKS if not link.make().whole_messages]), st.data())
def test_every_split_gives_the_same_events(link: Link, data: st.DataObject) -> None:
    """A message that comes in parts means what it means whole."""
    boundaries = link.make().carries.boundaries
    expected = whole(heard(begun(link), link.arrives), boundaries)
    cuts = st.sets(st.integers(0, 64), max_size=4)
    parts = [part for message in link.arrives for part in in_parts(message, data.draw(cuts))]
    assert whole(heard(begun(link), parts), boundaries) == expected


MESSAGES = st.builds(Message, st.binary(max_size=64), st.booleans(), st.booleans())


@thoroughly
@given(ANY_LINK, st.lists(MESSAGES, max_size=10))
def test_bad_input_is_a_protocol_error_and_nothing_else(link: Link, junk: list[Message]) -> None:
    """``SpeaksInTongues``: whatever arrives, before or after what belongs there."""
    for messages in ([*junk], [*link.arrives, *junk]):
        conversation = begun(link)
        try:
            outputs = heard(conversation, messages)
        except ProtocolError:
            continue
        assert all(isinstance(output, tuple) for output in outputs)


@thoroughly
@given(ANY_LINK, st.lists(MESSAGES, max_size=10))
def test_nothing_follows_a_reset_or_an_end(link: Link, junk: list[Message]) -> None:
    """A stream that was reset, or a link that has ended, says nothing more."""
    over: set[int] = set()
    conversation = begun(link)
    ended = False
    try:
        for output in heard(conversation, [*link.arrives, *junk]):
            assert not ended
            stream = getattr(output, "stream", None)
            assert stream is None or stream not in over
            if isinstance(output, Reset):
                over.add(output.stream)
            ended = isinstance(output, End)
    except ProtocolError:
        pass


# -- credentials that come inside the conversation -------------------------------------------------


def greeting_links(name: str) -> list[Link]:
    """Those whose credential does."""
    face = face_of(name)
    requests = samples_of(name).requests
    return [
        link
        for link, request in zip(links_of(name), requests, strict=False)
        if face.route(request).greets
    ]


@each_dialect
def test_who_greets_begins_with_a_credential(name: str) -> None:
    """Such a link wants nothing and tells nothing before; then it shows one, and is granted it."""
    for link in greeting_links(name):
        conversation = link.make()
        verifyObject(IGreeting, conversation)
        assert conversation.intent is None
        assert list(conversation.opened(0.0)) == []
        (hello,) = heard(conversation, link.begins)
        assert isinstance(hello, Hello)
        grant = granted(conversation, hello)
        assert grant.dialect == name
        assert grant.role is conversation.role


STRANGERS = [link for name in DIALECTS for link in greeting_links(name)]


@settings(max_examples=PER_LINK * max(1, len(STRANGERS)), deadline=None)
@given(st.sampled_from(STRANGERS), st.lists(MESSAGES, max_size=10), st.booleans())
def test_nothing_is_done_for_a_stranger(link: Link, junk: list[Message], shows: bool) -> None:
    """Until its credential was accepted a link asks for that and for nothing else, and once."""
    conversation = link.make()
    hellos: list[Event | Message] = []
    try:
        for message in [*(link.begins if shows else ()), *link.arrives, *junk, *link.begins]:
            hellos += conversation.receive(message, 1.0)
    except ProtocolError:
        pass
    assert all(isinstance(hello, Hello) for hello in hellos)
    assert len(hellos) <= 1


# -- output ----------------------------------------------------------------------------------------


@each_link
def test_payload_becomes_messages_with_all_of_it(link: Link) -> None:
    """What is sent holds every byte, and a part says that it is one."""
    conversation = begun(link)
    if conversation.shape is Shape.CONTROL:
        return
    for final in (True, False):
        message = conversation.encode(Data(b"payload", 0, False, final))
        assert isinstance(message, Message)
        if conversation.shape is not Shape.DEDICATED:
            continue
        if link.unwrap is None:
            assert message == Message(b"payload", message.text, final)
        else:
            assert link.unwrap(message.payload) == b"payload"
            assert message.final


def is_legal(close: Close | None) -> bool:
    """Whether RFC 6455 lets this stand on the wire."""
    if close is None or close == Close(None):
        return True
    code = close.code or 0
    legal = (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    return legal and len(close.text.encode()) <= CLOSE_TEXT_BYTES


@each_link
@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_legal_close(link: Link, reason: Reason) -> None:
    """However a link ends, what tells the peer may stand on the wire; clean ends are 1000."""
    for close in (None, Close(None), Close(1000, "bye"), Close(4999, "x" * CLOSE_TEXT_BYTES)):
        assert is_legal(link.make().end(reason, close))
    own = link.make().end(reason, None)
    if own is not None and reason in CLEAN_REASONS:
        assert own.code in (1000, None)


@each_dialect
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(name: str, kind: type[RelayError]) -> None:
    """A peer's fault is a 4xx, a drain 503, and nothing is told as a success."""
    status = face_of(name).wire_code(made(kind))
    assert 400 <= status <= 599
    if kind in BEFORE_THE_HANDSHAKE:
        assert status < 500
    if kind is GoingAway:
        assert status == 503


# -- caps and secrets ------------------------------------------------------------------------------


@each_link
def test_caps_are_set(link: Link) -> None:
    """No frame is longer than a message, and what is collected whole is small."""
    conversation = link.make()
    assert 0 < conversation.frame_bytes <= conversation.message_bytes <= LARGEST_MESSAGE_BYTES
    if conversation.whole_messages:
        assert conversation.message_bytes <= MEMORY_CAP_BYTES


@each_link
def test_what_passes_unread_is_not_changed(link: Link) -> None:
    """A gear that does not read payload sends what the one that does would send."""
    conversation = link.make()
    if conversation.passes is Passing.NOTHING:
        return
    assert conversation.shape is Shape.DEDICATED
    for final in (False, True):
        sent = conversation.encode(Data(b"payload", final=final))
        assert sent == Message(b"payload", text=False, final=final)
    if conversation.passes is Passing.ALL:
        assert conversation.encode(Data(b"text", text=True)) == Message(b"text", text=True)


@each_dialect
def test_no_secret_is_shown(name: str) -> None:
    """Neither repr nor str of anything made from a request shows a token or a key."""
    samples: Samples = samples_of(name)
    face = face_of(name)
    shown: list[object] = [face, DIALECTS[name], samples.settings]
    for request in samples.requests:
        route = face.route(request)
        credential = face.credential(request, route)
        grant = None
        if not route.greets:
            grant = face.grant(verify(credential, samples.now), request, route)
        conversation = face.conversation(request, route, grant)
        shown += [route, credential, grant, conversation, conversation.intent]
        shown += list(conversation.opened(0.0))
    for link in links_of(name):
        conversation = link.make()
        shown.append(conversation)
        if not link.begins:
            continue
        list(conversation.opened(0.0))
        for output in heard(conversation, link.begins):
            shown.append(output)
            if isinstance(output, Hello):
                grant = granted(conversation, output)
                shown += [grant, *conversation.perform(Granted(grant), 0.0)]
        shown.append(conversation)
    text = " ".join(f"{value!r} {value}" for value in shown)
    for secret in samples.secrets:
        assert secret not in text


@thoroughly
@given(ANY_LINK, REASONS)
def test_a_conversation_keeps_quiet_about_what_it_does_not_know(link: Link, reason: Reason) -> None:
    """Whatever the core tells it, a conversation answers with messages and events, never raises."""
    events: list[Event] = [Reset(reason), End(reason)]
    conversation = begun(link)
    for event in events:
        for output in conversation.perform(event, 1.0):
            assert isinstance(output, tuple)
