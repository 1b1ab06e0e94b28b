"""How our host registers: a PUT with a one-time code, which is answered with a port.

Specification: taas.md §4, §5, §10 and §11.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, cast
from urllib.parse import urljoin, urlsplit

from relay.addresses import with_port
from relay.dialects.taas.answers import ANSWER_BYTES, ahead_s, hidden_port, refusal, retry_after_s
from relay.dialects.taas.keys import LABEL_KEY, PROVISIONING_KEY
from relay.dialects.taas.notions import offer_name, parse_label
from relay.dialects.taas.provisioned import read_provisioning
from relay.dialects.taas.records import Provisioning
from relay.errors import (
    ConfigurationError,
    Misconfigured,
    NotARouter,
    Refused,
    RelayError,
    TokenInvalid,
)
from relay.outside import HttpAnswer, IOutward, Way
from relay.settings.model import TunnelSettings
from relay.vocabulary import OfferName, Reason

REDIRECTIONS = 3
"""Of one PUT; the original's router has none (§4)."""

REDIRECTING = (307, 308)
NAMELESS = (400, 401)
"""Statuses that say that the ID, its secret or the code is wrong; the original's says no more."""

UNKNOWN_LABEL = 404
STEPS_REFUSED = 3
"""Time steps in which a code has to be refused before it is not for a slow clock, or for a code
that began with zeros (§5: the original refuses those), but for good."""

SOMEWHERE = "SERVERS"
"""Stands for the domain of all labels where nobody said it."""

HTTPS_PORT = 443
_SECURE = {"https": True, "wss": True, "http": False, "ws": False}
_SCHEMES = {True: "https", False: "http"}
_PORTS = {True: HTTPS_PORT, False: 80}


class Place(NamedTuple):
    """Where a host registers, by what its provisioning file and its section say.

    :ivar url: of the label at the registrar
    :ivar way: how to get there
    :ivar offer: what is registered
    :ivar full_name: of the label; it ends in :data:`SOMEWHERE` if the file does not say it
    :ivar front_door: URL of the router, as a client's section has it
    """

    url: str
    way: Way
    offer: OfferName
    full_name: str
    front_door: str

    def address(self) -> str:
        """:returns: the URL by which others reach the label, as far as that is known"""
        front = urlsplit(self.front_door)
        secure = _SECURE[front.scheme]
        port = "" if front.port in (None, _PORTS[secure]) else f":{front.port}"
        return f"{front.scheme}://{self.full_name}{port}/"


