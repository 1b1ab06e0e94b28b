"""Bodies that are longer than memory should be: downloads with back-pressure, counted uploads."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator

from twisted.internet.interfaces import IPullProducer
from twisted.web.server import Request
from zope.interface import implementer

KEPT_BYTES = 1024 * 1024


class Upload(io.BytesIO):
    """Takes the body of a request; keeps no more than its beginning.

    :ivar size: of all that came
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._seen = hashlib.sha256()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # HTTP gives bytes only
        """Count it."""
        self.size += len(data)
        self._seen.update(data)
        return super().write(data[: max(0, KEPT_BYTES - self.tell())])

    def digest(self) -> str:
        """:returns: the SHA-256 of all that came, in hexadecimal"""
        return self._seen.hexdigest()


@implementer(IPullProducer)
class Download:
    """Writes a body, a part each time that the transport has room for more."""

    def __init__(self, request: Request, parts: Iterator[bytes]) -> None:
        self._request = request
        self._parts = parts
        request.registerProducer(self, False)

    def resumeProducing(self) -> None:
        part = next(self._parts, None)
        if part is not None:
            self._request.write(part)
            return
        self._request.unregisterProducer()
        self._request.finish()

    def stopProducing(self) -> None:
        """The viewer has left."""
        self._parts = iter(())
