"""The users page of taas: its actions, and who is turned away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from zope.interface.verify import verifyObject

from relay.dialects.taas.certificates import make_certificate
from relay.dialects.taas.records import Record, parse_provisioning
from relay.dialects.taas.users import page_token
from relay.errors import (
    AuthError,
    BadRequest,
    MethodNotAllowed,
    NotFound,
    RelayError,
    StoreFailed,
    TooLarge,
)
from relay.faces import IRouterFace
from tests.dialects.taas_page import HOST, Desk

ID = "2f402f80-da50-11e1-9b23-0000000000aa"


@pytest.fixture
def desk() -> Desk:
    """A page over an empty store."""
    return Desk()


def error(diagnostic: str) -> tuple[str, object]:
    """An action's answer that tells what is wrong."""
    return "error", {"permanent": True, "diagnostic": diagnostic}


# -- actions -------------------------------------------------------------------------------------


def test_create(desk: Desk) -> None:
    """A fresh record is stored, the label first unless it is among the others."""
    kind, value = desk.act("create", uuid=ID, label=" alpha ", labels="gw.alpha:62052, cam")
    assert kind == "result"
    assert value == {"entry": json.loads(desk.store.texts[ID])}
    assert value["entry"]["labels"] == ["alpha", "gw.alpha:62052", "cam"]
    record = Record.parse(desk.store.texts[ID])
    assert record.name == "alpha.taas.example.com"
    assert record.qrcode_url.startswith("data:image/png;base64,")
    _, value = desk.act("create", uuid=ID.upper(), label="cam", labels="alpha,cam")
    assert value["entry"]["labels"] == ["alpha", "cam"]
    again = Record.parse(desk.store.texts[ID])
    assert again.base32 != record.base32
    assert desk.services.asked[0] == ("taas", "x.sqlite")


def test_create_without_an_id(desk: Desk) -> None:
    """A new one is made."""
    _, value = desk.act("create", label="alpha")
    assert list(desk.store.texts) == [value["entry"]["uuid"]]


@pytest.mark.parametrize(
    ("parameters", "diagnostic"),
    [
        ({"uuid": ID}, "missing label parameter"),
        ({"uuid": ID, "label": " "}, "missing label parameter"),
        ({"uuid": "<b>", "label": "a"}, 'invalid uuid parameter: "<b>"'),
        ({"label": "other"}, "label other is listed by o already"),
    ],
)
def test_create_what_cannot_be(desk: Desk, parameters: dict[str, str], diagnostic: str) -> None:
    """What is wrong is told, and nothing stored."""
    desk.store.texts["o"] = (
        '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV"},"labels":["other"]}'
    )
    assert desk.act("create", **parameters) == error(diagnostic)
    assert list(desk.store.texts) == ["o"]


def test_list_and_delete(desk: Desk) -> None:
    """Records go by their keys; those with _, and what is no record, are not shown."""
    desk.act("create", uuid=ID, label="alpha")
    desk.act("adduser", username="owntracks/alpha/bob", password="correct horse")
    desk.store.texts |= {"x_y": "{}", "note": "text", "[]": "[]"}
    _, value = desk.act("list")
    assert list(value["entries"]) == [ID, "owntracks/alpha/bob"]
    assert value["entries"][ID] == json.loads(desk.store.texts[ID])
    _, value = desk.act("delete", uuid=ID.upper())
    assert list(value["entries"]) == ["owntracks/alpha/bob"]
    assert desk.act("deluser", username="owntracks/alpha/bob") == ("result", {"entries": {}})
    assert desk.act("delete", uuid=ID) == ("result", {"entries": {}})
    assert list(desk.store.texts) == ["x_y", "note", "[]"]


def test_add_a_user(desk: Desk) -> None:
    """The password is kept as its hash, and nowhere else."""
    _, value = desk.act("adduser", username="owntracks/alpha/bob", password="correct horse")
    assert value["entry"]["authParams"]["hash"].startswith("$2a$")
    assert value["entry"]["username"] == "owntracks/alpha/bob"
    assert "correct horse" not in str(desk.store.texts)
    kind, value = desk.act("adduser", username="a/b/c", password="short")
    assert kind == "error"
    assert "short" not in value["diagnostic"]


def test_actions_that_are_none(desk: Desk) -> None:
    """One that is missing, unknown, or without what it needs is an error."""
    value = json.loads(desk.send("POST", "/").body)
    assert value["error"]["diagnostic"] == "missing action parameter"
    assert desk.act("<i>") == error('unknown action: "<i>"')
    assert desk.act("delete") == error('invalid uuid parameter: ""')
    assert desk.act("deluser", username="bob")[0] == "error"
    assert desk.act("provision", uuid="nobody")[0] == "error"
    fields = {f"f{number}": "" for number in range(100)}
    assert desk.act("list", **fields)[0] == "error"


def test_a_store_that_is_away(desk: Desk) -> None:
    """It is told as any error is."""
    desk.store.away = True
    assert desk.act("list") == error("the store is away")


