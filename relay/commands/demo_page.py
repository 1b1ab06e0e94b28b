"""The page that ``relay demo`` serves: what is running, what has travelled, and what to do next."""

from __future__ import annotations

import json
import secrets
import time
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from twisted.web.http import NOT_FOUND, Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from relay import __version__
from relay.router import RouterService

STATUS_PATH = "/api/v1/status"
FIGURES_PATH = b"/figures.json"


class Urls(NamedTuple):
    """What can be opened while the demo runs.

    :ivar page: the page through the tunnel
    :ivar direct: the same from its own server
    """

    page: str
    direct: str
    router: str
    admin: str


class Page(Resource):
    """The page, and the figures that it asks for while it is looked at.

    :param router: whose traffic is shown
    :ivar urls: set before anybody asks
    :ivar folder: where the demo's configuration is
    """

    isLeaf = True
    urls = Urls("", "", "", "")
    folder = Path()

    def __init__(self, dialect: str, router: RouterService) -> None:
        super().__init__()
        self._dialect = dialect
        self._router = router
        self._started = time.monotonic()
        self._mark = secrets.token_hex(8)

    def site(self) -> Site:
        """:returns: a server of it."""
        site = Site(self)
        site.noisy = False
        site.displayTracebacks = False
        return site

    def render_GET(self, request: Request) -> bytes:
        """Serve the page, its figures, or nothing."""
        request.setHeader(b"Cache-Control", b"no-store")
        if request.path == b"/":
            request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
            return self.html()
        if request.path == FIGURES_PATH:
            request.setHeader(b"Content-Type", b"application/json")
            return json.dumps(self.figures()).encode()
        request.setResponseCode(NOT_FOUND)
        request.setHeader(b"Content-Type", b"text/plain")
        return b"nothing is served here\n"

    def figures(self) -> dict[str, object]:
        """:returns: what has gone through the router so far."""
        metrics = self._router.around.metrics
        circuits = self._router.broker.circuits
        counted = {
            way: sum(count for (_, key), count in metrics.bytes_total.items() if key == way)
            for way in ("up", "down")
        }
        for circuit in circuits:
            up, down = circuit.bytes()
            counted["up"] += up
            counted["down"] += down
        return {
            "dialect": self._dialect,
            "bytes_up": counted["up"],
            "bytes_down": counted["down"],
            "circuits": len(circuits),
            "calls": sum(metrics.circuits_total.values()) + len(circuits),
            "seconds": round(time.monotonic() - self._started),
        }

    def html(self) -> bytes:
        """:returns: the page; the same at each call."""
        values = {
            "version": __version__,
            "dialect": self._dialect,
            "mark": self._mark,
            "folder": str(self.folder),
            "status": self.urls.admin + STATUS_PATH,
            **self.urls._asdict(),
        }
        return _PAGE.substitute({name: escape(text) for name, text in values.items()}).encode()


