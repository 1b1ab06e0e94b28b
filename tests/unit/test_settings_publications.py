"""``[publish NAME]``: which names it takes, and what ``relay check`` says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from relay.commands.check import Report, check_file
from relay.dialects import dialect_keys
from relay.dialects.network_relay.keys import TRAITS
from relay.dialects.taas.notions import GRACE_S
from relay.errors import ConfigurationError, ProtocolError
from relay.settings import DialectKeys, read_router
from relay.settings.model import Callee, Publication
from relay.settings.schema import Naming, Traits
from relay.vocabulary import OfferName

ROUTER = (
    "[router]\nlisten = tcp:8080:interface=127.0.0.1\nstate-dir = state\n"
    "[dialect:portal]\n[dialect:websocktunnel]\n[dialect:fleet]\n[dialect:session-relay]\n"
)


SHIPPED = ("portal", "session-relay", "websocktunnel")


def place(text: str) -> str:
    """:returns: a place as callers spell it on the wire: in capitals"""
    if ":" not in text:
        raise ProtocolError("a place is HOST:PORT")
    return text.upper()


def keys() -> Mapping[str, DialectKeys]:
    """The dialects, one with places as services, and one of which nothing can be published."""
    fleet = Traits(naming=Naming(str.lower, place))
    own = {
        "fleet": DialectKeys((), (), (), fleet),
        "radio": DialectKeys((), (), (), Traits()),
    }
    shipped = {name: dialect_keys()[name] for name in SHIPPED}
    return {**shipped, **own}


def check(directory: Path, *lines: str) -> Report:
    """:returns: what is said of a router with one publication"""
    (directory / "x.ini").write_text("\n".join([ROUTER, "[publish web]", *lines, ""]))
    return check_file("x.ini", {}, directory, keys())


def fault(directory: Path, *lines: str) -> str:
    """:returns: the one fault, without file and line"""
    (text,) = check(directory, *lines).faults
    return text.partition("[publish web]")[2].lstrip(" :")


def said(directory: Path, *lines: str) -> str:
    """:returns: the line that tells of the publication"""
    report = check(directory, *lines)
    assert report.faults == []
    (line,) = [line for line in report.lines if line.startswith("publishes ")]
    return line.removesuffix("; this wins over a live offer of that name")


def test_names_have_one_spelling(tmp_path: Path) -> None:
    """The INI's is brought to the form that calls and offers have."""
    (tmp_path / "x.ini").write_text(
        ROUTER + "[publish web]\nfrom = fleet:ATTIC/db.internal:5432\nto = portal:007/sql\n"
        "clients = alice, bob\n"
    )
    settings = read_router({"config": str(tmp_path / "x.ini")}, {}, tmp_path, keys())
    assert settings.publications == (
        Publication(
            "web",
            Callee(OfferName("fleet:attic"), "DB.INTERNAL:5432"),
            Callee(OfferName("portal:7"), "sql"),
            ("alice", "bob"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:22", "127.0.0.1:22"),
        ("[::1]:0022", "[::1]:22"),
        ("db.internal:5432/tcp", "db.internal:5432"),
    ],
)
def test_targets_are_spelt_as_calls_spell_them(text: str, expected: str) -> None:
    """Those of network-relay, which have several spellings."""
    naming = TRAITS.naming
    assert naming is not None
    assert naming.service is not None
    assert naming.service(text) == expected


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            "from = tcp:eighty",
            '"tcp:eighty": port "eighty" is not a number from 0 to 65535',
        ),
        (
            "from = tcp:80:nterface=::1",
            '"tcp:80:nterface=::1": unknown argument "nterface"; did you mean "interface"?',
        ),
        ("from = tcp:", '"tcp:" names no port; write it as tcp:8080:interface=127.0.0.1'),
        (
            "from = radio:lab",
            '"radio:lab": nothing of radio can be published; '
            "from may be of fleet, portal, session-relay, tcp or websocktunnel",
        ),
        (
            "from = radio:1",
            '"radio:1": nothing of radio can be published; '
            "from may be of fleet, portal, session-relay, tcp or websocktunnel",
        ),
        (
            "from = portl:1",
            '"portl:1" begins with none of fleet, portal, session-relay, tcp and websocktunnel; '
            'did you mean "portal"?',
        ),
        ("from = portal", '"portal" names nothing; write portal:NAME'),
        ("from = portal:", '"portal:" names nothing; write portal:NAME'),
        ("from = fleet:/h:1", '"fleet:/h:1" names nothing; write fleet:NAME'),
        ("from = portal:1/", '"portal:1/" names no service behind the slash'),
        (
            "from = portal:one",
            '"portal:one": a portal id is a number from 0 to 18446744073709551615',
        ),
        ("from = fleet:attic/door", '"fleet:attic/door": a place is HOST:PORT'),
        ("from = session-relay:", '"session-relay:" names nothing; write session-relay:NAME'),
        (
            "from = session-relay:a room",
            '"session-relay:a room": a topic is made of A-Z a-z 0-9 _ . - and /, with something '
            "between two /",
        ),
        (
            "from = session-relay:stats",
            '"session-relay:stats": on the topic stats the router alone speaks',
        ),
    ],
)
def test_names_that_are_none(tmp_path: Path, line: str, text: str) -> None:
    """Each fault says what is wrong with it, and what may stand there."""
    assert fault(tmp_path, line, "to = portal:2/web") == f"from: {text}"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (
            "portal:2",
            '"portal:2" names no service, and a call of websocktunnel brings none that portal has; '
            "write portal:2/SERVICE",
        ),
        (
            "websocktunnel:app/x",
            '"websocktunnel:app/x": websocktunnel has no services; write websocktunnel:app',
        ),
    ],
)
def test_somebody_has_to_name_the_service(tmp_path: Path, target: str, text: str) -> None:
    """Where the dialects differ it is the publication; where there is none, nobody may."""
    said = fault(tmp_path, "from = websocktunnel:notes", f"to = {target}", "public = yes")
    assert said == f"to: {text}"


