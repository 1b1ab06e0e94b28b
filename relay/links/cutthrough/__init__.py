"""The cut-through gear: sockets that have left Twisted and autobahn, joined without detours.

``hub`` looks at them; ``channel`` is a socket with or without TLS, ``pipe`` what lies between two
that are spliced; ``end`` is what ``framed`` ones (WebSockets; ``sender`` is their sending half) and
``raw`` ones (local streams) share; ``takeover`` is the way in, ``at_once`` the one for connections
to this machine.
"""

from relay.links.cutthrough.at_once import connect_at_once, loopback_of
from relay.links.cutthrough.framed import FrameEnd
from relay.links.cutthrough.hub import Hub
from relay.links.cutthrough.raw import RawEnd
from relay.links.cutthrough.takeover import faster, take_stream

__all__ = ["FrameEnd", "Hub", "RawEnd", "connect_at_once", "faster", "loopback_of", "take_stream"]
