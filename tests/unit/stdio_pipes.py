"""Two pipes as standard input and output, and the ends that a user holds."""

from __future__ import annotations

import os

from relay.links.stdio import StdioStream
from relay.vocabulary import Reason


class UserPipes:
    """A stream over two pipes, which a subclass makes; the test is its user.

    :ivar stdin: what the stream reads; the user writes to ``input``
    :ivar stdout: what the stream writes to; the user reads ``output``, which never blocks
    :ivar gone: why the stream has ended
    """

    stream: StdioStream

    def __init__(self) -> None:
        self.gone: list[Reason] = []
        self.stdin, self.input = os.pipe()
        self.output, self.stdout = os.pipe()
        os.set_blocking(self.output, False)

    def leave(self, name: str) -> None:
        """Close one of the user's ends."""
        os.close(getattr(self, name))
        setattr(self, name, -1)

    def close(self) -> None:
        """Close the stream, and what is left of the pipes."""
        self.stream.close()
        for fd in (self.stdin, self.input, self.output, self.stdout):
            if fd >= 0:
                os.close(fd)
