"""Our taas client without a network: where it goes for a redirect, and where that leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.defer import Deferred

from relay.dialects.taas.client import DRAINED_S, LOOKED_UP_S, run_client
from relay.errors import TlsFailed
from relay.outside import ExpectsTls, HttpAnswer, Way
from relay.settings.model import Door, TunnelSettings
from relay.vocabulary import Close, Reason, Role
from tests.dialects.taas_machine import Connection, Machine, all_end, unreachable
from tests.fakes import FakeStream

NAME = "alpha.taas.example.com"
WAITS = {"x-relay-waits": "3"}
ABSENT = HttpAnswer(503, {"location": f"https://{NAME}/"}, b"")
DRAINED_MOST_S = DRAINED_S[1]
CALLS_S = 2.0
"""Longer than a call is tried for."""

ending = pytest.fixture(autouse=True)(all_end)


def redirect(
    location: str = f"https://{NAME}:20002/", status: int = 307, **headers: str
) -> HttpAnswer:
    """:returns: an answer that leads there, of our router unless ``headers`` say otherwise"""
    return HttpAnswer(status, {"location": location, **(headers or WAITS)}, b"")


OF_AN_ORIGINAL = redirect(date="today")


def start(
    router: str = "https://relay.example.org:8899",
    far_tls: bool = False,
    known: str = "",
    name: str = NAME,
) -> Machine:
    """:returns: a machine on which a client runs"""
    values = {"label": name, "far-tls": far_tls}
    settings = TunnelSettings(
        Role.CLIENT, "lab", "taas", router, None, (Door("", "tcp:2222"),), None, None, None,
        "yes", 1, 0, 0, values,
    )  # fmt: skip
    machine = Machine(settings)
    machine.known = set(known.split())
    machine.get = redirect
    machine.run(run_client)
    return machine


def test_it_says_where_it_leads() -> None:
    """By the URL that it asks."""
    assert start().reports == [f"tcp:2222 leads to https://{NAME}:8899/"]
    assert start("").reports == [f"tcp:2222 leads to https://{NAME}/"]
    assert start("ws://127.0.0.1").reports == [f"tcp:2222 leads to http://{NAME}/"]


def test_a_call() -> None:
    """The redirect is asked for by name, and followed; each direction ends for itself."""
    machine = start()
    local = machine.call()
    assert machine.asked == [
        ("GET", f"https://{NAME}:8899/", "", Way("relay.example.org:8899", "", follow=False))
    ]
    (link,) = machine.connections
    assert link.address == "relay.example.org:20002"
    assert link.tls is None
    local.speak(b"question")
    local.end()
    assert link.heard() == b"question"
    link.say(b"answer")
    link.fin()
    assert local.payload() == b"answer"
    assert local.reset_reason() == "finished"
    assert link.is_over()
    assert link.link.close_sent == Close(None)
    assert machine.faults == []


@pytest.mark.parametrize(
    ("router", "known", "at", "address"),
    [
        ("https://relay.example.org:8899", "", "relay.example.org:8899", "relay.example.org:20002"),
        ("https://relay.example.org:8899", NAME, "", f"{NAME}:20002"),
        ("https://[2001:db8::1]", "", "[2001:db8::1]:443", "[2001:db8::1]:20002"),
        (f"https://{NAME}:99", "", "", f"{NAME}:20002"),
        ("", "", "", f"{NAME}:20002"),
    ],
)
def test_the_way(router: str, known: str, at: str, address: str) -> None:
    """To the router's host where the name is not in DNS, else to the name."""
    machine = start(router, known=known)
    machine.call()
    assert machine.asked[0][3].at == at
    assert machine.connections[0].address == address


def test_a_name_below_localhost() -> None:
    """It is nobody's to look up: the router is where its URL says."""
    name = "web.taas.localhost"
    machine = start("http://127.0.0.1:8899", known=name, name=name)
    machine.get = lambda: redirect(f"http://{name}:20002/")
    machine.call()
    assert machine.looked_up == []
    assert machine.asked[0][3].at == "127.0.0.1:8899"
    assert machine.connections[0].address == "127.0.0.1:20002"


