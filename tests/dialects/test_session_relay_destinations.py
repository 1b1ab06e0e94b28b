"""Rules of a session-relay host at work: links that are kept up, streams, and files.

Specification: session-relay.md §9.2 and §9.3.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.dialects.session_relay.host.destinations import LONGEST_PAUSE_S, Destinations
from relay.dialects.session_relay.host.keeping import Recording
from relay.dialects.session_relay.host.rules import BadRule, DestinationRule, StreamRule
from relay.errors import CannotConnect, RelayError
from relay.outside import HttpAnswer
from relay.vocabulary import Data, Enter, Reason, TopicName
from tests.dialects.session_relay_machine import CODE_URL, Desk, Seat

SESSION = "https://lab.example/access/session/t"


def seat_of(desk: Desk, number: int) -> Seat:
    """The seat of the link that was dialled then."""
    session = desk.machine.dialled[number]
    (seat,) = [each for each in desk.hub.seats if each.session is session]
    return seat


def test_a_destination_is_connected_with_its_token() -> None:
    """At the access API first; its link is a member of the feed, both ways, and never given up."""
    desk = Desk()
    desk.machine.answer = HttpAnswer(200, {}, b'{"uri":"wss://lab.example/ws/session/t?code=1"}')
    desk.destinations.add(DestinationRule("1", "video", SESSION, "tok"))
    assert desk.machine.asked == [(SESSION, "tok")]
    (session,) = desk.machine.dialled
    assert session.url == "wss://lab.example/ws/session/t?code=1"
    assert desk.machine.kept == [('destination "1"', False, LONGEST_PAUSE_S)]
    assert seat_of(desk, 0).enter == Enter(TopicName("feed:video"))


def test_without_a_token_its_url_is_dialled() -> None:
    """Nobody is asked for a code."""
    desk = Desk()
    desk.destinations.add(DestinationRule("1", "video", "ws://h/in/video"))
    assert desk.machine.asked == []
    assert desk.machine.dialled[0].url == "ws://h/in/video"


def test_a_feed_goes_both_ways_and_a_stream_out_only() -> None:
    """Check 47."""
    desk = Desk()
    desk.destinations.add(DestinationRule("1", "f", "ws://h/f"))
    desk.destinations.add(DestinationRule("2", "stream/x", "ws://h/x"))
    desk.streams.add(StreamRule("stream/x", ("f", "g")))
    heard: list[Data] = []
    local = desk.hub.reside(TopicName("feed:f"), heard.append)
    local.say(b"a", True)
    desk.hub.reside(TopicName("feed:g"), heard.append).say(b"b", False)
    plain, stream = desk.machine.dialled
    assert plain.sent == [Data(b"a", text=True)]
    assert stream.sent == [Data(b"a", text=True), Data(b"b")]
    seat_of(desk, 1).say(b"no", True)
    assert heard == []
    seat_of(desk, 0).say(b"yes", True)
    assert heard == [Data(b"yes", text=True)]


def test_streams_change_without_reconnecting() -> None:
    """What a link hears follows the rule; a rule that is gone leaves silence, and no fault."""
    desk = Desk()
    desk.destinations.add(DestinationRule("1", "stream/x", "ws://h/x"))
    f, g = (desk.hub.reside(TopicName(f"feed:{name}"), lambda _: None) for name in "fg")
    for feeds in (("f",), ("g",), None):
        desk.streams.add(StreamRule("stream/x", feeds))
        f.say(b"f", False)
        g.say(b"g", False)
    desk.streams.delete("stream/x")
    f.say(b"f", False)
    desk.destinations.add(DestinationRule("1", "stream/x", "ws://h/y"))
    desk.destinations.delete("1")
    first, second = desk.machine.dialled
    assert [data.payload for data in first.sent] == [b"f", b"g"]
    assert (len(first.closed), len(second.closed), second.sent) == (1, 1, [])


def test_what_is_no_stream_composes_nothing() -> None:
    """A rule without the prefix, a stream in a stream, and the same feed twice."""
    desk = Desk()
    desk.streams.add(StreamRule("q", ("f",)))
    assert desk.hub.composed == {}
    desk.streams.add(StreamRule("stream/x", ("stream/x", "stream/y", "f", "f")))
    assert desk.hub.composed == {"feed:stream/x": {"feed:f"}}
    assert desk.streams.feeds("stream/x") == ("stream/x", "stream/y", "f", "f")


def test_the_same_id_replaces() -> None:
    """The old link ends in order, and the new one starts with the new token (check 45)."""
    desk = Desk()
    for token in ("old", "new"):
        desk.destinations.add(DestinationRule("1", "f", "http://localhost/session/t", token))
    assert [token for _, token in desk.machine.asked] == ["old", "new"]
    old, new = desk.machine.dialled
    assert (old.closed, new.closed) == ([Reason.GOING_AWAY], [])
    end = old.conversation.end(Reason.GOING_AWAY, None)
    assert end is not None
    assert end.code == 1000


def test_deleting_ends_the_link_and_what_is_not_there_is_harmless() -> None:
    """In any order with the stream's rule, which ends the original."""
    desk = Desk()
    desk.streams.add(StreamRule("stream/x", ("f",)))
    desk.destinations.add(DestinationRule("1", "stream/x", "ws://h/x"))
    desk.streams.delete("stream/x")
    desk.destinations.delete("1")
    desk.destinations.delete("1")
    desk.streams.delete("nope")
    desk.destinations.delete("nope")
    assert [len(session.closed) for session in desk.machine.dialled] == [1]


