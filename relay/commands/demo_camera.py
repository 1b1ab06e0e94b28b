"""The camera of a demo: sends a picture again and again, as the body of one request."""

from __future__ import annotations

import time
from collections import deque

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer
from zope.interface import implementer

from relay.commands.demo_instrument import Wheel
from relay.commands.demo_picture import Scene, picture

EVERY_S = 0.1
"""Between two pictures; the pause is what makes each of them one message."""

REMEMBERED = 100
"""So many pictures are kept, to be compared with what arrives."""

DAY_S = 86400


@implementer(IBodyProducer)
class Camera:
    """Films a wheel, for as long as its request stands.

    :ivar pictures: the last ones that it sent
    """

    length = UNKNOWN_LENGTH

    def __init__(self, reactor: IReactorTime, wheel: Wheel) -> None:
        self.pictures: deque[bytes] = deque(maxlen=REMEMBERED)
        self._wheel = wheel
        self._consumer: IConsumer | None = None
        self._number = 0
        self._paused = False
        self._filming = LoopingCall(self._shoot)
        self._filming.clock = reactor

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Begin. :returns: never fires: the film has no end"""
        self._consumer = consumer
        self._filming.start(EVERY_S)
        return Deferred(lambda _: self.stopProducing())

    def pauseProducing(self) -> None:
        """Pictures are left out while they do not get away."""
        self._paused = True

    def resumeProducing(self) -> None:
        """They do again."""
        self._paused = False

    def stopProducing(self) -> None:
        """End."""
        if self._filming.running:
            self._filming.stop()

    def _shoot(self) -> None:
        if self._paused or self._consumer is None:
            return
        now = time.time()
        local_s = now + time.localtime(now).tm_gmtoff
        turned, speed = self._wheel.turned(), self._wheel.speed
        frame = picture(Scene(self._number, local_s % DAY_S, turned, speed))
        self._number += 1
        self.pictures.append(frame)
        self._consumer.write(frame)