def test_a_dialect_that_is_not_spoken(tmp_path: Path) -> None:
    """Nobody could ever call, or answer."""
    (tmp_path / "x.ini").write_text(
        "[router]\nlisten = tcp:1\n[dialect:portal]\n"
        "[publish web]\nfrom = portal:1\nto = websocktunnel:app\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        read_router({"config": str(tmp_path / "x.ini")}, {}, tmp_path, keys())
    (line,) = caught.value.faults
    assert line.endswith(
        '"websocktunnel:app": this router does not speak websocktunnel; add [dialect:websocktunnel]'
    )


def test_callers_without_a_name(tmp_path: Path) -> None:
    """They are let in by these very words and no others."""
    names = ("from = websocktunnel:notes", "to = portal:1/web")
    nobody = 'callers of "websocktunnel:notes" have no name'
    assert fault(tmp_path, *names, "clients = alice") == (
        f"clients: {nobody}; write public = yes to let everybody in"
    )
    assert fault(tmp_path, *names) == (
        f"{nobody}, so that everybody could call; write public = yes if that is meant"
    )


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (
            ("from = websocktunnel:notes", "to = portal:1/web", "public = yes"),
            "portal:1/web as websocktunnel:notes to everybody, without a login",
        ),
        (
            ("from = portal:1/ssh", "to = fleet:attic/h:22", "clients = alice, bob"),
            "fleet:attic/H:22 as portal:1/ssh to alice, bob",
        ),
        (
            ("from = fleet:attic", "to = websocktunnel:app"),
            "websocktunnel:app as fleet:attic to whoever may call it",
        ),
        (
            ("from = fleet:attic", "to = websocktunnel:app", "public = yes"),
            "websocktunnel:app as fleet:attic to whoever may call it, even without a name",
        ),
        (("from = portal:1", "to = portal:2"), "portal:2 as portal:1 to whoever may call it"),
        (
            ("from = portal:1/cam", "to = session-relay:lab/cam", "clients = alice"),
            "session-relay:lab/cam as portal:1/cam to alice",
        ),
    ],
)
def test_what_is_said_of_it(tmp_path: Path, lines: tuple[str, ...], text: str) -> None:
    """What is reached, by which name, and by whom."""
    assert said(tmp_path, *lines) == f"publishes {text}"


