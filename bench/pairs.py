"""Router and host of websocktunnel, ours and the originals', and the ways through them."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import NamedTuple

from bench.originals import OURS, THEIRS, left_out
from bench.processes import peer
from bench.programs import LOOPBACK, Program, Workshop, free_ports, listens, wait
from relay.auth import mint
from relay.measuring.processes import START_S
from relay.measuring.runs import Way, service, web_way
from relay.measuring.web import GIVE

DIALECT = "websocktunnel"
ORIGINALS = ("websocktunnel", "wst-client")
TUNNEL_ID = "demo"
TOKEN_LIFETIME_S = 30 * 86400
SOCKET_PATH = f"/{TUNNEL_ID}/ws"
BACKLOG = 1024
NO_ORIGINALS = left_out(DIALECT)


class Pair(NamedTuple):
    """A router and, unless only the router matters, a host with one tunnel.

    :ivar port: where viewers and hosts knock
    :ivar app: where the host looks for its application
    """

    name: str
    port: int
    app: int
    programs: tuple[Program, ...]

    @property
    def web(self) -> Way:
        """:returns: the way of a viewer's requests"""
        return web_way(self.port, f"/{TUNNEL_ID}", self.app, *self.programs)

    @property
    def socket(self) -> Way:
        """:returns: the way of a viewer's WebSocket"""
        near = {"kind": "ws", "port": self.port, "path": SOCKET_PATH}
        return Way(near, {"kind": "serve", "port": self.app}, True, self.programs)

    def rss_mib(self) -> float:
        """:returns: resident memory of its programs together"""
        return sum(program.rss_kib() for program in self.programs) / 1024


Maker = Callable[[Workshop], Pair]


def makers() -> dict[str, Maker]:
    """:returns: how to start the pairs that are at hand, by name"""
    ours: dict[str, Maker] = {OURS: our_pair}
    if all(peer(name, DIALECT) for name in ORIGINALS):
        ours[THEIRS] = go_pair
    return ours


def our_pair(shop: Workshop) -> Pair:
    """Start ours. :returns: it, once an answer has come through"""
    port, app = free_ports(2)
    router = our_router(shop, port)
    shop.write("wst-host.token", token(shop, TUNNEL_ID))
    lines = (
        f"[host:{TUNNEL_ID}]",
        f"dialect = {DIALECT}",
        f"router = http://{LOOPBACK}:{port}",
        "token-file = wst-host.token",
        f"id = {TUNNEL_ID}",
        f"forward = tcp:{LOOPBACK}:{app}",
    )
    return _answering(
        shop, Pair(OURS, port, app, (router, shop.tunnels("host", ["\n".join(lines)])))
    )


def our_router(shop: Workshop, port: int) -> Program:
    """:returns: our router, listening"""
    shop.write("wst.secret", shop.secret)
    lines = (
        "[router]",
        f"listen = tcp:{port}:interface={LOOPBACK}:backlog={BACKLOG}",
        "state-dir = wst-state",
        f"[dialect:{DIALECT}]",
        "secret-a-file = wst.secret",
        "secret-b-file = wst.secret",
        f"url-prefix = http://{LOOPBACK}:{port}",
    )
    shop.write("wst.ini", "\n".join(lines))
    router = shop.twistd("relay-router", "--config", "wst.ini")
    router.says("ready")
    return router


def go_pair(shop: Workshop) -> Pair:
    """Start the originals'. :returns: it, once an answer has come through"""
    port, app = free_ports(2)
    server = go_server(shop, port)
    words = (f"http://{LOOPBACK}:{port}", TUNNEL_ID, str(app), token(shop, TUNNEL_ID))
    client = shop.original("wst-client", *words, dialect=DIALECT)
    return _answering(shop, Pair(THEIRS, port, app, (server, client)))


def go_server(shop: Workshop, port: int) -> Program:
    """:returns: the originals' router, listening"""
    environment = {
        "URL_PREFIX": f"http://{LOOPBACK}:{port}",
        "PORT": str(port),
        "TASKCLUSTER_PROXY_SECRET_A": shop.secret,
        "TASKCLUSTER_PROXY_SECRET_B": shop.secret,
    }
    server = shop.original("websocktunnel", dialect=DIALECT, **environment)
    wait(lambda: listens(port), "the original's server listening", START_S)
    return server


def routers() -> dict[str, Callable[[Workshop, int], Program]]:
    """:returns: how to start the routers that are at hand, alone, by name"""
    return {OURS: our_router, THEIRS: go_server}


def token(shop: Workshop, name: str) -> str:
    """:returns: what lets a host stand for that id"""
    now = int(time.time())
    claims = {"tid": name, "nbf": now - 60, "exp": now - 60 + TOKEN_LIFETIME_S}
    return mint(claims, shop.secret.encode())


def _answering(shop: Workshop, pair: Pair) -> Pair:
    """Wait until the host stands. :returns: the pair"""
    site = service(shop, pair.web)

    def answers() -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, pair.port, timeout=START_S)
        try:
            connection.request("GET", f"/{TUNNEL_ID}{GIVE}1")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    wait(answers, f"an answer through {pair.name}", START_S)
    shop.end(site)
    return pair
