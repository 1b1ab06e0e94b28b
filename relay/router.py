"""relay-router: the whole wiring at a glance."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.python.failure import Failure
from typing_extensions import override

from relay.addresses import is_loopback
from relay.admin.face import AdminFace
from relay.announcements import (
    say_admin,
    say_listening,
    say_next_steps,
    say_not_started,
    say_published,
    say_warnings,
)
from relay.certificates import Certificates
from relay.core.admission import Reception
from relay.core.broker import Broker
from relay.core.publications import Publications
from relay.core.residents import Residents
from relay.core.services import Services
from relay.core.surroundings import Surroundings
from relay.daemon import Daemon, IReactor, here, make_options, refuse_to_start
from relay.dialects import dialect_keys, find_dialects
from relay.errors import ConfigurationError
from relay.faces import IPlacedFace, IRememberingFace, IRouterFace
from relay.lifecycle import MainService
from relay.links.cutthrough import Hub
from relay.links.front_factory import FrontFactory
from relay.links.hall import Hall
from relay.links.listening import listen
from relay.links.ports import Ports
from relay.links.proxy_protocol import ProxyProtocolFactory
from relay.links.published_ports import PublishedPorts
from relay.links.secure import SecureFactory
from relay.logs import open_log
from relay.nvx import check_nvx
from relay.proxies import TrustedProxies
from relay.settings import Listener, MadeSecretFile, listeners, read_router, router_keys
from relay.settings.model import DialectSettings, RouterSettings
from relay.settings.public_url import public_url, stand_in_ports
from relay.stores import Stores

LAG_CHECK_S = 1.0
SHARED_KEYS = ("listen", "listen-tls")
"""Keys of listeners at which dialects are spoken in their usual place."""

Options = make_options(router_keys(), "A public router that joins hosts and clients.")


def makeService(options: Any, reactor: Any = None) -> Daemon:  # Twisted's names and types
    """Make the service from the command line; exits with status 1 when it cannot be."""
    if reactor is None:
        from twisted.internet import reactor

    def read() -> RouterSettings:
        return read_router(options.said, os.environ, here(), dialect_keys())

    try:
        check_nvx()
        settings = read()
        main = RouterService(settings, reactor, read)
    except ConfigurationError as error:
        refuse_to_start(error.faults)
    out = None if settings.log_file is None else open_log(settings.log_file)
    return Daemon(main, reactor, options, settings.log_format, settings.log_level, out)


class RouterService(MainService):
    """A router.

    :param settings: what it is told
    :param reread: reads the settings anew, for a reload
    """

    def __init__(
        self,
        settings: RouterSettings,
        reactor: IReactor,
        reread: Callable[[], RouterSettings] | None = None,
    ) -> None:
        super().__init__()
        self.settings = self._started_with = settings
        self.addresses: list[tuple[str, IAddress]] = []
        self._reactor = reactor
        self._reread = reread
        self._made: list[str] = []
        self._made_for: dict[str, None] = {}
        self._warned: set[str] = set()
        self.around = Surroundings.of_process(reactor, settings.limits)
        self.broker = Broker(self.around, secrets.randbits)
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._stores = Stores(settings.state_dir, reactor)
        services = Services(self.broker, reactor, self._stores.records)
        self._hall = Hall(
            Reception(self.broker, self.around),
            self.broker,
            self.around,
            services,
            reactor,
            self._proxies.believed_peer,
            Hub(reactor),
        )
        services.ports = self._dialects_ports = Ports(self._hall)
        self.published_ports = PublishedPorts(
            self._hall, self._behind_proxies, partial(say_published, self.log)
        )
        self._faces: dict[str, IRouterFace] = {}
        self._residents = Residents()
        self._certificates = Certificates(settings)
        self._configure(settings)
        self._ports: list[IListeningPort] = []
        self._admin_port: IListeningPort | None = None
        self._stopping: Deferred[None] | None = None
        self._lag_timer: IDelayedCall | None = None

    # -- life ------------------------------------------------------------------------------------

    @override
    def startService(self) -> None:
        """Listen."""
        super().startService()
        started = Deferred.fromCoroutine(self._start())
        started.addErrback(self._could_not_start)

    @override
    def hurry(self) -> None:
        """Stop waiting for circuits to end; asked again, for peers to take our goodbyes, too."""
        if self._stopping is not None and self._stopping.called:
            self._hall.wait_no_more()
        self._drained()

    def _drained(self) -> None:
        if self._stopping is not None and not self._stopping.called:
            self._stopping.callback(None)

    def is_ready(self) -> str:
        """:returns: empty when new links are taken, else why not."""
        if self.broker.draining:
            return "draining"
        return "" if self._is_ready else "starting"

    @override
    def reload(self) -> None:
        """Read settings, secrets and certificates anew; circuits stay.

        :raises ConfigurationError: when something is invalid; then all stays as it was
        """
        settings = self.settings if self._reread is None else self._reread()
        faces = self._make_faces(settings)
        self._certificates.reload(settings)
        self.settings = settings
        self._adopt(settings, faces)
        if not self.broker.draining:
            self._residents.begin(self._faces, self._hall.services)
        adopting = self.published_ports.adopt(settings.publications)
        Deferred.fromCoroutine(adopting).addErrback(
            lambda failure: self.log.failure("published ports cannot be exchanged", failure)
        )
        for key in changed_for_restart(self._started_with, settings):
            self.log.warn("{key} has changed, which counts from the next start on", key=key)
        self._warn()

    # -- wiring ----------------------------------------------------------------------------------

    def _configure(self, settings: RouterSettings) -> None:
        for dialect in settings.dialects:
            for key, source in dialect.values.items():
                if isinstance(source, MadeSecretFile) and source.ensure():
                    self._made.append(
                        f"made {source.made} for {dialect.name} ({key}): {source.origin}"
                    )
                    self._made_for[dialect.name] = None
        self._adopt(settings, self._make_faces(settings))

    def _make_faces(self, settings: RouterSettings) -> dict[str, IRouterFace]:
        dialects = find_dialects(dialect.name for dialect in settings.dialects)
        keys = dialect_keys()
        ports = {
            endpoint: address.port
            for endpoint, address in reversed(self.addresses)
            if isinstance(address, IPv4Address | IPv6Address)
        }
        if not self.addresses:
            ports = stand_in_ports(listeners(settings, keys))
        machine = settings.host_name or socket.gethostname()
        return {
            dialect.name: dialects[dialect.name].router_face(
                dialect, public_url(settings, keys, dialect.name, ports, machine)
            )
            for dialect in settings.dialects
        }

    def _adopt(self, settings: RouterSettings, faces: dict[str, IRouterFace]) -> None:
        for name, face in faces.items():
            before = self._faces.get(name)
            if before is not None and IRememberingFace.providedBy(face):
                face.remember(before)
        self._faces = faces
        self.broker.tokens.clear()  # secrets may have changed
        self.broker.publications = Publications(settings.publications)
        self.around.adopt(settings.limits)
        self._proxies.networks = TrustedProxies(settings.trusted_proxies).networks
        self._hall.liveness = {
            dialect.name: (dialect.ping_s, dialect.dead_s) for dialect in settings.dialects
        }

    def _faces_of(self, listener: Listener) -> Callable[[], Sequence[IRouterFace]]:
        key = listener.key.rpartition(" ")[2]

        def faces() -> Sequence[IRouterFace]:
            found = [
                placed(self._faces[name], key) for name in listener.dialects if name in self._faces
            ]
            return sorted(found, key=lambda face: face.catch_all)

        return faces

    async def _start(self) -> None:
        settings = self.settings
        self._say_what_runs("relay-router", settings.config_file, "defaults")
        for line in self._made:
            self.log.info("{line}", line=line)
        for listener in listeners(settings, dialect_keys()):
            factory: Any = FrontFactory(self._hall, self._faces_of(listener))
            if listener.tls:
                tls = self._certificates.of(listener.certificate)
                factory = SecureFactory(tls, False, factory, self._reactor)
            address = await self._listen(listener.endpoint, self._behind_proxies(factory))
            traits = [dialect_keys()[name].traits for name in listener.dialects]
            say_listening(self.log, listener, address, traits)
        await self.published_ports.begin(settings.publications)
        # what they hand out names the real ports
        self._adopt(settings, self._make_faces(settings))
        self._residents.begin(self._faces, self._hall.services)
        if settings.admin:
            admin = AdminFace(self, settings.state_dir)
            front = FrontFactory(self._hall, lambda: (admin,))
            address = await self._listen(settings.admin, front)
            self._admin_port = self._ports[-1]
            say_admin(self.log, address, "" if is_local(address) else admin.require_token())
        traits = [dialect_keys()[name].traits for name in self._made_for]
        say_next_steps(self.log, traits, settings.config_file)
        self._warn()
        self._watch_loop(self._reactor.seconds())
        self._now_ready()

    def _behind_proxies(self, factory: Any) -> Any:  # any protocol's
        """:returns: what reads a PROXY header first, where that was spoken from the start"""
        if not self._started_with.proxy_protocol:
            return factory
        return ProxyProtocolFactory(
            factory, self._proxies, self._reactor, lambda: self.around.limits.head_s
        )

    def _watch_loop(self, due: float) -> None:
        """Measure how late the reactor comes round."""
        now = self._reactor.seconds()
        self.around.metrics.loop_lag_s = max(0.0, now - due)
        self._lag_timer = self._reactor.callLater(LAG_CHECK_S, self._watch_loop, now + LAG_CHECK_S)

    async def _listen(self, endpoint: str, factory: Any) -> IAddress:  # any protocol's
        port = await listen(self._reactor, endpoint, factory)
        self._ports.append(port)
        address: IAddress = port.getHost()
        self.addresses.append((endpoint, address))
        return address

    def _warn(self) -> None:
        of_tls = self._certificates.warnings(self._reactor.seconds())
        say_warnings(self.log, self.settings, of_tls, self._warned)

    def _could_not_start(self, failure: Failure) -> None:
        say_not_started(self.log, failure)
        self._now_over(1)

    @override
    async def _stop(self) -> None:
        self._residents.end()
        admin = self._admin_port  # it can still be asked how the drain goes
        for port in self._ports:
            if port is not admin:
                await maybeDeferred(port.stopListening)
        self._dialects_ports.stop()
        await self.published_ports.close()
        self._stopping = Deferred()
        self.broker.drain(lambda: self._hall.when_quiet(self._drained))
        timer = self._reactor.callLater(self.settings.drain_s, self._drained)
        if self.broker.circuits:
            self.log.info(
                "draining: {count}, at most {seconds:g} s",
                count=counted(len(self.broker.circuits), "circuit"),
                seconds=self.settings.drain_s,
            )
        await self._stopping
        if timer.active():
            timer.cancel()
        self.broker.end_all()
        self._hall.close_doors()
        await self._hall.when_empty()
        if admin is not None:
            await maybeDeferred(admin.stopListening)
        await self._stores.close()
        self.around.wheel.stop()
        if self._lag_timer is not None and self._lag_timer.active():
            self._lag_timer.cancel()


def placed(face: IRouterFace, key: str) -> IRouterFace:
    """:returns: the face as it is at listeners that ``key`` names"""
    if key in SHARED_KEYS or not IPlacedFace.providedBy(face):
        return face
    return face.placed(key)


def changed_for_restart(before: RouterSettings, after: RouterSettings) -> list[str]:
    """:returns: the keys that a reload does not take over, and whose values have changed."""
    names = ("listen", "listen-tls", "admin", "state-dir", "proxy-protocol", "log-format",
             "log-level")  # fmt: skip
    changed = [
        f"[router] {name}"
        for name in names
        if getattr(before, name.replace("-", "_")) != getattr(after, name.replace("-", "_"))
    ]
    old = {dialect.name: listening(dialect) for dialect in before.dialects}
    new = {dialect.name: listening(dialect) for dialect in after.dialects}
    if list(old) != list(new):
        changed.append("[router] dialects")
    changed += [
        f"[dialect:{name}] listen"
        for name, endpoints in new.items()
        if name in old and old[name] != endpoints
    ]
    return changed


def listening(dialect: DialectSettings) -> object:
    """:returns: what decides where a dialect listens by itself, and whether with TLS"""
    return dialect.listen, dialect.listen_tls, dialect.tls is None


def counted(count: int, noun: str) -> str:
    """:returns: ``1 circuit`` or ``2 circuits``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def is_local(address: IAddress) -> bool:
    """:returns: whether only this machine reaches it."""
    host = getattr(address, "host", None)  # a Unix socket has none
    return host is None or is_loopback(host)
