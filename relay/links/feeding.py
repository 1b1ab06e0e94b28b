"""One request whose body goes to a sink as it comes."""

from __future__ import annotations

from relay.errors import BadRequest, ProtocolError
from relay.faces import IFeedFace, IServices, Route
from relay.http import Request, Response
from relay.links.responses import encode_response
from relay.links.viewer.exchange import CONTINUE
from relay.links.viewer.requests import judge
from relay.links.viewer.visit import IVisit

TAKEN = encode_response(Response(200), keep=False, head_only=False)


class Feeding:
    """The body of a request, from its first byte to its last.

    A connection takes one: a body may last for months, and nothing is gained by keeping the
    connection behind it.

    :raises BadRequest: for a body that could be understood in two ways
    :raises RelayError: when the face refuses
    """

    has_circuit = False

    def __init__(
        self, visit: IVisit, request: Request, face: IFeedFace, route: Route, services: IServices
    ) -> None:
        self._visit = visit
        self._terms = judge(request)
        self._body = self._terms.framing.reader()
        self._over = False
        self._sink = face.sink(request, route, services)

    def begin(self) -> None:
        """Take what has come behind the head, then what follows."""
        if self._terms.expects_continue:
            self._visit.transport.write(CONTINUE)
        self.received(self._visit.early())
        if not self._over:
            self._visit.read_on()

    def received(self, data: bytes) -> bytes:
        """Bytes came. :returns: none: what follows the body is of no use"""
        if self._over:
            return b""
        try:
            pieces = self._body.feed(data)
        except ProtocolError as error:
            self.lost()
            self._visit.failed(BadRequest(error.text))
            return b""
        for piece in pieces:
            self._sink.write(bytes(piece))
        if self._body.done:
            self._over = True
            self._sink.finish()
            self._visit.transport.write(TAKEN)
            self._visit.answered(False)
        return b""

    def read_ended(self) -> None:
        """The sender says no more, in the midst of it."""
        if not self._over:
            self.lost()
            self._visit.answered(False)

    def lost(self) -> None:
        """The connection is gone, or what comes is no body."""
        if not self._over:
            self._over = True
            self._sink.lost()