def test_a_refusal_is_never_final() -> None:
    """The rule stays, in the router's words, until it is replaced."""
    desk = Desk()
    desk.machine.answer = HttpAnswer(500, {}, b'{"code":500,"message":"token invalid"}')
    desk.destinations.add(DestinationRule("1", "f", SESSION, "eyJ"))
    (error,) = desk.machine.refusals
    assert (error.reason, error.text) == (Reason.TOKEN_INVALID, "token invalid")
    assert desk.destinations.rule("1")["destination"] == SESSION
    assert desk.machine.kept[0][1] is False


def test_no_rule_shows_its_token() -> None:
    """Neither in an error's report nor by accident."""
    assert "tok" not in repr(DestinationRule("1", "f", SESSION, "tok")).replace("token", "")


# -- files -----------------------------------------------------------------------------------------


def test_what_goes_out_is_recorded(tmp_path: Path) -> None:
    """Payload alone, from an empty file on, and not what comes in."""
    desk = Desk(files=str(tmp_path))
    (tmp_path / "out.ts").write_bytes(b"old")
    desk.destinations.add(DestinationRule("1", "f", "ws://h/f", file="out.ts"))
    heard: list[Data] = []
    local = desk.hub.reside(TopicName("feed:f"), heard.append)
    local.say(b"one", False)
    seat_of(desk, 0).say(b"in", True)
    local.say(b"two", True)
    assert (tmp_path / "out.ts").read_bytes() == b"onetwo"
    assert desk.machine.dialled[0].sent == [Data(b"one"), Data(b"two", text=True)]
    assert heard == [Data(b"in", text=True)]
    desk.destinations.delete("1")
    local.say(b"three", False)
    assert (tmp_path / "out.ts").read_bytes() == b"onetwo"


def test_a_stream_is_recorded_and_hears_nothing(tmp_path: Path) -> None:
    """Also where its file is named absolutely, in a folder below."""
    desk = Desk(files=str(tmp_path))
    (tmp_path / "deep").mkdir()
    name = str(tmp_path / "deep" / "x")
    desk.streams.add(StreamRule("stream/x", ("f",)))
    desk.destinations.add(DestinationRule("1", "stream/x", "ws://h/x", file=name))
    heard: list[Data] = []
    desk.hub.reside(TopicName("feed:f"), heard.append).say(b"one", False)
    seat_of(desk, 0).say(b"in", False)
    desk.destinations.delete("deleteAll")
    assert Path(name).read_bytes() == b"one"
    assert desk.machine.dialled[0].sent == [Data(b"one")]
    assert heard == []


