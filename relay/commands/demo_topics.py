"""The demo of a dialect of topics: a camera and an instrument, a host, and who watches them."""

from __future__ import annotations

import argparse
import io
import json
import shlex
import sys
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseFailed
from twisted.web.http import OK
from twisted.web.iweb import IBodyProducer, IResponse

from relay.announcements import as_url
from relay.commands.demo_camera import Camera
from relay.commands.demo_guests import Guests
from relay.commands.demo_instrument import GET_STATE, Instrument, Wheel
from relay.commands.demo_lab import DATA, VIDEO, Lab
from relay.commands.demo_site import STATUS_PATH
from relay.commands.demo_stage import START_S, Stage
from relay.commands.demo_tunnel import in_columns
from relay.commands.demo_witness import Seen, Witness
from relay.commands.output import result
from relay.commands.shows import TOPIC_SHOWS, Desk
from relay.errors import RelayError
from relay.measuring.processes import free_ports
from relay.vocabulary import Role

FEED, STREAM, DATA_FEED = "camera", "stream/front", "data"
BOOKING = "rig"
ASK_S = 0.25
"""How often the instrument is asked, until the way there stands."""

TOUR = f"""\
#+ a tour of the speeds
{GET_STATE}
[1s] {{"set":"speed","to":9}}
<'"speed":9',1,5s> {{"set":"speed","to":-1}}
[1s]
"""
"""Something for ``relay play``."""


class Urls(NamedTuple):
    """What can be opened while the demo runs.

    :ivar access: the base URL of the router's access API
    :ivar host: that of the host's own API
    """

    page: str
    access: str
    host: str
    admin: str


