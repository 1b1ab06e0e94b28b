"""Our taas host, and our client before it, at our router and at the original's."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.ssl import Certificate as Root
from twisted.internet.ssl import optionsForClientTLS, trustRootFromCertificates

from tests.conftest import Flush
from tests.integration.network_relay_trio import bulk_bytes
from tests.integration.taas_far_ends import FarEnds, carry
from tests.integration.taas_ours import RouterMaker
from tests.integration.taas_peers import BOTH, OURS, Router, ended, host_of
from tests.integration.taas_wire import ADDRESS, Certificate
from tests.rawpeer import Late, noise, together

pytest_plugins = ["tests.integration.taas_fixtures", "tests.integration.taas_end_fixtures"]

POOL = 15
ROUNDS = 40
QUIET_S = 0.3
BACK_S = 1.5
"""A host is there again within a second of its router, by its own pauses."""


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_circuit(taas: Router, taas_ends: FarEnds) -> None:
    """It carries bytes both ways, and each direction ends for itself."""
    await taas_ends.host(taas)
    local, remote = await taas_ends.circuit(await taas_ends.client(taas))
    local.half_close()
    await remote.half_ended()
    remote.write(b"behind the end\n")
    assert await local.exactly(15) == b"behind the end\n"
    remote.half_close()
    await local.half_ended()


@BOTH
@pytest_twisted.ensureDeferred
async def test_bulk_both_ways(taas: Router, taas_ends: FarEnds) -> None:
    """Megabytes go both ways at once, unchanged."""
    await taas_ends.host(taas)
    local, remote = await taas_ends.circuit(await taas_ends.client(taas))
    size = bulk_bytes()
    await together(carry(local, remote, noise(size)), carry(remote, local, noise(size)))


@BOTH
@pytest_twisted.ensureDeferred
async def test_one_after_another(taas: Router, taas_ends: FarEnds) -> None:
    """Those that are taken are replaced in time."""
    await taas_ends.host(taas)
    port = await taas_ends.client(taas)
    for _ in range(ROUNDS):
        local, remote = await taas_ends.circuit(port)
        local.half_close()
        await ended(remote)
        remote.half_close()
        await ended(local)
        local.drop()
        remote.drop()


@BOTH
@pytest_twisted.ensureDeferred
async def test_as_many_at_once_as_wait(taas: Router, taas_ends: FarEnds) -> None:
    """Each has a circuit to itself."""
    await taas_ends.host(taas)
    port = await taas_ends.client(taas)
    await taas_ends.circuit(port)
    locals_ = [await taas_ends.dial(port) for _ in range(POOL)]
    for number, local in enumerate(locals_):
        local.write(b"%04d" % number)
    remotes = {await remote.exactly(4): remote for remote in await taas_ends.accept(POOL)}
    for number, local in enumerate(locals_):
        remotes[b"%04d" % number].write(b"for %04d" % number)
        assert await local.exactly(8) == b"for %04d" % number


@BOTH
@pytest_twisted.ensureDeferred
async def test_a_caller_who_is_silent(taas: Router, taas_ends: FarEnds) -> None:
    """The service hears of it with the first octet (§11), and not before."""
    await taas_ends.host(taas)
    silent = await taas.mobile(taas_ends.who.label)
    with pytest.raises(Late):
        await taas_ends.service.accept(QUIET_S)
    silent.write(b"now")
    assert await (await taas_ends.service.accept()).exactly(3) == b"now"


@OURS
@pytest_twisted.ensureDeferred
async def test_a_reset(taas: Router, taas_ends: FarEnds) -> None:
    """On either side it is one on the other."""
    await taas_ends.host(taas)
    port = await taas_ends.client(taas)
    local, remote = await taas_ends.circuit(port)
    local.reset()
    await remote.gone()
    assert remote.was_reset()
    local, remote = await taas_ends.circuit(port)
    remote.reset()
    await local.gone()
    assert local.was_reset()


@OURS  # the original leaves a caller in the dark whose hidden server resets (§8)
@pytest_twisted.ensureDeferred
async def test_a_service_that_is_down(
    taas: Router, taas_ends: FarEnds, expected_log_errors: Flush
) -> None:
    """The caller is cut off, one line says why, and the next one fares better."""
    await taas_ends.host(taas)
    port = await taas_ends.client(taas)
    await taas_ends.service.close()
    local = await taas_ends.dial(port)
    local.write(b"x")
    await ended(local)
    (line,) = expected_log_errors()
    assert line["reason"] == "target-refused"
    assert line["what"] == f"call for taas:{taas_ends.who.label}"
    await taas_ends.service.listen(taas_ends.port)
    await taas_ends.circuit(port)


@BOTH
@pytest_twisted.ensureDeferred
async def test_another_label(taas: Router, taas_ends: FarEnds) -> None:
    """One with a fixed port is reached there, without any HTTP (§9)."""
    who = taas_ends.who
    await taas_ends.host(taas, label=who.gateway)
    caller = await taas.dial(who.fixed_port)
    caller.write(b"straight\n")
    assert await (await taas_ends.service.accept()).exactly(9) == b"straight\n"


@OURS
@pytest_twisted.ensureDeferred
async def test_tls_at_the_far_end(
    taas: Router, taas_ends: FarEnds, taas_certificate: Certificate
) -> None:
    """Who follows the redirect speaks TLS with our host; or our client does it for them."""
    await taas_ends.host(taas, certificate=taas_ends.root, key=taas_ends.key)
    root = Root.loadPEM(taas_certificate.certificate.encode())
    verify = optionsForClientTLS(host_of(taas_ends.who.label), trustRootFromCertificates([root]))
    caller = await taas_ends.dial(await taas.redirect(taas_ends.who.label), tls=verify)
    caller.write(b"question")
    remote = await taas_ends.service.accept()
    assert await remote.exactly(8) == b"question"
    remote.write(b"answer")
    assert await caller.exactly(6) == b"answer"
    await taas_ends.circuit(await taas_ends.client(taas, **{"far-tls": "yes"}))


@OURS
@pytest_twisted.ensureDeferred
async def test_callers_without_tls_where_it_is_spoken(
    taas: Router, taas_ends: FarEnds, expected_log_errors: Flush
) -> None:
    """They keep no connection from those who speak it, and no service is bothered."""
    await taas_ends.host(taas, certificate=taas_ends.root, key=taas_ends.key)
    for _ in range(2 * POOL):
        stranger = await taas.mobile(taas_ends.who.label)
        stranger.write(b"GET / HTTP/1.1\r\n\r\n")
        await ended(stranger)
    await taas_ends.circuit(await taas_ends.client(taas, **{"far-tls": "yes"}))
    assert {line["reason"] for line in expected_log_errors()} == {"tls-failed"}


@OURS
@pytest_twisted.ensureDeferred
async def test_a_service_that_speaks_first_behind_tls(taas: Router, taas_ends: FarEnds) -> None:
    """It is connected to once TLS stands, whatever the caller says then."""
    await taas_ends.host(taas, certificate=taas_ends.root, key=taas_ends.key)
    port = await taas_ends.client(taas, **{"far-tls": "yes"})
    local = await taas_ends.dial(port)
    remote = await taas_ends.service.accept()
    remote.write(b"220 ready\r\n")
    assert await local.exactly(11) == b"220 ready\r\n"


@pytest_twisted.ensureDeferred
async def test_a_router_that_restarts(
    taas_routers: RouterMaker, taas_ends: FarEnds, expected_log_errors: Flush
) -> None:
    """The host is there again at once, whole, and one line was said of what was lost."""
    router = await taas_routers.start()
    await taas_ends.host(router)
    port = await taas_ends.client(router)
    await taas_ends.circuit(port)
    listen = {"listen": f"tcp:{router.port}:interface={ADDRESS}"}
    await taas_routers.services[0].stopService()
    again = await taas_routers.start(dialect=listen)
    await taas_ends.comes_back(again, BACK_S)
    await taas_ends.circuit(port)
    assert len(expected_log_errors()) <= 2


@pytest_twisted.ensureDeferred
async def test_a_registrar_without_tls(taas_routers: RouterMaker, taas_ends: FarEnds) -> None:
    """Where the section names it so, host and client speak plain HTTP."""
    router = await taas_routers.start(plain=True)
    await taas_ends.host(router)
    await taas_ends.circuit(await taas_ends.client(router))
