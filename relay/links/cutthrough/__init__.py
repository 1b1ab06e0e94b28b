"""The cut-through gear: sockets that have left Twisted and autobahn, joined without detours.

``hub`` looks at them; ``channel`` is a socket with or without TLS, ``pipe`` what lies between two
that are spliced; ``end`` is what ``framed`` ones (WebSockets; ``sender`` is their sending half) and
``raw`` ones (local streams) share; ``takeover`` is the way in.
"""

from relay.links.cutthrough.hub import Hub
from relay.links.cutthrough.raw import RawEnd
from relay.links.cutthrough.takeover import faster, take_stream

__all__ = ["Hub", "RawEnd", "faster", "take_stream"]
