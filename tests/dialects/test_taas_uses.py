"""Uses of codes, pairings and known labels: all are counted, and bounded; taas.md §9 and §16."""

from __future__ import annotations

import json

import pytest

from relay.dialects.taas.labels import KnownLabels
from relay.dialects.taas.notions import offer_name
from relay.dialects.taas.pairings import (
    ORIGIN_CHARACTERS,
    PATH_CHARACTERS,
    Pairings,
    origin_of,
    paired,
)
from relay.dialects.taas.uses import Code, CodeElsewhere, TooManyUses, Uses
from relay.raw import tcp_origin
from tests.dialects.taas_rooms import HOST, MOBILE, STRANGER, request_of

CODE = Code("someone", 100, 30)
NEXT = CODE._replace(counter=101)
NOW = 3001.5


def test_a_code_is_used_until_its_uses_are_up() -> None:
    """The refusal says when the next code begins."""
    uses = Uses()
    for _ in range(3):
        uses.take(CODE, HOST, 3, NOW)
    with pytest.raises(TooManyUses) as caught:
        uses.take(CODE, HOST, 3, NOW)
    assert caught.value.retry_after_s == 29
    uses.take(NEXT, HOST, 3, NOW)
    uses.take(CODE._replace(subject="another"), HOST, 3, NOW)


def test_a_use_that_came_to_something_is_given_back() -> None:
    """To the newest code that was used, whichever it was made with; never more than were used."""
    uses = Uses()
    uses.take(CODE, HOST, 1, NOW)
    uses.take(NEXT, HOST, 1, NOW)
    uses.give_back("someone")
    uses.take(NEXT, HOST, 1, NOW)
    for _ in range(5):
        uses.give_back("someone")
    assert uses.used("someone") == 0
    uses.take(CODE, HOST, 1, NOW)
    with pytest.raises(TooManyUses):
        uses.take(CODE, HOST, 1, NOW)
    uses.give_back("nobody")


def test_a_code_belongs_to_the_address_that_it_came_from_first() -> None:
    """Others of the same ID may come from elsewhere."""
    uses = Uses()
    uses.bind(CODE, HOST, False, NOW)
    uses.bind(CODE, HOST, False, NOW)
    with pytest.raises(CodeElsewhere):
        uses.bind(CODE, STRANGER, False, NOW)
    uses.bind(CODE, STRANGER, True, NOW)
    uses.bind(NEXT, STRANGER, False, NOW)


def test_codes_are_forgotten_once_they_are_no_good() -> None:
    """Half a minute after their step."""
    uses = Uses()
    uses.bind(CODE, HOST, False, NOW)
    uses.bind(NEXT, HOST, False, CODE.ends - 0.1)
    assert len(uses) == 2
    uses.bind(NEXT, HOST, False, CODE.ends)
    assert len(uses) == 1
    uses.give_back("someone")


def test_codes_are_bounded() -> None:
    """The one that ends soonest is forgotten."""
    uses = Uses(most=10)
    for counter in range(100, 150):
        uses.bind(Code("someone", counter, 30), HOST, False, NOW)
    assert len(uses) == 10
    with pytest.raises(CodeElsewhere):
        uses.bind(Code("someone", 149, 30), STRANGER, False, NOW)


def test_the_last_pairings_of_a_label_are_kept() -> None:
    """The oldest go, one by one, and the label that was paired longest ago."""
    pairings = Pairings(labels=2, per_label=3)
    for number in range(5):
        pairings.note("alpha", paired("r", f"https a 1 GET /{number}", number))
    assert [pairing.pathname for pairing in pairings.of("alpha")] == ["/2", "/3", "/4"]
    pairings.note("beta", paired("r", "tcp a 1", 6.0))
    pairings.note("alpha", paired("r", "tcp a 1", 7.0))
    pairings.note("gamma", paired("r", "tcp a 1", 8.0))
    assert pairings.of("beta") == []
    assert len(pairings.of("alpha")) == 3


def test_pairings_are_written_as_the_original_writes_them() -> None:
    """Byte for byte what section 18 shows, and with a path where there was a request."""
    pairings = Pairings()
    assert pairings.to_json("alpha") == "[]"
    responder = "https 127.0.0.1 54300 PUT"
    pairings.note("alpha", paired(responder, tcp_origin("127.0.0.1", 51108), 1_700_000_012.345))
    assert pairings.to_json("alpha") == (
        '[{"responder":"https 127.0.0.1 54300 PUT","initiator":"tcp 127.0.0.1 51108",'
        '"timestamp":1700000012345}]'
    )
    request = request_of("GET", "/x/y?q=1", "alpha.taas.example.com")
    pairings.note("alpha", paired(responder, origin_of(request), 1.0))
    assert json.loads(pairings.to_json("alpha"))[1] == {
        "responder": responder,
        "initiator": f"https {MOBILE} 54300 GET",
        "pathname": "/x/y",
        "timestamp": 1000,
    }


def test_what_a_pairing_keeps_is_bounded() -> None:
    """Long paths, and what other dialects say of callers."""
    request = request_of("GET", "/" + "x" * 5000, "alpha.taas.example.com")
    assert len(paired("r", origin_of(request), 0.0).pathname) == PATH_CHARACTERS
    assert len(paired("r", "x" * 5000, 0.0).initiator) == ORIGIN_CHARACTERS
    assert paired("r", "portal:me", 0.0)[1:3] == ("portal:me", "")


def test_known_labels_are_bounded() -> None:
    """The one that came first is forgotten."""
    known = KnownLabels(most=2)
    for label in ("a", "b", "a", "c"):
        known.add(offer_name(label))
    assert [offer_name(label) in known for label in "abc"] == [False, True, True]
