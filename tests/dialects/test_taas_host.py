"""Our taas host without a network: its pool, its callers, and what it does when they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from relay.dialects.taas.host import LOST_AGAIN_S, run_host
from relay.errors import LimitReached
from relay.outside import HttpAnswer, ServesTls, Way
from relay.vocabulary import Close, Reason
from tests.dialects.taas_host_files import CA, CODE, UUID, provision, settings_of, start
from tests.dialects.taas_machine import SOON_S, Machine, all_end, unreachable

ending = pytest.fixture(autouse=True)(all_end)


@pytest.fixture
def provisioning(tmp_path: Path) -> Path:
    """:returns: a provisioning file"""
    return provision(tmp_path)


def test_it_keeps_fifteen_waiting(provisioning: Path) -> None:
    """All at once, with one code, each where the answer to its own PUT says; and says one line."""
    machine = start(provisioning)
    (asked,) = set(machine.asked)
    assert asked == (
        "PUT",
        "https://taas-registrar.example.com:8899/register/alpha",
        f'TOTP username="{UUID}", response="{CODE}"',
        Way(at="198.51.100.7:8899", roots=CA, follow=False),
    )
    assert len(machine.asked) == len(machine.waiting()) == 15
    assert {each.address for each in machine.connections} == {"198.51.100.7:20001"}
    assert machine.stood_count == 1
    (report,) = machine.reports
    assert "taas:alpha stands for tcp:127.0.0.1:8080" in report
    assert "https://alpha.taas.example.com:8899/ (through 198.51.100.7:8899)" in report
    assert (
        "relay connect alpha.taas.example.com --dialect taas --router https://198.51.100.7:8899"
        in report
    )


def test_it_says_nothing_before_it_hears_something(provisioning: Path) -> None:
    """What comes early at an original's router is lost (§6)."""
    machine = start(provisioning)
    machine.passes(60)
    assert [each.heard() for each in machine.connections] == [b""] * 15
    assert machine.services == []


@pytest.mark.parametrize(
    ("label", "path", "name"),
    [
        ("gw.alpha", "/register/gw.alpha", "taas:gw.alpha"),
        ("gw.alpha:62052", "/register/gw.alpha", "taas:gw.alpha"),
        ("ALPHA", "/register/alpha", "taas:alpha"),
    ],
)
def test_other_labels(provisioning: Path, label: str, path: str, name: str) -> None:
    """Whatever the section names is registered, by its bare name."""
    machine = start(provisioning, label=label)
    assert machine.asked[0][1].endswith(path)
    assert machine.reports[0].startswith(f"{name} stands")
    assert f"https://{name.partition(':')[2]}.taas.example.com:8899/" in machine.reports[0]


@pytest.mark.parametrize(
    ("router", "url", "at"),
    [
        ("https://r.example.org", "https://taas-registrar.example.com:443", "r.example.org:443"),
        ("wss://[2001:db8::1]:99", "https://taas-registrar.example.com:99", "[2001:db8::1]:99"),
        ("http://127.0.0.1:8899", "http://taas-registrar.example.com:8899", "127.0.0.1:8899"),
    ],
)  # fmt: skip
def test_a_router_of_the_section(provisioning: Path, router: str, url: str, at: str) -> None:
    """It goes before that of the file; the registrar's name stays."""
    machine = start(provisioning, router)
    assert machine.asked[0][1] == f"{url}/register/alpha"
    assert machine.asked[0][3].at == at


def test_the_first_octet_is_a_caller(provisioning: Path) -> None:
    """The service is connected to, and another connection waits before that one has an answer."""
    machine = start(provisioning)
    first = machine.connections[0]
    first.say(b"GET / HTTP/1.1\r\n")
    assert len(machine.connections) == 16
    assert len(machine.asked) == 16
    (service,) = machine.services
    first.say(b"\r\n")
    assert service.payload() == b"GET / HTTP/1.1\r\n\r\n"
    service.speak(b"HTTP/1.1 200 OK\r\n\r\n")
    assert first.heard() == b"HTTP/1.1 200 OK\r\n\r\n"
    assert machine.circuits[0].name == "taas:alpha"
    assert machine.faults == []
    assert len(machine.reports) == 1


def test_each_direction_ends_for_itself(provisioning: Path) -> None:
    """A FIN is a FIN, and what comes the other way goes on."""
    machine = start(provisioning)
    link = machine.connections[0]
    link.say(b"question")
    link.fin()
    (service,) = machine.services
    assert service.events[-1] == "finish"
    assert not link.is_over()
    service.speak(b"answer")
    service.end()
    assert link.heard() == b"answer"
    assert link.is_over()
    assert link.link.close_sent == Close(None)


def test_a_caller_who_is_cut_off(provisioning: Path) -> None:
    """A reset on one side is one on the other."""
    machine = start(provisioning)
    machine.connections[0].say(b"x")
    machine.connections[0].lose()
    assert machine.services[0].reset_reason() == "lost"
    machine.connections[1].say(b"x")
    machine.services[1].hang_up(Reason.LOST)
    assert machine.connections[1].link.aborted


def test_a_service_that_is_down(provisioning: Path) -> None:
    """The caller is reset, and one line says so."""
    machine = start(provisioning)
    machine.service_refuses = True
    machine.connections[0].say(b"x")
    assert machine.connections[0].link.aborted
    ((what, reason, _),) = machine.faults
    assert (what, reason) == ("call for taas:alpha", Reason.TARGET_REFUSED)
    assert len(machine.waiting()) == 15


