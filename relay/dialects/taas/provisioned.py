"""The file by which a host is told its secret, its labels and its router; taas.md §10."""

from __future__ import annotations

from pathlib import Path

from relay.dialects.taas.records import (
    PROVISIONING_CHARACTERS,
    Provisioning,
    parse_provisioning,
)
from relay.errors import ConfigurationError


def read_provisioning(path: Path) -> Provisioning:
    """Read a provisioning file as it is now.

    :raises ConfigurationError: with one sentence, which holds no secret
    """
    if path.exists() and not path.is_file():  # a FIFO, for one, would be waited for
        raise ConfigurationError([f"{path}: is no file; name another"])
    try:
        with open(path, "rb") as file:
            content = file.read(PROVISIONING_CHARACTERS + 1)
    except FileNotFoundError:
        raise ConfigurationError(
            [f'{path}: does not exist; write it with "relay token taas provision" at the router']
        ) from None
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}; name another file"]) from None
    try:
        return parse_provisioning(content.decode())
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: is no provisioning file: no UTF-8 text"]) from None
    except ValueError as error:
        raise ConfigurationError([f"{path}: is no provisioning file: {error}"]) from None