def test_a_replaced_rule_begins_its_file_anew(tmp_path: Path) -> None:
    """Though the old rule still had it open."""
    desk = Desk(files=str(tmp_path))
    local = desk.hub.reside(TopicName("feed:f"), lambda _: None)
    for word in (b"old", b"new"):
        desk.destinations.add(DestinationRule("1", "f", "ws://h/f", file="x"))
        local.say(word, False)
    desk.destinations.delete("1")
    assert (tmp_path / "x").read_bytes() == b"new"


def _link(folder: Path) -> None:
    (folder / "x").symlink_to(folder.parent / "outside")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "x")


@pytest.mark.parametrize(
    ("name", "prepare"),
    [
        ("../outside", None),
        ("/etc/relay-outside", None),
        ("a/../../outside", None),
        (".", None),
        ("x\0", None),
        ("\ud800", None),
        ("no/such/folder/x", None),
        ("x", Path.mkdir),
        ("x", _link),
        ("x", _pipe),
    ],
)
def test_a_file_of_elsewhere_is_refused(
    tmp_path: Path, name: str, prepare: Callable[[Path], None] | None
) -> None:
    """So is what is no file; the rule that was there stays as it was."""
    folder = tmp_path / "files"
    folder.mkdir()
    if prepare is Path.mkdir:
        (folder / "x").mkdir()
    elif prepare is not None:
        prepare(folder)
    desk = Desk(files=str(folder))
    desk.destinations.add(DestinationRule("1", "f", "ws://h/f"))
    with pytest.raises(BadRule):
        desk.destinations.add(DestinationRule("1", "f", "ws://h/g", file=name))
    assert not (tmp_path / "outside").exists()
    assert desk.destinations.rule("1")["destination"] == "ws://h/f"
    assert desk.machine.dialled[0].closed == []


def test_elsewhere_no_file_is_written(tmp_path: Path) -> None:
    """Whoever reaches the local API could else write any file of ours."""
    desk = Desk()
    with pytest.raises(BadRule, match="is not below /nowhere"):
        desk.destinations.add(DestinationRule("1", "f", "ws://h/f", file=str(tmp_path / "x")))
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    """A file that takes a little."""

    closed = False

    def write(self, data: memoryview) -> int:
        """Two bytes, once."""
        if len(data) > 2:
            return 2
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        """Close."""
        self.closed = True


def test_a_full_disk_ends_the_recording_once() -> None:
    """It is told once; messages go on."""
    recording = Recording(FullDisk(), "x")  # type: ignore[arg-type]  # all that is used of one
    error = recording.write(b"abcd")
    assert error is not None
    assert error.text == "cannot write x: No space left on device"
    assert recording.write(b"abcd") is None


def test_a_recording_goes_on_while_the_link_is_down(tmp_path: Path) -> None:
    """What nobody takes is dropped there, and still recorded."""
    desk = Desk(files=str(tmp_path))

    async def down(*_: object) -> object:
        raise CannotConnect("nobody there")

    desk.machine.websocket_at = down  # type: ignore[assignment]  # a router that is away
    desk.destinations.add(DestinationRule("1", "f", "ws://h/f", file="x"))
    desk.hub.reside(TopicName("feed:f"), lambda _: None).say(b"one", False)
    desk.destinations.delete("1")
    assert (tmp_path / "x").read_bytes() == b"one"
    assert [type(error) for error in desk.machine.refusals] == [CannotConnect]


def test_the_code_in_an_address_is_in_no_message() -> None:
    """What is kept is named by its rule."""
    desk = Desk()
    desk.destinations.add(DestinationRule("1", "f", "http://localhost/session/t", "tok"))
    assert desk.machine.dialled[0].url == CODE_URL
    assert CODE_URL not in str(desk.machine.kept)
    desk.destinations.add(DestinationRule("2", "f", CODE_URL))
    assert desk.machine.reports[-1] == 'destination "2": "f" goes to ws://127.0.0.1/session/t'
    assert isinstance(desk.destinations, Destinations)
    assert issubclass(BadRule, RelayError)
