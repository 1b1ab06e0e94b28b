"""What the camera of a demo sees: a wheel that turns, stripes that move, and a clock, as PNG.

Made with nothing but the standard library, in about a millisecond: every row is a slice of bytes
that are made once, and the wheel is turned by translating the angle of each of its pixels.
"""

from __future__ import annotations

import math
import zlib
from typing import NamedTuple

WIDTH, HEIGHT = 320, 180
SIGNATURE = b"\x89PNG\r\n\x1a\n"
DEPTH_BITS, INDEXED = 8, 3
LEVEL = 4
"""Of compression: higher ones take longer than they are worth."""

DARK, STRIPE, RIM, INK, SPOKES = 0, 1, 2, 3, 4
SPOKE_COUNT = 6
PALETTE = (
    (0x12, 0x15, 0x1C),
    (0x1E, 0x24, 0x30),
    (0x9A, 0xA4, 0xB7),
    (0xE8, 0xEB, 0xF1),
    (0x31, 0x57, 0xD5),
    (0x5F, 0xD3, 0x9B),
    (0xF2, 0xC1, 0x4E),
    (0xE5, 0x6B, 0x5D),
    (0x8E, 0xA8, 0xFF),
    (0xB3, 0x8C, 0xE8),
)
"""Red, green and blue, by index; those of the wheel's sectors last."""

PERIOD = 32
CENTRE_X, CENTRE_Y, RADIUS, RIM_WIDTH = 92, 90, 72, 4
ANGLES = 252
"""So many angles a turn has: a multiple of the sectors, and fewer than a byte knows."""

RIM_MARK = 254
TEXT_X, TEXT_Y, SCALE, LINE = 188, 52, 2, 28

_FONT = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    ":": "00000 00100 00100 00000 00100 00100 00000",
    ".": "00000 00000 00000 00000 00000 00110 00110",
    "-": "00000 00000 00000 11111 00000 00000 00000",
    "#": "01010 01010 11111 01010 11111 01010 01010",
    "x": "00000 00000 10001 01010 00100 01010 10001",
    " ": "00000 00000 00000 00000 00000 00000 00000",
}
"""Five columns and seven rows each."""


class Scene(NamedTuple):
    """What is to be seen.

    :ivar number: of the frame
    :ivar second: of the day, 0 to 86400
    :ivar turn: of the wheel, in whole turns
    :ivar speed: of the wheel, as it was set
    """

    number: int
    second: float
    turn: float
    speed: float


def picture(scene: Scene) -> bytes:
    """:returns: a PNG of WIDTH x HEIGHT pixels; the same of the same scene"""
    turned = _turned(scene.turn)
    rows = []
    for y in range(HEIGHT):
        start = (y + scene.number) % PERIOD
        row = bytearray(_STRIPES[start : start + WIDTH])
        if y in _WHEEL:
            left, angles = _WHEEL[y]
            row[left : left + len(angles)] = angles.translate(turned)
        rows.append(row)
    for line, text in enumerate(_words(scene)):
        _write(rows, TEXT_Y + line * LINE, text)
    pixels = b"".join(b"\0" + row for row in rows)  # each row begins with its filter: none
    head = b"".join(size.to_bytes(4, "big") for size in (WIDTH, HEIGHT))
    return b"".join(
        (
            SIGNATURE,
            _chunk(b"IHDR", head + bytes((DEPTH_BITS, INDEXED, 0, 0, 0))),
            _chunk(b"PLTE", bytes(value for colour in PALETTE for value in colour)),
            _chunk(b"IDAT", zlib.compress(pixels, LEVEL)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    """:returns: length, kind, data and check sum, as PNG has it"""
    check = zlib.crc32(data, zlib.crc32(kind))
    return len(data).to_bytes(4, "big") + kind + data + check.to_bytes(4, "big")


def _words(scene: Scene) -> tuple[str, str, str]:
    whole = int(scene.second)
    tenth = int(scene.second * 10) % 10
    clock = f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{tenth}"
    return clock, f"# {scene.number % 10**8}", f"x {scene.speed:.1f}"


def _write(rows: list[bytearray], top: int, text: str) -> None:
    for y in range(7 * SCALE):
        bits = "0".join(_FONT[character].split()[y // SCALE] for character in text)
        row = rows[top + y]
        for column, bit in enumerate(bits):
            if bit == "1":
                start = TEXT_X + column * SCALE
                row[start : start + SCALE] = _INK


def _turned(turn: float) -> bytes:
    """:returns: the colour of each angle, where the wheel is turned so far"""
    offset = int(turn % 1 * ANGLES)
    sector = ANGLES // SPOKE_COUNT
    colours = [SPOKES + (angle - offset) % ANGLES // sector for angle in range(ANGLES)]
    return bytes(colours).ljust(RIM_MARK, b"\0") + bytes((RIM, DARK))


def _wheel_row(y: int) -> tuple[int, bytes]:
    """:returns: where a row of the wheel begins, and the angle of each of its pixels"""
    down = y - CENTRE_Y
    half = math.isqrt(RADIUS**2 - down**2)
    angles = bytearray()
    for across in range(-half, half + 1):
        if math.hypot(across, down) > RADIUS - RIM_WIDTH:
            angles.append(RIM_MARK)
        else:
            angles.append(int(math.atan2(down, across) / math.tau % 1 * ANGLES) % ANGLES)
    return CENTRE_X - half, bytes(angles)


_INK = bytes((INK,)) * SCALE
_STRIPES = bytes(STRIPE if x % PERIOD < PERIOD // 2 else DARK for x in range(WIDTH + PERIOD))
_WHEEL = {y: _wheel_row(y) for y in range(CENTRE_Y - RADIUS, CENTRE_Y + RADIUS + 1)}
