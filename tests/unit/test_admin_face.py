"""The admin address, asked without a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from relay.admin.face import AdminFace
from relay.errors import BadRequest
from relay.faces import IServices
from relay.http import Request


class Revoker:
    """A router of which only revocations are asked."""

    def __init__(self) -> None:
        self.broker = self
        self.revoked: list[dict[str, object]] = []

    def revoke(self, **what: object) -> int:
        self.revoked.append(what)
        return 1


def ask(router: Revoker, body: bytes, *headers: tuple[str, str]) -> bytes:
    """:returns: the body of the answer to a revocation"""
    face = AdminFace(cast(Any, router), Path())
    request = Request(
        "POST", "/api/v1/revoke", "/api/v1/revoke", "", headers, "127.0.0.1", body=body
    )
    route = face.route(request)
    grant = face.grant({}, request, route)
    answering = face.answer(request, route, grant, cast(IServices, None)).__await__()
    with pytest.raises(StopIteration) as answered:
        next(iter(answering))
    return cast(bytes, answered.value.value.body)


def test_a_revocation() -> None:
    """What is said is handed on."""
    router = Revoker()
    assert b'"ended": 1' in ask(router, b'{"subject": "lab", "until": 1e10}')
    assert router.revoked == [{"until": 1e10, "subject": "lab"}]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9100"])
def test_a_web_page_may_not_revoke(origin: str) -> None:
    """A browser on the router's machine may reach loopback, and says whose page asks."""
    router = Revoker()
    with pytest.raises(BadRequest, match="web page"):
        ask(router, b'{"subject": "lab"}', ("origin", origin))
    assert router.revoked == []


@pytest.mark.parametrize("until", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_time_that_is_none(until: str) -> None:
    """What no clock ever shows would end at once, or never."""
    router = Revoker()
    with pytest.raises(BadRequest, match="until is a time"):
        ask(router, b'{"subject": "lab", "until": %s}' % until.encode())
    assert router.revoked == []
