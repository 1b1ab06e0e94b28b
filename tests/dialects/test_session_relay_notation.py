"""JSON as the original host of session-relay writes and reads it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dialects.session_relay.host.notation import (
    BadJson,
    decode,
    encode,
    members,
    sorted_by_key,
    text_of,
    texts_of,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(TEXT, TEXT | st.lists(TEXT) | st.none()))
def test_what_is_written_says_the_same(value: dict[str, object]) -> None:
    """To any reader, and to a browser that takes it for a script or a page, nothing else."""
    written = encode(value)
    assert json.loads(written) == value
    assert not {b"<", b">", b"&"} & {written[i : i + 1] for i in range(len(written))}
    assert "\u2028" not in written.decode()


@given(st.dictionaries(TEXT, TEXT))
def test_maps_are_in_order(value: dict[str, object]) -> None:
    """Of the bytes of their keys, as in the original."""
    names = list(sorted_by_key(value.items()))
    assert names == sorted(names, key=str.encode)


@given(st.binary(max_size=300))
def test_bytes_are_json_or_told_not_to_be(body: bytes) -> None:
    """In one line, whatever they are."""
    fault = ""
    try:
        decode(body)
    except BadJson as error:
        fault = error.text
    assert "\n" not in fault


def test_names_of_members_have_any_case() -> None:
    """The last one counts; ``null`` and what is not known do not."""
    given = decode(b'{"ID":"1","id":"2","Id":null,"other":3}')
    assert members(given, ("id",), "it") == {"id": "2"}
    assert members(None, ("id",), "it") == {}


def test_texts_are_what_can_be_written() -> None:
    """Half a pair of surrogates is no character; ``null`` in an array is an empty text."""
    assert text_of("a\ud800", "x") == "a\ufffd"
    assert texts_of(decode(b'["a",null]'), "x") == ("a", "")
    for odd in (b"{}", b'"a"', b"[1]", b"[[]]"):
        with pytest.raises(BadJson):
            texts_of(decode(odd), "x")
