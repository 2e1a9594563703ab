"""The plot of a run as a PNG: bars on a logarithmic scale. Needs Pillow, nothing else."""

import math
import pathlib

import report
from PIL import Image, ImageDraw, ImageFont

WIDTH, LEFT, RIGHT, TOP = 1400, 270, 130, 110
BAR, GAP, HEAD = 34, 12, 74
INK, FAINT, PAPER = "#1f2328", "#d5d9de", "#ffffff"
#: Bars of qqops, of the loop under it, and of the peers.
OWN, BARE, PEER = "#1a7f5a", "#8c959f", "#3b6fb6"


def colour(name: str) -> str:
    return OWN if name.startswith("qqops") else BARE if name == "bare loop" else PEER


class Scale:
    """Maps figures to pixels, from the power of ten under the smallest to a little above the largest."""

    def __init__(self, values: list[float]) -> None:
        self.low = math.floor(math.log10(min(values)))
        if math.log10(min(values)) - self.low < 0.15:
            self.low -= 1
        self.high = max(math.log10(max(values)), self.low + 1) + 0.05

    def x(self, value: float) -> float:
        return LEFT + (math.log10(value) - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, math.floor(self.high) + 1)]


def panel(canvas: ImageDraw.ImageDraw, rows: report.Rows, column: str, top: int) -> None:
    """Draw one column of the table, the fastest first."""
    small, usual, title = (ImageFont.load_default(size) for size in (17, 20, 26))
    figures = sorted(((row[column], name) for name, row in rows.items() if row[column] > 0), reverse=True)
    if not figures:
        return
    scale = Scale([value for value, _ in figures])
    bottom = top + HEAD + len(figures) * (BAR + GAP)
    canvas.text((LEFT, top), f"{column} (logarithmic, more is better)", fill=INK, font=title)
    for value in scale.decades():
        x = scale.x(value)
        canvas.line((x, top + HEAD - 10, x, bottom), fill=FAINT, width=2)
        canvas.text((x, top + HEAD - 14), f"{value:,.0f}", fill=INK, font=small, anchor="ms")
    for place, (value, name) in enumerate(figures):
        y = top + HEAD + place * (BAR + GAP)
        x = scale.x(value)
        canvas.text((LEFT - 14, y + BAR / 2), name, fill=INK, font=usual, anchor="rm")
        canvas.rectangle((LEFT, y, x, y + BAR), fill=colour(name))
        canvas.text((x + 10, y + BAR / 2), f"{value:,.0f}", fill=INK, font=usual, anchor="lm")


def draw(rows: report.Rows, path: pathlib.Path) -> None:
    """Write the plot of *rows* to *path*."""
    height = HEAD + len(rows) * (BAR + GAP) + 40
    image = Image.new("RGB", (WIDTH, TOP + height * len(report.PLOTTED)), PAPER)
    canvas = ImageDraw.Draw(image)
    canvas.text(
        (40, 28), "Bots on OneBot v11, reverse WebSocket, one core", fill=INK, font=ImageFont.load_default(32)
    )
    for place, column in enumerate(report.PLOTTED):
        panel(canvas, rows, column, TOP + place * height)
    image.save(path, optimize=True)
