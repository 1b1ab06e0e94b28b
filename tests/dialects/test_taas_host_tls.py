"""Our taas host where it speaks TLS to callers, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.vocabulary import Reason
from tests.dialects.taas_host_files import provision, start
from tests.dialects.taas_machine import Machine, all_end

ending = pytest.fixture(autouse=True)(all_end)
POOL = 15


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """:returns: a machine on which a host with a certificate runs"""
    return start(provision(tmp_path), certificate=Path("a.crt"), key=Path("a.key"))


def test_a_handshake_that_begins_is_a_caller(machine: Machine) -> None:
    """Another connection waits at once, while the service is not bothered yet."""
    machine.connections[0].begin_tls()
    assert len(machine.waiting()) == POOL
    assert machine.services == []


def test_the_service_is_connected_to_once_tls_stands(machine: Machine) -> None:
    """It may speak first, since who made a handshake is there."""
    first = machine.connections[0]
    first.begin_tls()
    first.end_tls()
    (service,) = machine.services
    service.speak(b"220 ready\r\n")
    assert first.heard() == b"220 ready\r\n"
    first.say(b"QUIT\r\n")
    assert service.payload() == b"QUIT\r\n"
    assert len(machine.connections) == POOL + 1


def test_a_caller_without_tls(machine: Machine) -> None:
    """One line says so, no connection is missed, and no service hears of it."""
    for connection in machine.connections[:POOL]:
        connection.begin_tls()
        connection.lose()
    assert len(machine.waiting()) == POOL
    assert machine.services == []
    assert machine.losses == []
    assert {fault[:2] for fault in machine.faults} == {("call for taas:alpha", Reason.TLS_FAILED)}


def test_a_caller_who_leaves_in_the_midst_of_the_handshake(machine: Machine) -> None:
    """A FIN is as good as a reset."""
    machine.connections[0].begin_tls()
    machine.connections[0].fin()
    assert machine.connections[0].is_over()
    assert machine.faults[0][1] is Reason.TLS_FAILED
