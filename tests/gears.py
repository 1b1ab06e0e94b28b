"""The gear in which the tests run relay: ``--gear`` of pytest.

Without the cut-through gear all payload passes through the engine, as it does on systems without
epoll: the same tests have to pass.
"""

from __future__ import annotations

from relay.links.cutthrough import Hub

CUT_THROUGH = "cut-through"
MESSAGE = "message"
GEARS = (CUT_THROUGH, MESSAGE)

_variables: dict[str, str] = {}


def choose(gear: str) -> None:
    """Use ``gear`` for all that is started from now on, in this process or as another."""
    if gear == MESSAGE:
        Hub.is_available = _unavailable  # type: ignore[method-assign]  # as where there is no epoll
        _variables["RELAY_CUT_THROUGH"] = "no"


def variables() -> dict[str, str]:
    """:returns: what tells a process of its own which gear to use."""
    return dict(_variables)


def _unavailable(self: Hub) -> bool:
    return False
