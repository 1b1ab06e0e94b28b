"""The fixture that starts hosts and clients of taas, loaded as a pytest plugin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.portal_peers import wait_for
from tests.integration.taas_far_ends import FarEnds
from tests.integration.taas_ours import TunnelMaker
from tests.integration.taas_wire import Certificate


@pytest.fixture
def taas_ends(
    tmp_path: Path, taas_tunnels: TunnelMaker, taas_certificate: Certificate
) -> Iterator[FarEnds]:
    """Hosts and clients of ours with a label of their own."""
    ends = FarEnds(tmp_path, taas_tunnels, taas_certificate)
    yield ends
    wait_for(ends.close())
