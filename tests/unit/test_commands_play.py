"""What ``relay play`` says on a topic, and how it ends."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from relay.commands.main import main
from relay.commands.output import WrongUsage
from relay.commands.play import SETTLE_S, Playing, find_interval, sound_steps
from relay.commands.record import Output
from relay.errors import TokenInvalid
from tests.unit.topic_house import REFUSED, SESSION, House, failure_of

BAD = "fine\n[10]\n|x> y\nalso fine\n"


def playing(house: House, text: str, log: Path | None = None) -> Playing:
    """A file that is played."""
    output = None if log is None else Output(str(log))
    steps = sound_steps("play", io.BytesIO(text.encode()))
    return Playing(house.outward, SESSION, True, steps, output, 1.0)


def test_nothing_is_said_before_the_topic_hears_us() -> None:
    """An original needs a moment behind its handshake."""
    house = House()
    running = house.run(playing(house, "one\n\n").run())
    house.pass_by(SETTLE_S - 0.1)
    assert house.topics[0].heard == []
    house.pass_by(0.1)
    assert house.topics[0].heard == [(b"one", True), (b"", True)]
    assert (running.result, house.left) == (0, 1)


def test_conditions_hear_the_topic(tmp_path: Path) -> None:
    """And what passes the filters is logged, from the start."""
    house = House()
    log = tmp_path / "log"
    running = house.run(playing(house, "|+> o\n<'go',1,60s> went\n", log).run())
    house.speak(b"early")
    house.pass_by(SETTLE_S)
    house.speak(b"x")
    assert house.topics[0].heard == []
    house.speak(b"go")
    assert house.topics[0].heard == [(b"went", True)]
    assert running.called
    assert [line.partition(b"] ")[2] for line in log.read_bytes().splitlines()] == [b"early", b"go"]


def test_a_full_link_holds_the_file() -> None:
    """Until it takes more."""
    house = House()
    running = house.run(playing(house, "one\ntwo\n").run())
    house.topics[0].far.stop_reading()
    house.pass_by(SETTLE_S)
    assert house.topics[0].heard == []
    house.topics[0].far.read_on()
    assert [payload for payload, _ in house.topics[0].heard] == [b"one", b"two"]
    assert running.called


def test_a_refused_token_ends_it() -> None:
    """With the router's own words, and nothing said."""
    house = House(TokenInvalid("token invalid"))
    running = house.run(playing(house, "one\n").run())
    assert failure_of(running).text == REFUSED
    assert house.topics == []


def test_a_log_that_takes_nothing_ends_it() -> None:
    """In one sentence."""
    house = House()
    running = house.run(playing(house, "[60s]\n", Path("/dev/full")).run())
    house.pass_by(SETTLE_S)
    house.speak(b"x")
    assert failure_of(running).text == "cannot write to /dev/full: No space left on device"


def test_every_fault_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its line, and nothing is sent: there is not even a session to send it to."""
    path = tmp_path / "bad.play"
    path.write_text(BAD)
    assert main(["play", "--check-only", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(": line ")[2].partition(":")[0] for line in lines] == ["2", "3"]


def test_faults_are_a_result_where_json_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The status says that there are some, as without it."""
    path = tmp_path / "bad.play"
    path.write_text(BAD)
    assert main(["play", "--check-only", "--json", str(path)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [fault["line"] for fault in found["faults"]] == [2, 3]


def test_a_forced_file_is_good_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its faults are told all the same, also as JSON."""
    path = tmp_path / "bad.play"
    path.write_text(BAD)
    assert main(["play", "--check-only", "--force", "--json", str(path)]) == 0
    shown = capsys.readouterr()
    assert [fault["line"] for fault in json.loads(shown.out)["faults"]] == [2, 3]
    assert shown.err.count("left out") == 2
    house = House()
    house.run(playing(house, BAD).run())
    house.pass_by(SETTLE_S)
    assert [payload for payload, _ in house.topics[0].heard] == [b"fine", b"also fine"]


def test_a_line_that_is_too_long_cannot_be_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing behind it can be read."""
    path = tmp_path / "long.play"
    path.write_text("fine\n" + "x" * 70_000)
    assert main(["play", "--check-only", "--force", str(path)]) == 1
    assert f"{path}: line 2 is longer than 65536 bytes" in capsys.readouterr().err


def test_a_file_is_read_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So it has to be one."""
    assert main(["play", "--check-only", "/dev/null"]) == 1
    assert "no regular file" in capsys.readouterr().err
    os.mkfifo(tmp_path / "pipe")
    assert main(["play", "--check-only", str(tmp_path / "pipe")]) == 1
    assert "no regular file" in capsys.readouterr().err
    assert main(["play", "--check-only", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == (
        f"relay play: {tmp_path}/none: No such file or directory; name a play file\n"
    )
    assert main(["play", "--check-only"]) == 2
    assert "--token-file me.token PLAYFILE" in capsys.readouterr().err


def test_the_interval_is_a_duration_above_zero() -> None:
    """One second without it."""
    assert find_interval(None, {}) == 1.0
    assert find_interval(None, {"RELAY_CLIENT_INTERVAL": "10ms"}) == 0.01
    for text in ("0", "-1s", "soon"):
        with pytest.raises(WrongUsage, match="interval"):
            find_interval(text, {})
