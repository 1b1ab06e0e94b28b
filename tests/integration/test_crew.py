"""Programs that a measurement starts are ended by it, whenever it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from relay.measuring.processes import Crew


def test_interrupted_at_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C while a program is being started ends that program, too."""
    begun: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *words: object, **options: object) -> None:
            super().__init__(*words, **options)  # type: ignore[call-overload]  # passed on
            begun.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    was = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt), Crew() as crew:
            crew.start("sleeper", [sys.executable, "-c", "input()"])
    finally:
        signal.signal(signal.SIGTERM, was[0])
    assert [program.returncode is not None for program in begun] == [True]
    assert signal.getsignal(signal.SIGINT) is was[1]
    assert not crew.folder.exists()
