"""What the pages of all demos have in common: how they are served, and how they look."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from twisted.web.http import FORBIDDEN, NOT_FOUND, Request
from twisted.web.resource import Resource

from relay.addresses import is_loopback

STATUS_PATH = "/api/v1/status"


class DemoSite(Resource):
    """One page, and values that its script asks for.

    :param values: by path, what makes each
    """

    isLeaf = True

    def __init__(self, values: Mapping[bytes, Callable[[], object]]) -> None:
        super().__init__()
        self._values = values

    def html(self) -> bytes:
        """:returns: the page"""
        raise NotImplementedError

    def render_GET(self, request: Request) -> bytes:
        """Serve the page, a value, or nothing; nothing either to whom a foreign name led here."""
        request.setHeader(b"Cache-Control", b"no-store")
        if not _is_own(request.getHeader(b"host") or b""):
            return _told(request, FORBIDDEN, b"this is served on loopback alone\n")
        if request.path == b"/":
            request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
            return self.html()
        if make := self._values.get(request.path):
            request.setHeader(b"Content-Type", b"application/json")
            return json.dumps(make()).encode()
        return _told(request, NOT_FOUND, b"nothing is served here\n")


def _told(request: Request, status: int, text: bytes) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", b"text/plain")
    return text


def _is_own(named: bytes) -> bool:
    """:param named: the header ``Host``. :returns: whether it leads to this machine for sure"""
    try:
        return is_loopback(urlsplit(f"//{named.decode('latin-1')}").hostname or "")
    except ValueError:
        return False  # brackets that do not close


STYLE = """\
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --ink: #1d2330; --soft: #5d6678; --line: #dde1e8;
  --accent: #3157d5; --wash: #e9eefc; --good: #18794e; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151c; --card: #1a1f29; --ink: #e8ebf1; --soft: #9aa4b7; --line: #2c3341;
    --accent: #8ea8ff; --wash: #222b45; --good: #5fd39b; --bad: #ff8f86;
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
footer { margin-top: 3rem; color: var(--soft); font-size: .9rem; }"""
"""Of every demo's page, light and dark."""
