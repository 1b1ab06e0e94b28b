"""What a router says to those who offer several protocols inside TLS, as browsers do."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import trustme
from OpenSSL import SSL
from twisted.protocols.tls import TLSMemoryBIOProtocol

from relay.tls import ServerTls


def shake_hands(server: SSL.Connection, client: SSL.Connection) -> None:
    """Carry what one says to the other until both are done."""
    server.set_accept_state()
    client.set_connect_state()
    waiting = {client, server}
    while waiting:
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
                waiting.discard(one)
            except SSL.WantReadError:
                pass
            try:
                other.bio_write(one.bio_read(1 << 16))
            except SSL.WantReadError:
                pass


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([], b""),
        ([b"http/1.1"], b"http/1.1"),
        ([b"h2", b"http/1.1"], b"http/1.1"),
        ([b"h2"], b""),
    ],
)
def test_protocols_inside_tls(
    tmp_path: Path, tls_authority: trustme.CA, offered: list[bytes], chosen: bytes
) -> None:
    """HTTP/1.1 is chosen where it is offered, and nothing is said where it is not."""
    leaf = tls_authority.issue_cert("relay.example.org")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "relay.crt")
    leaf.private_key_pem.write_to_path(tmp_path / "relay.key")
    tls = ServerTls(tmp_path / "relay.crt", tmp_path / "relay.key")
    server = tls.serverConnectionForTLS(cast(TLSMemoryBIOProtocol, None))
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    if offered:
        client.set_alpn_protos(offered)
    shake_hands(server, client)
    assert client.get_alpn_proto_negotiated() == chosen
