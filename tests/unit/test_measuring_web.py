"""How loads ask by HTTP, and how they know that an answer is right and whole."""

from __future__ import annotations

import pytest

from relay.measuring.frames import COMMON, UNIT_BYTES
from relay.measuring.places import Place
from relay.measuring.site import answer
from relay.measuring.web import Cycle, answered, body_length, get, put, receipt, unit_part

PLACE: Place = {"kind": "web", "port": 8080, "path": "/demo"}
SIZE = 64
WHOLE = answer(COMMON[:SIZE])


def test_questions() -> None:
    """They are heads below the place's path, and an upload says its length."""
    assert get(PLACE, 5) == b"GET /demo/give/5 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
    assert put(PLACE, 5).startswith(b"PUT /demo/take HTTP/1.1\r\n")
    assert body_length(put(PLACE, 12345)) == 12345


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  7\r\nA: b", 7),
        (b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 70", 70),
        (b"GET / HTTP/1.1\r\nA: b", 0),
    ],
)
def test_length(head: bytes, length: int) -> None:
    """It is found in whatever case and place, and is 0 where nothing is said."""
    assert body_length(head) == length


def test_chunks_are_not_spoken() -> None:
    """What has no length is no answer of the site's, rather than one of length 0."""
    with pytest.raises(OSError, match="without a length"):
        body_length(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_an_answer_grows() -> None:
    """It is whole with its last byte, and not before."""
    is_whole = answered(SIZE)
    assert [is_whole(WHOLE[:size]) for size in range(len(WHOLE) + 1)] == [False] * len(WHOLE) + [
        True
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        WHOLE + b"?",
        WHOLE[:-1] + b"?",
        WHOLE.replace(b" 200 ", b" 502 "),
        answer(COMMON[: SIZE + 1]),
        b"?" * 20000,
    ],
    ids=["more", "other", "status", "length", "no head"],
)
def test_a_wrong_answer(wrong: bytes) -> None:
    """It ends the measurement."""
    with pytest.raises(OSError, match="answer"):
        answered(SIZE)(wrong)


@pytest.mark.parametrize("step", [1000, 65536, UNIT_BYTES, 3 * UNIT_BYTES])
def test_a_body(step: int) -> None:
    """What is given is what is expected, however it is cut."""
    size = 2 * UNIT_BYTES + 777
    body = b"".join(
        bytes(unit_part(at)[: min(step, size - at)]) for at in range(0, size, min(step, UNIT_BYTES))
    )
    cycle = Cycle()
    for start in range(0, size, step):
        cycle.feed(memoryview(body)[start : start + step])
    assert (cycle.bytes, cycle.exact) == (size, True)


@pytest.mark.parametrize(
    "body",
    [
        COMMON[:1000] + COMMON[1001:] + COMMON * 4,
        COMMON[:1000] + COMMON[999:] + COMMON * 4,
        COMMON * 4 + COMMON[:70] + b"?" + COMMON[71:],
    ],
    ids=["lost", "doubled", "changed"],
)
def test_a_wrong_body(body: bytes) -> None:
    """A byte lost, doubled or changed is found; the first two also between compared units."""
    cycle = Cycle()
    cycle.feed(memoryview(body))
    assert not cycle.exact


def test_receipts() -> None:
    """They tell how much came, and whether it was right."""
    assert receipt(5, True) == b"5 exact"
    assert receipt(5, False) == b"5 inexact"
