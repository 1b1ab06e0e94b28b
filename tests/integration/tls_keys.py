"""TLS 1.3 whose sending side is made by hand, for what no library sends when told (RFC 8446)."""

from __future__ import annotations

import struct
from typing import ClassVar

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from OpenSSL import SSL

from tests.rawpeer import Ended, Frame, PeerError, RawPeer
from tests.rawpeer.wire import take_frame

APPLICATION_DATA = 23
HANDSHAKE = 22
KEY_UPDATE = 24


class KeysByHand:
    """A client over a raw connection, which verifies nothing.

    :ivar came: what was decrypted and not yet asked for
    """

    _SUITES: ClassVar[dict[str | None, tuple[hashes.HashAlgorithm, int]]] = {
        "TLS_AES_256_GCM_SHA384": (hashes.SHA384(), 32),
        "TLS_AES_128_GCM_SHA256": (hashes.SHA256(), 16),
    }

    def __init__(self, peer: RawPeer) -> None:
        self.peer = peer
        self.came = bytearray()
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_keylog_callback(self._note)
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        self._secret = b""

    def _note(self, connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.split()
        if label == b"CLIENT_TRAFFIC_SECRET_0":
            self._secret = bytes.fromhex(secret.decode())

    async def shake(self) -> None:
        """Go through the handshake; from then on every record is made here."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except SSL.WantReadError:
                self._flush()
                self._tls.bio_write(await self.peer.some())
        self._flush()
        suite = self._tls.get_cipher_name()
        if suite not in self._SUITES:
            raise PeerError(f"{suite} is not made by hand")
        self._hash, self._key_bytes = self._SUITES[suite]
        self._take_keys()

    def sealed(self, data: bytes) -> bytes:
        """:returns: records that carry ``data``"""
        parts = (data[start : start + 16384] for start in range(0, len(data), 16384))
        return b"".join(self._record(APPLICATION_DATA, part) for part in parts)

    def key_update(self, *, asks: bool) -> bytes:
        """:returns: a KeyUpdate (section 4.6.3); what follows it is under new keys

        :param asks: whether the other side has to do the same
        """
        record = self._record(HANDSHAKE, bytes((KEY_UPDATE, 0, 0, 1, asks)))
        self._secret = self._expanded(b"traffic upd", self._hash.digest_size)
        self._take_keys()
        return record

    async def until(self, wanted: bytes) -> None:
        """Read until these bytes have come, and drop all up to them."""
        while wanted not in self.came:
            await self._read_more()
        del self.came[: self.came.index(wanted) + len(wanted)]

    async def receive(self) -> Frame:
        """:returns: the next frame"""
        while (frame := take_frame(self.came)) is None:
            await self._read_more()
        return frame

    async def _read_more(self) -> None:
        try:
            self.came += self._tls.recv(1 << 16)
        except SSL.WantReadError:
            self._tls.bio_write(await self.peer.some())
        except SSL.ZeroReturnError:
            raise Ended("a goodbye") from None

    def _flush(self) -> None:
        try:
            self.peer.write(self._tls.bio_read(1 << 16))
        except SSL.WantReadError:
            return

    def _take_keys(self) -> None:
        self._cipher = AESGCM(self._expanded(b"key", self._key_bytes))
        self._iv = int.from_bytes(self._expanded(b"iv", 12), "big")
        self._count = 0

    def _expanded(self, label: bytes, length: int) -> bytes:
        """:returns: HKDF-Expand-Label of the secret (section 7.1)"""
        label = b"tls13 " + label
        info = struct.pack("!HB", length, len(label)) + label + b"\0"
        return HKDFExpand(self._hash, length, info).derive(self._secret)

    def _record(self, kind: int, content: bytes) -> bytes:
        """:returns: one record (section 5.2)"""
        inner = content + bytes((kind,))
        head = struct.pack("!BHH", APPLICATION_DATA, 0x0303, len(inner) + 16)
        nonce = (self._iv ^ self._count).to_bytes(12, "big")
        self._count += 1
        return head + self._cipher.encrypt(nonce, inner, head)