def test_provision(tmp_path: Path) -> None:
    """The hidden server's file is offered, with the router's address and certificate in it."""
    path = tmp_path / "registrar.crt"
    path.write_bytes(make_certificate("192.0.2.7", "r.example", "s.example", 0).certificate)
    desk = Desk(path)
    desk.store.texts[ID] = '{"authParams":{"base32":"GEZDGNBVGY3TQOJQGEZDGNBV"},"labels":["alpha"]}'
    kind, value = desk.act("provision", uuid=ID)
    assert kind == "result"
    assert value["file"] == f"{ID}.js"
    assert value["qrcodeURL"].startswith("data:image/png;base64,")
    told = parse_provisioning(value["text"])
    assert (told.uuid, told.host, told.port) == (ID, "192.0.2.7", 8899)
    assert (told.name, told.ca_pem) == ("alpha.taas.example.com", path.read_text())


def test_provision_without_a_port() -> None:
    """A listener whose port differs from start to start cannot be named."""
    desk = Desk(listen="tcp:0")
    desk.act("create", uuid=ID, label="alpha")
    assert desk.act("provision", uuid=ID) == error("the router's listener has no fixed port")


# -- who is turned away --------------------------------------------------------------------------


def test_the_page(desk: Desk) -> None:
    """It holds no record, may be neither framed nor kept, and runs no script but its own."""
    desk.act("create", uuid=ID, label="alpha")
    response = desk.send("GET", "/")
    assert response.status == 200
    headers = dict(response.headers)
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    policy = headers["Content-Security-Policy"]
    for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action"):
        assert part in policy
    nonce = "f" * 32
    assert f"script-src 'nonce-{nonce}';" in policy
    page = response.body.decode()
    assert page.count(f'nonce="{nonce}"') == 2
    assert page_token() in page
    assert ID not in page
    assert Record.parse(desk.store.texts[ID]).base32 not in page
    assert "alpha.taas.example.com" not in page


def test_paths_and_methods(desk: Desk) -> None:
    """There is one path, and two methods for it."""
    for target in ("/index.html", "/x?action=list", "//"):
        with pytest.raises(NotFound):
            desk.send("POST", target)
    for method in ("HEAD", "PUT", "OPTIONS", "DELETE"):
        with pytest.raises(MethodNotAllowed) as caught:
            desk.send(method, "/")
        assert caught.value.allow == "GET, POST"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", HOST, "localhost:1", "LOCALHOST", "[::1]:8893", "127.9.9.9", ""]
)
def test_names_of_this_machine(desk: Desk, host: str) -> None:
    """A browser on this machine, or a program, gets the page and what it asks for."""
    assert desk.send("GET", "/", host=host).status == 200
    assert desk.send("POST", "/?action=list", host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.7", "[::", "localhost@evil.example"]
)
def test_other_names(desk: Desk, host: str) -> None:
    """A name that was made to lead here gets nothing."""
    for method in ("GET", "POST"):
        with pytest.raises(AuthError):
            desk.send(method, "/?action=list", host=host)


def test_our_own_page(desk: Desk) -> None:
    """It shows its origin and its token."""
    ours = {"origin": f"http://{HOST}", "sec_fetch_site": "same-origin"}
    response = desk.send("POST", "/?action=list", **ours, x_relay_token=page_token())
    assert response.status == 200
    for token in ("", "x" * 64):
        with pytest.raises(AuthError, match="load it again"):
            desk.send("POST", "/?action=list", **ours, x_relay_token=token)


@pytest.mark.parametrize(
    "origin", ["null", "http://evil.example", "http://127.0.0.1:1", "http://localhost:8893", "x"]
)
def test_pages_of_others(desk: Desk, origin: str) -> None:
    """A page of another origin gets nothing, whatever it shows."""
    with pytest.raises(AuthError):
        desk.send("POST", "/?action=list", origin=origin, x_relay_token=page_token())


def test_requests_from_other_sites(desk: Desk) -> None:
    """What a browser asks on behalf of another site is refused, but for following a link."""
    for site in ("cross-site", "same-site"):
        for method in ("GET", "POST"):
            with pytest.raises(AuthError):
                desk.send(method, "/", sec_fetch_site=site, sec_fetch_mode="cors")
        link = {"sec_fetch_site": site, "sec_fetch_mode": "navigate"}
        assert desk.send("GET", "/", **link).status == 200
        with pytest.raises(AuthError):
            desk.send("POST", "/", **link)
    assert desk.send("GET", "/", sec_fetch_site="none").status == 200


def test_the_face(desk: Desk) -> None:
    """It is one; and each refusal has its status."""
    verifyObject(IRouterFace, desk.face)
    statuses: dict[RelayError, int] = {
        AuthError(): 403,
        NotFound(): 404,
        MethodNotAllowed(): 405,
        TooLarge(): 413,
        BadRequest(): 400,
        StoreFailed(): 503,
    }
    for refusal, status in statuses.items():
        assert desk.face.wire_code(refusal) == status
