"""The page of the demo of topics: a live feed, a talk with the instrument, and who is connected."""

from __future__ import annotations

import secrets
import time
from html import escape
from string import Template

from typing_extensions import override

from relay import __version__
from relay.commands.demo_instrument import FASTEST, GET_STATE
from relay.commands.demo_lab_script import SCRIPT
from relay.commands.demo_site import STYLE, DemoSite
from relay.commands.shows import TOKEN_LIFETIME_S, Desk
from relay.dialects.session_relay.notions import ADMIN, READ, STATS_TOPIC, WRITE

VIDEO, DATA = "lab-video", "lab-data"
LAB_PATH = b"/lab.json"


class Lab(DemoSite):
    """The page, and a booking of its own for each visit.

    :param desk: gives the tokens out
    :param folder: where the demo's configuration is
    """

    def __init__(self, desk: Desk, folder: str) -> None:
        super().__init__({LAB_PATH: self.visit})
        self._desk = desk
        self._folder = folder

    def visit(self) -> dict[str, object]:
        """:returns: what a visitor's page needs; in earnest nobody would hand out the last token"""
        booking = f"visit-{secrets.token_hex(4)}"
        seats = {
            "video": self._desk.seat(VIDEO, [READ], booking),
            "data": self._desk.seat(DATA, [READ, WRITE], booking),
            # of another booking: it goes on telling who is there when this one is cancelled
            "stats": self._desk.seat(STATS_TOPIC, [READ, WRITE], f"{booking}-desk"),
        }
        return {
            "booking": booking,
            "expires": int(time.time()) + TOKEN_LIFETIME_S,
            "access": self._desk.access,
            "seats": {name: seat._asdict() for name, seat in seats.items()},
            "admin": self._desk.token("", [ADMIN], ""),
        }

    @override
    def html(self) -> bytes:
        """:returns: the page; the same at each call"""
        values = {
            "access": self._desk.access,
            "folder": self._folder,
            "state": GET_STATE,
            "fastest": f"{FASTEST:g}",
            "video": VIDEO,
            "data": DATA,
            "version": __version__,
        }
        safe = {name: escape(text) for name, text in values.items()}
        return _PAGE.substitute(safe, style=STYLE + _STYLE, script=SCRIPT).encode()


_STYLE = """
.lab { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.lab > section, .who {
  padding: 1rem; border-radius: .7rem; background: var(--card); border: 1px solid var(--line);
}
.lab h2 { margin: 0 0 .6rem; }
#feed {
  display: block; width: 100%; aspect-ratio: 16 / 9; border-radius: .5rem;
  background: var(--wash); image-rendering: pixelated;
}
.is { margin-top: .5rem; font-size: .9rem; color: var(--good); }
.is.off { color: var(--bad); }
#log {
  height: 10.5rem; overflow-y: auto; margin: 0 0 .6rem; padding: .5rem .7rem; list-style: none;
  border-radius: .5rem; background: var(--ground); border: 1px solid var(--line);
  font: .8rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere;
}
#log .out { color: var(--accent); }
form { display: flex; gap: .4rem; }
input, button { font: inherit; color: inherit; border-radius: .5rem; }
input[type=text] {
  flex: 1; min-width: 0; padding: .35rem .6rem; background: var(--ground);
  border: 1px solid var(--line);
}
input[type=range] { width: 100%; accent-color: var(--accent); }
button {
  padding: .35rem .9rem; border: 1px solid var(--line); background: var(--wash); cursor: pointer;
}
button:disabled { opacity: .45; cursor: default; }
.booking { display: flex; gap: .6rem; align-items: center; flex-wrap: wrap; }
.who { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; white-space: nowrap; }
th { color: var(--soft); font-weight: 500; }
"""

_PAGE = Template(
    """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>relay demo: a lab with many watchers</title>
<style>
$style
</style>
</head>
<body>
<main>
<span class="badge" id="way">served by relay demo</span>
<h1>A camera and an instrument, for everybody with a booking</h1>
<p class="lead">Both stand behind a host that only dials out. This page has asked the router for
sessions, each with a token of its booking, and hears what is said on two topics as a WebSocket
each. Open it again in another window: both see the same.</p>

<div class="path">
<div><b>rig</b><small>a camera, an instrument</small></div>
<i>&rarr;</i>
<div><b>host</b><small>feeds <q>camera</q> and <q>data</q></small></div>
<i>&rarr;</i>
<div class="middle">
<b>router</b><small>topics <q>$video</q> and <q>$data</q><br>$access</small>
</div>
<i>&larr;</i>
<div><b>you</b><small>booking <q id="booking">&ndash;</q></small></div>
</div>

<h2>Live</h2>
<div class="lab">
<section>
<h2>The camera</h2>
<img id="feed" alt="what the camera sees">
<div class="is" id="video-is">asking for a session</div>
</section>
<section>
<h2>The instrument</h2>
<ul id="log" aria-live="polite"></ul>
<form id="talk">
<input type="text" id="words" value="$state" aria-label="a message" maxlength="900">
<button>say</button>
</form>
<label>speed
<input type="range" id="speed" min="-$fastest" max="$fastest" step="1" value="1"></label>
<div class="is" id="data-is">asking for a session</div>
</section>
</div>

<h2>What has come</h2>
<div class="figures">
<div><output id="frames">0</output><small>pictures, <span id="rate">0</span> a second</small></div>
<div><output id="video-bytes">0</output><small>bytes of pictures</small></div>
<div><output id="messages">0</output><small>messages of data</small></div>
<div><output id="data-bytes">0</output><small>bytes of data</small></div>
</div>

<h2>Your booking</h2>
<div class="booking">
<button id="cancel">cancel it</button>
<button id="allow" disabled>allow it again</button>
<span class="is" id="booking-is">it is good</span>
</div>
<p>Cancelling ends what this page holds at once, and lets it in no more; it is done with a token
of the router's operator, which a real page does not have.</p>

<h2>Who is connected</h2>
<div class="who">
<table>
<thead><tr><th>topic</th><th>may</th><th>since (UTC)</th><th>program</th></tr></thead>
<tbody id="who"></tbody>
</table>
<div class="is" id="stats-is">asking for a session</div>
</div>

<h2>While this runs</h2>
<p>The terminal in which it was started says what else there is to try: ask for a session with
<code>curl</code>, write the talk down with <code>relay record</code>, or play the file
<code>tour.play</code>. Configurations and tokens are in <code>$folder</code> until the demo
ends.</p>

<h2>Next: your own</h2>
<p>On the public machine, then on that with the camera, then for a watcher:</p>
<pre>twistd -n relay-router --config etc/relay.ini
relay token session-relay --topic cam --scope write --booking-id rig \\
                          --config etc/relay.ini &gt; rig.token
relay token session-relay --topic cam --scope read --booking-id b-1 \\
                          --config etc/relay.ini &gt; me.token

twistd -n relay-host --dialect session-relay --token-file rig.token --stream video \\
                     --session https://relay.example.org/access/session/cam
ffmpeg -i CAMERA -f mpegts -codec:v mpeg1video http://127.0.0.1:8888/ts/video

relay record --session https://relay.example.org/access/session/cam \\
             --token-file me.token --mode binary --file film.ts</pre>
<footer>relay $version &middot; Ctrl-C in its terminal ends the demo</footer>
</main>
<script>
$script
</script>
</body>
</html>
"""
)
