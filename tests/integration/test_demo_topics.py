"""``relay demo --dialect session-relay``: a lab that others watch; it leaves nothing behind."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.commands.demo_picture import SIGNATURE
from tests.integration.chromium import browser
from tests.integration.devtools import Page, page_at
from tests.relay_command import COMMAND, END_S, PROCESS_S, ROOT, environment, relay, started

DEMO = ("demo", "--dialect", "session-relay")
SEEN = re.compile(
    r'5 pictures \([0-9]{4,} bytes\) and the answer \{"speed":1\.0,"angle":[0-9]+\} '
    r"came through host and router as they were sent, [0-9]+ ms"
)
URLS, COMMANDS = 4, 4
REFUSED = "refused: bookingID has been deny-listed, probably because the session was cancelled"


def home(tmp_path: Path) -> dict[str, str]:
    """:returns: an environment whose temporary files go to a folder with a blank in its name"""
    folder = tmp_path / "a home"
    folder.mkdir(exist_ok=True)
    return {"TMPDIR": str(folder), "HOME": str(tmp_path / "nowhere")}


def nothing_is_left(tmp_path: Path) -> bool:
    """:returns: whether the demo has tidied up"""
    return list((tmp_path / "a home").iterdir()) == []


def test_once(tmp_path: Path) -> None:
    """Pictures and an answer arrive as they were sent, and all of it ends."""
    done = relay(*DEMO, "--once", folder=tmp_path, env=home(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    *urls, seen = done.stdout.decode().splitlines()
    assert len(urls) == URLS
    assert SEEN.fullmatch(seen)
    assert nothing_is_left(tmp_path)


def test_json(tmp_path: Path) -> None:
    """The result is also there as JSON."""
    done = relay(*DEMO, "--once", "--json", env=home(tmp_path))
    shown = json.loads(done.stdout)
    assert shown["dialect"] == "session-relay"
    assert set(shown["urls"]) == {"page", "access", "host", "admin"}
    assert shown["seen"]["pictures"] == 5
    assert json.loads(shown["seen"]["answer"])["speed"] == 1.0
    assert shown["commands"] == []


def test_nothing_arrives(tmp_path: Path) -> None:
    """Where pictures are not those that were filmed, one line says so, and it has failed."""
    script = (
        "from relay.commands import demo_topics as topics, main\n"
        "class Blind(topics.Witness):\n"
        "    def __init__(self, pictures, answers):\n"
        "        super().__init__((), answers)\n"
        "topics.Witness = Blind\n"
        f"raise SystemExit(main.main({[*DEMO, '--once']!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        timeout=PROCESS_S,
        check=False,
        cwd=ROOT,
        env=environment(**home(tmp_path)),
    )
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "which are none of the camera's pictures" in line
    assert nothing_is_left(tmp_path)


def test_port_in_use(tmp_path: Path) -> None:
    """A router that cannot listen is the only thing that is said."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = relay(*DEMO, "--port", str(port), env=home(tmp_path))
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert f"cannot listen at 127.0.0.1:{port}" in line
    assert nothing_is_left(tmp_path)


