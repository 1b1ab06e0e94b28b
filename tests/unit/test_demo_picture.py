"""What the camera of a demo sees is a picture, and shows what it should."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.commands.demo_picture import (
    HEIGHT,
    INK,
    PALETTE,
    SIGNATURE,
    TEXT_X,
    WIDTH,
    Scene,
    picture,
)

SCENE = Scene(7, 45296.75, 0.1, 3.0)
WHEEL = range(20, 165)
"""Columns of the wheel, and nothing else but stripes."""


def chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """:returns: kind and data of each chunk. :raises AssertionError: for a wrong check sum"""
    assert png.startswith(SIGNATURE)
    start = len(SIGNATURE)
    while start < len(png):
        size = int.from_bytes(png[start : start + 4], "big")
        body = png[start + 4 : start + 8 + size]
        check = png[start + 8 + size : start + 12 + size]
        assert int.from_bytes(check, "big") == zlib.crc32(body)
        yield body[:4], body[4:]
        start += 12 + size


def pixels(png: bytes) -> list[bytes]:
    """:returns: the rows of a picture, an index of the palette for each pixel"""
    found = dict(chunks(png))
    raw = zlib.decompress(found[b"IDAT"])
    assert len(raw) == HEIGHT * (WIDTH + 1)
    rows = [raw[start : start + WIDTH + 1] for start in range(0, len(raw), WIDTH + 1)]
    assert {row[0] for row in rows} == {0}
    return [row[1:] for row in rows]


def part(scene: Scene, columns: range) -> list[bytes]:
    """:returns: some columns of a picture"""
    return [row[columns.start : columns.stop] for row in pixels(picture(scene))]


def test_is_a_picture() -> None:
    """It has the four chunks that a reader needs, in their order, and the sizes that it names."""
    found = list(chunks(picture(SCENE)))
    assert [kind for kind, _ in found] == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    head, colours = found[0][1], found[1][1]
    assert (int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")) == (WIDTH, HEIGHT)
    assert head[8:] == bytes((8, 3, 0, 0, 0))
    assert len(colours) == 3 * len(PALETTE)


def test_same_scene() -> None:
    """The same is seen of the same scene."""
    assert picture(SCENE) == picture(SCENE._replace())


def test_stripes_move() -> None:
    """The next picture differs, even where nothing else has changed."""
    assert part(SCENE, range(10)) != part(SCENE._replace(number=8), range(10))


@pytest.mark.parametrize(("turn", "same"), [(1.1, True), (0.6, False), (-0.9, True)])
def test_wheel_turns(turn: float, same: bool) -> None:
    """A whole turn leads back to where it was, any other part of one does not."""
    assert (part(SCENE, WHEEL) == part(SCENE._replace(turn=turn), WHEEL)) is same


def test_words() -> None:
    """A second later other words are seen, and nothing else has changed."""
    later = SCENE._replace(second=SCENE.second + 1)
    assert part(SCENE, range(TEXT_X)) == part(later, range(TEXT_X))
    assert part(SCENE, range(TEXT_X, WIDTH)) != part(later, range(TEXT_X, WIDTH))


@given(
    st.integers(0, 10**12),
    st.floats(0, 86400, exclude_max=True),
    st.floats(-1e9, 1e9),
    st.floats(-10, 10),
)
def test_any_scene(number: int, second: float, turn: float, speed: float) -> None:
    """Whatever there is to see fits into the picture, in colours that it has."""
    rows = pixels(picture(Scene(number, second, turn, speed)))
    seen = set().union(*rows)
    assert max(seen) < len(PALETTE)
    assert INK in seen
