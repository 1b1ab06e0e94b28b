"""Links of network-relay without a session: what they make of what is said and wanted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping

from relay.auth import verify
from relay.dialects.network_relay.access import AccessLink
from relay.dialects.network_relay.agents import AgentLink
from relay.dialects.network_relay.credentials import Client
from relay.dialects.network_relay.messages import (
    data_head,
    encode_agent_start,
    encode_client_start,
    encode_data,
    encode_initiate,
)
from relay.dialects.network_relay.serving import ServingLink
from relay.dialects.network_relay.targets import Target
from relay.interfaces import IConversation, IGreeting
from relay.vocabulary import Accept, Call, Event, Granted, Hello, Message
from tests.dialects.network_relay_samples import (
    AGENT,
    AGENT_SECRET,
    CALL,
    CLIENT_SECRET,
    OFFER,
    TARGET,
    texts,
)
from tests.dialects.network_relay_vectors import CONNECTION_ID, PING, V14

Output = Event | Message


def data(connection_id: str, payload: bytes = PING) -> bytes:
    """A ``tcp_data`` of that tunnel."""
    return encode_data(data_head(connection_id), payload)


class Talk:
    """A conversation, and the time.

    :ivar now: seconds
    """

    def __init__(self, link: IConversation) -> None:
        self.link = link
        self.now = 100.0
        self.first = list(link.opened(self.now))

    def hears(self, *payloads: bytes) -> list[Output]:
        """What the link makes of these texts."""
        return self.takes(*texts(*payloads))

    def takes(self, *messages: Message) -> list[Output]:
        """What the link makes of these messages."""
        return [out for message in messages for out in self.link.receive(message, self.now)]

    def told(self, event: Event) -> list[Output]:
        """What the link makes of what the core wants."""
        return list(self.link.perform(event, self.now))

    def passes(self, seconds: float) -> list[Output]:
        """What the link says while time passes."""
        end = self.now + seconds
        outputs: list[Output] = []
        while (deadline := self.link.deadline()) is not None and deadline <= end:
            assert deadline >= self.now
            self.now = deadline
            outputs += self.link.wake(self.now)
        self.now = end
        return outputs


def greeted(talk: Talk, outputs: Iterable[Output]) -> list[Output]:
    """What the link makes of the answer to its one Hello, judged as admission judges it.

    :raises AuthError: when the credential does not pass
    """
    (hello,) = outputs
    assert isinstance(hello, Hello)
    claims = verify(hello.credential, talk.now)
    return talk.told(Granted(IGreeting(talk.link).grant(claims)))


def inner(output: Output) -> Mapping[str, object]:
    """The members of a text message."""
    assert isinstance(output, Message)
    assert output.text
    members = json.loads(output.payload)["inner"]
    assert isinstance(members, dict)
    return members


class Agent(Talk):
    """The router's link to an agent.

    :param last_error: of its start
    :param binary: whether both ends are ours
    """

    def __init__(self, binary: bool = False, last_error: str | None = None) -> None:
        bits = itertools.count(1)
        super().__init__(
            AgentLink(
                lambda name: (AGENT_SECRET,) if name == AGENT else (),
                lambda count: next(bits) * 0x0123456789ABCDEF0123456789ABCDEF % 2**count,
                binary,
            )
        )
        self.last_error = last_error

    def registers(self) -> list[Output]:
        """It shows its secret; what the router makes of that."""
        start = encode_agent_start(AGENT, AGENT_SECRET, self.last_error)
        return greeted(self, self.hears(start))

    def called(self, target: Target = TARGET) -> tuple[int, str, Mapping[str, object]]:
        """Somebody calls. :returns: stream, id, and what the agent is told."""
        call = Call(OFFER, str(target))
        stream = self.link.begin(call).stream
        (told,) = self.told(call._replace(stream=stream))
        members = inner(told)
        return stream, str(members["connection_id"]), members


def registered(binary: bool = False, last_error: str | None = None) -> Agent:
    """:returns: an agent that is."""
    agent = Agent(binary, last_error)
    agent.registers()
    return agent


class Caller(Talk):
    """The router's link to a client.

    :param client: whose secret is right
    :param binary: whether both ends are ours
    """

    def __init__(self, client: Client | None = None, binary: bool = False) -> None:
        self.client = client or Client("", CLIENT_SECRET)
        super().__init__(AccessLink(self._client_of, binary))

    def _client_of(self, secret: str) -> Client | None:
        return self.client if secret == self.client.secret else None

    def starts(self, target: Target = TARGET, agent: str = AGENT) -> list[Output]:
        """It says what it wants; what the router makes of that."""
        return greeted(self, self.hears(encode_client_start(agent, target, self.client.secret)))


def ours(last_error: str | None = None, binary: bool = False) -> Talk:
    """Our agent's link, begun."""
    return Talk(ServingLink(AGENT, AGENT_SECRET, last_error, binary))


def asked(binary: bool = False) -> Talk:
    """One that was asked for a tunnel."""
    talk = ours(binary=binary)
    stream, credit = (0, 1000) if binary else (None, None)
    assert talk.hears(encode_initiate(CONNECTION_ID, TARGET, stream, credit))[-1] == CALL
    return talk


def connected(binary: bool = False) -> Talk:
    """One that has connected it."""
    talk = asked(binary)
    talk.link.begin(CALL)
    talk.told(Accept(0))
    return talk


def without_keep_alive(outputs: list[Output]) -> list[Output]:
    """The rest."""
    return [output for output in outputs if output != texts(V14)[0]]
