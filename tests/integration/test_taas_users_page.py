"""The users page of taas, asked by programs and shown by a real browser."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet.threads import deferToThread

from relay.dialects.taas.records import parse_provisioning
from tests.integration.chromium import browser
from tests.integration.devtools import Page, page_at
from tests.integration.taas_page_room import PageRoom

DEADLINE_S = 20.0
FILL = """((form, values) => {
  for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
  form.requestSubmit();
})(document.getElementById(%s), %s)"""
SAID = "document.getElementById('said').textContent"
ENTRIES = "document.getElementById('entries').textContent"


def ask(
    port: int, method: str, target: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """:returns: status, headers with names in lower case, and body of the answer to a program"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, named, answer.read()
    finally:
        connection.close()


@pytest_twisted.ensureDeferred
async def test_programs(tmp_path: Path) -> None:
    """What the original's page answers to a program is answered here, with the same statuses."""
    room = PageRoom(tmp_path)

    def visit() -> list[Any]:
        def act(query: str, **more: Any) -> Any:
            return json.loads(ask(room.port, "POST", f"/?{query}", **more)[2])

        status, headers, _ = ask(room.port, "PUT", "/")
        assert (status, headers["allow"]) == (405, "GET, POST")
        assert ask(room.port, "GET", "/index.html")[0] == 404
        assert ask(room.port, "GET", "/", Host="evil.example")[0] == 403
        assert ask(room.port, "POST", "/?action=list", Origin="http://evil.example")[0] == 403
        made = act("action=create&label=alpha&labels=cam.alpha", body=b"ignored " * 20_000)
        return [made, act("action=list"), act("action=list", body=b"ignored")]

    made, first, second = await deferToThread(visit)
    entry = made["result"]["entry"]
    assert first == second == {"result": {"entries": {entry["uuid"]: entry}}}
    store = room.stores.records("taas", "")
    assert list(await store.all()) == [entry["uuid"]]
    await room.close()


@pytest_twisted.ensureDeferred
async def test_a_browser(tmp_path: Path) -> None:
    """An operator creates an entry, takes its file and deletes it; nothing of it is run."""
    browser()
    room = PageRoom(tmp_path)
    store = room.stores.records("taas", "")
    evil = "<img src=x onerror=document.title='evil'>"
    foreign = {
        "authParams": {"base32": "GEZDGNBVGY3TQOJQGEZDGNBV", "protocol": evil},
        "labels": [evil],
    }
    await store.put("foreign", json.dumps(foreign))

    def fill(page: Page, form: str, **values: str) -> None:
        page.ask(FILL % (json.dumps(form), json.dumps(values)))

    def use() -> dict[str, Any]:
        with page_at(f"http://127.0.0.1:{room.port}/", tmp_path / "browser") as page:
            page.until(f"{ENTRIES}.includes('foreign')")
            assert page.ask(f'{ENTRIES}.includes("onerror")')
            fill(page, "create", uuid="", label="alpha", labels="gw.alpha:62052  cam")
            page.until(f"{SAID}.includes('is created')")
            page.until(f"{ENTRIES}.includes('gw.alpha:62052')")
            fill(page, "create", uuid="", label="alpha", labels="")
            refused = page.until(f"{SAID}.includes('is listed by') && {SAID}")
            page.ask("document.querySelector('#entries details').open = true")
            page.until("document.querySelector('#entries img')?.naturalWidth > 100")
            page.ask("""(() => {
              window.blobs = [];
              URL.createObjectURL = (blob) => { window.blobs.push(blob); return "data:,"; };
              HTMLAnchorElement.prototype.click = function () { window.file = this.download; };
              document.querySelector('#entries button.quiet').click();
            })()""")
            page.until("window.file !== undefined")
            file = page.ask("window.blobs[0].text()")
            fill(page, "adduser", username="owntracks/alpha/bob", password="correct horse")
            page.until(f"{ENTRIES}.includes('owntracks/alpha/bob')")
            page.ask("window.confirm = () => true")
            for _ in range(3):
                count = page.ask("document.querySelectorAll('article').length")
                page.ask("document.querySelector('#entries button.bad').click()")
                page.until(f"document.querySelectorAll('article').length === {count - 1}")
            return {
                "refused": refused,
                "file": file,
                "name": page.ask("window.file"),
                "title": page.ask("document.title"),
                "left": page.ask(ENTRIES),
            }

    seen = await deferToThread(use)
    told = parse_provisioning(seen["file"])
    assert seen["name"] == f"{told.uuid}.js"
    assert list(map(str, told.labels)) == ["alpha", "gw.alpha:62052", "cam"]
    assert told.uuid in seen["refused"]
    assert seen["title"] == "relay: users of taas"
    assert "There are none yet." in seen["left"]
    assert await store.all() == {}
    await room.close()
