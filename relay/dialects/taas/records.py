"""What a store says of an ID, and the file with which a hidden server is told of it; taas.md §10.

Records and provisioning files are what the original's are, member by member, so that both can read
those of the other.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast
from urllib.parse import quote, urlsplit

from relay.addresses import is_loopback, with_port
from relay.dialects.taas.notions import LARGEST_PORT, STEP_S, Label, is_id, parse_label

RECORD_CHARACTERS = 256 * 1024
"""The longest text of a record that is read."""
PROVISIONING_CHARACTERS = 1024 * 1024
"""The longest provisioning file that is read; one octet of a certificate takes up to four."""
LABELS = 1000
"""How many labels of one record count."""
SECRET_CHARACTERS = 40
LONGEST_STEP_S = 24 * 3600
MEMBER_CHARACTERS = 2048
"""The longest text of a member that is taken over: names, URLs."""

_BASE32 = re.compile(r"[A-Za-z2-7]{1,1024}=*", re.ASCII)
_ALPHABET = string.ascii_letters + string.digits
_PREFIX = re.compile(r"\s*(?:module\.)?exports(?:\.params)?\s*=", re.ASCII)
_DIGITS = 6
_ISSUER_SCHEMES = ("https", "http")


@dataclass(frozen=True, slots=True)
class Record:
    """An ID's entry in the store, as far as a router needs it.

    :ivar uuid: the ID; empty where the record does not repeat it
    :ivar labels: the first one has no port
    :ivar base32: the secret of its codes
    :ivar step_s: time step of its codes
    :ivar name: of the first label, in full; likewise empty where nobody wrote it
    :ivar issuer: the registrar's URL
    :ivar auth_url: for an authenticator app
    :ivar qrcode_url: of a picture of that
    """

    labels: tuple[Label, ...]
    base32: str = field(repr=False)
    step_s: int = STEP_S
    uuid: str = ""
    name: str = ""
    issuer: str = ""
    auth_url: str = field(default="", repr=False)
    qrcode_url: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Record:
        """Read what a store has; members that are not needed may be missing.

        Labels that cannot be labels are left out: nobody could register them.

        :raises ValueError: with a sentence on why that cannot log in; it holds nothing of the text
        """
        members = _members(text, RECORD_CHARACTERS, "the record")
        codes = members.get("authParams")
        if not isinstance(codes, dict):
            raise ValueError("the record has no authParams")
        params = cast("dict[str, object]", codes)
        labels = members.get("labels")
        if not isinstance(labels, list):
            raise ValueError("the record has no list of labels")
        return cls(
            labels=tuple(_labels(labels)),
            base32=_secret(params, "the record"),
            step_s=_step(params, "the record"),
            uuid=_text(members, "uuid"),
            name=_text(params, "name"),
            issuer=_text(params, "issuer"),
            auth_url=_text(members, "authURL"),
            qrcode_url=_text(members, "qrcodeURL", RECORD_CHARACTERS),
        )

    @classmethod
    def read(cls, text: str) -> Record | None:
        """:returns: the same; None: nobody can log in by that, :meth:`parse` says why"""
        try:
            return cls.parse(text)
        except ValueError:
            return None

    def text(self) -> str:
        """:returns: the record as the store has it, member by member in the original's order"""
        members: dict[str, object] = {
            "uuid": self.uuid,
            "qrcodeURL": self.qrcode_url,
            "authURL": self.auth_url,
            "authParams": self._params(),
            "labels": [str(label) for label in self.labels],
        }
        return _json(members)

    def completed(self, uuid: str, registrar: str, servers: str) -> Record:
        """Add what an incomplete record lacks, and what follows from the rest of it.

        :param uuid: its key in the store
        """
        first = self.labels[0].name if self.labels else uuid
        whole = replace(
            self,
            uuid=self.uuid or uuid,
            name=self.name or f"{first}.{servers}",
            issuer=self.issuer or f"https://{registrar}",
        )
        return replace(whole, auth_url=self.auth_url or otpauth_url(whole))

    def _params(self) -> dict[str, object]:
        return {
            "algorithm": "sha1",
            "length": secret_bytes(self.base32),
            "name": self.name,
            "issuer": self.issuer,
            "step": self.step_s,
            "base32": self.base32,
            "protocol": "totp",
        }


