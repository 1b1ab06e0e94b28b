"""What ``relay record``, ``play`` and ``monitor`` share: taking part in a topic of a session relay
for as long as a command runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from typing_extensions import override

from relay.core.stream import Stream
from relay.core.surroundings import Surroundings
from relay.dialects.session_relay.entry import open_session, shown_url
from relay.dialects.session_relay.notions import READ
from relay.dialects.session_relay.topic_link import TopicLink
from relay.errors import ConfigurationError, RelayError
from relay.interfaces import IStream
from relay.links.cutthrough import Hub
from relay.links.outward import Outward
from relay.outside import IOutward, ITunnelSession
from relay.settings.model import Limits, TunnelSettings
from relay.vocabulary import Carries, Close, Data, Reason
from relay.wire.tokens import peek_claims

if TYPE_CHECKING:
    from relay.daemon import IReactor

LONGEST_PAUSE_S = 10.0
"""Between attempts, as the originals (§8.5)."""

HURRY_S = 1.0
"""How long the last bytes may take to get out, once a signal has come ..."""

ENOUGH_S = 3.0
"""... and how long the whole program: it may be stuck in writing to what nobody reads."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Member(Stream):
    """A stream that ends here: what comes is heard, what we say goes out.

    :param heard: takes each whole message
    :param changed: called when there is room again, and when the link has ended
    """

    def __init__(self, heard: Callable[[Data], None], changed: Callable[[], None]) -> None:
        super().__init__(Carries(boundaries=True, text=True), "member")
        self._heard = heard
        self._changed = changed
        self._paused = False

    def has_room(self) -> bool:
        """:returns: whether what is said now goes out soon"""
        return self.partner is not None and not self.closed and not self._paused

    def say(self, payload: bytes, text: bool) -> None:
        """Tell the topic; dropped when the link has ended."""
        if self.partner is not None and not self.closed:
            self.deliver(Data(payload, text=text))

    @override
    def send(self, data: Data) -> None:
        """A message came from the topic."""
        self._heard(data)

    @override
    def finish(self) -> None:
        """A link to a topic ends in both directions at once; that is told by :meth:`reset`."""

    @override
    def reset(self, reason: Reason, close: Close | None) -> None:
        """The link has ended."""
        self.closed = True
        self._changed()

    @override
    def pause(self) -> None:
        """The link is full."""
        self._paused = True

    @override
    def resume(self) -> None:
        """The link takes more."""
        self._paused = False
        self._changed()

    @override
    def is_paused(self) -> bool:
        """:returns: whether the link is full"""
        return self._paused


