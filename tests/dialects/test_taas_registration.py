"""What our taas host makes of refusals, redirections and provisioning files."""

from __future__ import annotations

import dataclasses
import os
from email.utils import formatdate
from pathlib import Path

import pytest

from relay.dialects.taas.host import run_host
from relay.errors import Misconfigured, NotARouter, Refused, RelayError, TokenInvalid
from relay.outside import HttpAnswer
from relay.settings.model import TunnelSettings
from relay.vocabulary import Reason
from tests.dialects.taas_host_files import CODE, UUID, provision, settings_of, start, text_of
from tests.dialects.taas_machine import NOW, Machine, all_end

PORT = HttpAnswer(200, {}, b"198.51.100.7:20001")


ending = pytest.fixture(autouse=True)(all_end)


@pytest.fixture
def provisioning(tmp_path: Path) -> Path:
    """:returns: a provisioning file"""
    return provision(tmp_path)


def refused(path: Path, answer: object, seconds: float = 0.0, **changes: object) -> Machine:
    """:returns: a machine on which a host was answered like that for so long"""
    settings: TunnelSettings = dataclasses.replace(settings_of(path), **changes)  # type: ignore[arg-type]
    machine = Machine(settings)
    machine.put = lambda: answer
    machine.run(run_host)
    machine.passes(seconds)
    return machine


def error_of(machine: Machine) -> RelayError:
    """:returns: why the host gave up"""
    assert machine.failure is not None
    assert isinstance(machine.failure.value, RelayError)
    return machine.failure.value


@pytest.mark.parametrize("status", [400, 401])
def test_a_code_that_is_refused(provisioning: Path, status: int) -> None:
    """It takes three time steps until that is final: clocks differ, and codes have bad luck."""
    machine = refused(provisioning, HttpAnswer(status, {}, b""), 29)
    assert machine.failure is None
    assert machine.faults[0][1] is Reason.TOKEN_INVALID
    assert f"{UUID} (status {status})" in machine.faults[0][2]
    codes = {said for _, _, said, _ in machine.asked}
    assert len(codes) <= 2
    machine.passes(120)
    error = error_of(machine)
    assert isinstance(error, TokenInvalid)
    assert len({said for _, _, said, _ in machine.asked}) == 3
    assert CODE not in str(machine.faults) + error.text + error.remedy


def test_codes_that_are_refused_between_others(provisioning: Path) -> None:
    """A host that stood is refused time and again, and tries on."""
    machine = start(provisioning)
    machine.passes(10)
    machine.put = lambda: HttpAnswer(400, {}, b"")
    for connection in machine.connections:
        connection.lose()
    machine.passes(600)
    assert machine.failure is None
    machine.put = lambda: PORT
    machine.passes(40)
    assert len(machine.waiting()) == 15


@pytest.mark.parametrize(
    ("off_s", "told"),
    [(-100, "clock is 100 s ahead of the router's"), (7200, "clock is 7200 s behind the router's")],
)
def test_a_clock_that_is_wrong(provisioning: Path, off_s: int, told: str) -> None:
    """The router's own date says by how much."""
    date = formatdate(NOW + off_s, usegmt=True)
    machine = refused(provisioning, HttpAnswer(400, {"date": date}, b""))
    assert told in machine.faults[0][2]


@pytest.mark.parametrize("date", ["", "yesterday", formatdate(NOW + 20), "Mon, 99 Foo 9999"])
def test_a_clock_that_may_be_right(provisioning: Path, date: str) -> None:
    """Where the date tells nothing, the file is suspected."""
    machine = refused(provisioning, HttpAnswer(400, {"date": date}, b""))
    assert "provisioning file" in machine.faults[0][2]


def test_a_label_of_somebody_else(provisioning: Path) -> None:
    """That is final, and says what to look at; with ``reconnect = always`` it is not."""
    answer = HttpAnswer(404, {}, b"")
    error = error_of(refused(provisioning, answer, 1))
    assert isinstance(error, Refused)
    assert error.reason is Reason.WRONG_NAME
    assert f"taas:alpha is not among the labels that {UUID} may register" in error.text
    assert refused(provisioning, answer, 100, reconnect="always").failure is None


