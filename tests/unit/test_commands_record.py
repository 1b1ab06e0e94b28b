"""What ``relay record`` writes, and how it ends."""

from __future__ import annotations

import argparse
import io
import os
import stat
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError

from relay.commands.main import main
from relay.commands.output import WrongUsage
from relay.commands.record import Output, Recording, add_arguments, find_mode
from relay.commands.session_options import session_settings
from relay.errors import ConfigurationError, RelayError, TokenInvalid
from tests.unit.topic_house import REFUSED, SESSION, House, failure_of


def clock() -> tuple[int, int]:
    """A time that stands still."""
    return 1_767_225_600_000_000_000, 0


def recording(house: House, output: Output, binary: bool = False) -> Recording:
    """A recording of the topic."""
    return Recording(house.outward, SESSION, True, output, binary, clock)


def test_messages_go_to_the_end_of_a_file(tmp_path: Path) -> None:
    """Each as it comes; what stood there before stays."""
    path = tmp_path / "topic.log"
    path.write_bytes(b"before\n")
    house = House()
    running = house.run(recording(house, Output(str(path))).run())
    house.speak(b"hello")
    house.speak(b"\x00\xff", text=False)
    lines = path.read_bytes().splitlines()
    assert lines == [b"before", b"[2026-01-01T00:00:00Z] hello", b"[2026-01-01T00:00:00Z] AP8="]
    running.cancel()
    assert isinstance(failure_of(running), CancelledError)
    assert house.left == 1


def test_payload_alone_is_written_in_binary(tmp_path: Path) -> None:
    """One message behind the other."""
    house = House()
    path = tmp_path / "video.ts"
    house.run(recording(house, Output(str(path)), binary=True).run())
    house.speak(b"\x47\x00", text=False)
    house.speak(b"", text=False)
    house.speak(b"text")
    assert path.read_bytes() == b"\x47\x00text"


def test_a_moved_file_is_begun_anew(tmp_path: Path) -> None:
    """As log rotation wants it."""
    house = House()
    path, moved = tmp_path / "log", tmp_path / "log.1"
    at_work = recording(house, Output(str(path)), binary=True)
    house.run(at_work.run())
    house.speak(b"one")
    path.rename(moved)
    house.speak(b"two")
    at_work.reopen()
    house.speak(b"three")
    assert (moved.read_bytes(), path.read_bytes()) == (b"onetwo", b"three")


def test_a_file_that_cannot_be_begun_anew_ends_it(tmp_path: Path) -> None:
    """Rather than go on in the one that was moved away."""
    house = House()
    folder = tmp_path / "logs"
    folder.mkdir()
    at_work = recording(house, Output(str(folder / "log")))
    running = house.run(at_work.run())
    (folder / "log").unlink()
    folder.rmdir()
    at_work.reopen()
    assert failure_of(running).remedy == "make its folder first"


def test_a_refused_token_ends_it() -> None:
    """With the router's own words, behind where it was."""
    house = House(TokenInvalid("token invalid"))
    running = house.run(recording(house, Output(None)).run())
    assert failure_of(running).text == REFUSED


@pytest.mark.parametrize(("scopes", "heard"), [(["write"], False), (["write", "read"], True)])
def test_a_token_that_hears_nothing_is_told(scopes: list[str], heard: bool) -> None:
    """The router takes it; without a word nobody would know why the file stays empty."""
    house = House()
    house.claims = {"scopes": scopes}
    house.run(recording(house, Output(None)).run())
    (report,) = house.reports
    assert ("nothing will be heard" not in report) is heard


def test_a_full_disk_ends_it() -> None:
    """In one sentence that names the file."""
    house = House()
    running = house.run(recording(house, Output("/dev/full")).run())
    house.speak(b"one")
    house.speak(b"two")
    assert failure_of(running).text == "cannot write to /dev/full: No space left on device"


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    """Whatever the umask leaves of 0666 (check 49)."""
    path = tmp_path / "new"
    Output(str(path)).close()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_what_nobody_reads_is_told(tmp_path: Path) -> None:
    """As a pipe that was closed, which main() knows."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    output = Output(str(pipe))
    os.close(end)
    with pytest.raises(BrokenPipeError):
        output.write(b"x")
    output.close()


@pytest.mark.parametrize("word", ["text", " Text ", "TEXT"])
def test_the_mode_is_read_as_the_originals(word: str) -> None:
    """Trimmed, in any case; text without one."""
    assert find_mode(word, {}) == find_mode(None, {}) == "text"
    assert find_mode(None, {"RELAY_CLIENT_MODE": "Binary"}) == "binary"
    with pytest.raises(WrongUsage, match="text or binary"):
        find_mode("hex", {})


def settings(words: list[str], folder: Path, **environ: str) -> object:
    """What the command line and the variables mean: URL and token."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    found = session_settings("record", parser.parse_args(words), environ, folder)
    return found.router, found.token and found.token.read().reveal()


def test_options_go_before_variables(tmp_path: Path) -> None:
    """The token comes from a file, or stands in its variable."""
    (tmp_path / "t").write_text("from-file\n")
    both = {"RELAY_CLIENT_SESSION": "http://other/session/t", "RELAY_CLIENT_TOKEN": "said"}
    assert settings([], tmp_path, **both) == ("http://other/session/t", "said")
    words = ["--session", SESSION, "--token-file", "t"]
    assert settings(words, tmp_path, **both) == (SESSION, "from-file")
    assert settings(["--session", "ws://127.0.0.1:1/ws/f"], tmp_path) == (
        "ws://127.0.0.1:1/ws/f",
        None,
    )


def test_a_token_may_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On standard input, of which it is the first line."""
    monkeypatch.setattr("sys.stdin", io.StringIO("said\nmore\n"))
    words = ["--session", SESSION, "--token-file", "-"]
    assert settings(words, tmp_path) == (SESSION, "said")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], WrongUsage),
        (["--session", SESSION], WrongUsage),
        (["--session", "ftp://x/"], ConfigurationError),
        (["--session", SESSION, "--token-file", "none"], ConfigurationError),
        (["--session", "ws://x/session/t", "--token-file", "t"], ConfigurationError),
        (["--session", SESSION, "--token-file", "t", "--ca-file", "no"], ConfigurationError),
        (["--session", SESSION, "--token-file", "t", "--proxy", "x"], ConfigurationError),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_done(
    words: list[str], error: type[Exception], tmp_path: Path
) -> None:
    """In one line each."""
    (tmp_path / "t").write_text("token")
    with pytest.raises(error):
        settings(words, tmp_path)


def test_the_three_commands_show_what_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    """Each option, and the variable beside it."""
    for name, variable in (
        ("record", "RELAY_CLIENT_MODE"),
        ("play", "RELAY_CLIENT_INTERVAL"),
        ("monitor", "RELAY_MONITOR_THRESHOLD"),
    ):
        assert main([name, "--help"]) == 0
        assert variable in capsys.readouterr().out


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """And so is a file that cannot be opened."""
    with pytest.raises(RelayError, match="cannot write to /nonexistent/folder/file: No such file"):
        Output("/nonexistent/folder/file")
    assert main(["record", "--session", SESSION]) == 2
    assert "relay record: name the token" in capsys.readouterr().err


def test_the_name_of_a_certificate_may_be_told(tmp_path: Path) -> None:
    """A refusal of the certificate names that option as the remedy."""
    (tmp_path / "t").write_text("token")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = f"--session https://relay.example/session/t --token-file {tmp_path}/t --tls-name other"
    settings = session_settings("record", parser.parse_args(words.split()), {}, tmp_path)
    assert settings.tls_name == "other"