class TopicDemo:
    """Sets a rig up as its owner would, and sees that others can watch it.

    :param arguments: of ``relay demo``
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments

    async def show(self, stage: Stage) -> bool:
        """:returns: whether it could be shown
        :raises RelayError: when pictures or the instrument's answer do not arrive as they were sent
        """
        show = TOPIC_SHOWS[self._arguments.dialect]
        # its audience and its target, which tokens and answers name, have the port in them
        port = self._arguments.port or free_ports(1)[0]
        router = await stage.router(self._arguments.dialect, port)
        if router is None:
            return False
        (_, at), (_, admin) = router.addresses
        desk = show.desk(router.settings, as_url("http", at))
        host = stage.tunnel(Role.HOST, show.host_ini)
        await stage.soon(host.when_ready(), "the host starts")
        if not host.addresses:
            raise RelayError("the host does not listen")
        rig = _Rig(stage, as_url("http", host.addresses[0][1]))
        await rig.begin(desk)
        witness = Witness(rig.camera.pictures, rig.instrument.answers)
        seen = await self._witnessed(stage, desk, rig, witness)
        page = await stage.serve(Lab(desk, str(stage.folder)))
        self._report(
            stage, desk, Urls(f"{page}/", desk.access, rig.url, as_url("http", admin)), seen
        )
        return True

    async def _witnessed(self, stage: Stage, desk: Desk, rig: _Rig, witness: Witness) -> Seen:
        """Take part in both topics until enough was seen."""
        files = {}
        for topic, scopes in ((VIDEO, ["read"]), (DATA, ["read", "write"])):
            session, token = desk.seat(topic, scopes, "witness")
            files[topic] = (session, stage.write(f"{topic}.token", token))
        watching = rig.guests.invite("watching", *files[VIDEO], witness.saw)
        asking = rig.guests.invite("asking", *files[DATA], witness.heard)

        def ask() -> None:
            # what is said before all links stand reaches nobody
            if asking.member is not None and not witness.answered:
                asking.member.say(GET_STATE.encode(), True)

        repeating = LoopingCall(ask)
        repeating.clock = stage.reactor
        repeating.start(ASK_S)
        try:
            return await stage.soon(witness.seen(), "pictures and an answer come")
        finally:
            repeating.stop()
            watching.leave()
            asking.leave()

    def _report(self, stage: Stage, desk: Desk, urls: Urls, seen: Seen) -> None:
        dialect = self._arguments.dialect
        rows = [
            ("the page", urls.page),
            (f"the router's API, for {dialect}", urls.access),
            ("the host's own API", urls.host),
            ("the admin status", f"{urls.admin}{STATUS_PATH}"),
        ]
        commands = [] if stage.once else _commands(stage, desk, urls)
        lines = [
            *in_columns(rows),
            f"{seen.pictures} pictures ({seen.bytes} bytes) and the answer {seen.answer} came "
            f"through host and router as they were sent, {seen.ms:.0f} ms",
            *(["to paste into another terminal:", *commands] if commands else []),
        ]
        value = {
            "dialect": dialect,
            "urls": urls._asdict(),
            "seen": seen._asdict(),
            "commands": commands,
        }
        result(self._arguments.json, value, "\n".join(lines))
        sys.stdout.flush()


class _Rig:
    """What is beside the host.

    :param url: of the host's own API
    """

    def __init__(self, stage: Stage, url: str) -> None:
        self.url = url
        self._stage = stage
        self._agent = Agent(stage.reactor, connectTimeout=START_S)
        wheel = Wheel(stage.reactor.seconds)
        self.camera = Camera(stage.reactor, wheel)
        self.guests = Guests(stage)
        self.instrument = Instrument(wheel, self._say)
        self._beside = self.guests.invite(
            "instrument",
            f"{url.replace('http', 'ws', 1)}/ws/{DATA_FEED}",
            None,
            self.instrument.heard,
        )

    async def begin(self, desk: Desk) -> None:
        """Tell the host what goes where, and begin to film. :raises RelayError: when it refuses"""
        await self._rule("streams", stream=STREAM, feeds=[FEED])
        for stream, topic, scopes in (
            (STREAM, VIDEO, ["write"]),
            (DATA_FEED, DATA, ["read", "write"]),
        ):
            session, token = desk.seat(topic, scopes, BOOKING)
            await self._rule(
                "destinations", id=topic, stream=stream, destination=session, token=token
            )
        film = self._ask(f"/ts/{FEED}", self.camera)
        film.addCallbacks(
            lambda answer: self._film_over(f"the host answered {answer.code}"),
            lambda failure: self._film_over(str(failure.value)),
        )
        self._stage.at_end(film.cancel)

    async def _rule(self, kind: str, **rule: object) -> None:
        body = FileBodyProducer(io.BytesIO(json.dumps(rule).encode()))
        try:
            answer = await self._stage.soon(self._ask(f"/api/{kind}", body), "the host answers")
        except (ConnectError, ResponseFailed) as error:
            raise RelayError(f"{self.url} cannot be asked: {error}") from error
        if answer.code != OK:
            raise RelayError(f"{self.url}/api/{kind} answers {answer.code}")

    def _film_over(self, why: str) -> None:
        self._stage.fail(Failure(RelayError(f"the film, which has no end, has ended: {why}")))

    def _ask(self, path: str, body: IBodyProducer) -> Deferred[IResponse]:
        asked: Deferred[IResponse] = self._agent.request(
            b"POST", f"{self.url}{path}".encode(), None, body
        )
        return asked

    def _say(self, answer: bytes) -> None:
        if self._beside.member is not None:
            self._beside.member.say(answer, True)


def _commands(stage: Stage, desk: Desk, urls: Urls) -> list[str]:
    """:returns: what can be done besides, each a line for a shell"""
    (video, data), folder = (f"{desk.access}/session/{one}" for one in (VIDEO, DATA)), stage.folder
    tour = shlex.quote(stage.write("tour.play", TOUR))
    watch, talk = (shlex.quote(str(folder / f"{one}.token")) for one in (VIDEO, DATA))
    return [
        f'curl -s -X POST -H "Authorization: $(cat {watch})" {video}',
        f"relay record --session {data} --token-file {talk}",
        f"relay play {tour} --session {data} --token-file {talk} --log -",
        f"relay status --admin {urls.admin}",
    ]
