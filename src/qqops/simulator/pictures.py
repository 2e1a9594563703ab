"""PNG pictures: captcha letters from a 5×7 font, and QR codes."""

from __future__ import annotations

import io
import random
import struct
import zlib

# Rows of each letter from top to bottom, 5 bits each. Letters that look alike (I, O, Q) are left out.
_FONT = {
    "A": (14, 17, 17, 31, 17, 17, 17), "B": (30, 17, 30, 17, 17, 17, 30), "C": (14, 17, 16, 16, 16, 17, 14),
    "D": (30, 17, 17, 17, 17, 17, 30), "E": (31, 16, 30, 16, 16, 16, 31), "F": (31, 16, 30, 16, 16, 16, 16),
    "G": (14, 17, 16, 23, 17, 17, 14), "H": (17, 17, 17, 31, 17, 17, 17), "J": (7, 2, 2, 2, 2, 18, 12),
    "K": (17, 18, 20, 24, 20, 18, 17), "L": (16, 16, 16, 16, 16, 16, 31), "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 25, 21, 19, 17, 17, 17), "P": (30, 17, 17, 30, 16, 16, 16), "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 14, 1, 1, 17, 14), "T": (31, 4, 4, 4, 4, 4, 4), "U": (17, 17, 17, 17, 17, 17, 14),
    "V": (17, 17, 17, 17, 17, 10, 4), "W": (17, 17, 17, 21, 21, 27, 17), "X": (17, 10, 4, 4, 4, 10, 17),
    "Y": (17, 17, 10, 4, 4, 4, 4), "Z": (31, 1, 2, 4, 8, 16, 31),
}  # fmt: skip

LETTERS = "".join(_FONT)


def png(rows: list[list[int]]) -> bytes:
    """Return a grey PNG; each value is 0 (black) to 255 (white)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = b"".join(b"\0" + bytes(row) for row in rows)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def captcha(text: str, rng: random.Random, scale: int = 5) -> bytes:
    """Return a picture of *text*, slightly out of line and with specks."""
    width, height = (len(text) * 7 + 3) * scale, 13 * scale
    rows = [[255] * width for _ in range(height)]
    for index, letter in enumerate(text):
        left, top = (index * 7 + 2) * scale, rng.randrange(2, 5) * scale
        for y, bits in enumerate(_FONT[letter]):
            for x in range(5):
                if bits >> (4 - x) & 1:
                    for dy in range(scale):
                        start = left + x * scale
                        rows[top + y * scale + dy][start : start + scale] = [rng.randrange(0, 90)] * scale
    for _ in range(width):
        rows[rng.randrange(height)][rng.randrange(width)] = rng.randrange(0, 255)
    return png(rows)


def qr(text: str) -> bytes:
    """Return a QR code of *text*; without the package segno, a grey square that only a program can use."""
    try:
        import segno
    except ImportError:
        return png([[128] * 120 for _ in range(120)])
    out = io.BytesIO()
    # Any mask can be read; looking for the best one takes eight times as long.
    segno.make(text, error="m", mask=2).save(out, kind="png", scale=5, border=4)
    return out.getvalue()
