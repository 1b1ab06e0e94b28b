"""The demo of a dialect of tunnels: a page that comes through a router, a host and a client."""

from __future__ import annotations

import argparse
import sys
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from twisted.internet.error import ConnectError
from twisted.web.client import Agent, ResponseFailed, readBody
from twisted.web.http import OK

from relay.announcements import as_url
from relay.commands.demo_guides import filled, guide_of
from relay.commands.demo_page import Page, Urls
from relay.commands.demo_site import STATUS_PATH
from relay.commands.demo_stage import ANY_PORT, START_S, Stage
from relay.commands.output import result
from relay.commands.shows import SHOWS, tunnel_ini
from relay.errors import RelayError
from relay.tunnels import TunnelsService
from relay.vocabulary import Role

NAME = "web"


class Fetched(NamedTuple):
    """What came through the tunnel, and how long that took."""

    status: int
    bytes: int
    ms: float


class TunnelDemo:
    """Offers the page and fetches it.

    :param arguments: of ``relay demo``
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    async def show(self, stage: Stage) -> bool:
        """:returns: whether it could be shown. :raises RelayError: when the page does not come"""
        dialect = self._arguments.dialect
        router = await stage.router(dialect, self._arguments.port)
        if router is None:
            return False
        page = Page(dialect, router)
        direct = await stage.serve(page)
        show = SHOWS[dialect]
        (at, *users, admin) = (address for _, address in router.addresses)
        router_url = as_url(show.scheme, at)
        tokens = show.tokens(router.settings, router_url)
        for role, token in tokens.items():
            stage.write(f"{role.value}.token", token)
        await stage.keep(router.settings, show.records(tokens))
        target = direct.removeprefix("http://")

        def tunnel(role: Role, door: str) -> TunnelsService:
            return stage.tunnel(role, tunnel_ini(role, dialect, router_url, door, target))

        host = tunnel(Role.HOST, f"forward = tcp:{target}")
        await stage.soon(host.when_connected(NAME), "the host reaches the router")
        tunnelled = as_url("http", at) + show.path
        if not show.path:
            client = tunnel(Role.CLIENT, f"listen = {ANY_PORT}")
            await stage.soon(client.when_ready(), "the client listens")
            tunnelled = as_url("http", client.addresses[0][1]) + "/"
        named = f"http://{show.name}:{urlsplit(router_url).port}/" if show.name else ""
        page.urls = Urls(
            tunnelled,
            f"{direct}/",
            router_url,
            as_url("http", admin),
            named,
            *(as_url("http", one) + "/" for one in users),
        )
        page.folder = stage.folder
        self._report(page, await self._fetch(stage, page))
        return True

    async def _fetch(self, stage: Stage, page: Page) -> Fetched:
        """Fetch the page through the tunnel, and compare it with what was served."""
        url = page.urls.page.encode()
        started = time.perf_counter()
        agent = Agent(stage.reactor, connectTimeout=START_S)
        try:
            answer = await stage.soon(agent.request(b"GET", url), "the page comes")
            body = await stage.soon(readBody(answer), "the page comes")
        except (ConnectError, ResponseFailed) as error:
            raise RelayError(f"{page.urls.page} cannot be fetched: {error}") from error
        if answer.code != OK or body != page.html():
            raise RelayError(
                f"{page.urls.page}: {answer.code} and {len(body)} bytes came through the tunnel, "
                f"which are not the page at {page.urls.direct}"
            )
        return Fetched(answer.code, len(body), round((time.perf_counter() - started) * 1000, 1))

    def _report(self, page: Page, fetched: Fetched) -> None:
        dialect, urls = self._arguments.dialect, page.urls
        guide, values = guide_of(dialect), {**urls._asdict(), "folder": str(page.folder)}
        rows = [
            ("the page through the tunnel", urls.page),
            *((what, filled(where, values)) for what, where in guide.urls),
            ("the page directly", urls.direct),
            (f"the router, for {dialect}", urls.router),
            ("the admin status", f"{urls.admin}{STATUS_PATH}"),
        ]
        commands = [filled(command, values) for command in guide.commands]
        lines = [
            *in_columns(rows),
            *(f"try: {command}" for command in commands),
            f"fetched {urls.page} through the tunnel: "
            f"{fetched.status}, {fetched.bytes} bytes, {fetched.ms:.0f} ms",
        ]
        value = {"dialect": dialect, "urls": urls.shown(), "fetched": fetched._asdict()}
        if commands:
            value["commands"] = commands
        result(self._arguments.json, value, "\n".join(lines))
        sys.stdout.flush()


def in_columns(rows: list[tuple[str, str]]) -> list[str]:
    """:returns: one line each, what it is and then where"""
    width = max(len(what) for what, _ in rows)
    return [f"{what:<{width}}  {url}" for what, url in rows]
