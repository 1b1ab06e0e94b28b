"""One answer as it comes from a stream, written anew for the viewer."""

from __future__ import annotations

from collections.abc import Sequence

from relay.links.viewer.answers import Answer, AnswerReader, encode_answer
from relay.links.viewer.requests import Terms
from relay.wire.http_bodies import BodyWriter, Piece


class Answering:
    """Reads and writes one answer; no part of a body is kept.

    :param terms: of the viewer's request
    :ivar keep: whether another request may follow on the viewer's connection; known with the head
    """

    __slots__ = ("_answer", "_reader", "_terms", "_writer", "keep")

    def __init__(self, terms: Terms) -> None:
        self.keep = False
        self._terms = terms
        self._reader = AnswerReader(terms.method, terms.upgrade)
        self._answer: Answer | None = None
        self._writer: BodyWriter = terms.framing.writer()  # until it is known

    @property
    def begun(self) -> bool:
        """:returns: whether the viewer has been told something"""
        return self._answer is not None

    @property
    def switches(self) -> bool:
        """:returns: whether bytes are just bytes behind it, both ways"""
        return self._answer is not None and self._answer.switches

    @property
    def done(self) -> bool:
        """:returns: whether it is whole"""
        return self._answer is not None and not self.switches and self._answer.body.done

    def read(self, pieces: Sequence[Piece], asked: bool, now: float) -> list[Piece]:
        """Take what came.

        :param asked: whether the request is out, whole; an answer that comes before ends the
            viewer's connection
        :param now: Unix seconds
        :returns: what the viewer gets of it, to be sent before anything else is done
        :raises ProtocolError, BadAnswer: when it is no answer
        """
        parts: list[Piece] = []
        for piece in pieces:
            parts += self._read(piece, asked, now)
        if self.done:
            parts.append(self._end())
        return parts

    def ended(self) -> list[Piece]:
        """The stream has ended, and the answer with it.

        :returns: the last of what the viewer gets
        :raises ProtocolError, BadAnswer: when it is not whole
        """
        if self._answer is None:
            self._reader.ended()
        else:
            self._answer.body.ended()
        return [self._end()]

    def _read(self, piece: Piece, asked: bool, now: float) -> Sequence[Piece]:
        answer = self._answer
        if answer is None:
            answer = self._answer = self._reader.feed(piece)
            if answer is None:
                return ()
            head, self._writer = encode_answer(answer, self._terms, asked, now)
            self.keep = self._terms.keep and asked and not self._writer.ends_connection
            if answer.switches:
                return (head, answer.rest)
            return (head, *self._writer.part(answer.body.feed(answer.rest)))
        if answer.switches:
            return (piece,)
        return () if answer.body.done else self._writer.part(answer.body.feed(piece))

    def _end(self) -> bytes:
        assert self._answer is not None
        return self._writer.end(self._answer.body.trailers)
