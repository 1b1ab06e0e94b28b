"""What a router of taas does by itself, and what a reload leaves; taas.md §9, §10 and §16."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import CancelledError, Deferred

from relay.dialects.taas.fixed import RETRY_S
from relay.dialects.taas.keys import USERS_KEY
from relay.dialects.taas.router import LOOK_EVERY_S, TaasFace
from relay.dialects.taas.users import UsersFace
from relay.errors import NotFound
from relay.vocabulary import Reason
from tests.conftest import Flush
from tests.dialects.contract import face_of
from tests.dialects.taas_rooms import (
    CONFIG,
    ID,
    MOBILE,
    OTHER_ID,
    SERVERS,
    STRANGER,
    Room,
    port_of,
    request_of,
    stored,
)

FIXED = 62052


@pytest.fixture
def room() -> Iterator[Room]:
    """A router that looks after its records."""
    room = Room()
    room.lists("alpha", "beta", f"gw.alpha:{FIXED}")
    residing = Deferred.fromCoroutine(room.face.reside(room.services))
    residing.addErrback(lambda failure: failure.trap(CancelledError))
    yield room
    residing.cancel()


def test_what_is_listed_stays(room: Room) -> None:
    """Waiting, joined, and fixed ports."""
    hosts = [room.responder(), room.responder("gw.alpha")]
    caller = room.mobile()
    room.passes(3 * LOOK_EVERY_S)
    assert [party.reason for party in (*hosts, caller)] == [None] * 3
    assert FIXED in room.ports.open_ports


@pytest.mark.parametrize("text", [None, "no record", stored("alpha", base32=None)])
def test_links_of_a_record_that_is_gone_end(room: Room, text: str | None) -> None:
    """All of its ID, joined or not, and its fixed ports; those of another go on."""
    room.records.texts[OTHER_ID] = stored("alpha")
    hosts = [room.responder(), room.responder("beta"), room.responder("gw.alpha")]
    other = room.responder(subject=OTHER_ID)
    caller = room.mobile()
    if text is None:
        del room.records.texts[ID]
    else:
        room.records.texts[ID] = text
    room.passes(LOOK_EVERY_S + 0.5)
    assert [host.reason for host in hosts] == [Reason.REVOKED] * 3
    assert caller.was_reset()
    assert other.reason is None
    assert FIXED not in room.ports.open_ports


def test_links_of_a_label_that_is_listed_no_more_end(room: Room) -> None:
    """Those of the same ID's other labels go on, and so may new ones."""
    alpha, beta = room.responder(), room.responder("beta")
    room.lists("beta")
    room.passes(LOOK_EVERY_S + 0.5)
    assert (alpha.reason, beta.reason) == (Reason.REVOKED, None)
    room.lists("beta", "alpha")
    room.passes(2)
    assert room.responder().reason is None


def test_a_fixed_port_that_is_listed_no_more_closes(room: Room) -> None:
    """Also without any host; a label that has another one gets that with its next host."""
    room.responder("gw.alpha").fin()
    assert FIXED in room.ports.open_ports
    room.lists("alpha", f"gw.alpha:{FIXED + 1}")
    room.passes(LOOK_EVERY_S + 0.5)
    assert room.ports.open_ports == {}
    room.responder("gw.alpha")
    assert list(room.ports.open_ports) == [FIXED + 1]


def test_a_fixed_port_stays_while_any_record_lists_it(room: Room) -> None:
    """Two IDs of one label have one port."""
    room.records.texts[OTHER_ID] = stored("x", f"gw.alpha:{FIXED}")
    room.responder("gw.alpha")
    room.responder("gw.alpha", subject=OTHER_ID)
    del room.records.texts[ID]
    room.passes(LOOK_EVERY_S + 0.5)
    assert FIXED in room.ports.open_ports
    del room.records.texts[OTHER_ID]
    room.passes(LOOK_EVERY_S)
    assert FIXED not in room.ports.open_ports
    assert len(room.face.memory.fixed) == 0


def test_a_fixed_port_that_was_taken_opens_when_it_is_free(
    room: Room, expected_log_errors: Flush
) -> None:
    """Without another host; that it cannot be opened is told once for each time."""
    for _ in range(2):
        room.ports.foreign.add(FIXED)
        room.lists("alpha", f"gw.alpha:{FIXED}")
        room.responder("gw.alpha")
        room.passes(3 * RETRY_S)
        assert len(expected_log_errors()) == 1
        room.ports.foreign.clear()
        room.passes(RETRY_S + LOOK_EVERY_S)
        assert list(room.ports.open_ports) == [FIXED]
        room.lists("alpha")
        room.passes(2 * LOOK_EVERY_S)
        assert room.ports.open_ports == {}


def test_a_fixed_port_is_handed_on(room: Room, expected_log_errors: Flush) -> None:
    """A label that could not have it gets it as soon as the other one is listed no more."""
    room.records.texts[OTHER_ID] = stored(f"gw.beta:{FIXED}")
    first, second = room.responder("gw.alpha"), room.responder("gw.beta", subject=OTHER_ID)
    assert len(expected_log_errors()) == 1
    room.lists("alpha")
    room.passes(2 * LOOK_EVERY_S + 1)
    assert (first.reason, second.reason) == (Reason.REVOKED, None)
    room.connected(FIXED, MOBILE).say(b"hello")
    assert second.heard() == b"hello"


def test_a_store_that_fails_ends_nothing(room: Room) -> None:
    """It is asked again."""
    host = room.responder()
    room.records.fails = True
    room.passes(3 * LOOK_EVERY_S)
    assert host.reason is None
    room.records.fails = False
    room.records.texts.clear()
    room.passes(LOOK_EVERY_S)
    assert host.reason is Reason.REVOKED


def test_a_reload_changes_nothing_that_stands(room: Room) -> None:
    """Uses, ports, known labels, pairings and redirects are those of the face before."""
    waiting, taken = room.port(), room.responder()
    mobile_port = port_of(room.seek())
    room.connected(mobile_port, MOBILE)
    after = TaasFace(CONFIG._replace(uses=300))
    after.remember(room.face)
    room.face = after
    assert room.register(peer=STRANGER).status == 400
    assert len(room.face.memory.pairings.of("alpha")) == 1
    assert room.connect(waiting)
    assert port_of(room.seek()) == mobile_port
    room.connected(mobile_port, MOBILE)
    assert len(room.face.memory.pairings.of("alpha")) == 2
    assert not room.seeks().called
    assert taken.reason is None


def test_another_face_has_nothing_to_remember() -> None:
    """Whatever stood in its place before."""
    room, face = Room(), TaasFace(CONFIG)
    memory = face.memory
    face.remember(room.records)  # type: ignore[arg-type]  # it is no face at all
    assert face.memory is memory


def test_the_operators_page_is_at_listeners_of_its_own() -> None:
    """Those that ``users`` names; everywhere else is the registrar, also where there is no page."""
    face = face_of("taas")
    assert isinstance(face, TaasFace)
    assert isinstance(face.placed(USERS_KEY), UsersFace)
    assert face.placed("listen") is face
    plain = TaasFace(CONFIG)
    assert plain.placed(USERS_KEY) is plain


def test_no_websocket_is_served() -> None:
    """Links come by ports of their own."""
    face, request = TaasFace(CONFIG), request_of("GET", "/", f"alpha.{SERVERS}")
    with pytest.raises(NotFound):
        face.conversation(request, face.route(request), None)
