"""Redirects of taas from the wire (taas.md §7, §8 and §12, checks 14 to 17, 22 and 23 of §17)."""

from __future__ import annotations

import re
import time

import pytest
import pytest_twisted
from twisted.internet.task import deferLater

from tests.integration.taas_peers import (
    BOTH,
    OURS,
    Router,
    closed_unused,
    ended,
    host_of,
    original_differs,
    passes,
)
from tests.integration.taas_wire import REGISTRAR, SERVERS, fresh
from tests.rawpeer import Response, the_reactor, together

GRACE_S = 3.0
SPARE_S = 4.0
MOMENT_S = 0.5
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND")
PATHS = ("/", "/x/y", "/console", "/%41/b", "/a;b=c")

pytest_plugins = ["tests.integration.taas_fixtures"]

on_plain = pytest.mark.parametrize("plain_taas", ["ours", "original"], indirect=True)


def told_why(taas: Router, answer: Response, reason: str, location: str) -> None:
    """Check what only ours says of a refusal: why, and where to ask again (taas §12)."""
    if taas.is_ours:
        assert answer.header("X-Relay-Reason") == reason
        assert answer.header("Location") == location
        assert (answer.header("Content-Type") or "").startswith("text/plain")


# -- refusals --------------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_label_without_hosts(taas: Router) -> None:
    """A label whose host has never connected is a 503; check 14."""
    who = fresh()
    answer = await taas.get("/", host_of(who.label))
    assert answer.status == 503
    told_why(taas, answer, "host-absent", f"https://{host_of(who.label)}/")


@BOTH
@pytest_twisted.ensureDeferred
async def test_label_that_nobody_has(taas: Router) -> None:
    """A label that no record lists is a 503."""
    answer = await taas.get("/", host_of("nobody"))
    assert answer.status == 503
    told_why(taas, answer, "no-such-offer", f"https://{host_of('nobody')}/")


@BOTH
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8899", "[::1]:1", SERVERS, f".{SERVERS}", "other.example", "x"],
)
@pytest_twisted.ensureDeferred
async def test_other_hosts(taas: Router, host: str) -> None:
    """Addresses, the bare domain and other names are a 503; check 14."""
    answer = await taas.get("/", host)
    assert answer.status == 503
    if taas.is_ours:
        assert (answer.header("Location") or "").startswith("https://")


@BOTH
@pytest_twisted.ensureDeferred
async def test_registered_but_not_connected(taas: Router) -> None:
    """A registration alone does not count, until its connection is there; check 15."""
    who = fresh()
    port = await taas.opened(who)
    assert (await taas.get("/", host_of(who.label))).status == 503
    await taas.dial(port)
    await taas.settles()
    await taas.redirect(who.label)


@BOTH
@pytest_twisted.ensureDeferred
async def test_without_host(taas: Router) -> None:
    """A request of HTTP/1.0 without Host is not found."""
    answer = await taas.send(b"GET / HTTP/1.0\r\n\r\n")
    assert answer is not None
    assert answer.status in ((400, 404) if taas.is_ours else (404,))


# -- redirects -------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("path", PATHS)
@pytest_twisted.ensureDeferred
async def test_location(taas: Router, path: str) -> None:
    """Location has the door's scheme, the request's host and path, and a port; check 16."""
    who = fresh()
    await taas.responder(who)
    answer = await taas.get(path, f"{host_of(who.label)}:443")
    assert answer.status == 307
    location = answer.header("Location") or ""
    assert re.fullmatch(
        rf"{taas.scheme}://{re.escape(host_of(who.label))}:[0-9]+{re.escape(path)}", location
    )
    assert answer.header("Content-Length") == "0"
    assert answer.header("Access-Control-Allow-Origin") is None


@original_differs("the query is left out")
@pytest_twisted.ensureDeferred
async def test_query(taas: Router) -> None:
    """Location keeps the query."""
    who = fresh()
    await taas.responder(who)
    answer = await taas.get("/x?a=b&c=%20d", host_of(who.label))
    assert (answer.header("Location") or "").endswith("/x?a=b&c=%20d")


@on_plain
@pytest_twisted.ensureDeferred
async def test_plain_door(plain_taas: Router) -> None:
    """A door without TLS redirects to ``http``; check 16."""
    who = fresh()
    await plain_taas.responder(who)
    answer = await plain_taas.get("/x", host_of(who.label))
    assert (answer.header("Location") or "").startswith(f"http://{host_of(who.label)}:")


@BOTH
@pytest.mark.parametrize("method", METHODS)
@pytest_twisted.ensureDeferred
async def test_any_method(taas: Router, method: str) -> None:
    """Every method is redirected; check 16."""
    who = fresh()
    await taas.responder(who)
    answer = await taas.ask(method, "/x", "Content-Length: 0", host=host_of(who.label))
    assert answer.status == 307


