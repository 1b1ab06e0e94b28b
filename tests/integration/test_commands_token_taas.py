"""``relay token taas``: real commands on the stores that a router uses."""

from __future__ import annotations

import json
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay.commands.main import DONE, FAILED, WRONG_USAGE
from relay.dialects.taas.pictures import png
from relay.dialects.taas.records import Record, parse_provisioning
from relay.tls import ServerTls
from tests.integration.redis_server import RedisServer
from tests.relay_command import relay

pytest_plugins = ("tests.integration.redis_fixtures",)

ID = "2f402f80-da50-11e1-9b23-0000000000aa"
OTHER = "2f402f80-da50-11e1-9b23-0000000000bb"
SECRET = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"
BARE = {"authParams": {"base32": SECRET}, "labels": ["example"]}
USER = {"username": "a/b/c", "authParams": {"protocol": "bcrypt", "hash": "$2a$10$x"}}


class Shop:
    """A router's INI in a folder of its own, and the command beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configure()

    def configure(self, *lines: str) -> None:
        """Write the INI, with more lines of the dialect's section."""
        text = ["[router]", "state-dir = state", "[dialect:taas]", "listen = tcp:8899", *lines]
        (self.folder / "relay.ini").write_text("\n".join(text))

    def run(
        self, *words: str, status: int = DONE, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run an action to its end."""
        ended = relay(
            "token", "taas", *words, "--config", "relay.ini", stdin=stdin, folder=self.folder
        )
        assert ended.returncode == status, ended
        return ended

    def said(self, *words: str, stdin: bytes = b"") -> str:
        """What an action prints; it complains of nothing."""
        ended = self.run(*words, stdin=stdin)
        assert ended.stderr == b""
        return ended.stdout.decode()

    def json(self, *words: str) -> Any:
        """What it prints for programs."""
        return json.loads(self.said(*words, "--json"))

    def complaint(self, *words: str, status: int = FAILED, stdin: bytes = b"") -> str:
        """Why it does nothing."""
        ended = self.run(*words, status=status, stdin=stdin)
        assert ended.stdout == b""
        return ended.stderr.decode()

    def mode(self, name: str) -> int:
        """Who may read a file."""
        return stat.S_IMODE((self.folder / name).stat().st_mode)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A router that was never started."""
    folder = tmp_path / "shop"
    folder.mkdir()
    return Shop(folder)


def test_create(shop: Shop) -> None:
    """The ID alone is printed; the record is the router's from then on, its picture drawn."""
    key = shop.said("create", "Alpha", "gw.alpha:62052", "--png", "qr.png").strip()
    assert shop.mode("state/taas.sqlite") == 0o600
    records = json.loads(shop.said("export", "-"))
    record = Record.parse(json.dumps(records[key]))
    assert (record.uuid, record.name) == (key, "alpha.taas.example.com")
    assert list(map(str, record.labels)) == ["alpha", "gw.alpha:62052"]
    assert (shop.folder / "qr.png").read_bytes() == png(record.auth_url)
    assert shop.mode("qr.png") == 0o600
    made = shop.json("create", "beta", "--id", ID)
    assert made["id"] == ID
    assert made["record"]["labels"] == ["beta"]


def test_create_what_cannot_be(shop: Shop) -> None:
    """Labels of others, IDs and files that are there, and wrong words change nothing."""
    shop.said("create", "alpha", "--id", ID)
    before = shop.said("export", "-")
    assert "is listed by" in shop.complaint("create", "x", "ALPHA")
    assert "already; remove it" in shop.complaint("create", "x", "--id", ID)
    (shop.folder / "there.png").touch()
    assert "is there already" in shop.complaint("create", "x", "--png", "there.png")
    assert "No such file" in shop.complaint("create", "x", "--png", "nowhere/qr.png")
    for words in (["x:1"], ["a_b"], ["x", "x"], ["x", "--id", "a/b"], []):
        shop.complaint("create", *words, status=WRONG_USAGE)
    assert shop.said("export", "-") == before
    shop.said("create", "alpha", "--shared")


def test_list_and_remove(shop: Shop) -> None:
    """What there is is shown without secrets, and gone once it was removed."""
    assert shop.said("list") == ""
    assert shop.json("list") == []
    assert not (shop.folder / "state").exists()
    shop.said("import", "-", stdin=json.dumps({ID: BARE, "a/b/c": USER}).encode())
    assert shop.said("list") == (f"{ID}  example\n{'a/b/c':<36}  a user of the MQTT broker\n")
    kinds = {row["key"]: (row["kind"], row["labels"]) for row in shop.json("list")}
    assert kinds == {ID: ("totp", ["example"]), "a/b/c": ("bcrypt", [])}
    assert SECRET not in str(shop.json("list"))
    assert shop.said("remove", ID) == f"{ID}\n"
    assert "there is no ID" in shop.complaint("remove", ID)
    assert shop.json("remove", "a/b/c") == {"removed": "a/b/c"}
    assert shop.said("list") == ""


def test_a_certificate_that_the_ini_names_already(shop: Shop) -> None:
    """It is made where the router will look for it, and nobody stumbles over its lack before."""
    shop.configure("certificate = tls/front.crt", "key = keys/front.key")
    key = shop.said("create", "alpha").strip()
    assert 'tls/front.crt: No such file or directory; "relay token taas certificate" makes it' in (
        shop.complaint("provision", key)
    )
    made = shop.json("certificate")
    assert made["certificate"] == str(shop.folder / "tls/front.crt")
    assert made["key"] == str(shop.folder / "keys/front.key")
    assert made["fingerprint"] == str(shop.folder / "tls/front.sha1")
    assert parse_provisioning(shop.said("provision", key)).ca_pem
    assert "is there already" in shop.complaint("certificate")
    shop.said("certificate", "--renew")
    shop.said("certificate", "--folder", "elsewhere")
    assert shop.mode("elsewhere/registrar.key") == 0o600


def test_certificate_and_provision(shop: Shop) -> None:
    """A certificate is made once, serves, and stands in the files of hidden servers."""
    shop.said("import", "-", stdin=json.dumps({ID: BARE}).encode())
    ended = shop.run("provision", ID)
    assert b"hidden servers always dial with TLS" in ended.stderr
    assert parse_provisioning(ended.stdout.decode()).ca_pem is None
    shop.configure("advertise = 192.0.2.7", "registrar = r.example", "servers = s.example")
    ended = shop.run("certificate", "--folder", "tls")
    assert b"write these two lines into [dialect:taas]" in ended.stderr
    folder = shop.folder / "tls"
    assert {path.name: shop.mode(f"tls/{path.name}") for path in folder.iterdir()} == {
        "registrar.key": 0o600,
        "registrar.crt": 0o644,
        "registrar.sha1": 0o644,
    }
    ServerTls(folder / "registrar.crt", folder / "registrar.key")
    ssl.create_default_context(cafile=str(folder / "registrar.crt"))
    old = (folder / "registrar.crt").read_text()
    assert "is there already" in shop.complaint("certificate", "--folder", "tls")
    assert (folder / "registrar.crt").read_text() == old
    shop.configure(
        "advertise = 192.0.2.7", "registrar = r.example", "servers = s.example",
        *ended.stdout.decode().splitlines(),
    )  # fmt: skip
    told = parse_provisioning(shop.said("provision", ID))
    assert (told.uuid, told.base32, told.ca_pem) == (ID, SECRET, old)
    assert (told.host, told.port) == ("192.0.2.7", 8899)
    assert (told.name, told.issuer) == ("example.s.example", "https://r.example")
    shop.said("provision", ID, "--host", "h.example", "--port", "443", "--file", "h.js")
    told = parse_provisioning((shop.folder / "h.js").read_text())
    assert (told.host, told.port) == ("h.example", 443)
    assert shop.mode("h.js") == 0o600
    assert shop.json("provision", ID)["params"]["uuid"] == [ID]
    value = shop.json("certificate", "--folder", "tls", "--renew")
    assert value["certificate"] == str(folder / "registrar.crt")
    assert value["sha1"] in (folder / "registrar.sha1").read_text()
    assert (folder / "registrar.crt").read_text() != old


def test_provision_what_cannot_be(shop: Shop) -> None:
    """Who is not there, or has no label, gets no file; neither does a router without a port."""
    records = {ID: {**BARE, "labels": []}, OTHER: BARE}
    ended = shop.run("import", "-", stdin=json.dumps(records).encode())
    assert b"it has no label that can be registered" in ended.stderr
    assert "unusable: it has no label" in shop.said("list")
    assert "there is no ID" in shop.complaint("provision", "nobody")
    assert "no label" in shop.complaint("provision", ID)
    shop.complaint("provision", OTHER, "--port", "0", status=WRONG_USAGE)
    ini = shop.folder / "relay.ini"
    ini.write_text(ini.read_text().replace("tcp:8899", "tcp:0:interface=127.0.0.1"))
    assert "no fixed port" in shop.complaint("provision", OTHER)


def test_out_and_in(shop: Shop) -> None:
    """Records go to another store as they are; what comes in takes the place of what was there."""
    content = json.dumps({ID: BARE, OTHER: {**BARE, "more": "ü"}, "a/b/c": USER})
    (shop.folder / "in.json").write_text(content)
    ended = shop.run("import", "in.json")
    assert ended.stdout == b"3 imported, 0 of them in place of others\n"
    assert b"label example is listed by" in ended.stderr
    assert shop.said("export", "out.json") == "3 exported to out.json\n"
    assert shop.mode("out.json") == 0o600
    assert json.loads((shop.folder / "out.json").read_text()) == json.loads(content)
    assert json.loads(shop.run("import", "out.json", "--json").stdout) == {
        "imported": 3,
        "replaced": 3,
    }
    assert shop.json("export", "out.json") == {"exported": 3, "file": "out.json"}


def test_in_or_not_at_all(shop: Shop) -> None:
    """Where something is wrong each fault is a line, and nothing comes in."""
    content = json.dumps({ID: BARE, OTHER: 1, "x": {"authParams": {"base32": "top secret"}}})
    said = shop.complaint("import", "-", stdin=content.encode())
    assert said.splitlines() == [
        f'relay token: standard input: "{OTHER}": is no record, which is a JSON object',
        'relay token: standard input: "x": cannot log in: the record has no list of labels',
    ]
    assert shop.said("list") == ""
    assert "No such file" in shop.complaint("import", "nowhere")


def test_the_originals_file(shop: Shop) -> None:
    """What the original's embedded store has appended comes in."""
    words = (b"set", ID.encode(), json.dumps(BARE).encode())
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    (shop.folder / "nedis.db").write_bytes(b"*3\r\n" + parts)
    assert shop.said("import", "nedis.db") == "1 imported, 0 of them in place of others\n"
    assert shop.said("list") == f"{ID}  example\n"


def test_in_redis(shop: Shop, locked_redis: RedisServer) -> None:
    """The original's keys and records, its password from a file; errors show neither."""
    (shop.folder / "redis.password").write_text("open sesame/1\n")
    shop.configure(f"database = {locked_redis.url}", "database-password-file = redis.password")
    shop.said("create", "alpha", "--id", ID)
    answer = locked_redis.say(b"GET", ID.encode())
    assert Record.parse(answer.split(b"\r\n")[1].decode()).uuid == ID
    assert shop.said("list") == f"{ID}  alpha\n"
    locked_redis.say(b"LPUSH", b"others", b"1")
    assert list(json.loads(shop.said("export", "-"))) == [ID]
    (shop.folder / "redis.password").write_text("not sesame at all, but long enough\n")
    said = shop.complaint("list")
    assert f"127.0.0.1:{locked_redis.port}/0 refuses" in said
    assert "not sesame" not in said
    locked_redis.kill()
    assert "cannot be reached" in shop.complaint("list")


def test_no_router(shop: Shop, tmp_path: Path) -> None:
    """Without a section of taas there is nothing to work on."""
    (shop.folder / "relay.ini").write_text("[router]\nlisten = tcp:0\n[dialect:portal]\n")
    assert "no section [dialect:taas]" in shop.complaint("list")
    shop.complaint(status=WRONG_USAGE)
    shop.complaint("dance", status=WRONG_USAGE)
