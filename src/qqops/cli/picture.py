"""Pictures for a person at a terminal: saved to a file, and QR codes drawn with half blocks."""

from __future__ import annotations

import io
import os
import pathlib

from qqops.adapters.base import Question

#: Light modules around a QR code; scanners want some.
_MARGIN = 2


def save(question: Question, folder: pathlib.Path) -> pathlib.Path:
    """Write the picture into *folder*, readable for its owner only, and return its path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    suffix = ".jpg" if question.picture.startswith(b"\xff\xd8") else ".png"
    path = folder / f"{question.kind.value}-{question.account.id}{suffix}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(question.picture)
    return path


def draw_qr(picture: bytes) -> str:
    """Return a QR picture as text, two modules to a character; "" when it cannot be read.

    Needs the package Pillow (extra ``qr``).
    """
    try:
        from PIL import Image
    except ImportError:
        return ""
    try:
        image = Image.open(io.BytesIO(picture)).convert("L")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    width, height = image.size
    dark = [[image.getpixel((x, y)) < 128 for x in range(width)] for y in range(height)]  # type: ignore[operator] # mode L: one number
    rows = [y for y in range(height) if any(dark[y])]
    columns = [x for x in range(width) if any(row[x] for row in dark)]
    if not rows or not columns:
        return ""
    top, left = rows[0], columns[0]
    # The finder pattern in the corner is seven modules of dark in a row: that gives the size of one.
    run = next((x for x in range(left, width) if not dark[top][x]), width) - left
    size = run / 7
    count = round((columns[-1] + 1 - left) / size) if size >= 1 else 0
    if not 21 <= count <= 177:
        return ""
    modules = [
        [dark[int(top + (y + 0.5) * size)][int(left + (x + 0.5) * size)] for x in range(count)]
        for y in range(count)
    ]
    return _half_blocks(modules)


def _half_blocks(modules: list[list[bool]]) -> str:
    """Return the modules as text: light ones are drawn, so that it reads on a dark terminal."""
    count = len(modules)
    blank = [False] * (count + 2 * _MARGIN)
    side = [False] * _MARGIN
    rows = [blank] * _MARGIN + [[*side, *row, *side] for row in modules] + [blank] * _MARGIN
    if len(rows) % 2:
        rows.append(blank)
    shapes = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    return "\n".join(
        "".join(shapes[upper, lower] for upper, lower in zip(rows[i], rows[i + 1], strict=True))
        for i in range(0, len(rows), 2)
    )