class Provisioning(NamedTuple):
    """What a hidden server is told.

    :ivar labels: at least one
    :ivar issuer: the registrar's URL
    :ivar host: the router's address, as is ``port``
    :ivar ca_pem: the only certificate that it trusts; None: the usual ones
    """

    uuid: str
    labels: tuple[Label, ...]
    base32: str
    step_s: int
    issuer: str
    name: str
    host: str
    port: int
    ca_pem: str | None = None

    @property
    def registrar(self) -> str:
        """:returns: the registrar's name, which requests have as their Host"""
        return urlsplit(self.issuer).hostname or ""

    @property
    def router(self) -> str:
        """:returns: its URL. A router without a certificate, which is what a file without ``ca``
        comes from, is spoken to without TLS on this machine alone.
        """
        plain = self.ca_pem is None and is_loopback(self.host)
        return f"{'http' if plain else 'https'}://{with_port(self.host, self.port)}"

    def __repr__(self) -> str:
        return f"Provisioning(uuid={self.uuid!r}, labels={self.labels!r}, base32=***)"


def new_record(
    labels: Sequence[Label], registrar: str, servers: str, uuid: str, secret: str = ""
) -> Record:
    """Make a record with a fresh secret; ``qrcode_url`` is left to who can draw one.

    :param labels: at least one
    :param registrar: its name, as is ``servers``
    :param secret: the octets of the secret; empty: 40 that nobody can guess
    """
    octets = secret or "".join(secrets.choice(_ALPHABET) for _ in range(SECRET_CHARACTERS))
    base32 = base64.b32encode(octets.encode("ascii")).decode("ascii").rstrip("=")
    return Record(tuple(labels), base32).completed(uuid, registrar, servers)


def otpauth_url(record: Record) -> str:
    """:returns: what an authenticator app reads; it holds the secret"""
    issuer, account = quote(record.issuer, safe=""), quote(record.name, safe="")
    # The original writes digits=40 here, the length of its secret (§5): no app would show such a
    # code, and no router takes one. With 6 an app and a hidden server show the same.
    url = f"otpauth://totp/{issuer}%3A{account}?secret={record.base32}&issuer={issuer}"
    period = "" if record.step_s == STEP_S else f"&period={record.step_s}"
    return f"{url}&digits={_DIGITS}{period}"


def provisioning_members(
    record: Record, host: str, port: int, ca_pem: str | None
) -> dict[str, object]:
    """:returns: what a hidden server's file says; the parameters as for :func:`provisioning`"""
    server: dict[str, object] = {"hostname": host, "port": port}
    if ca_pem is not None:
        # octets, since Node 0.10 makes an empty buffer of what newer ones write (§10)
        server["ca"] = list(ca_pem.encode())
    return {
        **record._params(),
        "uuid": [record.uuid],
        "labels": [str(label) for label in record.labels],
        "server": server,
    }


def provisioning(record: Record, host: str, port: int, ca_pem: str | None) -> str:
    """Write a hidden server's file.

    :param record: complete
    :param host: the router's address, as is ``port``
    :param ca_pem: the registrar's certificate; without it the original hidden server fails
    """
    return f"exports.params = {_json(provisioning_members(record, host, port, ca_pem))};\n"


def parse_provisioning(text: str) -> Provisioning:
    """Read a hidden server's file, as the original's page or ours wrote it.

    :param text: at most 1 MiB
    :raises ValueError: with a sentence on what is wrong with it; it holds no secret
    """
    if len(text) > PROVISIONING_CHARACTERS:
        raise ValueError(f"it is longer than {PROVISIONING_CHARACTERS} characters")
    body = text.removeprefix("\ufeff")
    if (prefix := _PREFIX.match(body)) is not None:
        body = body[prefix.end() :]
    members = _members(body.strip().rstrip(";"), PROVISIONING_CHARACTERS, "it")
    uuids = members.get("uuid")
    uuid = uuids[0] if isinstance(uuids, list) and uuids else uuids
    if not isinstance(uuid, str) or not is_id(uuid):
        raise ValueError("it has no uuid of letters, digits and -")
    listed = members.get("labels")
    labels = tuple(_labels(listed)) if isinstance(listed, list) else ()
    if not labels:
        raise ValueError("it has no labels")
    issuer = _text(members, "issuer")
    if not _names_a_host(issuer):
        raise ValueError("its issuer is not the URL of a registrar, like https://taas.example.org")
    host, port, ca_pem = _server(members.get("server"))
    return Provisioning(
        uuid=uuid,
        labels=labels,
        base32=_secret(members, "it"),
        step_s=_step(members, "it"),
        issuer=issuer,
        name=_text(members, "name"),
        host=host,
        port=port,
        ca_pem=ca_pem,
    )


