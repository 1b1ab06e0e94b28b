"""The portal router against the test vectors of portal.md §15, token by token and byte by byte."""

from __future__ import annotations

import re

import pytest
import pytest_twisted

from tests.integration.portal_peers import BOTH, SECRET, Router, mint
from tests.rawpeer import SAMPLE_KEY, Op, accept_key, close_body, encode_frame

HEADER = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
H1 = (
    f"{HEADER}.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOj"
    "EyMzR9.SUuXVJFJWN26JwyphkLHMt7ssDZArIz8xTz8RmukAfo"
)
C1 = (
    f"{HEADER}.eyJzdWIiOiJhbGljZS1sYXB0b3AiLCJleHAiOjQxMDI0NDQ4MDAsInJvbGUiOiJjbGllbnQiLCJwb3J0YW"
    "xfaWQiOjEyMzR9.9tBosTdxhRItZAr4w5AWcFlNTIcgw5DIHdsopXJDnL4"
)
C2 = (
    f"{HEADER}.eyJzdWIiOiJib2IiLCJpYXQiOjE4OTM0NTYwMDAsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6ImNsaWVudC"
    "IsInBvcnRhbF9pZCI6MTg0NDY3NDQwNzM3MDk1NTE2MTV9.PjTew_6yBidDW4-QupK2ca4RRNTSNTernGg8Vw2mXIw"
)
X1 = (
    f"{HEADER}.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6MTYwMDAwMDAwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOj"
    "EyMzR9.n4NbM_E7eH0QbmuKY0CbxBHFXJhvKjZQ6MsEg78gTY0"
)
X2 = (
    f"{HEADER}.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOi"
    "IxMjM0In0.db9m49qvyoGKxLIDIR_xr71ZQYyqYd9q47kE6qsKO3s"
)
X3 = (
    f"{HEADER}.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOj"
    "EyMzR9.U5xKJMTIn7uy9QDAyXEEhZfHRZR7VbC2H5Q5v7JcjGg"
)
D1 = (
    f"{HEADER}.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0YWxfaWQiOj"
    "EyMzQsImF1ZCI6InBvcnRhbCJ9.b2DWGjK3nPr7GalKjMph8oTfQGX6FKiJwTzXafF4OZA"
)
D2 = (
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6NDEwMjQ0NDgwMCwicm9sZSI6Imhvc3QiLCJwb3J0"
    "YWxfaWQiOjEyMzR9.osKRxPnq8NFE_vlEoFb-p4_98Q5V7rIDik2aBzEgJ8o"
)
D3 = (
    f"{HEADER}.eyJzdWIiOiJsYWItaG9zdCIsImV4cCI6MzI1MDM2ODAwMDAsInJvbGUiOiJob3N0IiwicG9ydGFsX2lkIj"
    "oxMjM0fQ.-xwc2SzW_tOZC13F7J6PMBv1ri0TV33-CCxN5Ca__es"
)
EXPECTED = {
    "H1": (H1, 101, 101),
    "X1": (X1, 401, 401),
    "X2": (X2, 401, 401),
    "X3": (X3, 401, 401),
    "D1": (D1, 401, 101),
    "D2": (D2, 101, 401),
    "D3": (D3, 101, 401),
}
FAR = 4102444800
U64 = 2**64 - 1
PORTAL_ID = 1234
CLOSE_1000 = bytes.fromhex("880203e8")

pytest_plugins = ["tests.integration.portal_fixtures"]


def test_vectors_of_the_peer_itself() -> None:
    """The test's own encoder gives the specified bytes, and so do its key and its tokens."""
    mask = bytes.fromhex("37fa213d")
    assert encode_frame(Op.TEXT, b'"Connected"').hex() == "810b22436f6e6e656374656422"
    assert encode_frame(Op.PING, mask=mask).hex() == "898037fa213d"
    assert encode_frame(Op.BINARY, b"hi\n", mask=mask).hex() == "828337fa213d5f932b"
    assert encode_frame(Op.CLOSE, close_body(1000)) == CLOSE_1000
    assert encode_frame(Op.CLOSE).hex() == "8800"
    assert accept_key(SAMPLE_KEY) == "46bT5zCOmW/8Ja1H0Szx6VfflGI="
    host = {"sub": "lab-host", "exp": FAR, "role": "host", "portal_id": PORTAL_ID}
    assert mint(host, SECRET) == H1
    client = {"sub": "alice-laptop", "exp": FAR, "role": "client", "portal_id": PORTAL_ID}
    assert mint(client, SECRET) == C1


