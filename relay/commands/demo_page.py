"""The page that ``relay demo`` serves: what is running, what has travelled, and what to do next."""

from __future__ import annotations

import secrets
import time
from html import escape
from pathlib import Path
from string import Template
from typing import NamedTuple

from typing_extensions import override

from relay import __version__
from relay.commands.demo_guides import filled, guide_of
from relay.commands.demo_site import STATUS_PATH, STYLE, DemoSite
from relay.router import RouterService

FIGURES_PATH = b"/figures.json"


class Urls(NamedTuple):
    """What can be opened while the demo runs.

    :ivar page: the page through the tunnel
    :ivar direct: the same from its own server
    :ivar named: through the tunnel without a client, where the dialect has names for that
    :ivar users: the operator's page, where the dialect has one
    """

    page: str
    direct: str
    router: str
    admin: str
    named: str = ""
    users: str = ""

    def shown(self) -> dict[str, str]:
        """:returns: those that there are, by their names"""
        return {name: url for name, url in self._asdict().items() if url}


class Page(DemoSite):
    """The page, and the figures that it asks for while it is looked at.

    :param router: whose traffic is shown
    :ivar urls: set before anybody asks
    :ivar folder: where the demo's configuration is
    """

    urls = Urls("", "", "", "")
    folder = Path()

    def __init__(self, dialect: str, router: RouterService) -> None:
        super().__init__({FIGURES_PATH: self.figures})
        self._dialect = dialect
        self._router = router
        self._started = time.monotonic()
        self._mark = secrets.token_hex(8)

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

    @override
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
        safe = {name: escape(text) for name, text in values.items()}
        guide = guide_of(self._dialect)
        beside, machines = filled(guide.beside, safe), filled(guide.machines, safe)
        page = _PAGE.substitute(safe, style=STYLE, beside=beside, machines=machines)
        return page.encode()


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
$style
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
$beside
<p>The three configurations that make all this, and the tokens, are in <code>$folder</code> until
the demo ends.</p>

<h2>Next: your own machines</h2>
<p>On the public machine, then on that with the service, then on yours:</p>
<pre>$machines</pre>
<ul>
<li><code>relay check --origin etc/relay.ini</code> says what it opens, and to whom.</li>
<li><code>ssh -o ProxyCommand='relay connect ssh' lab</code> needs no local port at all.</li>
</ul>
<footer>relay $version &middot; Ctrl-C in its terminal ends the demo</footer>
</main>
<script>
const show = (id, value) => { document.getElementById(id).textContent = value; };
const tunnelled = location.host !== new URL("$direct").host;
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