# -- members -------------------------------------------------------------------------------------


def _json(members: dict[str, object]) -> str:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False)


def _members(text: str, most: int, what: str) -> dict[str, object]:
    if len(text) > most:
        raise ValueError(f"{what} is longer than {most} characters")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON: {error.msg} (column {error.colno})") from None
    except (ValueError, RecursionError):
        raise ValueError(f"{what} is not JSON that can be read") from None
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")
    return cast("dict[str, object]", value)


def _text(members: dict[str, object], name: str, most: int = MEMBER_CHARACTERS) -> str:
    """:returns: empty for what is no text, or none that can be written"""
    value = members.get(name)
    if not isinstance(value, str) or len(value) > most:
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return ""
    return value


def _labels(values: Iterable[object]) -> Iterable[Label]:
    for number, value in enumerate(values):
        if number == LABELS:
            return
        if isinstance(value, str):
            try:
                yield parse_label(value)
            except ValueError:
                pass


def _secret(params: dict[str, object], what: str) -> str:
    base32 = params.get("base32")
    if not isinstance(base32, str) or not _BASE32.fullmatch(base32):
        raise ValueError(f"{what} has no base32 secret")
    bare = base32.rstrip("=").upper()
    if not secret_bytes(bare):
        raise ValueError(f"{what} has a base32 secret that stands for nothing")
    return bare


def secret_bytes(base32: str) -> int:
    """:returns: how long a secret is; 0: that is none"""
    try:
        return len(base64.b32decode(base32 + "=" * (-len(base32) % 8)))
    except binascii.Error:
        return 0


def _step(params: dict[str, object], what: str) -> int:
    step = params.get("step")
    if step is None:
        return STEP_S
    if isinstance(step, bool) or not isinstance(step, int | float):
        raise ValueError(f"{what} has a step that is no number")
    if not 1 <= step <= LONGEST_STEP_S or step != int(step):
        raise ValueError(f"{what} has a step that is not from 1 to {LONGEST_STEP_S} seconds")
    return int(step)


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in _ISSUER_SCHEMES and bool(parts.hostname) and url.isprintable()
    except ValueError:
        return False


def _server(value: object) -> tuple[str, int, str | None]:
    if not isinstance(value, dict):
        raise ValueError("it has no server")
    server = cast("dict[str, object]", value)
    host, port = _text(server, "hostname"), server.get("port")
    if not host or not host.isprintable() or " " in host:
        raise ValueError("its server has no hostname")
    if isinstance(port, str) and port.isascii() and port.isdigit() and len(port) <= 5:
        port = int(port)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= LARGEST_PORT:
        raise ValueError(f"its server's port is not a number from 1 to {LARGEST_PORT}")
    return host, port, _pem(server.get("ca"))


def _pem(value: object) -> str | None:
    if value is None:
        return None
    several = isinstance(value, list) and not all(isinstance(one, int) for one in value)
    pem = "\n".join(map(_certificate, cast("list[object]", value) if several else [value]))
    if "-----BEGIN CERTIFICATE-----" not in pem:
        raise ValueError("its server's ca is no certificate in PEM")
    return pem


def _certificate(value: object) -> str:
    """:returns: the text, of every form in which a Node has written a buffer (§10), or a text"""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        members = cast("dict[str, object]", value)
        # {"type": "Buffer", "data": [...]}, or octets of which each has its number as its name
        value = members.get("data", [one for name, one in members.items() if name.isdecimal()])
    if not isinstance(value, list) or not all(isinstance(one, int) for one in value):
        raise ValueError("its server's ca is no certificate in PEM")
    try:
        return bytes(value).decode()
    except (ValueError, UnicodeDecodeError):
        raise ValueError("its server's ca has numbers that are no text's octets") from None
