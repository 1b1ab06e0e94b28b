"""What a router of taas is told, and what it knows besides."""

from __future__ import annotations

from typing import NamedTuple

from relay.dialects.taas.fixed import FixedPorts
from relay.dialects.taas.hidden import HiddenPorts
from relay.dialects.taas.labels import Grace, Index, KnownLabels
from relay.dialects.taas.pairings import Pairings
from relay.dialects.taas.redirects import Redirects
from relay.dialects.taas.uses import Uses


class Config(NamedTuple):
    """What a router is told.

    :ivar registrar: its host name, in lower case, as is ``servers``
    :ivar advertise: IP address at which hosts reach its ports
    :ivar numbers: of the ports that it may open
    :ivar interface: the address at which they listen; empty: all
    :ivar database: of the records, as ``IServices.records`` takes it
    :ivar same_address: whether a code, and the port that it opened, are for one address alone
    :ivar uses: how often one code may be used
    """

    registrar: str
    servers: str
    advertise: str
    numbers: range
    interface: str = ""
    database: str = ""
    same_address: bool = True
    uses: int = 256

    def __repr__(self) -> str:
        # a database's URL may hold its password
        return f"Config(registrar={self.registrar!r}, servers={self.servers!r})"


class Memory:
    """What a reload must not take away.

    :ivar asked_at: when somebody asked the registrar last, Unix seconds
    """

    __slots__ = (
        "asked_at",
        "fixed",
        "grace",
        "hidden",
        "index",
        "known",
        "pairings",
        "redirects",
        "uses",
    )

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.uses = Uses()
        self.pairings = Pairings()
        self.known = KnownLabels()
        self.index = Index()
        self.grace = Grace()
        self.hidden = HiddenPorts()
        self.redirects = Redirects()
        self.fixed = FixedPorts()
