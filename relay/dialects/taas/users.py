"""The users page: what an operator does with a browser, or a program in its place; taas.md §10.

It has no login and is served on loopback alone. A page of somebody else's in the operator's browser
gets nothing from it: the Host has to be this machine's, an Origin that of the page, which alone
knows the token (§16).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from zope.interface import implementer

from relay.addresses import is_loopback
from relay.dialects.taas.administration import (
    check_free,
    check_labels,
    entry_of,
    find_record,
    make_record,
    new_id,
    normal_id,
)
from relay.dialects.taas.certificates import root_of
from relay.dialects.taas.keys import (
    CERTIFICATE_KEY,
    REGISTRAR_KEY,
    SERVERS_KEY,
    advertised,
    database_url,
    front_port,
)
from relay.dialects.taas.notions import DIALECT, is_id
from relay.dialects.taas.pictures import data_url
from relay.dialects.taas.records import provisioning
from relay.dialects.taas.users_page import users_page
from relay.errors import (
    AuthError,
    BadRequest,
    ConfigurationError,
    MethodNotAllowed,
    NotFound,
    RelayError,
    TooLarge,
    WrongRole,
)
from relay.faces import IRecords, IRouterFace, IServices, Route
from relay.http import Request, Response
from relay.interfaces import IConversation
from relay.settings.faults import quoted
from relay.settings.model import DialectSettings
from relay.settings.secrets import make_secret
from relay.vocabulary import Claims, Credential, Grant, Nothing, Role

TOKEN_HEADER = "x-relay-token"
FIELDS = 32
"""How many parameters a query may have."""
BODY_BYTES = 64 * 1024
"""How much of a body, which nobody looks at, is read."""
NONCE_BITS = 128

Parameters = Mapping[str, str]

_HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


@cache
def page_token() -> str:
    """:returns: what pages of this process show with what they ask; a reload does not change it"""
    return make_secret()


@implementer(IRouterFace)
class UsersFace:
    """The page and its actions, for listeners that ``users`` names.

    :param settings: the section
    """

    name: str = DIALECT
    catch_all: bool = True

    def __init__(self, settings: DialectSettings) -> None:
        self._settings = settings
        self._registrar = str(settings.values[REGISTRAR_KEY])
        self._servers = str(settings.values[SERVERS_KEY])

    def matches(self, request: Request) -> bool:
        """Everything here is ours."""
        return True

    def route(self, request: Request) -> Route:
        """:raises NotFound, MethodNotAllowed, AuthError: in this order"""
        if request.path != "/":
            raise NotFound("nothing is served here but /")
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed(f"{request.method} is not served here", "GET, POST")
        check_sender(request)
        return Route(request.method, websocket=False, body_bytes=BODY_BYTES, spares_body=True)

    def credential(self, request: Request, route: Route) -> Credential:
        """None is asked for."""
        return Nothing()

    def grant(self, claims: Claims, request: Request, route: Route) -> Grant:
        """Whoever gets here may do all."""
        return Grant(self.name, Role.CLIENT, "operator")

    def conversation(self, request: Request, route: Route, grant: Grant | None) -> IConversation:
        """:raises NotFound: always: there are no links here"""
        raise NotFound("no WebSocket is served here")

    async def answer(
        self, request: Request, route: Route, grant: Grant, services: IServices
    ) -> Response:
        """The page, or what came of an action: always a 200."""
        if route.name == "GET":
            nonce = f"{services.random_bits(NONCE_BITS):032x}"
            page = users_page(page_token(), nonce, self._registrar, self._servers)
            policy = (
                f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
                "img-src data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
                "frame-ancestors 'none'"
            )
            headers = (*_HEADERS, ("Content-Security-Policy", policy))
            return Response(200, page.encode(), headers, "text/html; charset=utf-8")
        try:
            records = services.records(DIALECT, database_url(self._settings.values))
            value: object = {"result": await self._perform(_parameters(request), records)}
        except (RelayError, ConfigurationError, ValueError, OSError) as error:
            diagnostic = error.text if isinstance(error, RelayError) else str(error)
            value = {"error": {"permanent": True, "diagnostic": diagnostic}}
        return Response(200, json.dumps(value).encode(), _HEADERS, "application/json")

    def wire_code(self, error: RelayError) -> int:
        """:returns: the HTTP status"""
        if isinstance(error, AuthError):
            return 403
        if isinstance(error, NotFound):
            return 404
        if isinstance(error, MethodNotAllowed):
            return 405
        if isinstance(error, TooLarge):
            return 413
        return error.status if isinstance(error, BadRequest) else 503

    # -- actions ---------------------------------------------------------------------------------

    async def _perform(self, parameters: Parameters, records: IRecords) -> object:
        actions: dict[str, Callable[[Parameters, IRecords], Awaitable[object]]] = {
            "list": self._list,
            "create": self._create,
            "delete": self._delete,
            "adduser": self._add_user,
            "deluser": self._delete_user,
            "provision": self._provision,
        }
        action = parameters.get("action")
        if action is None:
            raise ValueError("missing action parameter")
        if action not in actions:
            raise ValueError(f"unknown action: {quoted(action)}")
        return await actions[action](parameters, records)

    async def _list(self, parameters: Parameters, records: IRecords) -> object:
        # keys with _ are no IDs (§10): whoever shares the store keeps other things there
        texts = await records.all(lambda key: "_" not in key)
        found = {key: entry_of(text) for key, text in texts.items()}
        return {"entries": {key: entry for key, entry in found.items() if entry}}

    async def _create(self, parameters: Parameters, records: IRecords) -> object:
        key = normal_id(parameters["uuid"]) if parameters.get("uuid") else new_id()
        if not key:
            raise ValueError(f"invalid uuid parameter: {quoted(parameters['uuid'])}")
        first = parameters.get("label", "").strip()
        if not first:
            raise ValueError("missing label parameter")
        words = [word.strip() for word in parameters.get("labels", "").split(",") if word.strip()]
        labels = check_labels(words if first in words else [first, *words])
        check_free(key, labels, await records.all(is_id))
        record = make_record(key, labels, self._registrar, self._servers)
        await records.put(key, record.text())
        return {"entry": entry_of(record.text())}

    async def _delete(self, parameters: Parameters, records: IRecords) -> object:
        key = normal_id(parameters.get("uuid", ""))
        if not key:
            raise ValueError(f"invalid uuid parameter: {quoted(parameters.get('uuid', ''))}")
        await records.delete(key)
        return await self._list(parameters, records)

    async def _add_user(self, parameters: Parameters, records: IRecords) -> object:
        from relay.dialects.taas.mqtt_users import check_user, user_record

        name = check_user(parameters.get("username", ""))
        text = user_record(name, parameters.get("password", ""))
        await records.put(name, text)
        return {"entry": entry_of(text)}

    async def _delete_user(self, parameters: Parameters, records: IRecords) -> object:
        from relay.dialects.taas.mqtt_users import check_user

        await records.delete(check_user(parameters.get("username", "")))
        return await self._list(parameters, records)

    async def _provision(self, parameters: Parameters, records: IRecords) -> object:
        """The hidden server's file, and its secret's picture, which the original wrote and had
        drawn when the ID was made.
        """
        key = normal_id(parameters.get("uuid", ""))
        text = await records.get(key)
        found = find_record(key, {} if text is None else {key: text})
        record = found.completed(key, self._registrar, self._servers)
        port = front_port(self._settings)
        if not port:
            raise ValueError("the router's listener has no fixed port")
        file = provisioning(record, advertised(self._settings), port, self._root())
        picture = data_url(record.auth_url)
        return {"file": f"{key}.js", "text": file, "qrcodeURL": picture}

    def _root(self) -> str | None:
        certificate = cast("Path | None", self._settings.values.get(CERTIFICATE_KEY))
        return None if certificate is None else root_of(certificate.read_bytes())


def check_sender(request: Request) -> None:
    """Judge whether a browser was made to ask for this by somebody else's page (§16).

    :raises AuthError: then
    """
    host = request.header("host") or ""
    if host and not is_loopback(_name(f"//{host}")):
        # a name that leads here since just now: its own pages would be of one origin with us
        raise WrongRole(f"{quoted(host)} is not what this page is called; open it as localhost")
    if request.header("sec-fetch-site") not in (None, "same-origin", "none"):
        if request.method == "GET" and request.header("sec-fetch-mode") == "navigate":
            return  # a link somewhere else was followed; that page does not see ours
        raise WrongRole("a page of another origin may not ask for this")
    origin = request.header("origin")
    if origin is None or request.method == "GET":
        return
    if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
        raise WrongRole("a page of another origin may not ask for this")
    if request.header(TOKEN_HEADER) != page_token():
        raise WrongRole("the page is out of date, or not ours; load it again")


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _parameters(request: Request) -> Parameters:
    """:returns: the first of each name. :raises ValueError: when there are too many"""
    pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=FIELDS)
    return dict(reversed(pairs))
