"""What demo and bench set up of taas, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from relay.commands.demo_guides import filled, guide_of
from relay.commands.shows import SHOWN, SHOWS, router_ini, tunnel_ini
from relay.dialects import dialect_keys
from relay.dialects.taas.records import Record, parse_provisioning
from relay.settings import listeners, read_router, read_tunnels
from relay.vocabulary import Role

DIALECT = "taas"
URL = "http://127.0.0.1:8899"
DOORS = {Role.HOST: "forward = tcp:127.0.0.1:8000", Role.CLIENT: "listen = tcp:0"}


def test_a_show(tmp_path: Path) -> None:
    """The record is that of the host's file, and the client calls the label that it lists."""
    (tmp_path / "relay.ini").write_text(router_ini(DIALECT, 8899))
    keys = dialect_keys()
    settings = read_router({"config": str(tmp_path / "relay.ini")}, {}, tmp_path, keys)
    show = SHOWS[DIALECT]
    tokens = show.tokens(settings, URL)
    told = parse_provisioning(tokens[Role.HOST])
    ((key, text),) = show.records(tokens).items()
    record = Record.parse(text)
    assert (record.uuid, record.base32, record.labels) == (key, told.base32, told.labels)
    assert key == told.uuid
    assert (told.host, told.port, told.name) == ("127.0.0.1", 8899, show.name)
    assert show.tokens(settings, URL) != tokens
    (tmp_path / "host.token").write_text(tokens[Role.HOST])
    for role, line in DOORS.items():
        file = tmp_path / f"{role.value}.ini"
        file.write_text(tunnel_ini(role, DIALECT, URL, line, "127.0.0.1:8000"))
        (tunnel,) = read_tunnels(role, {"config": str(file)}, {}, tmp_path, keys).tunnels
        assert tunnel.router == URL
        assert (tunnel.values["label"] == show.name) is (role is Role.CLIENT)


def test_listeners(tmp_path: Path) -> None:
    """A dialect that shares its listener with no other has the port; the others' INI has it too."""
    keys = dialect_keys()
    for dialect in SHOWN:
        (tmp_path / "relay.ini").write_text(router_ini(dialect, 8899))
        settings = read_router({"config": str(tmp_path / "relay.ini")}, {}, tmp_path, keys)
        first, *pages = listeners(settings, keys)
        assert (first.endpoint, first.dialects) == (
            "tcp:8899:interface=127.0.0.1",
            (dialect,),
        )
        assert bool(pages) is (dialect == DIALECT)


def test_guides() -> None:
    """What is said names what there is; a dialect without words of its own has those of portal."""
    values = {"named": "N", "users": "U", "admin": "A", "folder": "F"}
    guide = guide_of(DIALECT)
    assert [filled(where, values) for _, where in guide.urls] == ["N", "U"]
    assert filled(guide.commands[0], values).endswith(" N")
    assert '"$(cat web.id)"' in filled(guide.machines, values)
    assert guide_of("network-relay") is guide_of("portal")