def test_calls_during_a_lookup() -> None:
    """However many there are, one name is looked up once, and all but the first go on."""
    machine = start(known=NAME)
    machine.looking_up = Deferred()
    for _ in range(100):
        machine.call()
    assert machine.looked_up == [NAME]
    assert [each.address for each in machine.connections] == ["relay.example.org:20002"] * 99
    machine.looking_up.callback(None)
    machine.call()
    assert [each.address for each in machine.connections[99:]] == [f"{NAME}:20002"] * 2


def test_names_are_looked_up_once_a_minute() -> None:
    """A name that came into DNS meanwhile counts from then on."""
    machine = start()
    for _ in range(3):
        machine.call()
    assert machine.looked_up == [NAME]
    machine.known.add(NAME)
    machine.passes(LOOKED_UP_S)
    machine.call()
    assert [way.at for *_, way in machine.asked] == ["relay.example.org:8899"] * 3 + [""]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize(
    ("location", "address"),
    [
        (f"http://{NAME}:1/path?query#x", "relay.example.org:1"),
        (f"https://{NAME.upper()}.:65535", "relay.example.org:65535"),
        ("https://relay.example.org:20002/", "relay.example.org:20002"),
    ],
)
def test_redirects(status: int, location: str, address: str) -> None:
    """Host and port count, and nothing else of them."""
    machine = start()
    machine.get = lambda: redirect(location, status)
    machine.call()
    assert machine.connections[0].address == address


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (redirect(f"https://{NAME}/"), "without a port"),
        (redirect(f"https://{NAME}:0/"), "without a port"),
        (redirect("/elsewhere"), "without a port"),
        (redirect(""), "without a port"),
        (redirect("https://other.example.com:20002/"), "to another host than"),
        (redirect("https://127.0.0.1:22/"), "to another host than"),
        (redirect("https://:22/"), "to another host than"),
        (redirect(f"https://{NAME}:http/"), "no URL"),
        (redirect(f"https://{NAME}:99999/"), "no URL"),
        (redirect("https://[/"), "no URL"),
        (redirect(status=303), "no router of taas (status 303)"),
        (HttpAnswer(200, {}, b"<html>"), "no router of taas (status 200)"),
        (HttpAnswer(404, {}, b"<html>"), "status 404"),
        (
            HttpAnswer(503, {"x-relay-reason": "no-such-offer"}, b"no record lists alpha"),
            "no record lists alpha",
        ),
    ],
)
def test_answers_that_lead_nowhere(answer: HttpAnswer, told: str) -> None:
    """The local side is reset at once, and one line says why."""
    machine = start()
    machine.get = lambda: answer
    local = machine.call()
    ((what, reason, text),) = machine.faults
    assert what == f"call for {NAME}"
    assert told in text
    assert local.events == [f"reset {reason.value}"]
    assert machine.connections == []
    assert len(machine.asked) == 1


@pytest.mark.parametrize("get", [lambda: ABSENT, unreachable])
def test_a_host_that_comes_back(get: Callable[[], object]) -> None:
    """It is waited for a moment, and the local side notices nothing."""
    machine = start()
    machine.get = get
    local = machine.call()
    machine.passes(0.5)
    machine.get = redirect
    machine.passes(1)
    assert len(machine.connections) == 1
    assert local.reset_reason() is None
    assert machine.faults == []


def test_a_host_that_does_not() -> None:
    """After five times within two seconds the local side is reset."""
    machine = start()
    machine.get = lambda: ABSENT
    local = machine.call()
    machine.passes(CALLS_S)
    assert local.reset_reason() == "host-absent"
    assert len(machine.asked) == 5
    assert [reason for _, reason, _ in machine.faults] == [Reason.HOST_ABSENT]


def test_a_router_that_has_waited_already() -> None:
    """It is asked once more, rather than five times as long."""
    machine = start()
    answers: list[Deferred[HttpAnswer]] = []

    def later() -> Deferred[HttpAnswer]:
        answers.append(Deferred())
        return answers[-1]

    machine.get = later
    local = machine.call()
    for count in (1, 2):
        assert len(answers) == count
        machine.passes(3)
        assert local.reset_reason() is None
        answers[-1].callback(ABSENT)
        machine.passes(0.2)
    assert local.reset_reason() == "host-absent"


