"""Behind a proxy that speaks the PROXY protocol, links cut through as well."""

from __future__ import annotations

from typing import Any

import pytest_twisted

from relay.dialects.portal.wire import ACCEPT, CLIENT, CONTROL, FIRST_SEGMENT
from relay.links.cutthrough.framed import FrameEnd
from relay.links.websocket import ServerLink
from tests import gears
from tests.integration.portal_ours import RouterMaker
from tests.integration.portal_peers import CONNECTED, bearer
from tests.rawpeer import PERFECT_HANDSHAKE, Op, encode_frame, noise, request_head
from tests.rawpeer.peer import MASK

MiB = 1024 * 1024
HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n"
BEHIND_A_PROXY: dict[str, Any] = {"proxy_protocol": True, "trusted_proxies": ("127.0.0.0/8",)}

pytest_plugins = ["tests.integration.portal_fixtures"]


@pytest_twisted.ensureDeferred
async def test_payload_behind_a_proxy(start_router: RouterMaker) -> None:
    """Header, request and payload may be one segment; the reader of headers is out of the way."""
    router, ours = await start_router.start(**BEHIND_A_PROXY)
    portal = router.portal()

    async def dial(endpoint: str, token: str, more: bytes = b"") -> Any:
        peer = await router.dial()
        head = request_head(f"/{FIRST_SEGMENT}/{endpoint}", {**PERFECT_HANDSHAKE, **bearer(token)})
        peer.write(HEADER + head + more)
        assert (await peer.response()).status == 101
        return peer

    payload = noise(MiB)
    control = await dial(CONTROL, portal.host_token)
    client = await dial(f"{CLIENT}/ssh", portal.client_token)
    nexus = (await portal.incoming(control)).nexus
    said = encode_frame(Op.BINARY, payload, mask=MASK)
    host = await dial(f"{ACCEPT}/{nexus}", portal.host_token, said)
    assert await client.receive() == CONNECTED
    assert await client.receive_bytes(MiB) == payload
    client.send(Op.BINARY, payload)
    assert await host.receive_bytes(MiB) == payload
    kind = ServerLink if gears.variables() else FrameEnd
    assert {type(session.link) for session in ours.service.broker.sessions} == {kind}
