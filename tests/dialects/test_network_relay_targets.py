"""Targets of network-relay as texts, and the list of what an agent allows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.network_relay.targets import AllowList, Target
from relay.errors import ConfigurationError

# -- texts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Target("127.0.0.1", 22), "127.0.0.1:22"),
        (Target("db.internal", 5432), "db.internal:5432"),
        (Target("::1", 22), "[::1]:22"),
        (Target("fe80::1%eth0", 22), "[fe80::1%25eth0]:22"),
        (Target("h", 53, "udp"), "h:53/udp"),
        (Target("h", 22, "TCP"), "h:22/TCP"),
        (Target("h", 22, ""), "h:22/"),
        (Target("", 0), ":0"),
        (Target("h", -1), "h:-1"),
        (Target("a b/c[d]", 1, "x/y:z"), "a%20b%2Fc%5Bd%5D:1/x%2Fy%3Az"),
        (Target("a:b]c", 1), "[a:b%5Dc]:1"),
        (Target("é\0", 1), "%C3%A9%00:1"),
        (Target("100%", 1), "100%25:1"),
    ],
)
def test_a_target_is_one_text(target: Target, text: str) -> None:
    """What could be taken for another part is escaped; the text says it all."""
    assert str(target) == f"{target}" == text
    assert Target.parse(text) == target


@given(
    st.builds(
        Target,
        st.text(st.characters()) | st.text("ab:[]/%.0"),
        st.integers(-(2**63), 2**63 - 1),
        st.text(st.characters()) | st.sampled_from(["tcp", "udp", "TCP"]),
    )
)
def test_every_target_can_be_read_again(target: Target) -> None:
    """So no two targets have the same text."""
    text = str(target)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("h:22/tcp", Target("h", 22)),
        ("h:0022", Target("h", 22)),
        ("bücher.example:80", Target("bücher.example", 80)),
        ("%68:22", Target("h", 22)),
    ],
)
def test_people_may_write_it_otherwise(text: str, target: Target) -> None:
    """Escapes where none are needed, none where letters speak for themselves."""
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is no target"),
        ("h", "is no target"),
        ("h:", "is no target"),
        ("h:ssh", "is no target"),
        ("h:22:23", "is no target"),
        ("::1:22", "is no target"),
        ("[::1]22", "is no target"),
        ("[h]:22", "is no target"),
        ("h:22/a/b", "is no target"),
        ("h :22", "is no target"),
        ("h:22\n", "is no target"),
        ("h:+22", "is no target"),
        ("h:\u0662", "is no target"),
        ("h:22/\x1b[2J", "is no target"),
        ("100%:22", "has a % without two hexadecimal digits"),
        ("h%zz:22", "has a % without two hexadecimal digits"),
        ("h%ff:22", "has escapes that are not UTF-8"),
        ("h:9223372036854775808", "has a port of more than 64 bits"),
        ("h:" + "9" * 5000, "is no target"),
    ],
)
def test_other_texts_are_no_targets(text: str, fault: str) -> None:
    """The error shows the text, in a form that any terminal bears."""
    with pytest.raises(ValueError, match=re.escape(fault)) as caught:
        Target.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@given(st.text(st.characters()) | st.text("ab:[]/%0-"))
def test_no_text_is_too_bad(text: str) -> None:
    """What is read at all can be read again from its own text."""
    try:
        target = Target.parse(text)
    except ValueError:
        return
    assert Target.parse(str(target)) == target


# -- the list --------------------------------------------------------------------------------------

ALLOW = AllowList.parse(
    [
        "127.0.0.1:22",
        "10.0.0.0/24:*",
        "[::1]:22",
        "[fd00::/8]:443",
        "[::ffff:192.0.2.0/120]:80",
        "[::ffff:198.51.100.7]:80",
        "DB.internal:5432",
        "under_score.lan.:1",
    ]
)


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("127.0.0.1", 22, True),
        ("127.0.0.1", 23, False),
        ("127.0.0.2", 22, False),
        ("10.0.0.0", 1, True),
        ("10.0.0.255", 65535, True),
        ("10.0.1.0", 1, False),
        ("::1", 22, True),
        ("0:0:0:0:0:0:0:1", 22, True),
        ("::2", 22, False),
        ("FD12::1", 443, True),
        ("fd12::1%eth0", 443, True),
        ("fe00::1", 443, False),
        ("::ffff:127.0.0.1", 22, True),
        ("::ffff:7f00:1", 22, True),
        ("::127.0.0.1", 22, False),
        ("192.0.2.9", 80, True),
        ("::ffff:192.0.2.9", 80, True),
        ("192.0.3.9", 80, False),
        ("198.51.100.7", 80, True),
    ],
)
def test_addresses_are_allowed_one_by_one_or_by_network(
    host: str, port: int, allowed: bool
) -> None:
    """IPv4 inside IPv6 is IPv4, in the list and in what is asked for."""
    assert ALLOW.allows_address(host, port) is allowed
    assert ALLOW.allows_name(host, port) is allowed


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("db.internal", 5432, True),
        ("DB.INTERNAL", 5432, True),
        ("db.internal.", 5432, True),
        ("under_score.lan", 1, True),
        ("db.internal", 5433, False),
        ("db.internal..", 5432, False),
        ("xdb.internal", 5432, False),
        ("internal", 5432, False),
        ("db.internal ", 5432, False),
        ("db.internal\0", 5432, False),
        ("", 22, False),
    ],
)
def test_names_are_allowed_as_they_stand(host: str, port: int, allowed: bool) -> None:
    """In any case, with or without the root's dot; a name is never an address."""
    assert ALLOW.allows_name(host, port) is allowed
    assert not ALLOW.allows_address(host, port)


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "127.0.0.01", "127.0.0.1.", " 127.0.0.1", "[::1]"]
)
def test_what_only_resolvers_take_for_an_address_is_none(host: str) -> None:
    """Its true address is judged once it is known."""
    assert not ALLOW.allows_name(host, 22)
    assert not ALLOW.allows_address(host, 22)