def test_the_end_of_one_that_waits(provisioning: Path) -> None:
    """It is closed, no service is bothered, and another takes its place in a moment."""
    machine = start(provisioning)
    machine.connections[0].fin()
    assert machine.connections[0].is_over()
    assert machine.connections[0].link.close_sent == Close(None)
    assert machine.services == []
    assert len(machine.connections) == 15
    machine.connections[1].fin()
    machine.passes(SOON_S)
    assert len(machine.waiting()) == 15
    assert machine.losses == []
    assert machine.faults == []


def test_two_hosts_of_one_label(provisioning: Path) -> None:
    """They push out each other's connections, and do not race: one turn each five seconds."""
    machine = start(provisioning)
    machine.connections[0].fin()
    machine.passes(SOON_S)
    for number in range(3):
        for connection in machine.waiting()[:9]:
            connection.fin()
        machine.passes(LOST_AGAIN_S - SOON_S)
        assert len(machine.asked) == 16 + 9 * number
        machine.passes(SOON_S)
        assert len(machine.waiting()) == 15
    assert machine.losses == []


def test_a_router_that_restarts(provisioning: Path) -> None:
    """One line when all is lost, one when it stands again, within a second of its return."""
    machine = start(provisioning)
    machine.passes(100)
    machine.put = unreachable
    for connection in machine.connections:
        connection.lose()
    machine.passes(60)
    assert len(machine.losses) == 1
    assert "lost" in machine.losses[0]
    assert {what for what, _, _ in machine.faults} == {"cannot reach https://198.51.100.7:8899"}
    del machine.asked[:]
    machine.put = lambda: HttpAnswer(200, {}, b" 198.51.100.7:20002\r\n")
    machine.passes(1)
    assert len(machine.waiting()) == len(machine.asked) == 15
    assert len(machine.reports) == 2


def test_a_router_that_closes_at_once(provisioning: Path) -> None:
    """It is asked ever less often."""
    machine = start(provisioning)
    machine.at_connect = lambda connection: connection.fin()
    for connection in machine.connections:
        connection.fin()
    machine.passes(20)
    asked = len(machine.asked)
    assert asked < 30
    machine.passes(60)
    assert len(machine.asked) - asked <= 5
    assert len(machine.losses) <= 2
    assert machine.faults[-1][1] is Reason.PEER_CLOSED
    assert "another host's" in machine.faults[-1][2]
    machine.at_connect = lambda _: None
    machine.passes(40)
    assert len(machine.waiting()) == 15


def test_a_registrar_that_is_slow(provisioning: Path) -> None:
    """No more PUTs are under way than connections are to wait."""
    machine = start(provisioning)
    answers: list[Deferred[Any]] = []

    def later() -> Deferred[Any]:
        answers.append(Deferred())
        return answers[-1]

    machine.put = later
    for connection in machine.connections[:12]:
        connection.say(b"x")
    machine.connections[12].fin()
    machine.passes(LOST_AGAIN_S)
    assert machine.asking == 13
    assert machine.most_asking == 13
    for answer in answers[:13]:
        answer.callback(HttpAnswer(200, {}, b"198.51.100.7:20009"))
    assert len(machine.waiting()) == 15


def test_a_refusal_in_the_midst(provisioning: Path) -> None:
    """It is one line however many are refused, ``Retry-After`` counts, and callers are served."""
    machine = start(provisioning)
    busy = HttpAnswer(503, {"retry-after": "20", "x-relay-reason": "limit"}, b"no port is free")
    machine.put = lambda: busy
    for connection in machine.connections[:5]:
        connection.say(b"x")
    machine.passes(SOON_S)
    assert len(machine.services) == 5
    assert len(machine.waiting()) == 10
    assert [what for what, _, _ in machine.faults] == [
        "cannot have more connections wait",
        "cannot reach https://198.51.100.7:8899",
    ]
    assert all(reason is Reason.LIMIT for _, reason, _ in machine.faults)
    asked = len(machine.asked)
    machine.passes(19)
    assert len(machine.asked) == asked
    machine.put = lambda: HttpAnswer(200, {}, b"198.51.100.7:20003")
    machine.passes(8)
    assert len(machine.waiting()) == 15
    assert len(machine.reports) == 1  # it never stopped standing


def test_a_port_that_cannot_be_reached(provisioning: Path) -> None:
    """After the first time it is a refusal, and says what to look at."""
    machine = Machine(settings_of(provisioning))
    machine.refuses = unreachable()
    machine.run(run_host)
    machine.passes(40)
    assert len(machine.asked) < 10
    assert "advertise" in machine.faults[-1][2]
    machine.refuses = None
    machine.passes(40)
    assert len(machine.waiting()) == 15


def test_no_room_for_a_stream(provisioning: Path) -> None:
    """The connection is closed, and the next attempt comes later."""
    machine = Machine(settings_of(provisioning))
    machine.streams = 0
    machine.run(run_host)
    assert machine.faults[0][1] is LimitReached.reason
    assert machine.connections[0].is_over()
    machine.streams = 1
    machine.passes(2)
    assert len(machine.waiting()) == 15


def test_tls_at_the_far_end(provisioning: Path) -> None:
    """With a certificate each connection is served TLS on, and the line says how to call."""
    files: dict[str, Any] = {"certificate": Path("a.crt"), "key": Path("a.key")}
    machine = start(provisioning, **files)
    assert machine.connections[0].tls == ServesTls(Path("a.crt"), Path("a.key"))
    assert machine.reports[0].endswith("--far-tls yes")


def test_its_end(provisioning: Path) -> None:
    """What waits is closed in order; callers keep their circuits."""
    machine = start(provisioning)
    machine.connections[0].say(b"x")
    machine.end()
    assert not machine.connections[0].is_over()
    assert machine.waiting() == []
    assert [each.link.close_sent for each in machine.connections[1:]] == [Close(None)] * 15
    machine.passes(60)
    assert len(machine.connections) == 16
