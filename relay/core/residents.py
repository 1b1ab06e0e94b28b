"""What dialects do by themselves, while nobody asks anything of the router."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.faces import IResidentFace, IRouterFace, IServices


class Residents:
    """The residents of one router."""

    log = Logger()

    def __init__(self) -> None:
        self._residing: list[Deferred[None]] = []

    def begin(self, faces: Mapping[str, IRouterFace], services: IServices) -> None:
        """Let the faces in force go about it, and no others."""
        self.end()
        for name, face in faces.items():
            if IResidentFace.providedBy(face):
                residing = ensureDeferred(cast("Deferred[None]", face.reside(services)))
                residing.addErrback(self._failed, name)
                self._residing.append(residing)

    def end(self) -> None:
        """Let nobody go on."""
        residing, self._residing = self._residing, []
        for resident in residing:
            resident.cancel()

    def _failed(self, failure: Failure, name: str) -> None:
        if not failure.check(CancelledError):
            self.log.failure("{dialect}: what it does by itself failed", failure, dialect=name)