@pytest.mark.parametrize(
    ("answer", "reason", "told"),
    [
        (HttpAnswer(503, {}, b""), Reason.GOING_AWAY, "status 503"),
        (HttpAnswer(429, {"retry-after": "7"}, b""), Reason.LIMIT, "status 429"),
        (
            HttpAnswer(500, {"x-relay-reason": "limit"}, b"no port is free\n"),
            Reason.LIMIT,
            "no port is free",
        ),
        (HttpAnswer(503, {"x-relay-reason": "odd"}, b"<html>"), Reason.GOING_AWAY, "status 503"),
        (HttpAnswer(503, {"x-relay-reason": "finished"}, b""), Reason.GOING_AWAY, "status 503"),
        (HttpAnswer(418, {}, b"\xff\x00tea"), Reason.PROTOCOL_ERROR, "tea"),
        (HttpAnswer(200, {}, b"<html></html>"), Reason.LOST, "names no address and port"),
        (HttpAnswer(200, {}, b"198.51.100.7"), Reason.LOST, "names no address and port"),
        (HttpAnswer(200, {}, b"198.51.100.7:http"), Reason.LOST, "names no address and port"),
        (HttpAnswer(200, {}, b"198.51.100.7:0"), Reason.LOST, "names no address and port"),
        (HttpAnswer(200, {}, b"198.51.100.7:70000"), Reason.LOST, "names no address and port"),
        (HttpAnswer(200, {}, b"a b:7"), Reason.LOST, "names no address and port"),
    ],
)
def test_refusals_that_may_pass(
    provisioning: Path, answer: HttpAnswer, reason: Reason, told: str
) -> None:
    """They are told as what they are, and tried again."""
    machine = refused(provisioning, answer)
    ((what, said, text),) = machine.faults
    assert (what, said) == ("cannot reach https://198.51.100.7:8899", reason)
    assert told in text
    machine.put = lambda: PORT
    machine.passes(10)
    assert len(machine.waiting()) == 15


@pytest.mark.parametrize(
    ("body", "address"),
    [
        (b"\r\n 10.0.0.1:1 \n", "10.0.0.1:1"),
        (b"[2001:db8::1]:20001", "[2001:db8::1]:20001"),
        (b"ports.example.org:20001", "ports.example.org:20001"),
    ],
)
def test_ports_elsewhere(provisioning: Path, body: bytes, address: str) -> None:
    """Wherever the router says, that is dialled."""
    assert refused(provisioning, HttpAnswer(200, {}, body)).connections[0].address == address


def redirecting(path: Path, *locations: str, status: int = 307, router: str = "") -> Machine:
    """:returns: a machine whose registrar redirects so"""
    answers = [HttpAnswer(status, {"location": location}, b"") for location in locations]
    machine = Machine(settings_of(path, router, pool=1))
    machine.put = lambda: answers.pop(0) if answers else PORT
    machine.run(run_host)
    return machine


def test_redirections_are_followed(provisioning: Path) -> None:
    """Within TLS, three at most; where the name stays, so does the router's address."""
    machine = redirecting(
        provisioning, "/elsewhere", "https://taas-registrar.example.com:9/x", "https://other/y"
    )
    assert [(url, way.at) for _, url, _, way in machine.asked] == [
        ("https://taas-registrar.example.com:8899/register/alpha", "198.51.100.7:8899"),
        ("https://taas-registrar.example.com:8899/elsewhere", "198.51.100.7:8899"),
        ("https://taas-registrar.example.com:9/x", "198.51.100.7:9"),
        ("https://other/y", ""),
    ]
    assert len({way.roots for *_, way in machine.asked}) == 1
    assert len(machine.waiting()) == 1
    assert len(redirecting(provisioning, *"abcd").connections) == 0


@pytest.mark.parametrize(
    ("location", "router"),
    [
        ("http://taas-registrar.example.com/", ""),
        ("/x", "http://127.0.0.1:8899"),
        ("https://[/", ""),
        ("https://a:b@taas-registrar.example.com/", ""),
        ("https://taas-registrar.example.com:99999/", ""),
    ],
)
def test_redirections_that_are_not_followed(provisioning: Path, location: str, router: str) -> None:
    """No code goes there."""
    machine = redirecting(provisioning, location, router=router)
    assert len(machine.asked) == 1
    assert machine.faults[0][1] is Reason.LOST


