"""What one tunnel says in the log, and how often."""

from __future__ import annotations

from twisted.logger import Logger

from relay.core.patience import Repetition
from relay.errors import RelayError
from relay.settings.model import TunnelSettings


class Telling:
    """Writes one tunnel's lines of the log."""

    log = Logger()

    def __init__(self, settings: TunnelSettings) -> None:
        self.settings = settings
        self._repetition = Repetition()
        self._silence = Repetition()
        self._stood_once = False
        self._stopping = False

    def report(self, text: str) -> None:
        """Log one line, with the tunnel's name in front."""
        self.log.info("{name}: {text}", name=self.settings.name, text=text)

    def lost(self, text: str) -> None:
        """Log that the link to the router ended, unless it was we who ended it."""
        if not self._stopping:
            self.report(text)

    def fault(
        self,
        what: str,
        error: RelayError,
        next_try_s: float | None = None,
        repetition: Repetition | None = None,
    ) -> None:
        """Log one line: what failed, why, and what to try.

        :param repetition: thins out; None: the tunnel's own
        """
        text = f"{what} ({error.reason.value}: {error.text})"
        if self._stopping or not (repetition or self._repetition).says(text):
            return
        self.log.error(
            "{name}: {what} ({reason}: {text}{remedy}){next_try}",
            name=self.settings.name,
            what=what,
            reason=error.reason.value,
            text=error.text,
            remedy=f"; {error.remedy}" if error.remedy else "",
            next_try=f"; next try in {next_try_s:.1f} s" if next_try_s is not None else "",
        )

    def _report_silence(self, address: str) -> None:
        text = f"{address} accepts connections but has said nothing for 5 s"
        if self._silence.says(text):
            question = "" if self._stood_once else " (is this the port of a relay router?)"
            self.report(f"{text}{question}; waiting on")