_PAGE = Template(
    """\
<!doctype html>
<html lang="en" data-mark="$mark">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>relay demo: it works</title>
<style>
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --ink: #1d2330; --soft: #5d6678; --line: #dde1e8;
  --accent: #3157d5; --wash: #e9eefc; --good: #18794e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151c; --card: #1a1f29; --ink: #e8ebf1; --soft: #9aa4b7; --line: #2c3341;
    --accent: #8ea8ff; --wash: #222b45; --good: #5fd39b;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 54rem; margin: 0 auto; padding: 3.5rem 1.25rem 4rem; }
h1 { font-size: 2.1rem; line-height: 1.2; letter-spacing: -.02em; margin: .4rem 0 .6rem; }
h2 { font-size: 1.05rem; margin: 2.6rem 0 .8rem; }
p { margin: .4rem 0; }
.lead { color: var(--soft); font-size: 1.1rem; max-width: 42rem; }
.badge {
  display: inline-block; padding: .15rem .7rem; border-radius: 99px; font-size: .85rem;
  font-weight: 600; color: var(--good); background: var(--card); border: 1px solid var(--line);
}
.path { display: flex; align-items: stretch; gap: .3rem; margin-top: 2rem; flex-wrap: wrap; }
.path div {
  flex: 1 1 8rem; padding: .8rem .9rem; border-radius: .7rem; background: var(--card);
  border: 1px solid var(--line);
}
.path .middle { background: var(--wash); border-color: transparent; }
.path b { display: block; }
.path small { color: var(--soft); overflow-wrap: anywhere; }
.path i { align-self: center; font-style: normal; color: var(--accent); font-size: 1.2rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .6rem; }
.figures div {
  padding: .9rem 1rem; border-radius: .7rem; background: var(--card); border: 1px solid var(--line);
}
.figures output {
  display: block; font-size: 1.5rem; font-weight: 650; font-variant-numeric: tabular-nums;
}
.figures small { color: var(--soft); }
pre {
  margin: .5rem 0 1.1rem; padding: .85rem 1rem; border-radius: .7rem; overflow-x: auto;
  background: var(--card); border: 1px solid var(--line);
  font: .85rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
}
a { color: var(--accent); }
ul { padding-left: 1.2rem; margin: .4rem 0; }
footer { margin-top: 3rem; color: var(--soft); font-size: .9rem; }
</style>
</head>
<body>
<main>
<span class="badge" id="way">served by relay demo</span>
<h1>Two machines that can only dial out, joined by a router</h1>
<p class="lead">This page stands on a small web server that nobody can reach from outside. A host
beside it and a client beside you have both dialled a router, and the router joins them: reading
this through the tunnel means that it works.</p>

<div class="path">
<div><b>you</b><small><a href="$page">$page</a></small></div>
<i>&rarr;</i>
<div><b>client</b><small>accepts here, calls <q>web</q></small></div>
<i>&rarr;</i>
<div class="middle"><b>router</b><small>$router<br>speaks $dialect</small></div>
<i>&larr;</i>
<div><b>host</b><small>offers <q>web</q></small></div>
<i>&rarr;</i>
<div><b>page</b><small><a href="$direct">$direct</a></small></div>
</div>

<h2>What has travelled</h2>
<div class="figures">
<div><output id="down">&ndash;</output><small>bytes to callers</small></div>
<div><output id="up">&ndash;</output><small>bytes from callers</small></div>
<div>
<output id="calls">&ndash;</output><small>calls, <span id="circuits">&ndash;</span> open</small>
</div>
<div><output>$dialect</output><small>the dialect</small></div>
</div>

<h2>While this runs</h2>
<p>What the router sees, as a table or <a href="$status">as JSON</a>:</p>
<pre>relay status --admin $admin</pre>
<p>The same tunnel without a local port, as ssh would use it:</p>
<pre>printf 'GET / HTTP/1.0\\r\\n\\r\\n' | relay connect --config $folder/client.ini web</pre>
<p>The three configurations that make all this, and the tokens, are in <code>$folder</code> until
the demo ends.</p>

<h2>Next: your own machines</h2>
<p>On the public machine, then on that with the service, then on yours:</p>
<pre>twistd -n relay-router --config etc/relay.ini
relay token portal host --id 1234 --config etc/relay.ini &gt; web.token
relay token portal client --id 1234 --config etc/relay.ini &gt; me.token

twistd -n relay-host   --router wss://relay.example.org --token-file web.token \\
                       --service web --forward tcp:127.0.0.1:8080

twistd -n relay-client --router wss://relay.example.org --token-file me.token \\
                       --service web --listen tcp:8000:interface=127.0.0.1</pre>
<ul>
<li><code>relay check --origin etc/relay.ini</code> says what it opens, and to whom.</li>
<li><code>ssh -o ProxyCommand='relay connect ssh' lab</code> needs no local port at all.</li>
</ul>
<footer>relay $version &middot; Ctrl-C in its terminal ends the demo</footer>
</main>
<script>
const show = (id, value) => { document.getElementById(id).textContent = value; };
const tunnelled = location.host === new URL("$page").host;
show("way", tunnelled ? "you read this through the tunnel" : "you read this without the tunnel");
const look = async () => {
  try {
    const figures = await (await fetch("figures.json")).json();
    show("down", figures.bytes_down.toLocaleString());
    show("up", figures.bytes_up.toLocaleString());
    show("calls", figures.calls.toLocaleString());
    show("circuits", figures.circuits);
    setTimeout(look, 1000);
  } catch {
    show("way", "the demo has ended");
  }
};
look();
</script>
</body>
</html>
"""
)
