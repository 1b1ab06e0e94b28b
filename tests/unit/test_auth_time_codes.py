"""Codes as our host shows them; the vectors of taas.md §18.1."""

from __future__ import annotations

import pytest

from relay.auth import time_code

RFC_KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
KEY = "KRQWC42DN5XGM33SNVQW4Y3FKZSWG5DPOJJWKY3SMV2E45LNMJSXET3OMUYDANBQ"

VECTORS = [
    (RFC_KEY, 59, "287082"),
    (RFC_KEY, 1111111109, "081804"),
    (RFC_KEY, 1234567890, "005924"),
    (RFC_KEY, 20000000000, "353130"),
    (KEY, 1700000000, "014899"),
    (KEY, 1700000010, "898251"),
    (KEY, 1700000040, "766901"),
    (KEY, 1767225600, "400692"),
    (KEY, 1800000000, "257771"),
    (KEY, 1700091510, "035518"),
]


@pytest.mark.parametrize(("base32", "unix_s", "code"), VECTORS)
def test_codes(base32: str, unix_s: int, code: str) -> None:
    """Six digits, with the zeros in front that the original's leaves out."""
    assert time_code(base32, unix_s // 30) == code
    assert time_code(base32.lower() + "====", unix_s // 30) == code


def test_other_steps() -> None:
    """A step of the record's own makes codes of its own."""
    codes = [time_code(KEY, 1700000010 // step_s) for step_s in (20, 60)]
    assert codes == ["639566", "271817"]


def test_no_base32() -> None:
    """A secret that is none is refused, and not repeated."""
    with pytest.raises(ValueError, match=r"^the secret is no base32$"):
        time_code("not base32!", 1)
