"""Our taas client when there is no host, and as a command."""

from __future__ import annotations

import shlex

import pytest_twisted

from tests.conftest import Flush
from tests.integration.openssh import OpenSsh
from tests.integration.taas_far_ends import FarEnds
from tests.integration.taas_peers import BOTH, OURS, Router, host_of
from tests.rawpeer import noise
from tests.relay_command import COMMAND, relay_beside

pytest_plugins = [
    "tests.integration.taas_fixtures",
    "tests.integration.taas_end_fixtures",
    "tests.integration.openssh_fixtures",
]

MiB = 1024 * 1024


@BOTH
@pytest_twisted.ensureDeferred
async def test_no_host(taas: Router, taas_ends: FarEnds, expected_log_errors: Flush) -> None:
    """The local program is cut off, and one line says why."""
    local = await taas_ends.dial(await taas_ends.client(taas))
    local.write(b"x")
    await local.gone()
    assert local.was_reset()
    (line,) = expected_log_errors()
    assert line["what"] == f"call for {host_of(taas_ends.who.label)}"
    assert line["reason"] == "host-absent"


@OURS
@pytest_twisted.ensureDeferred
async def test_no_such_label(taas: Router, taas_ends: FarEnds, expected_log_errors: Flush) -> None:
    """Our router knows that it is none, and nothing is tried again."""
    local = await taas_ends.dial(await taas_ends.client(taas, label=host_of("nobody-has-it")))
    await local.gone()
    (line,) = expected_log_errors()
    assert line["reason"] == "no-such-offer"


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_host_that_comes_in_time(taas: Router, taas_ends: FarEnds) -> None:
    """The local program notices nothing, and nothing that it said is lost."""
    local = await taas_ends.dial(await taas_ends.client(taas))
    local.write(b"early")
    await taas_ends.host(taas)
    assert await (await taas_ends.service.accept()).exactly(5) == b"early"


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_drained_queue(taas: Router, taas_ends: FarEnds) -> None:
    """A router that redirects to where nobody waits any more is asked again (§14)."""
    who = taas_ends.who
    first = await taas.circuit(who)
    local = await taas_ends.dial(await taas_ends.client(taas))
    local.write(b"early")
    responder = await taas.responder(who)
    assert await responder.exactly(5) == b"early"
    await first.passes()


@OURS
@pytest_twisted.ensureDeferred
async def test_a_service_that_speaks_first(taas: Router, taas_ends: FarEnds) -> None:
    """What a hidden server says before anybody asks it is the first that a local program hears."""
    responder = await taas.responder(taas_ends.who)
    responder.write(b"hello")
    local = await taas_ends.dial(await taas_ends.client(taas))
    assert await local.exactly(5) == b"hello"
    local.write(b"you")
    assert await responder.exactly(3) == b"you"


@BOTH
@pytest_twisted.ensureDeferred
async def test_relay_connect(taas: Router, taas_ends: FarEnds) -> None:
    """Standard input and output are the call."""
    await taas_ends.host(taas)
    sent = noise(MiB)
    calling = relay_beside(*taas_ends.command(taas), stdin=sent)
    remote = await taas_ends.service.accept()
    remote.stays_half_open = True
    assert await remote.half_ended() == sent
    remote.write(b"answer")
    remote.half_close()
    done = await calling
    assert (done.returncode, done.stdout, done.stderr) == (0, b"answer", b"")


@OURS
@pytest_twisted.ensureDeferred
async def test_ssh(taas: Router, taas_ends: FarEnds, openssh: OpenSsh) -> None:
    """Clients of ssh speak first, so that a host of taas can serve them."""
    await openssh.listens()
    await taas_ends.host(taas, forward=f"tcp:127.0.0.1:{openssh.port}")
    proxy = shlex.join(map(str, [*COMMAND, *taas_ends.command(taas)]))
    done = await openssh.run("ssh", proxy, "lab", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    sent = noise(MiB)
    done = await openssh.run("ssh", proxy, "lab", "cat", stdin=sent)
    assert (done.returncode, done.stdout) == (0, sent)
