"""What settings have to know of taas as a whole."""

from __future__ import annotations

from relay.dialects.taas import remarks
from relay.dialects.taas.notions import GRACE_S, parse_label
from relay.settings.faults import quoted
from relay.settings.schema import Naming, Traits


def published(text: str) -> str:
    """:returns: the label that ``[publish]`` names. :raises ValueError: when it cannot be one"""
    label = parse_label(text)
    if label.fixed_port:
        raise ValueError(f"{quoted(text)}: leave out the port, which is the record's to say")
    return label.name


TRAITS = Traits(
    services=False,
    opens="everybody who knows the name of a label can reach what its host forwards, without a "
    "login; registering one takes a record's secret",
    exposes="everybody who knows the label's name can reach it, without a login",
    call="{label}",
    sockets=False,
    apart=True,
    certified=True,
    faults=remarks.faults,
    remarks=remarks.remark,
    tunnel_faults=remarks.tunnel_faults,
    tunnel_remarks=remarks.remark_on_tunnel,
    dialled=remarks.dialled,
    naming=Naming(published, nameless=True, refill_s=GRACE_S),
)