@BOTH
@pytest.mark.parametrize("vector", list(EXPECTED))
@pytest_twisted.ensureDeferred
async def test_token_vectors(router: Router, vector: str) -> None:
    """Each token is taken or refused as specified; where the originals differ, either will do."""
    token, demo, edge = EXPECTED[vector]
    status = await router.status("/connect/host_control", token)
    assert status in ({demo, edge} if router.is_ours else {demo})


@BOTH
@pytest_twisted.ensureDeferred
async def test_portal_ids_are_64_bits(router: Router) -> None:
    """The largest portal id is kept to the last bit, and its neighbour is another portal."""
    neighbour = router.portal(U64 - 1)
    await neighbour.control()
    assert await router.status("/connect/client/ssh", C2) == 502
    portal = router.portal(U64)
    control = await portal.control()
    await portal.call("ssh", C2)
    assert (await portal.incoming(control)).client_name == "bob"


@BOTH
@pytest_twisted.ensureDeferred
async def test_frame_vectors(router: Router) -> None:
    """One whole session with the specified bytes on all three sockets."""
    portal = router.portal(PORTAL_ID)
    portal.host_token, portal.client_token = H1, C1
    control, head = await router.ask("/connect/host_control", H1)
    assert head.header("Sec-WebSocket-Accept") == "46bT5zCOmW/8Ja1H0Szx6VfflGI="
    control.write(bytes.fromhex("898037fa213d"))
    assert (await control.exactly(2)).hex() == "8a00"
    client = await portal.call("ssh")
    incoming = (await control.receive()).payload.decode()
    match = re.fullmatch(
        r'{"Incoming":{"client_name":"alice-laptop","service_name":"ssh","nexus":(\d+)}}', incoming
    )
    assert match is not None, incoming
    host = await portal.accept(match[1])
    assert (await client.exactly(13)).hex() == "810b22436f6e6e656374656422"
    client.write(bytes.fromhex("828337fa213d5f932b"))
    assert (await host.exactly(5)).hex() == "820368690a"
    host.send_close(1000)
    assert await client.exactly(4) == CLOSE_1000
    assert await host.exactly(4) == CLOSE_1000
    for peer in (client, host):
        peer.drop()
        await peer.gone()


@BOTH
@pytest_twisted.ensureDeferred
async def test_empty_close_vector(router: Router) -> None:
    """A Close without code is relayed without one."""
    circuit = await router.portal().circuit()
    circuit.client.send_close(None)
    assert (await circuit.host.exactly(2)).hex() == "8800"


@BOTH
@pytest_twisted.ensureDeferred
async def test_failure_f1_no_host(router: Router) -> None:
    """F1: nobody is registered on portal 1234."""
    assert await router.status("/connect/client/ssh", C1) == 502


@BOTH
@pytest_twisted.ensureDeferred
async def test_failure_f2_service_not_offered(router: Router) -> None:
    """F2: a call that the host ignores leaves; a late accept is 404."""
    portal = router.portal(PORTAL_ID)
    portal.host_token, portal.client_token = H1, C1
    control = await portal.control()
    client = await portal.call("nope")
    call = await portal.incoming(control)
    assert call.service_name == "nope"
    client.drop()
    await client.gone()
    assert await router.status(f"/connect/host_accept/{call.nexus}", H1) == 404


@BOTH
@pytest_twisted.ensureDeferred
async def test_failure_f3_credentials(router: Router) -> None:
    """F3: an expired token or a client's registers nothing."""
    for token in (X1, C1):
        assert await router.status("/connect/host_control", token) == 401
    assert await router.status("/connect/client/ssh", C1) == 502
