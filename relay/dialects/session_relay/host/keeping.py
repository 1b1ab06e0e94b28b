"""Files in which a host keeps what a destination is sent.

A rule comes from whoever reaches the local HTTP API, so that it may name a file only below the
folder that the host's own settings name for that, or else the system's for temporary files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast

from relay.dialects.session_relay.host.rules import BadRule
from relay.errors import RelayError

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
"""Who else may write in the folder could put a link, or a pipe that nobody reads, in the place of
the file that was looked at."""


def open_below(folder: str, name: str) -> Recording:
    """Make a file, or empty it.

    :param folder: that it has to be in, at any depth
    :param name: absolute, or relative to the folder
    :raises BadRule: when it may not be written, or cannot
    """
    if not name.isprintable():
        raise BadRule("a file's name has only characters that can be printed")
    root = Path(os.path.realpath(folder))
    path = Path(os.path.realpath(root / name))
    if root not in path.parents:
        raise BadRule(
            f"{name[:200]} is not below {folder}, where this host writes files; "
            "its setting files names another folder"
        )
    try:
        descriptor = os.open(path, _FLAGS, 0o666)
        try:
            os.ftruncate(descriptor, 0)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as error:
        raise BadRule(f"{name[:200]} cannot be written: {error.strerror}") from None
    return Recording(cast(BinaryIO, os.fdopen(descriptor, "ab", buffering=0)), name)


class Recording:
    """Payload, one message behind another without anything between them."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, payload: bytes) -> RelayError | None:
        """Append a message. :returns: what ended the recording, once"""
        if self._file.closed:
            return None
        rest = memoryview(payload)
        try:
            while rest:
                written = self._file.write(rest)
                if not written:
                    raise OSError(0, "it takes nothing")
                rest = rest[written:]
        except OSError as error:
            self._file.close()
            return RelayError(f"cannot write {self._name[:200]}: {error.strerror}")
        return None

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