def test_a_local_program_that_gives_up() -> None:
    """Nothing is asked for it any more."""
    machine = start()
    machine.get = lambda: ABSENT
    local = machine.call()
    local.left = True
    machine.passes(CALLS_S)
    assert len(machine.asked) == 1


def drained(connection: Connection) -> None:
    """What an original's router does when it has no host left."""
    connection.fin()


def test_a_queue_that_is_drained() -> None:
    """An original's router closes at once: the front door is asked again, up to four times."""
    machine = start()
    machine.get = lambda: OF_AN_ORIGINAL
    machine.at_connect = drained
    local = machine.call()
    machine.passes(1)
    assert 1 < len(machine.asked) < 5
    machine.at_connect = lambda _: None
    machine.passes(2)
    local.speak(b"x")
    assert machine.connections[-1].heard() == b"x"
    assert all(not each.heard() for each in machine.connections[:-1])


def test_a_queue_that_stays_drained() -> None:
    """The local side is reset, and its octets went nowhere."""
    machine = start()
    machine.get = lambda: OF_AN_ORIGINAL
    machine.at_connect = lambda connection: connection.lose()
    local = machine.call()
    machine.passes(4)
    assert local.reset_reason() == "host-absent"
    assert len(machine.asked) == len(machine.connections) == 5


def test_what_waits_for_a_drained_queue() -> None:
    """Twice as long as connecting took and a little, a quarter of a second at most."""
    machine = start()
    machine.get = lambda: OF_AN_ORIGINAL
    local = machine.call()
    assert local.partner is None
    machine.passes(DRAINED_S[0] + 0.1)
    assert local.partner is not None
    slow = machine.tcp
    connected: Deferred[None] = Deferred()

    async def tcp(*arguments: object) -> object:
        await connected
        return await slow(*arguments)

    machine.tcp = tcp
    local = machine.call()
    machine.passes(5)
    connected.callback(None)
    machine.passes(DRAINED_MOST_S - 0.1)
    assert local.partner is None
    machine.passes(0.2)
    assert local.partner is not None


def test_a_service_that_speaks_first() -> None:
    """What came while we waited for a close is delivered, and a FIN behind it is its own."""
    machine = start()
    machine.get = lambda: OF_AN_ORIGINAL

    def greet(connection: Connection) -> None:
        connection.say(b"SSH-2.0\r\n")
        connection.fin()

    machine.at_connect = greet
    local = machine.call()
    machine.passes(1)
    machine.connections[0].heard()
    assert local.payload() == b"SSH-2.0\r\n"
    assert local.events[-1] == "finish"


def test_a_redirect_of_ours() -> None:
    """It says that a connection waits: nothing is held back."""
    machine = start()
    local = machine.call()
    assert local.partner is not None
    machine.connections[0].fin()
    assert local.events[-1] == "finish"


def test_a_port_that_refuses() -> None:
    """A router that has just restarted: the front door is asked again."""
    machine = start()
    machine.refuses = unreachable()
    local = machine.call()
    machine.refuses = None
    machine.passes(1)
    assert len(machine.connections) == 1
    assert local.reset_reason() is None


def test_tls_at_the_far_end() -> None:
    """With ``far-tls`` the host's certificate is to have the label's name."""
    machine = start(far_tls=True)
    machine.call()
    assert machine.connections[0].tls == ExpectsTls(NAME)
    machine.refuses = TlsFailed(f"the certificate of {NAME} has expired", "renew it")
    machine.call()
    told = f"behind the router: the certificate of {NAME} has expired; renew it"
    assert machine.faults == [(f"call for {NAME}", Reason.TLS_FAILED, told)]


def test_a_circuit_that_is_cut() -> None:
    """A reset on one side is one on the other."""
    machine = start()
    local, other = machine.call(), machine.call()
    machine.connections[0].lose()
    assert local.reset_reason() == "lost"
    other.hang_up(Reason.LOST)
    assert machine.connections[1].is_over()
    assert machine.connections[1].link.aborted


def test_no_room_for_a_stream() -> None:
    """Neither the connection nor the local side is left behind."""
    machine = start()
    machine.streams = 0
    local: FakeStream = machine.call()
    assert machine.connections[0].is_over()
    assert local.reset_reason() == "limit"