@pytest.mark.parametrize(
    ("target", "consequence"),
    [
        ("portal:7/ssh", "who enters that topic calls, and hears no other member"),
        ("session-relay:b/c", "who enters the one is a member of the other instead"),
    ],
)
def test_what_is_said_of_a_topic(tmp_path: Path, target: str, consequence: str) -> None:
    """Nobody offers it; its members are others, or none."""
    line = said(tmp_path, "from = session-relay:lab/shell", f"to = {target}", "clients = bk-1")
    assert line == f"publishes {target} as session-relay:lab/shell to bk-1; {consequence}"


def test_topics_have_slashes(tmp_path: Path) -> None:
    """What stands behind one is part of the name, and no service."""
    (tmp_path / "x.ini").write_text(
        ROUTER + "[publish web]\nfrom = session-relay:a/b.c\nto = session-relay:d/e/f\n"
    )
    settings = read_router({"config": str(tmp_path / "x.ini")}, {}, tmp_path, keys())
    (publication,) = settings.publications
    assert publication.source == Callee(OfferName("session-relay:a/b.c"), topic=True)
    assert publication.target == Callee(OfferName("session-relay:d/e/f"), topic=True)


def test_a_topic_answers_no_requests(tmp_path: Path) -> None:
    """Viewers speak HTTP, and wait for an answer in it."""
    assert fault(
        tmp_path, "from = websocktunnel:notes", "to = session-relay:room", "public = yes"
    ) == (
        'to: "session-relay:room" is a topic, and callers of websocktunnel speak HTTP, which '
        "nobody there answers"
    )


def test_a_call_of_a_topic_names_no_service(tmp_path: Path) -> None:
    """So the publication has to, where the target has several."""
    assert fault(tmp_path, "from = session-relay:room", "to = portal:2") == (
        'to: "portal:2" names no service, and a call of session-relay brings none that portal has; '
        "write portal:2/SERVICE"
    )


# -- ports -----------------------------------------------------------------------------------------

PUBLIC = ("to = portal:2/web", "public = yes")


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("tcp:2222", "tcp:2222:interface=127.0.0.1"),
        ("tcp:02222:interface=", "tcp:2222:interface=127.0.0.1"),
        ("tcp:2222:192.0.2.7", "tcp:2222:interface=192.0.2.7"),
        ("tcp:port=2222:interface=\\:\\:1", "tcp:2222:interface=\\:\\:1"),
        ("tcp:2222:backlog=5", "tcp:2222:interface=127.0.0.1:backlog=5"),
    ],
)
def test_a_port_is_on_loopback_unless_it_says_otherwise(
    tmp_path: Path, text: str, source: str
) -> None:
    """Its one spelling is the endpoint at which the router listens."""
    (publication,) = publications(tmp_path, [f"from = {text}", *PUBLIC])
    assert publication.source == Callee(OfferName(source))
    assert publication.endpoint == source


def test_ports_of_the_systems_choice(tmp_path: Path) -> None:
    """There may be several, which are told apart by the names of their sections."""
    one, two = publications(tmp_path, *2 * [["from = tcp:0", *PUBLIC]])
    assert one.endpoint == two.endpoint == "tcp:0:interface=127.0.0.1"
    assert (one.source.service, two.source.service) == ("n0", "n1")


def test_nobody_answers_at_a_port(tmp_path: Path) -> None:
    """Where the router listens stands in from."""
    assert fault(tmp_path, "from = portal:1/ssh", "to = tcp:22") == (
        'to: "tcp:22": a port may stand in from, where the router listens; name what answers'
    )


