"""Makes the front doors of one listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from typing_extensions import override

from relay.faces import IRouterFace
from relay.links.front import FrontDoor
from relay.links.hall import Hall


class FrontFactory(Factory):
    """Makes front doors for one listener."""

    noisy = False

    def __init__(self, hall: Hall, faces: Callable[[], Sequence[IRouterFace]]) -> None:
        self._hall = hall
        self._faces = faces

    @override
    def buildProtocol(self, addr: IAddress | None) -> FrontDoor:
        """A connection was accepted."""
        return FrontDoor(self._hall, self._faces)
