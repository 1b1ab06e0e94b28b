"""Fan-out: many streams, each hearing the writers.

A reader that cannot keep up loses messages, counted; it never slows a writer or another reader.
What waits for it is on the ledger: one that takes nothing at all is cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.logger import Logger

from relay.core.batch import Batch
from relay.core.guest import Guest
from relay.core.member import Member
from relay.core.surroundings import Surroundings
from relay.interfaces import IStream
from relay.vocabulary import Data, Enter, TopicName

AnyMember = TypeVar("AnyMember", bound=Member)

BUFFER_MESSAGES = 128
BUFFER_BYTES = 64 * 1024 * 1024


class Topic:
    """Everybody who entered under one name.

    :param emptied: called when the last member has left
    :param buffer_messages: how many messages wait for a member that does not say how many
    :param buffer_bytes: how much waits for one member; a single message may be longer
    :ivar lost: messages that some reader missed, each time counted
    """

    log = Logger()

    def __init__(
        self,
        name: TopicName,
        around: Surroundings,
        emptied: Callable[[Topic], None],
        buffer_messages: int = BUFFER_MESSAGES,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self.name = name
        self.ledger = around.ledger
        self.wheel = around.wheel
        self._metrics = around.metrics
        self._emptied = emptied
        self.buffer_messages = buffer_messages
        self.buffer_bytes = buffer_bytes
        self.members: set[Member] = set()
        self.lost = 0
        self._readers: tuple[Member, ...] = ()

    @property
    def readers(self) -> tuple[Member, ...]:
        """:returns: the members that hear"""
        return self._readers

    def bytes(self) -> tuple[int, int]:
        """:returns: payload bytes from the members that there are, and to them, but for guests"""
        members = [member for member in self.members if not member.is_guest]
        return (
            sum([member.stream.bytes_in for member in members]),
            sum([member.bytes_out for member in members]),
        )

    def enter(self, stream: IStream, event: Enter) -> Member:
        """Give ``stream`` a seat."""
        member = self._seat(Member(self, stream, event))
        stream.circuit = member
        stream.attach(member)
        if not stream.is_paused():
            stream.resume()
        return member

    def invite(self, stream: IStream, event: Enter) -> Guest:
        """:returns: a seat for the caller ``stream``, which is to be joined with it"""
        return self._seat(Guest(self, stream, event))

    def publish(self, writer: Member | None, data: Data) -> None:
        """Tell every reader but the writer of a whole message.

        :param writer: None: nobody has said it
        """
        self.spread(writer, Batch.of(data.payload, data.text))

    def spread(self, writer: Member | None, batch: Batch) -> None:
        """Tell every reader but the writer."""
        readers = self._readers
        alone = len(readers) <= (2 if writer is not None and writer.reads else 1)
        for reader in readers:
            if reader is not writer:
                reader.hear(batch, alone)

    def count_lost(self, count: int = 1) -> None:
        """So many messages did not reach one reader, or none at all."""
        self.lost += count
        self._metrics.lost_messages_total[self.name.partition(":")[0]] += count

    def leave(self, member: Member) -> None:
        """Take a seat away; harmless when it is gone."""
        if member not in self.members:
            return
        self.members.discard(member)
        if member.reads:
            self._readers = tuple(other for other in self._readers if other is not member)
        member.forget()
        if not member.is_guest:
            self._metrics.member_left(
                self.name.partition(":")[0], member.stream.bytes_in, member.bytes_out
            )
        if member.lost:
            self.log.info(
                "{link}: {lost} messages of {topic} were lost, which it was too slow for",
                event="messages-lost",
                link=member.stream.label,
                lost=member.lost,
                topic=self.name,
            )
        # a stream and a seat that know each other would wait for the garbage collector
        member.stream.detach()
        if not self.members:
            self._emptied(self)

    def _seat(self, member: AnyMember) -> AnyMember:
        self.members.add(member)
        if member.reads:
            self._readers = (*self._readers, member)
        return member