def test_a_port_lets_everybody_in(tmp_path: Path) -> None:
    """Which has to be said, and is said again; above all where other machines can reach it."""
    nobody = 'callers of "tcp:22:interface=127.0.0.1" have no name'
    assert fault(tmp_path, "from = tcp:22", "to = portal:2/web") == (
        f"{nobody}, so that everybody could call; write public = yes if that is meant"
    )
    assert said(tmp_path, "from = tcp:22", *PUBLIC) == (
        "publishes portal:2/web as tcp:22:interface=127.0.0.1 to everybody who reaches that port, "
        "without a login; each connection is a call"
    )
    report = check(tmp_path, "from = tcp:22", *PUBLIC)
    assert "listens on tcp:22:interface=127.0.0.1: [publish web]; plain; loopback only" in (
        report.lines
    )
    assert not [line for line in report.warnings if "publish" in line]
    report = check(tmp_path, "from = tcp:22:interface=0.0.0.0", *PUBLIC)
    assert (
        "[publish web]: tcp:22:interface=0.0.0.0 is open to other machines, without a login"
        in report.warnings
    )


def test_what_programs_are_told_of_a_port(tmp_path: Path) -> None:
    """It is a listener at which no dialect is spoken."""
    (record,) = check(tmp_path, "from = tcp:22", *PUBLIC).programs
    listeners = cast(list[dict[str, object]], record["listeners"])
    assert listeners[-1] == {
        "endpoint": "tcp:22:interface=127.0.0.1",
        "tls": False,
        "reach": "loopback only",
        "dialects": [],
        "key": "[publish web] from",
    }


@pytest.mark.parametrize("port", ["tcp:8080", "tcp:8080:interface=0.0.0.0"])
def test_a_port_that_is_taken(tmp_path: Path, port: str) -> None:
    """By another listener, however much it is spelt like that."""
    endpoint = port if "=" in port else f"{port}:interface=127.0.0.1"
    assert fault(tmp_path, f"from = {port}", *PUBLIC) == (
        f"from: {endpoint} is already taken by [router] listen"
    )


def test_a_port_that_is_published_twice(tmp_path: Path) -> None:
    """At one address it is the same call, at another it is in its way."""
    twice = [["from = tcp:22", *PUBLIC], ["from = tcp:22:127.0.0.1", *PUBLIC]]
    with pytest.raises(ConfigurationError, match=r"publishes the same call as \[publish n0\]"):
        publications(tmp_path, *twice)
    twice[1][0] = "from = tcp:22:0.0.0.0"
    taken = r"tcp:22:interface=0.0.0.0 is already taken by \[publish n0\] from"
    with pytest.raises(ConfigurationError, match=taken):
        publications(tmp_path, *twice)


def test_ports_for_others(tmp_path: Path) -> None:
    """One of those that a dialect may open cannot be published."""
    (tmp_path / "x.ini").write_text(
        "[router]\nlisten = tcp:8080\nstate-dir = state\n[dialect:portal]\n"
        "[dialect:taas]\nports = 20000-20999\n"
        "[publish ssh]\nfrom = tcp:20022\nto = portal:1/ssh\npublic = yes\n"
    )
    (text,) = check_file("x.ini", {}, tmp_path, dialect_keys()).faults
    assert text.endswith("20000-20999 includes port 20022 of [publish ssh] from")


def test_who_comes_back(tmp_path: Path) -> None:
    """A call of another dialect waits as long as the target's says."""
    (tmp_path / "x.ini").write_text(
        "[router]\nlisten = tcp:8080\nstate-dir = state\n[dialect:portal]\n[dialect:taas]\n"
        "[publish cam]\nfrom = portal:1/cam\nto = taas:Alpha\n"
        "[publish web]\nfrom = taas:beta\nto = portal:1/web\npublic = yes\n"
    )
    settings = read_router({"config": str(tmp_path / "x.ini")}, {}, tmp_path, dialect_keys())
    cam, web = settings.publications
    assert (cam.target.offer, cam.refill_s) == ("taas:alpha", GRACE_S)
    assert (web.source.offer, web.refill_s) == ("taas:beta", 0)


def publications(directory: Path, *sections: list[str]) -> tuple[Publication, ...]:
    """:returns: those of a router with such sections, named n0, n1 and so on"""
    lines = [ROUTER]
    for number, section in enumerate(sections):
        lines += [f"[publish n{number}]", *section]
    (directory / "x.ini").write_text("\n".join([*lines, ""]))
    return read_router({"config": str(directory / "x.ini")}, {}, directory, keys()).publications
