"""What an operator hands out, and hidden servers that live by it (checks 29 and 30 of §17)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from relay.measuring.processes import free_ports
from relay.vocabulary import Role
from tests.integration.ini_services import section, write
from tests.integration.portal_programs import Programs
from tests.integration.taas_company import KINDS, OURS, Company
from tests.integration.taas_ours import DIALECT
from tests.integration.taas_wire import ADDRESS, REGISTRAR, SERVERS, Certificate, fresh
from tests.rawpeer import RawPeer, RawServer, connect, read_head, until
from tests.relay_command import PROCESS_S, relay, relay_beside

PREFIX, SUFFIX = "exports.params = ", ";\n"
ID = "2f402f80-da50-11e1-9b23-0000000000cc"
MEMBERS = {
    *("algorithm", "length", "name", "issuer", "step", "base32", "protocol"),
    *("uuid", "labels", "server"),
}

pytest_plugins = ["tests.integration.taas_fixtures"]

by_kind = pytest.mark.parametrize("kind", KINDS)


# -- provisioning files ----------------------------------------------------------------------------


def parse(text: str) -> dict[str, Any]:
    """:returns: the object of a provisioning file, read as any program may read it"""
    assert text.startswith(PREFIX)
    assert text.endswith(SUFFIX)
    value: dict[str, Any] = json.loads(text[len(PREFIX) : -len(SUFFIX)])
    return value


async def provisioned(
    kind: str, folder: Path, made: Certificate, programs: Programs
) -> dict[str, Any]:
    """:returns: the file of a new ID, whoever makes it"""
    certificate = write(folder / "registrar.crt", made.certificate)
    if kind == OURS:
        return parse(await _ours(folder, certificate, made))
    (port,) = free_ports(1)
    words = ["--host", ADDRESS, "--port", "443", "--registrar", REGISTRAR, "--servers", SERVERS]
    words += ["--cert", str(certificate), "--dir", str(folder), "--page-port", str(port)]
    page = programs.start("users-page", *words)
    await page.has_printed(f"ready {port}", PROCESS_S)
    peer = await connect(port)
    query = f"action=create&uuid={ID}&label=gamma&labels=gw.gamma:62060"
    peer.write(f"POST /?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    await read_head(peer)
    peer.drop()
    file = folder / f"{ID}.js"
    await until(
        lambda: (file.exists() and file.read_text().endswith(SUFFIX)) or None, "the file", PROCESS_S
    )
    return parse(file.read_text())


async def _ours(folder: Path, certificate: Path, made: Certificate) -> str:
    key = write(folder / "registrar.key", made.key)
    own = {"listen": "tcp:443:interface=127.0.0.1", "certificate": certificate, "key": key}
    names = {"registrar": REGISTRAR, "servers": SERVERS, "advertise": ADDRESS}
    text = section("router", {"state-dir": folder / "state"})
    config = write(folder / "relay.ini", text + section(f"dialect:{DIALECT}", {**own, **names}))
    labels = ("gamma", "gw.gamma:62060", "--id", ID)
    done = await relay_beside("token", DIALECT, "create", *labels, "--config", config)
    assert done.returncode == 0, done.stderr
    done = await relay_beside("token", DIALECT, "provision", ID, "--config", config)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@by_kind
@pytest_twisted.ensureDeferred
async def test_provisioning_file(
    kind: str, tmp_path: Path, taas_certificate: Certificate, taas_programs: Programs
) -> None:
    """It is a prefix, JSON and ``;``; ``uuid`` is a list, ``ca`` one of octets; check 29."""
    value = await provisioned(kind, tmp_path, taas_certificate, taas_programs)
    assert set(value) == MEMBERS
    assert value["uuid"] == [ID]
    assert value["labels"] == ["gamma", "gw.gamma:62060"]
    assert (value["step"], value["length"], value["algorithm"]) == (30, 40, "sha1")
    assert value["issuer"] == f"https://{REGISTRAR}"
    assert value["name"] == f"gamma.{SERVERS}"
    assert (value["server"]["hostname"], value["server"]["port"]) == (ADDRESS, 443)
    assert bytes(value["server"]["ca"]).decode() == taas_certificate.certificate


@pytest_twisted.ensureDeferred
async def test_export(tmp_path: Path, taas_store: Path) -> None:
    """What is imported is exported as it was, foreign and incomplete records among it."""
    folder = taas_store.parent
    config = folder / "import.ini"
    done = await deferToThread(relay, "token", DIALECT, "export", "-", "--config", config)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "records.json").read_text())


# -- hidden servers at a scripted registrar --------------------------------------------------------


class Registrar:
    """A front door, and a hidden port, that do what the test says."""

    def __init__(self) -> None:
        self.door = RawServer()
        self.hidden = RawServer()

    async def asked(self, deadline_s: float = PROCESS_S) -> RawPeer:
        """:returns: the next connection, whose request is a registration"""
        peer, head = await self.door.accept_request(deadline_s)
        assert head.first_line.startswith("PUT /register/")
        assert (head.header("Authorization") or "").startswith('TOTP username="')
        return peer


@pytest_twisted.ensureDeferred
async def test_our_host(taas_company: Company) -> None:
    """It reads a chunked answer, connects at once, says nothing first, tries again behind a 400,
    and registers again behind a FIN; check 30.
    """
    registrar = Registrar()
    port, hidden = await registrar.door.listen(), await registrar.hidden.listen()
    who = fresh()
    text = who.parameters(port, taas_company.root.read_text())
    file = write(taas_company.folder / "alpha.js", text)
    own = {"provisioning-file": file, "forward": f"tcp:127.0.0.1:{port}", "pool": 1}
    more = {"router": f"http://127.0.0.1:{port}", "reconnect": "always"}
    await taas_company.tunnels.start(Role.HOST, **own, **more)
    refused = await registrar.asked()
    refused.write(b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    began = time.monotonic()
    for _ in range(2):
        asked = await registrar.asked()
        place = f"127.0.0.1:{hidden}".encode()
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(place), place)
        asked.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        waiting = await registrar.hidden.accept(PROCESS_S)
        assert waiting.nothing_came()
        waiting.drop()
    assert time.monotonic() - began < PROCESS_S
    await registrar.door.close()
    await registrar.hidden.close()