@pytest.mark.parametrize("port", [0, -1, 65536, 65536 + 22, 2**63 - 1])
def test_no_entry_allows_what_is_no_port(port: int) -> None:
    """Some resolvers would take it modulo 2^16."""
    everything = AllowList.parse(["0.0.0.0/0:*", "[::/0]:*", "localhost:*", "127.0.0.1:22"])
    assert not everything.allows_address("127.0.0.1", port)
    assert not everything.allows_address("::1", port)
    assert not everything.allows_name("localhost", port)


def test_all_addresses_are_two_networks() -> None:
    """One of IPv4 and one of IPv6, neither of which is in the other."""
    four, six = AllowList.parse(["0.0.0.0/0:*"]), AllowList.parse(["[::/0]:*"])
    assert four.allows_address("8.8.8.8", 1)
    assert four.allows_address("::ffff:8.8.8.8", 1)
    assert not four.allows_address("2001:db8::1", 1)
    assert six.allows_address("2001:db8::1", 1)
    assert not six.allows_address("8.8.8.8", 1)
    assert not six.allows_address("::ffff:8.8.8.8", 1)


def test_an_empty_list_allows_nothing() -> None:
    """Neither name nor address."""
    assert not AllowList().allows_name("localhost", 22)
    assert not AllowList.parse([]).allows_address("127.0.0.1", 22)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("", "is not HOST:PORT"),
        ("10.0.0.1", "is not HOST:PORT"),
        ("::1:22", "has no brackets around its IPv6 address"),
        ("[::1]", "is not HOST:PORT"),
        ("[fd00::]/8:22", "has its prefix length behind the bracket"),
        ("[10.0.0.1]:22", "has brackets around what is no IPv6 address"),
        ("[db]:22", "has a host that is no IP address or network"),
        ("[fe80::1%eth0]:22", "has a zone"),
        (":22", "has neither an address, a network nor a name"),
        ("*:22", "allows no address; 0.0.0.0/0 and [::/0] stand for all of them"),
        ("*.internal:22", "has neither an address, a network nor a name"),
        ("bücher.example:22", "has neither an address, a network nor a name"),
        ("a..b:22", "has neither an address, a network nor a name"),
        ("-a:22", "has neither an address, a network nor a name"),
        ("a" * 64 + ":22", "has neither an address, a network nor a name"),
        ("a.b" * 100 + ":22", "has neither an address, a network nor a name"),
        ("10.0.0.300:22", "has a host that is no IP address or network"),
        ("127.1:22", "has a host that is no IP address or network"),
        ("0x7f000001:22", "has a host that is no IP address or network"),
        ("10.0.0.0/33:22", "has a host that is no IP address or network"),
        ("db/24:22", "has a host that is no IP address or network"),
        ("10.0.0.0/:22", "has a prefix length that is no number"),
        ("10.0.0.0/255.0.0.0:22", "has a prefix length that is no number"),
        ("10.0.0.5/24:22", "has an address inside a network; the network is 10.0.0.0/24"),
        ("[fd00::1/8]:22", "has an address inside a network; the network is fd00::/8"),
        ("db:ssh", "has a port that is neither 1 to 65535 nor *"),
        ("db:0", "has a port that is neither 1 to 65535 nor *"),
        ("db:65536", "has a port that is neither 1 to 65535 nor *"),
        ("db:", "has a port that is neither 1 to 65535 nor *"),
        ("db:22-25", "has a port that is neither 1 to 65535 nor *"),
        ("db:\u0662\u0662", "has a port that is neither 1 to 65535 nor *"),
    ],
)
def test_a_wrong_entry_is_told(entry: str, fault: str) -> None:
    """One line that shows the entry and says what is wrong with it."""
    with pytest.raises(ConfigurationError) as caught:
        AllowList.parse(["127.0.0.1:22", entry])
    assert len(caught.value.faults) == 1
    assert fault in caught.value.faults[0]
    assert entry[:40] in caught.value.faults[0]


