"""The users page of taas before a store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from zope.interface import implementer

from relay.dialects.taas.keys import ROUTER_KEYS
from relay.dialects.taas.users import UsersFace
from relay.errors import StoreFailed
from relay.faces import IRecords, IServices
from relay.http import Request, Response
from relay.settings.model import DialectSettings

HOST = "127.0.0.1:8893"


@implementer(IRecords)
class MemoryRecords:
    """A store.

    :ivar texts: what is in it
    :ivar away: whether it cannot be asked
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.away = False

    async def get(self, key: str) -> str | None:
        """The text, if there is one."""
        return self._there().get(key)

    async def put(self, key: str, text: str) -> None:
        """Keep a text."""
        self._there()[key] = text

    async def delete(self, key: str) -> bool:
        """Forget a text."""
        return self._there().pop(key, None) is not None

    async def all(self, wanted: Callable[[str], bool] | None = None) -> Mapping[str, str]:
        """All texts, or of the keys that are wanted."""
        texts = self._there()
        return {key: texts[key] for key in sorted(filter(wanted, texts))}

    async def close(self) -> None:
        """Nothing to let go of."""

    def _there(self) -> dict[str, str]:
        if self.away:
            raise StoreFailed("the store is away")
        return self.texts


class Services:
    """What the page asks of a router."""

    def __init__(self, store: MemoryRecords) -> None:
        self._store = store
        self.asked: list[tuple[str, str]] = []

    def records(self, dialect: str, database: str) -> MemoryRecords:
        """The store."""
        self.asked.append((dialect, database))
        return self._store

    def random_bits(self, bits: int) -> int:
        """Always the same."""
        return (1 << bits) - 1


class Desk:
    """Asks the page's face as its front door does.

    :ivar store: behind it
    """

    def __init__(self, certificate: Path | None = None, listen: str = "tcp:8899") -> None:
        values: dict[str, object] = {key.name: key.default for key in ROUTER_KEYS}
        values |= {"advertise": "192.0.2.7", "certificate": certificate, "database": "x.sqlite"}
        settings = DialectSettings("taas", (listen,), (), values, 0, 0)
        self.store = MemoryRecords()
        self.services = Services(self.store)
        self.face = UsersFace(settings)

    def send(self, method: str, target: str, **headers: str) -> Response:
        """:returns: the answer. :raises RelayError: a refusal"""
        named = {"host": HOST, **{name.replace("_", "-"): one for name, one in headers.items()}}
        path, _, query = target.partition("?")
        request = Request(
            method, target, path, query, tuple((n, v) for n, v in named.items() if v), "127.0.0.1"
        )
        assert self.face.matches(request)
        route = self.face.route(request)
        grant = self.face.grant({}, request, route)
        answer = self.face.answer(request, route, grant, cast(IServices, self.services))
        try:
            answer.send(None)
        except StopIteration as done:
            return cast(Response, done.value)
        raise AssertionError("the page waits for something")

    def act(self, action: str, **parameters: str) -> Any:
        """:returns: what an action's answer has as its result, or as its error"""
        response = self.send("POST", f"/?{urlencode({'action': action, **parameters})}")
        assert response.status == 200
        assert response.content_type == "application/json"
        (value,) = json.loads(response.body).items()
        return value
