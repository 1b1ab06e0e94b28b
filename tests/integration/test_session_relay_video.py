"""MPEG-TS from a real ffmpeg through our host, and a router, to a reader: the same bytes.

Runs where ffmpeg is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import pytest_twisted

from relay.measuring.processes import free_ports, listens
from tests.integration.portal_programs import Program
from tests.integration.session_relay_hosts import FAMILY, SECRET, Host, host_of, message, token_for
from tests.rawpeer import Op, RawPeer, connect, read_response, request, until

FFMPEG = shutil.which("ffmpeg")
PACKET_BYTES = 188
SYNC = 0x47

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")


def film(folder: Path, url: str) -> tuple[subprocess.Popen[bytes], Path]:
    """Film a test pattern of two seconds, into a file and to a URL at once."""
    file = folder / "film.ts"
    pattern = ["-f", "lavfi", "-i", "testsrc=size=320x240:rate=25", "-t", "2"]
    codec = ["-codec:v", "mpeg1video", "-bf", "0", "-map", "0:v"]
    both = f"[f=mpegts]{file}|[f=mpegts]{url}"
    quiet = [str(FFMPEG), "-nostdin", "-loglevel", "error"]
    filming = subprocess.Popen([*quiet, *pattern, *codec, "-f", "tee", both])
    return filming, file


async def watch(filming: subprocess.Popen[bytes], file: Path, reader: RawPeer) -> None:
    """See that all that is filmed is heard, in binary messages, and nothing else."""
    assert await until(filming.poll, "the end of the film", 30.0) == 0
    whole = file.read_bytes()
    assert len(whole) > 20 * PACKET_BYTES
    assert set(whole[::PACKET_BYTES]) == {SYNC}
    came = b""
    while len(came) < len(whole):
        kind, payload = await message(reader)
        assert kind == Op.BINARY
        came += payload
    assert came == whole


async def stop(filming: subprocess.Popen[bytes]) -> None:
    """End it, where it has not ended."""
    filming.kill()
    filming.wait()


@pytest_twisted.ensureDeferred
async def test_a_film_arrives_as_it_was_made(tmp_path: Path) -> None:
    """By a stream of its feed, at whatever our host has dialled; each message is some packets."""
    async with host_of("ours", tmp_path) as host:
        await host.says("POST", "/api/streams", {"stream": "stream/front", "feeds": ["video"]})
        far = await host.destination("stream/front")
        filming, file = film(tmp_path, f"http://127.0.0.1:{host.port}/ts/video")
        try:
            await watch(filming, file, far)
        finally:
            await stop(filming)


@pytest_twisted.ensureDeferred
async def test_a_film_passes_the_original_router(tmp_path: Path) -> None:
    """A session each for our host and for a reader of the topic."""
    router = GoRouter(tmp_path)
    try:
        await router.listens()
        async with host_of("ours", tmp_path) as host:
            reader = await router.reader()
            await host.says("POST", "/api/streams", {"stream": "stream/x", "feeds": ["video"]})
            await router.is_fed_by(host, reader)
            filming, file = film(tmp_path, f"http://127.0.0.1:{host.port}/ts/video")
            try:
                await watch(filming, file, reader)
            finally:
                await stop(filming)
    finally:
        router.stop()


class GoRouter:
    """The original's router, with one topic."""

    def __init__(self, folder: Path) -> None:
        self._access, self._door = free_ports(2)
        self._audience = f"http://127.0.0.1:{self._access}"
        environment = {
            "RELAY_AUDIENCE": self._audience,
            "RELAY_URL": f"ws://127.0.0.1:{self._door}",
            "RELAY_SECRET": SECRET,
            "RELAY_PORT_ACCESS": str(self._access),
            "RELAY_PORT_RELAY": str(self._door),
            "RELAY_PROFILE": "false",
            "RELAY_LOG_FILE": "stdout",
        }
        self._program = Program("relay", ["serve"], folder, environment, FAMILY)

    async def listens(self) -> None:
        """Wait until it does."""
        ports = (self._access, self._door)
        await until(lambda: all(map(listens, ports)) or None, "the original listening")

    async def reader(self) -> RawPeer:
        """:returns: a member of the topic that reads, and is known to be there"""
        peer = await connect(self._access)
        peer.write(
            request("POST", "/session/t", f"Authorization: {token_for('read', self._audience)}")
        )
        answer = await read_response(peer, method="POST")
        uri: str = json.loads(answer.body)["uri"]
        reader = await connect(self._door)
        assert (await reader.upgrade(uri.partition(str(self._door))[2])).status == 101
        reader.send(Op.PING, b"there?")
        assert (await reader.receive()).opcode == Op.PONG
        return reader

    async def is_fed_by(self, host: Host, reader: RawPeer) -> None:
        """Add the rule, and wait until what is said to the host is heard."""
        rule = {
            "id": "1",
            "stream": "stream/x",
            "destination": f"{self._audience}/session/t",
            "token": token_for("write", self._audience),
        }
        await host.says("POST", "/api/destinations", rule)
        local = await host.member("video")

        def told() -> bool | None:
            local.send(Op.TEXT, b"are you there?")
            return None if reader.nothing_came() else True

        await until(told, "a message through the router")
        local.send(Op.TEXT, b"the end")
        said = b""
        while not said.endswith(b"the end"):
            said += (await message(reader))[1]

    def stop(self) -> None:
        """End it."""
        self._program.stop()