def test_all_wrong_entries_are_told_at_once() -> None:
    """One line each, in order, whatever characters they hold."""
    with pytest.raises(ConfigurationError) as caught:
        AllowList.parse(["a", "b:1", "\x1b[2J:1"])
    assert [fault.split(" ")[0] for fault in caught.value.faults] == ['"a"', '"\\x1b[2J:1"']


@given(st.ip_addresses(v=4), st.integers(1, 65535), st.integers(0, 32))
def test_a_network_allows_its_own_addresses_alone(address: object, port: int, length: int) -> None:
    """As many leading bits count as its prefix is long."""
    asked = int.from_bytes(bytes(map(int, str(address).split("."))))
    kept = asked >> (32 - length) << (32 - length)
    network = ".".join(map(str, kept.to_bytes(4)))
    allow = AllowList.parse([f"{network}/{length}:{port}"])
    assert allow.allows_address(str(address), port)
    assert allow.allows_address(f"::ffff:{address}", port)
    if length:
        outside = asked ^ (1 << (32 - length))
        assert not allow.allows_address(".".join(map(str, outside.to_bytes(4))), port)


@given(st.text(st.characters()) | st.text("ab1:.[]/*%-"))
def test_no_entry_is_too_bad(entry: str) -> None:
    """It is an entry, or ConfigurationError says why not."""
    try:
        AllowList.parse([entry])
    except ConfigurationError as error:
        faults = error.faults
    else:
        faults = ["none"]
    assert len(faults) == 1
    assert faults[0].isprintable()


@given(st.text(st.characters()) | st.text("ab1:.[]/*%-f"), st.integers())
def test_no_question_is_too_bad(host: str, port: int) -> None:
    """Hosts and ports come from the wire: anything is asked, and nothing raised."""
    assert ALLOW.allows_address(host, port) in (True, False)
    assert ALLOW.allows_name(host, port) in (True, False)