@pytest.mark.parametrize("status", [301, 302, 303])
def test_redirections_of_another_kind(provisioning: Path, status: int) -> None:
    """They would make a GET of it."""
    machine = redirecting(provisioning, "/x", status=status)
    assert len(machine.asked) == 1
    assert machine.faults[0][1] is Reason.PROTOCOL_ERROR


def test_a_code_for_each_redirection(provisioning: Path) -> None:
    """It is computed anew, since the first may be too old by then."""
    answers = [HttpAnswer(308, {"location": "/x"}, b""), PORT]
    machine = Machine(settings_of(provisioning, pool=1))

    def answer() -> HttpAnswer:
        machine.world.clock.advance(30)
        return answers.pop(0)

    machine.put = answer
    machine.run(run_host)
    assert len({said for _, _, said, _ in machine.asked}) == 2


def test_the_file_is_read_each_time(provisioning: Path) -> None:
    """What it says counts from the next connection on."""
    machine = start(provisioning)
    other = "00000000-da50-11e1-9b23-0000000000aa"
    provisioning.write_text(text_of(uuid=[other], labels=["beta"], name="beta.t.example.org"))
    machine.connections[0].say(b"x")
    assert machine.asked[-1][1].endswith("/register/beta")
    assert other in machine.asked[-1][2]


def test_a_file_that_would_be_waited_for(tmp_path: Path) -> None:
    """It is refused as what it is not."""
    os.mkfifo(tmp_path / "alpha.js")
    ((_, reason, text),) = start(tmp_path / "alpha.js").faults
    assert reason is Misconfigured.reason
    assert "is no file" in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist"),
        (b"\xff\xfe", "no UTF-8 text"),
        (b"exports.params = {", "no provisioning file"),
        (b"x" * (1024 * 1024 + 1), "longer than"),
        (text_of(base32="!").encode(), "base32"),
        (text_of(labels=[]).encode(), "no labels"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None, told: str) -> None:
    """One line says what is wrong with it; once it is right, it counts."""
    path = tmp_path / "alpha.js"
    if content is not None:
        path.write_bytes(content)
    machine = start(path)
    ((_, reason, text),) = machine.faults
    assert reason is Misconfigured.reason
    assert told in text
    assert "\n" not in text
    path.write_text(text_of())
    machine.passes(3)
    assert len(machine.waiting()) == 15


@pytest.mark.parametrize(
    ("hostname", "scheme"),
    [("127.0.0.1", "http"), ("localhost", "http"), ("::1", "http"), ("198.51.100.7", "https")],
)
def test_a_router_without_a_certificate(tmp_path: Path, hostname: str, scheme: str) -> None:
    """TLS is done without on this machine alone."""
    path = tmp_path / "alpha.js"
    path.write_text(text_of(server={"hostname": hostname, "port": 8899}))
    machine = start(path)
    url = f"{scheme}://taas-registrar.example.com:8899/register/alpha"
    assert {asked[1] for asked in machine.asked} == {url}


def test_a_label_that_cannot_be_one(provisioning: Path) -> None:
    """It is not sent anywhere."""
    machine = start(provisioning, label="no label")
    assert machine.asked == []
    assert "no label" in machine.faults[0][2]


def test_a_name_that_does_not_fit(tmp_path: Path) -> None:
    """Then nobody knows how the label is called in full."""
    path = tmp_path / "alpha.js"
    path.write_text(text_of(name=""))
    machine = start(path)
    assert "at https://alpha.SERVERS:8899/" in machine.reports[0]
    assert "relay connect alpha.SERVERS --dialect taas" in machine.reports[0]


def test_too_many_redirections(provisioning: Path) -> None:
    """They are no router's."""
    machine = redirecting(provisioning, *["/x"] * 9)
    assert machine.faults[0][1] is NotARouter.reason
    assert "more than 3 times" in machine.faults[0][2]
