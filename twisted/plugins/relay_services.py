"""What ``twistd`` and ``twist`` find: the three daemons, each imported only when it is run."""

from twisted.application.service import ServiceMaker

router = ServiceMaker(
    "relay-router",
    "relay.router",
    "Public router that joins hosts and clients which can only dial out.",
    "relay-router",
)
host = ServiceMaker(
    "relay-host",
    "relay.host",
    "Offers a private service through a router.",
    "relay-host",
)
client = ServiceMaker(
    "relay-client",
    "relay.client",
    "Opens a local door to a service behind a router.",
    "relay-client",
)
