"""Addresses as texts."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from relay.addresses import is_address, is_loopback, with_port
from relay.router import is_local
from relay.settings import endpoints, urls

LOOPBACK = ("127.0.0.1", "127.8.9.10", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost",
            "LocalHost", "a.localhost")  # fmt: skip
REACHED = ("", "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "127.example.org",
           "localhost.example.org", "notlocalhost", "fe80::1%eth0")  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_host_of_this_machine_alone(host: str) -> None:
    """What other machines cannot reach is known as such, however it is written."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", REACHED)
def test_a_host_that_others_reach(host: str) -> None:
    """What only begins like a loopback address is none."""
    assert not is_loopback(host)


@pytest.mark.parametrize("host", [host for host in (*LOOPBACK, *REACHED) if host])
def test_one_rule_for_all(host: str) -> None:
    """Listeners' endpoints and routers' URLs are judged by the same rule."""
    text = host.replace(":", "\\:")
    assert endpoints.is_loopback(f"tcp:8080:interface={text}") is is_loopback(host)
    assert urls.is_local(f"ws://{with_port(host, 8080)}") is is_loopback(host)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        (IPv4Address("TCP", "127.0.0.2", 1), True),
        (IPv4Address("TCP", "0.0.0.0", 1), False),
        (IPv6Address("TCP", "::1", 1), True),
        (IPv6Address("TCP", "::", 1), False),
        (UNIXAddress(b"/run/relay.sock"), True),
    ],
)
def test_an_address_that_listens(address: IAddress, local: bool) -> None:
    """Of real addresses a Unix socket is this machine's, too."""
    assert is_local(address) is local


def test_a_host_with_its_port() -> None:
    """Only an IPv6 address needs brackets."""
    assert with_port("::1", 80) == "[::1]:80"
    assert with_port("relay.example.org", 80) == "relay.example.org:80"
    assert with_port("127.0.0.1", "0") == "127.0.0.1:0"


@pytest.mark.parametrize(
    ("host", "expected"), [("::1", True), ("10.0.0.1", True), ("a.b", False), ("fe80::1%1", True)]
)
def test_an_address_is_no_name(host: str, expected: bool) -> None:
    """Names and addresses are told apart."""
    assert is_address(host) is expected