class Demo:
    """A demo that runs.

    :ivar urls: the page, the access API, the host's API, the status
    :ivar commands: that it says can be pasted
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.process = process
        lines = [process.stdout.readline().decode() for _ in range(URLS + 2 + COMMANDS)]
        self.urls = [line.split()[-1] for line in lines[:URLS]]
        assert SEEN.fullmatch(lines[URLS].rstrip())
        self.commands = [line.rstrip() for line in lines[-COMMANDS:]]

    def pasted(self, number: int) -> subprocess.CompletedProcess[bytes]:
        """Run a command as a shell does."""
        first = f"{shlex.join(COMMAND)} "
        command = re.sub("^relay ", lambda _: first, self.commands[number])
        return subprocess.run(
            command,
            shell=True,
            capture_output=True,
            timeout=PROCESS_S,
            check=True,
            cwd=ROOT,
            env=environment(),
        )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that all tests of this module look at; they leave it as it was."""
    folder = tmp_path_factory.mktemp("demo")
    with started(*DEMO, env=environment(**home(folder))) as process:
        yield Demo(process)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(END_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert nothing_is_left(folder)


def test_asking_for_a_session(demo: Demo) -> None:
    """The line with curl is answered by an address with a code."""
    answer = json.loads(demo.pasted(0).stdout)
    assert re.fullmatch(
        r"ws://127\.0\.0\.1:[0-9]+/ws/session/lab-video\?code=\S{36}", answer["uri"]
    )


def test_playing(demo: Demo) -> None:
    """The tour is answered by the instrument, which goes as fast as it is told to."""
    log = demo.pasted(2).stdout.decode()
    speeds = re.findall(r'\{"speed":([-0-9.]+),', log)
    assert speeds[1:] == ["9", "-1"]
    assert "a tour of the speeds" in log


def test_status(demo: Demo) -> None:
    """Who is connected and what has travelled is told at the admin address."""
    told = demo.pasted(3).stdout.decode()
    assert "session-relay:lab-video" in told
    assert "session-relay:lab-data" in told


def test_recording(demo: Demo) -> None:
    """The line with record writes down what is said, until a signal."""
    words = shlex.split(demo.commands[1])
    with started(*words[1:]) as recording:
        assert recording.stdout is not None
        assert recording.stderr is not None
        assert b"a member of the topic" in recording.stderr.readline()
        demo.pasted(2)
        assert b'{"get":"state"}' in recording.stdout.readline()
        assert b'{"speed":' in recording.stdout.readline()


def test_page_for_foreign_names(demo: Demo) -> None:
    """Whoever was led here by another name gets neither the page nor its tokens."""
    for path in ("", "lab.json"):
        asked = urllib.request.Request(demo.urls[0] + path, headers={"Host": "lab.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(asked, timeout=END_S)


def test_the_host_keeps_its_tokens(demo: Demo) -> None:
    """Its rules were set through its own API, where they can be read without their tokens."""
    with urllib.request.urlopen(f"{demo.urls[2]}/api/destinations/all", timeout=END_S) as answer:
        rules = json.loads(answer.read())
    assert {name: rule["stream"] for name, rule in rules.items()} == {
        "lab-video": "stream/front",
        "lab-data": "data",
    }
    assert {rule["token"] for rule in rules.values()} <= {"", "***"}


# -- in a browser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Its page in a browser."""
    browser()
    with page_at(demo.urls[0], tmp_path_factory.mktemp("browser") / "own") as shown:
        yield shown


def text(name: str) -> str:
    """:returns: what asks for the text of an element"""
    return f'document.getElementById("{name}").textContent'


def test_feed_in_a_browser(page: Page) -> None:
    """Pictures are shown one after the other, and counted with their bytes."""
    page.until(f"Number({text('frames')}) >= 3")
    assert page.until('document.getElementById("feed").naturalWidth') == 320
    head = page.ask(
        'fetch(document.getElementById("feed").src).then((one) => one.arrayBuffer())'
        ".then((bytes) => Array.from(new Uint8Array(bytes.slice(0, 8))))"
    )
    assert bytes(head) == SIGNATURE
    assert int(page.ask(text("video-bytes")).replace(",", "")) > 3000


def test_talk_in_a_browser(page: Page) -> None:
    """What is said to the instrument, by words or by the slider, is answered on the page."""
    page.until(f"{text('data-is')} === 'connected'")
    page.ask('document.querySelector("#talk button").click()')
    page.until(f'/\\u2190 ."speed":[-0-9.]+,/.test({text("log")})')
    page.ask('at("speed").value = 5; at("speed").onchange()')
    page.until(f"{text('log')}.includes('\\u2190 {{\"speed\":5,')")
    page.until(f"Number({text('messages')}) >= 2")


def test_who_is_connected_in_a_browser(page: Page) -> None:
    """The page sees itself among the members."""
    rows = page.until('[...document.querySelectorAll("#who tr")].map((row) => row.innerText)')
    topics = [row.split("\t")[0] for row in rows]
    assert set(topics) == {"stats", "lab-video", "lab-data"}


def test_cancelled_in_a_browser(page: Page) -> None:
    """A booking that is cancelled ends the page's links; allowed again it has them back."""
    page.until(f"{text('video-is')} === 'connected'")
    page.ask('document.getElementById("cancel").click()')
    for name in ("video-is", "data-is"):
        page.until(f"{text(name)} === {json.dumps(REFUSED)}")
    assert page.ask(text("booking-is")) == "it is cancelled"
    assert page.ask(text("stats-is")) == "connected"
    rows = '[...document.querySelectorAll("#who tr")]'
    # the seat that is of another booking
    page.until(f"{rows}.filter((row) => row.innerText.includes('Mozilla')).length === 1")
    page.ask('document.getElementById("allow").click()')
    for name in ("video-is", "data-is"):
        page.until(f"{text(name)} === 'connected'")
    before = page.ask("counts.frames")
    page.until(f"counts.frames > {before}")
