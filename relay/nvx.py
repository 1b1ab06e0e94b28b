"""Autobahn's native code (NVX), without which every byte costs forty-five times as much."""

from __future__ import annotations

import os

from relay.errors import ConfigurationError


def check_nvx() -> None:
    """:raises ConfigurationError: when autobahn would unmask in Python, forty-five times slower."""
    if os.environ.get("AUTOBAHN_USE_NVX", "1").lower() in ("0", "no", "off", "false"):
        raise ConfigurationError(
            [
                "AUTOBAHN_USE_NVX switches autobahn's native code off: relay would be 45 times "
                "slower; unset it"
            ]
        )
    try:
        import _nvx_xormasker  # noqa: F401  # the import is the check
    except ImportError:
        if os.environ.get("RELAY_WITHOUT_NVX", "") != "yes":
            raise ConfigurationError(
                [
                    "autobahn's native code (NVX) is not installed, relay would be 45 times "
                    "slower: install autobahn from a wheel, or set RELAY_WITHOUT_NVX=yes to start "
                    "all the same"
                ]
            ) from None
