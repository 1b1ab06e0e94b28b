"""Commands to a session-relay host: JSON in, JSON out.

Specification: session-relay.md §9.4; the answers were taken from the original host v0.9.3.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.host.commands import COMMAND_BYTES, UNKNOWN
from tests.dialects.session_relay_machine import Desk

EMPTY = b'{"id":"","stream":"","destination":"","token":"","file":""}'
RULE = b'{"id":"1","stream":"/f","destination":"ws://h/?a&b","token":"t"}'
ADDED = b'{"id":"1","stream":"f","destination":"ws://h/?a\\u0026b","token":"t","file":""}'
UNRECOGNISED = b'{"error":"unrecognised Command"}'


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b'{"verb":"healthcheck"}', b'{"healthcheck":"ok"}'),
        (b'{"VERB":"healthcheck","what":"x"}', b'{"healthcheck":"ok"}'),
        (b'{"verb":"add","what":"destination","rule":' + RULE + b"}", ADDED),
        (
            b'{"verb":"add","what":"stream","rule":{"stream":"/stream/x","feeds":["a"]}}',
            b'{"stream":"stream/x","feeds":["a"]}',
        ),
        (b'{"verb":"list","what":"destination","which":"nope"}', EMPTY),
        (b'{"verb":"list","what":"destination"}', EMPTY),
        (b'{"verb":"list","what":"destination","which":"all"}', b"{}"),
        (b'{"verb":"list","what":"stream","which":"nope"}', b'{"feeds":null}'),
        (b'{"verb":"list","what":"stream","which":"all"}', b"{}"),
        (b'{"verb":"list","what":"stream"}', UNRECOGNISED),
        (b'{"verb":"delete","what":"destination","which":"a&b"}', b'{"deleted":"a&b"}'),
        (b'{"verb":"delete","what":"destination","which":"all"}', b'{"deleted":"deleteAll"}'),
        (b'{"verb":"delete","what":"destination"}', UNRECOGNISED),
        (
            b'{"verb":"delete","what":"destination","which":"apiRule"}',
            b'{"error":"cannot delete apiRule"}',
        ),
        (b'{"verb":"delete","what":"stream","which":"x"}', b'{"deleted":"x"}'),
        (b'{"verb":"delete","what":"stream","which":"all"}', b'{"deleted":"deleteAll"}'),
        (b'{"verb":"delete","what":"stream"}', b'{"deleted":""}'),
        (b'{"verb":"Add","what":"stream","rule":{}}', UNRECOGNISED),
        (b'{"verb":"add"}', UNRECOGNISED),
        (b'{"verb":"healthcheck","what":1}', UNRECOGNISED),
        (b"", UNRECOGNISED),
        (b"\xff", UNRECOGNISED),
        (b"null", UNRECOGNISED),
        (b"[]", UNRECOGNISED),
        (b"[" * 60_000, UNRECOGNISED),
    ],
)
def test_answers_are_those_of_the_original(command: bytes, answer: bytes) -> None:
    """Byte for byte, to a host that has no rules yet."""
    assert Desk().commands.answer(command) == answer


@pytest.mark.parametrize("what", ["destination", "stream"])
@pytest.mark.parametrize("rule", [b"", b',"rule":null'])
def test_a_rule_that_is_missing_is_an_error(what: str, rule: bytes) -> None:
    """It ends the original."""
    command = b'{"verb":"add","what":"%s"%s}' % (what.encode(), rule)
    assert Desk().commands.answer(command) == b'{"error":"add needs a rule"}'


def test_a_rule_that_is_not_taken_is_told_so() -> None:
    """In a sentence that is JSON whatever it quotes."""
    desk = Desk()
    for rule, words in (
        ('{"id":1}', '"id" is a string, and this is a number'),
        ('{"id":"1","file":"/etc/\\"x"}', '/etc/"x is not below '),
    ):
        answer = desk.commands.answer(
            f'{{"verb":"add","what":"destination","rule":{rule}}}'.encode()
        )
        assert answer is not None
        assert words in json.loads(answer)["error"]
    assert desk.said("GET", "/api/destinations/all") == (200, b"{}")


def test_rules_are_listed_without_their_tokens() -> None:
    """One or all; the API shows the same rules."""
    desk = Desk()
    desk.commands.answer(b'{"verb":"add","what":"destination","rule":' + RULE + b"}")
    shown = ADDED.replace(b'"t"', b'"***"')
    assert desk.commands.answer(b'{"verb":"list","what":"destination","which":"1"}') == shown
    everything = desk.commands.answer(b'{"verb":"list","what":"destination","which":"all"}')
    assert everything == b'{"1":' + shown + b"}"
    assert desk.said("GET", "/api/destinations/1") == (200, shown)
    desk.commands.answer(b'{"verb":"add","what":"stream","rule":{"stream":"x","feeds":["a"]}}')
    one = desk.commands.answer(b'{"verb":"list","what":"stream","which":"x"}')
    assert one == b'{"feeds":["a"]}'
    assert desk.commands.answer(b'{"verb":"list","what":"stream","which":"all"}') == b'{"x":["a"]}'


def test_commands_do_not_lock_themselves_out() -> None:
    """The link by which they come stands through ``all``, so that the answer goes out."""
    desk = Desk(api="ws://router/api")
    desk.commands.begin()
    desk.commands.answer(b'{"verb":"add","what":"destination","rule":{"id":"1"}}')
    way, other = desk.machine.dialled
    assert (way.url, other.url) == ("ws://router/api", "")
    answer = desk.commands.answer(b'{"verb":"delete","what":"destination","which":"all"}')
    assert answer == b'{"deleted":"deleteAll"}'
    assert (len(way.closed), len(other.closed)) == (0, 1)
    assert list(json.loads(desk.ask("GET", "/api/destinations/all").body)) == ["apiRule"]


def test_a_way_that_was_replaced_comes_back_with_all() -> None:
    """As in the original, which makes it anew each time."""
    desk = Desk(api="ws://router/api")
    desk.commands.begin()
    desk.commands.answer(b'{"verb":"add","what":"destination","rule":{"id":"apiRule"}}')
    desk.commands.answer(b'{"verb":"delete","what":"destination","which":"all"}')
    assert [session.url for session in desk.machine.dialled] == [
        "ws://router/api", "", "ws://router/api",
    ]  # fmt: skip
    assert [len(session.closed) for session in desk.machine.dialled] == [1, 1, 0]


def test_a_command_that_is_too_long_is_not_read() -> None:
    """Nobody collects what no command needs."""
    answer = Desk().commands.answer(b"x" * (COMMAND_BYTES + 1))
    assert answer == b'{"error":"a command has at most 65536 bytes"}'


@given(st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["verb", "what", "which", "rule", "error", "Stream", "feeds", "id"])
        | st.text(max_size=4), inner, max_size=5),
    max_leaves=8).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_two_hosts_never_talk_for_ever(message: bytes) -> None:
    """What answers a message is JSON; in turn, the answers to answers end."""
    one, two = Desk(), Desk()
    heard: bytes | None = message
    for _ in range(4):
        if heard is None:
            break
        heard = one.commands.answer(heard)
        if heard is not None:
            json.loads(heard)
            one, two = two, one
    assert heard is None


def test_the_words_for_what_is_not_known() -> None:
    """They are the original's, in its capitals."""
    assert UNKNOWN == "unrecognised Command"
