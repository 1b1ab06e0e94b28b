"""A websocktunnel host, ours or the original's, against a router that a test scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.portal_programs import Program, Programs
from tests.integration.websocktunnel_ours import HostMaker
from tests.integration.websocktunnel_peers import claims, mint
from tests.rawpeer import DEADLINE_S, Head, MuxLink, MuxStream, RawPeer, RawServer, until

TUNNEL = "demo"
PUBLIC_URL = "https://tunnels.example/demo"
URL_FIELD = {"X-Websocktunnel-Client-Url": PUBLIC_URL}

BOTH_HOSTS = pytest.mark.parametrize("daemon_kind", ["ours", "go"])
OUR_HOST = pytest.mark.parametrize("daemon_kind", ["ours"])


def go_host_differs(reason: str) -> pytest.MarkDecorator:
    """The test is for both; the original's host is known to fail it."""
    mark = pytest.mark.xfail(reason=f"Go: {reason}", strict=True, raises=AssertionError)
    return pytest.mark.parametrize("daemon_kind", ["ours", pytest.param("go", marks=mark)])


class HostDaemon:
    """Starts a host, ours or the original's, against the scripted router.

    :ivar target: the service that it forwards to
    """

    def __init__(self, kind: str, hosts: HostMaker, programs: Programs) -> None:
        self.is_ours = kind == "ours"
        self.hosts = hosts
        self.router = RawServer()
        self.target = RawServer()
        self._programs = programs
        self._running: Any = None

    @property
    def url_file(self) -> Any:
        """:returns: where it says its URL"""
        return self.hosts.folder / f"{TUNNEL}.url"

    async def start(self, *, target_port: int | None = None, **keys: object) -> None:
        """:param target_port: where it forwards to, when that is not :attr:`target`
        :param keys: of :meth:`HostMaker.start`, for ours alone
        """
        url = f"http://127.0.0.1:{await self.router.listen()}"
        port = await self.target.listen() if target_port is None else target_port
        token = mint(claims(TUNNEL))
        if self.is_ours:
            self._running = await self.hosts.start(url, TUNNEL, token, port, **keys)
        else:
            arguments = (url, TUNNEL, str(port), "--token", token)
            self._running = self._programs.start(
                "wst-client", *arguments, f"--out-file={self.url_file}", "--json"
            )

    async def request(self, deadline_s: float = DEADLINE_S) -> tuple[RawPeer, Head]:
        """:returns: its next try to register, not answered yet"""
        return await self.router.accept_request(deadline_s)

    async def link(self, deadline_s: float = DEADLINE_S, **options: Any) -> MuxLink:
        """:param options: of :class:`MuxLink`
        :returns: its next registration
        """
        peer, request = await self.request(deadline_s)
        peer.answer_upgrade(request, URL_FIELD)
        return MuxLink(peer, **options)

    async def begin(self, **options: Any) -> MuxLink:
        """:returns: the link of a host that was started for it"""
        await self.start()
        return await self.link(**options)

    async def call(self, link: MuxLink) -> tuple[MuxStream, RawPeer]:
        """:returns: a stream that the host has accepted, and its connection to the service"""
        stream = link.open()
        await stream.opened()
        return stream, await self.target.accept()

    async def gives_up(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until it says that it will not try again."""
        if self.is_ours:
            over = self._running.when_over()
            await until(lambda: True if over.called else None, "end of the host", deadline_s)
            assert over.result == 1
        else:
            program: Program = self._running
            assert await program.exited(deadline_s) == 1

    def said(self) -> list[dict[str, Any]]:
        """:returns: what the original's host has logged"""
        lines = self._running.printed().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    async def close(self) -> None:
        """End the router and the service."""
        await self.router.close()
        await self.target.close()
