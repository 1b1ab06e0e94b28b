"""One-time codes: taken once, in time, and void with what they stand for."""

from __future__ import annotations

import random
import re
from uuid import UUID

import pytest
from zope.interface.verify import verifyObject

from relay.core import codes as module
from relay.core.codes import Codes
from relay.core.denials import Denial
from relay.errors import LimitReached
from relay.faces import ICodes
from relay.vocabulary import Grant, Role
from tests.fakes import World

LIFETIME_S = 30.0
GRANT = Grant("talk", Role.CLIENT, "bk-42")
CLAIMS: dict[str, object] = {"topic": "video"}


class Desk:
    """Codes, and the time."""

    def __init__(self) -> None:
        self.world = World()
        self.codes = Codes(self.world.wheel, random.Random(7).getrandbits)

    def issue(self, subject: str = "bk-42") -> str:
        """:returns: a new code"""
        return self.codes.issue(Grant("talk", Role.CLIENT, subject), CLAIMS, LIFETIME_S)


def test_a_code_is_a_random_uuid() -> None:
    """In lower case, of version 4, and each time another."""
    desk = Desk()
    verifyObject(ICodes, desk.codes)
    code, other = desk.issue(), desk.issue()
    assert UUID(code).version == 4
    assert re.fullmatch("[0-9a-f-]{36}", code)
    assert code != other


def test_a_code_is_taken_once() -> None:
    """It yields its claims, and then nothing; nor does one that was never made."""
    desk = Desk()
    code = desk.issue()
    assert desk.codes.take(code) == CLAIMS
    assert desk.codes.take(code) is None
    assert desk.codes.take("6f1c2d1e-7a55-4c0b-9d3e-2f64b1a0c9d8") is None


def test_a_code_lives_exactly_as_long_as_it_says() -> None:
    """Just before its end it is good; from then on it is not, and is forgotten by itself."""
    desk = Desk()
    late, good = desk.issue(), desk.issue()
    desk.world.passes(LIFETIME_S - 0.001)
    assert desk.codes.take(good) == CLAIMS
    desk.world.passes(0.001)
    assert desk.codes.take(late) is None
    desk.issue()
    desk.world.passes(2 * LIFETIME_S)
    assert len(desk.codes) == 0


def test_codes_are_void_with_their_grant() -> None:
    """Those of a revoked subject, and no others."""
    desk = Desk()
    mine, others = desk.issue(), desk.issue("bk-43")
    desk.codes.revoke(Denial("talk", "bk-42", None, None, None))
    assert desk.codes.take(mine) is None
    assert desk.codes.take(others) == CLAIMS


def test_nobody_hoards_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One subject has a bound of its own; used and stale ones do not count."""
    monkeypatch.setattr(module, "CODES_PER_SUBJECT", 2)
    desk = Desk()
    first = desk.issue()
    desk.issue()
    with pytest.raises(LimitReached):
        desk.issue()
    desk.issue("bk-43")
    desk.codes.take(first)
    desk.issue()
    with pytest.raises(LimitReached):
        desk.issue()
    desk.world.passes(LIFETIME_S)
    desk.issue()


def test_all_codes_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many subjects, too."""
    monkeypatch.setattr(module, "CODES_KEPT", 3)
    desk = Desk()
    for number in range(3):
        desk.issue(f"bk-{number}")
    with pytest.raises(LimitReached) as refused:
        desk.issue("bk-3")
    assert refused.value.retry_after_s