@BOTH
@pytest_twisted.ensureDeferred
async def test_host_with_and_without_port(taas: Router) -> None:
    """A port in Host, any port, names the same label; check 17."""
    who = fresh()
    await taas.responder(who)
    for host in (host_of(who.label), f"{host_of(who.label)}:{taas.port}", f"{host_of(who.label)}:"):
        assert (await taas.get("/", host)).status == 307


@original_differs("names are compared with their case, and a dot at their end")
@pytest_twisted.ensureDeferred
async def test_host_in_any_case(taas: Router) -> None:
    """Upper case, and a dot at the end, name the same label; check 17."""
    who = fresh()
    await taas.responder(who)
    for host in (
        host_of(who.label).upper(),
        f"{host_of(who.label)}.",
        f"{who.label}.TAAS.example.com",
    ):
        assert (await taas.get("/", host)).status == 307


@BOTH
@pytest_twisted.ensureDeferred
async def test_labels_with_dots(taas: Router) -> None:
    """A label may have dots, and is no part of a shorter one."""
    who = fresh()
    await taas.responder(who, who.gateway)
    assert (await taas.get("/", host_of(who.label))).status == 503
    await taas.redirect(who.gateway)


@BOTH
@pytest_twisted.ensureDeferred
async def test_registrar_is_no_label(taas: Router) -> None:
    """What is asked of the registrar is never redirected."""
    assert (await taas.get("/", REGISTRAR)).status == 401


# -- mobile ports ----------------------------------------------------------------------------------


@BOTH
@pytest_twisted.ensureDeferred
async def test_empty_queue(taas: Router) -> None:
    """Where nobody waits, a caller ends without data, behind the grace period; check 22."""
    who = fresh()
    hidden = await taas.responder(who)
    port = await taas.redirect(who.label)
    first = await taas.dial(port)
    await passes(first, hidden)
    await closed_unused(await taas.dial(port), GRACE_S + SPARE_S)
    assert first.end is None


@BOTH
@pytest_twisted.ensureDeferred
async def test_port_works_again(taas: Router) -> None:
    """A mobile port that found nobody works for the next responder."""
    who = fresh()
    hidden = await taas.responder(who)
    port = await taas.redirect(who.label)
    await passes(await taas.dial(port), hidden)
    again = await taas.responder(who)
    await passes(await taas.dial(port), again)


@original_differs("a caller does not wait")
@pytest_twisted.ensureDeferred
async def test_caller_waits_for_a_host(taas: Router) -> None:
    """A caller that is a moment too early is served, with what it has said meanwhile."""
    who = fresh()
    first = await taas.responder(who)
    port = await taas.redirect(who.label)
    await passes(await taas.dial(port), first)
    early = await taas.dial(port)
    early.write(b"hello")
    await deferLater(the_reactor(), MOMENT_S)
    late = await taas.responder(who)
    assert await late.exactly(5) == b"hello"
    await passes(late, early)


@original_differs("a redirect that leads to nobody")
@pytest_twisted.ensureDeferred
async def test_redirect_waits_for_a_host(taas: Router) -> None:
    """An empty queue is a 503 only behind the grace period; a host that comes meanwhile is met."""
    who = fresh()
    hidden = await taas.responder(who)
    await passes(await taas.mobile(who.label), hidden)
    began = time.monotonic()
    answer = await taas.get("/", host_of(who.label))
    assert answer.status == 503
    assert time.monotonic() - began > GRACE_S - SPARE_S / 2

    async def comes() -> Response:
        await deferLater(the_reactor(), MOMENT_S)
        return await taas.put(who)

    async def asks() -> Response:
        return await taas.get("/", host_of(who.label))

    async def joins() -> Response:
        answered = await comes()
        await taas.dial(int(answered.body.partition(b":")[2]))
        return answered

    redirected, _ = await together(asks(), joins())
    assert redirected.status == 307


@BOTH
@pytest.mark.parametrize("leaves", ["half_close", "drop", "reset"])
@pytest_twisted.ensureDeferred
async def test_responder_that_left(taas: Router, leaves: str) -> None:
    """A responder that has ended, or half ended, is never handed out; check 23."""
    who = fresh()
    gone, stays = await taas.responders(who, 2)
    getattr(gone, leaves)()
    if leaves == "half_close":
        await ended(gone)
    await taas.settles()
    mobile = await taas.mobile(who.label)
    await passes(mobile, stays)
    await passes(stays, mobile)


@OURS
@pytest_twisted.ensureDeferred
async def test_one_port_a_label(taas: Router) -> None:
    """All redirects of a label lead to one port, those of another to another."""
    first, second = fresh(), fresh()
    for who in (first, second):
        await taas.responder(who)
    ports = [await taas.redirect(who.label) for who in (first, first, second, second)]
    assert ports[0] == ports[1]
    assert ports[2] == ports[3]
    assert len(set(ports)) == 2
