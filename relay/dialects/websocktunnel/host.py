"""Our websocktunnel host: keeps its tunnel registered, and connects each stream to the service.

Source: websocktunnel.md, sections 3, 7 and 8. It stands in for the original's ``wst-client``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from relay.dialects.websocktunnel.mux_host import HostMux
from relay.dialects.websocktunnel.paths import ID_HEADER, URL_HEADER, offer_name
from relay.errors import RelayError
from relay.interfaces import IConversation, IStream
from relay.outside import IOutward, ITunnelSession
from relay.settings.model import TunnelSettings
from relay.vocabulary import Call, Data, Event, Reason

FINAL_STATUSES = (400, 401, 403, 404)
"""By which a router refuses id, syntax or token of a registration (section 3.2)."""

REFUSED_PAGE = b"the service behind this tunnel cannot be reached; its host's log says why\n"
GOING_PAGE = b"the host of this tunnel is being stopped; try again\n"
GONE, GOING = b"502 Bad Gateway", b"503 Service Unavailable"
REFUSED = (
    b"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"X-Relay-Reason: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
)
"""What a viewer is told when the service is not there: a stream that ends without a word would be
a riddle (section 8)."""


async def run_host(settings: TunnelSettings, outward: IOutward) -> None:
    """Keep the section's tunnel registered until cancelled."""
    await outward.keep(_TunnelHost(settings, outward).register, FINAL_STATUSES)


class _TunnelHost:
    def __init__(self, settings: TunnelSettings, outward: IOutward) -> None:
        self._settings = settings
        self._outward = outward
        self._id = cast(str, settings.values["id"])
        self._endpoint = settings.doors[0].endpoint

    async def register(self) -> ITunnelSession:
        """Open the tunnel's link: it stands."""
        registration = _Registration(self)
        token = await self._outward.token()
        session = await self._outward.websocket(
            "/",
            {"Authorization": f"Bearer {token}", ID_HEADER: self._id},
            registration.conversation,
            registration.handle,
        )
        url = registration.url
        self._outward.report(
            f"{offer_name(self._id)} stands for {self._endpoint}; "
            + (f"open {url}/" if url else "the router did not say at which URL")
        )
        path = cast(Path | None, self._settings.values.get("url-file"))
        if path is not None:
            self._outward.write(path, url)
        registration.stands(session)
        return session

    def mux(self) -> HostMux:
        """:returns: the conversation of a new link"""
        credit = cast(int, self._settings.values["initial-credit-bytes"])
        return HostMux(offer_name(self._id), self._settings.window_bytes, credit)

    async def answer(self, session: ITunnelSession, call: Call) -> None:
        """Connect one stream to the service."""
        try:
            stream = session.answer(call)
        except RelayError as error:
            self._outward.fault("a request is turned away", error)
            return
        try:
            target = await self._outward.connect(self._endpoint)
        except RelayError as error:
            self._outward.fault("a request cannot be served", error)
            _apologise(stream, error)
            return
        await self._outward.join(stream, target, call.name)

    def spawn(self, session: ITunnelSession, call: Call) -> None:
        """Answer on the side."""
        self._outward.spawn(self.answer(session, call))


class _Registration:
    """One registration, from its handshake on.

    :ivar url: where viewers reach the tunnel, empty when the router did not say
    """

    def __init__(self, host: _TunnelHost) -> None:
        self.url = ""
        self._host = host
        self._session: ITunnelSession | None = None
        self._early: list[Call] = []

    def conversation(self, headers: Mapping[str, str]) -> IConversation:
        """:param headers: of the 101"""
        self.url = headers.get(URL_HEADER.lower(), "")
        return self._host.mux()

    def handle(self, event: Event) -> None:
        """A viewer wants something."""
        if not isinstance(event, Call):
            return
        if self._session is None:
            self._early.append(event)
        else:
            self._host.spawn(self._session, event)

    def stands(self, session: ITunnelSession) -> None:
        """The link is there to answer on."""
        self._session = session
        early, self._early = self._early, []
        for call in early:
            self._host.spawn(session, call)


def _apologise(stream: IStream, error: RelayError) -> None:
    """The service is not there: say so as an HTTP service would."""
    going = error.reason is Reason.GOING_AWAY
    status, page = (GOING, GOING_PAGE) if going else (GONE, REFUSED_PAGE)
    reason = error.reason.value.encode("ascii")
    stream.send(Data(REFUSED % (status, reason, len(page), page)))
    stream.reset(Reason.FINISHED, None)
