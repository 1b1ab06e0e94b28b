"""TLS below our links: nothing is left behind a connection that is gone."""

from __future__ import annotations

from typing import Any

import pytest
import trustme
from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.links.secure import SecureFactory


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """Makes connections with a certificate."""

    def __init__(self) -> None:
        self._context = SSL.Context(SSL.TLS_METHOD)
        authority = trustme.CA()
        authority.issue_cert("127.0.0.1").configure_cert(self._context)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:  # Twisted's, untyped
        """:returns: one that has yet to shake hands"""
        return SSL.Connection(self._context, None)


class Tcp(StringTransport):
    """As forgiving as a real one."""

    def unregisterProducer(self) -> None:
        """There may be none."""

    def resumeProducing(self) -> None:
        """It may be gone."""

    def abortConnection(self) -> None:
        """Likewise."""


@pytest.mark.parametrize("closing", [False, True])
def test_no_timer_outlives_the_connection(closing: bool) -> None:
    """Also when the end of TLS is found only as the connection goes."""
    clock = Clock()
    factory = SecureFactory(Creator(), False, Factory.forProtocol(Protocol), clock)
    secure: Any = factory.buildProtocol(None)
    secure.makeConnection(Tcp())
    if closing:
        secure.loseConnection()
    secure.connectionLost(Failure(ConnectionLost()))
    assert clock.getDelayedCalls() == []
