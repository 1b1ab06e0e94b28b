"""Sessions of wsmux in memory."""

from __future__ import annotations

from collections.abc import Callable, Sized

from relay.dialects.websocktunnel.mux import Mux, RouterMux
from relay.dialects.websocktunnel.mux_host import HostMux
from relay.interfaces import ILink
from relay.vocabulary import Answer, Offer, OfferName
from tests.fakes import FakeStream, World
from tests.unit.stream_rooms import Room

NAME = OfferName("websocktunnel:demo")


class End(Room[Mux]):
    """A session of ours."""

    def clean(self) -> bool:
        """Whether nothing is left of any stream."""
        mux = self.talk
        left: list[Sized] = [self.session.streams(), mux._open, mux._draining]
        if isinstance(mux, RouterMux):
            left += [mux._waiting, mux._given_up]
        if isinstance(mux, HostMux):
            left.append(mux._asked)
        return not any(left)


def router_end(world: World, link: ILink, make: Callable[[], FakeStream] = FakeStream) -> End:
    """The router's end."""
    return End(NAME, world, link, RouterMux(Offer(NAME, Answer.STREAM)), make)


def host_end(
    world: World,
    link: ILink,
    window: int,
    credit: int,
    make: Callable[[], FakeStream] = FakeStream,
) -> End:
    """Our host's end."""
    return End(NAME, world, link, HostMux(NAME, window, credit), make)
