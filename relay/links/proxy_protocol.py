"""The PROXY protocol (haproxy, versions 1 and 2), from listed proxies only."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from typing_extensions import override

from relay.proxies import TrustedProxies


class ProxyProtocolFactory(HAProxyWrappingFactory):
    """Reads the PROXY header in front of another protocol.

    :param factory: of the protocol behind the header
    :param proxies: who may send one; everybody else is turned away
    """

    log = Logger()
    noisy = False

    def __init__(self, factory: Factory, proxies: TrustedProxies) -> None:
        super().__init__(factory)
        self._proxies = proxies

    @override
    def buildProtocol(self, addr: IAddress | None) -> Any:  # None turns a connection away
        """A connection was accepted."""
        host = getattr(addr, "host", None)
        if host is not None and not self._proxies.is_trusted(host):
            self.log.info(
                "refused {peer}: the PROXY protocol is spoken here, and trusted-proxies lacks it",
                event="refused",
                peer=host,
            )
            return None
        return super().buildProtocol(addr)
