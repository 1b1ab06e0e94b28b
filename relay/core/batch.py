"""Messages that came at once from one writer, in the forms in which readers take them."""

from __future__ import annotations

from collections.abc import Sequence

from relay.outlets import Buffer
from relay.vocabulary import Data
from relay.wire.wsframe import BINARY, TEXT, encode_header

JOINED_BYTES = 16 * 1024
"""Payload up to this size is cheaper to copy than to send in parts."""


class Kept:
    """A message that waits, for how many readers it may be.

    :ivar holders: how many readers it waits for
    """

    __slots__ = ("data", "holders")

    def __init__(self, data: Data) -> None:
        self.data = data
        self.holders = 0


class Batch:
    """Whole messages, in order. Each form is made once, however many readers take it.

    :param text: whether they are texts; of one kind all
    """

    __slots__ = (
        "_frames",
        "_kept",
        "_messages",
        "_payloads",
        "_textless",
        "size_bytes",
        "text",
    )

    def __init__(self, text: bool) -> None:
        self.text = text
        self.size_bytes = 0
        self._payloads: list[Buffer] = []
        self._messages: tuple[Data, ...] | None = None
        self._kept: tuple[Kept, ...] | None = None
        self._frames: bytes | None = None
        self._textless: Batch | None = None

    def __len__(self) -> int:
        return len(self._payloads)

    @classmethod
    def of(cls, payload: bytes, text: bool) -> Batch:
        """:returns: one message"""
        batch = cls(text)
        batch.add(payload)
        return batch

    def add(self, payload: Buffer) -> None:
        """One message more; a view need only last as long as the batch."""
        self._payloads.append(payload)
        self.size_bytes += len(payload)

    def without_text(self) -> Batch:
        """:returns: the same payload, of which nothing is a text, for as long as the batch lasts"""
        if not self.text:
            return self
        if self._textless is None:
            self._textless = Batch(False)
            for payload in self._payloads:
                self._textless.add(payload)
        return self._textless

    def messages(self) -> Sequence[Data]:
        """:returns: the messages, which may be kept"""
        if self._messages is None:
            self._messages = tuple(
                Data(bytes(payload), text=self.text) for payload in self._payloads
            )
        return self._messages

    def size(self, position: int) -> int:
        """:returns: the payload bytes of one message"""
        return len(self._payloads[position])

    def is_held(self, position: int) -> bool:
        """:returns: whether one message waits for somebody already"""
        return self._kept is not None and self._kept[position].holders > 0

    def kept(self, position: int) -> Kept:
        """:returns: one message as what waits, the same for all readers"""
        if self._kept is None:
            self._kept = tuple(map(Kept, self.messages()))
        return self._kept[position]

    def parts(self) -> list[Buffer]:
        """:returns: the messages as frames of a server, for the only reader there is"""
        if self.size_bytes <= JOINED_BYTES * len(self._payloads):
            return [self.frames()]
        opcode = TEXT if self.text else BINARY
        parts: list[Buffer] = []
        for payload in self._payloads:
            parts += (encode_header(opcode, True, len(payload)), payload)
        return parts

    def frames(self) -> bytes:
        """:returns: the messages as frames of a server, which may be kept"""
        if self._frames is None:
            opcode = TEXT if self.text else BINARY
            self._frames = b"".join(
                [
                    part
                    for payload in self._payloads
                    for part in (encode_header(opcode, True, len(payload)), payload)
                ]
            )
        return self._frames
