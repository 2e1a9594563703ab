"""Pictures for a person at a terminal: saved to a file, and QR codes drawn with half blocks."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import re
import tempfile

from qqops.adapters.base import Question

#: Light modules around a QR code; scanners want some.
_MARGIN = 2
#: Most pixels of a picture that is drawn; the service's have about 165 × 165.
_MAX_PIXELS = 4_000_000
#: For each brightness, 1 when it is dark.
_DARK = [1] * 128 + [0] * 128


def save(question: Question, folder: pathlib.Path) -> pathlib.Path:
    """Write the picture into *folder*, readable for its owner only, and return its path.

    It takes the place of the one before as a whole: whoever looks never finds half a picture.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    suffix = ".jpg" if question.picture.startswith(b"\xff\xd8") else ".png"
    path = folder / f"{question.kind.value}-{file_name(question)}{suffix}"
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{path.name}-")  # mode 0600, whatever the umask
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(question.picture)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return path


def file_name(question: Question) -> str:
    """Return the name of the account as a part of a file's name."""
    return re.sub(r"[^\w.-]", "_", question.account.id)


def draw_qr(picture: bytes) -> str:
    """Return a QR picture as text, two modules to a character; "" when it cannot be read.

    Needs the package Pillow (extra ``qr``).
    """
    try:
        from PIL import Image
    except ImportError:
        return ""
    try:
        with Image.open(io.BytesIO(picture)) as opened:
            if opened.width * opened.height > _MAX_PIXELS:
                return ""
            image = opened.convert("L").point(_DARK)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    box = image.getbbox()  # of what is dark
    if box is None:
        return ""
    left, top, right, _ = box
    width, dark = image.width, image.tobytes() + b"\0"  # rounding may look one beyond
    # The finder pattern in the corner is seven modules of dark in a row: that gives the size of one.
    row = dark[top * width + left : top * width + right]
    size = (len(row) - len(row.lstrip(b"\x01"))) / 7
    count = round(len(row) / size) if size >= 1 else 0
    if not 21 <= count <= 177 or top + count * size >= image.height + size / 2:
        return ""
    at = [int((n + 0.5) * size) for n in range(count)]
    modules = [[bool(dark[(top + y) * width + left + x]) for x in at] for y in at]
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