class Registrar:
    """Registers, time and again.

    :param outward: of the host
    :ivar place: of the last attempt
    """

    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        self._refused_steps: set[int] = set()
        self.place: Place | None = None

    async def open_port(self) -> str:
        """Register once more, by what the provisioning file says now.

        :returns: ``HOST:PORT`` where one connection is waited for
        :raises Misconfigured: when the file cannot be read
        :raises TokenInvalid: when a code was refused in :data:`STEPS_REFUSED` time steps
        :raises Refused: for any other refusal
        :raises CannotConnect, TlsFailed: when there is nobody to talk to
        """
        known = self._read()
        place = self.place = place_of(known, self._settings)
        url, way = place.url, place.way
        for _ in range(REDIRECTIONS + 1):
            step = math.floor(self._outward.now() / known.step_s)
            code = self._outward.time_code(known.base32, step)
            said = {"Authorization": f'TOTP username="{known.uuid}", response="{code}"'}
            answer = await self._outward.http("PUT", url, said, ANSWER_BYTES, way)
            if answer.status == 200:
                self._refused_steps.clear()
                return hidden_port(answer)
            if answer.status not in REDIRECTING:
                raise self._refusal(answer, known, place, step)
            url, way = redirected(url, way, answer)
        raise NotARouter(f"the registrar redirects more than {REDIRECTIONS} times")

    def _read(self) -> Provisioning:
        """:raises Misconfigured: when the provisioning file cannot be read"""
        try:
            return read_provisioning(cast(Path, self._settings.values[PROVISIONING_KEY]))
        except ConfigurationError as error:
            raise Misconfigured("; ".join(error.faults), "correct that") from None

    def _refusal(
        self, answer: HttpAnswer, known: Provisioning, place: Place, step: int
    ) -> RelayError:
        if answer.status in NAMELESS:
            return self._code_refused(answer, known, step)
        self._refused_steps.clear()
        if answer.status == UNKNOWN_LABEL:
            return Refused(
                UNKNOWN_LABEL,
                f"{place.offer} is not among the labels that {known.uuid} may register",
                Reason.WRONG_NAME,
                'correct label, or the record: "relay token taas list" shows it at the router',
            )
        # whoever has no place for us just now says 503, an empty one if it is the original
        return refusal(answer, Reason.GOING_AWAY if answer.status >= 500 else Reason.PROTOCOL_ERROR)

    def _code_refused(self, answer: HttpAnswer, known: Provisioning, step: int) -> RelayError:
        self._refused_steps.add(step)
        text = f"the router refused the one-time code of {known.uuid} (status {answer.status})"
        remedy = "is the provisioning file the one of this router, and its newest?"
        ahead = ahead_s(answer, self._outward.now())
        if ahead is not None and abs(ahead) > known.step_s:
            direction = "ahead of" if ahead > 0 else "behind"
            remedy = (
                f"this machine's clock is {abs(ahead):.0f} s {direction} the router's; correct it"
            )
        if len(self._refused_steps) >= STEPS_REFUSED:
            return TokenInvalid(text, remedy)
        return Refused(answer.status, text, Reason.TOKEN_INVALID, remedy, retry_after_s(answer))


def place_of(known: Provisioning, settings: TunnelSettings) -> Place:
    """Put together where to register.

    :raises Misconfigured: when the section names a label that cannot be one
    """
    router = urlsplit(settings.router or known.router)
    secure, host = _SECURE[router.scheme], router.hostname or known.host
    port = router.port or _PORTS[secure]
    first = known.labels[0].name
    try:
        label = parse_label(cast("str | None", settings.values.get(LABEL_KEY)) or first).name
    except ValueError as error:
        raise Misconfigured(str(error), "correct label") from None
    servers = known.name.lower().removeprefix(f"{first}.")
    # a name that does not begin with the first label tells nothing of the others
    full_name = f"{label}.{servers if servers != known.name.lower() else SOMEWHERE}"
    scheme = _SCHEMES[secure]
    return Place(
        url=f"{scheme}://{with_port(known.registrar, port)}/register/{label}",
        way=Way(at=with_port(host, port), roots=known.ca_pem or "", follow=False),
        offer=offer_name(label),
        full_name=full_name,
        front_door=f"{scheme}://{with_port(host, port)}",
    )


def redirected(url: str, way: Way, answer: HttpAnswer) -> tuple[str, Way]:
    """Follow a redirection of a registrar, which the original never sends (§4).

    :returns: where to go, and how
    :raises Misconfigured: when a fresh code is not to go there
    """
    before = urlsplit(url)
    try:
        there = urlsplit(urljoin(url, answer.headers.get("location", "")))
        port = there.port or HTTPS_PORT
    except ValueError:
        raise NotARouter("the registrar redirects to what is no URL") from None
    if there.scheme != "https" or before.scheme != "https" or not there.hostname:
        raise Misconfigured("the registrar redirects to where there is no TLS", "name the router")
    if there.username is not None or there.password is not None:
        raise NotARouter("the registrar redirects to a URL with a user in it")
    at = ""
    if there.hostname == before.hostname:
        # its name need not be in DNS
        at = with_port(urlsplit(f"//{way.at}").hostname or there.hostname, port)
    return there._replace(fragment="").geturl(), way._replace(at=at)