class Attendee:
    """One link to a topic, kept up for ever.

    :param session_url: at an access API; without a token what is dialled
    :param heard: takes each whole message; an OSError or RelayError of it ends the attendance
    :param failed: called with what ends the attendance
    :param changed: called when the link stands or has ended, and when there is room again
    :param name: of the link, where a command has several
    """

    def __init__(
        self,
        outward: IOutward,
        session_url: str,
        heard: Callable[[Data], None],
        failed: Callable[[Exception], None],
        changed: Callable[[], None] = lambda: None,
        name: str = "",
        with_token: bool = True,
    ) -> None:
        self.member: Member | None = None
        self.stood_at = 0.0
        self._outward = outward
        self._url = session_url
        self._shown = shown_url(session_url)
        self._take = heard
        self._failed = failed
        self._changed = changed
        self._name = name
        self._with_token = with_token
        self._keeping: Deferred[None] | None = None

    def start(self) -> None:
        """Connect, and connect again."""
        errand = self._outward.keep(
            self._enter, final=(), name=self._name, longest_s=LONGEST_PAUSE_S
        )
        self._keeping = ensureDeferred(cast("Deferred[None]", errand))
        self._keeping.addErrback(self._ended)

    def leave(self) -> None:
        """End the link in order, behind all that was said, and connect no more."""
        if self._keeping is not None:
            self._keeping.cancel()

    async def _enter(self) -> ITunnelSession:
        token = await self._outward.token() if self._with_token else ""
        session = await open_session(self._outward, self._url, token, lambda: TopicLink(whole=True))
        self.member = Member(self._heard, self._changed)
        self.stood_at = self._outward.now()
        self._outward.spawn(self._join(self.member, session.stream()))
        scopes = peek_claims(token).get("scopes")
        deaf = isinstance(scopes, list) and READ not in scopes
        lacking = "; nothing will be heard, since the token does not allow to read" if deaf else ""
        self._outward.report(f"a member of the topic at {self._shown}{lacking}")
        self._changed()
        return session

    async def _join(self, member: IStream, link: IStream) -> None:
        await self._outward.join(member, link, self._shown)

    def _heard(self, data: Data) -> None:
        # whatever cannot be done with a message is not the link's fault
        try:
            self._take(data)
        except (OSError, RelayError) as error:
            self._failed(error)

    def _ended(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        error = cast(Exception, failure.value)
        if isinstance(error, RelayError):
            error.text = f"cannot reach {self._shown} ({error.reason.value}: {error.text})"
        self._failed(error)


class Waiting:
    """Waits for a moment, or for something to happen before."""

    def __init__(self, outward: IOutward) -> None:
        self._outward = outward
        self._stirred = False
        self._waiting: Deferred[None] | None = None

    def stir(self) -> None:
        """Something happened: whoever waits, or is about to, goes on."""
        self._stirred = True
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def until(self, deadline: float | None) -> None:
        """Wait. :param deadline: in the clock of ``outward.now``; None: until stirred"""
        if not self._stirred:
            self._waiting = Deferred()
            timer: Deferred[None] | None = None
            if deadline is not None:
                asleep = self._outward.sleep(max(0.0, deadline - self._outward.now()))
                timer = ensureDeferred(cast("Deferred[None]", asleep))
                timer.addCallbacks(lambda _: self.stir(), lambda _: None)
            try:
                if self._waiting is not None:
                    await self._waiting
            finally:
                self._waiting = None
                if timer is not None:
                    timer.cancel()
        self._stirred = False


class Program:
    """A command from the start of the reactor to its end.

    :param hung_up: called at SIGHUP, which means nothing else here
    """

    log = Logger()

    def __init__(
        self, settings: TunnelSettings, reactor: IReactor, hung_up: Callable[[], None]
    ) -> None:
        around = Surroundings.of_process(reactor, Limits())
        self.outward = Outward(settings, reactor, around, Hub(reactor), lambda: None)
        self._reactor = reactor
        self._hung_up = hung_up
        self._running: Deferred[None] = Deferred()
        self._error: Exception | None = None
        self._status = 0
        self._signalled = False

    def run(self, errand: Callable[[], Awaitable[int]]) -> int:
        """Run an errand until it is over, or a signal ends it.

        :returns: the errand's exit status; 0 after a signal
        :raises RelayError, ConfigurationError, OSError: as the errand does
        """
        self._reactor.callWhenRunning(self._start, errand)
        # the reactor's own handlers reap children; the others are replaced once it runs
        self._reactor.run()
        if self._error is not None:
            raise self._error
        return self._status

    def _start(self, errand: Callable[[], Awaitable[int]]) -> None:
        for name in SIGNALS:
            signal.signal(name, self._caught)
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self._hung_up))
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        running = ensureDeferred(cast("Deferred[int]", errand()))
        self._running = running.addCallbacks(self._done, self._failed)
        self._running.addCallback(self._stop)

    def _done(self, status: int) -> None:
        self._status = status

    def _failed(self, failure: Failure) -> None:
        if failure.check(RelayError, ConfigurationError, OSError):
            self._error = cast(Exception, failure.value)
        elif not failure.check(CancelledError):
            self.log.failure("the command failed", failure)
            self._status = 1

    def _stop(self, _: object) -> None:
        stopped = Deferred.fromCoroutine(self.outward.stop(0))
        stopped.addErrback(lambda failure: self.log.failure("cannot stop", failure))
        stopped.addBoth(lambda _: self._reactor.stop())

    def _caught(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, ENOUGH_S)
        self._reactor.callFromThread(self._hang_up)

    def _hang_up(self) -> None:
        """End; a second signal does so at once."""
        if self._signalled:
            self.outward.hurry()
            return
        self._signalled = True
        self._reactor.callLater(HURRY_S, self.outward.hurry)
        self._running.cancel()
