"""TLS over loopback sockets, straight and through a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
import trustme
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from relay.errors import CannotConnect, TlsFailed
from relay.links.proxy import ProxyEndpoint
from relay.tls import (
    ClientTls,
    ServerTls,
    TlsEndpoint,
    TlsServerEndpoint,
    client_endpoint,
    explain_tls_failure,
)
