"""What the tests of broker and registry get: a desk."""

from __future__ import annotations

import pytest

from tests.unit.broker_desk import Desk


@pytest.fixture
def desk() -> Desk:
    """A fresh broker."""
    return Desk()
