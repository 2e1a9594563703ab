"""When the next send may go, and how a long message is cut. Pure."""

from __future__ import annotations

import re

import attrs

from qqops.model import Draft, Limits, Segment, Text

#: Where a text may be cut, best first: after a line, after a sentence, after a word.
_BORDERS = (re.compile(r"\n"), re.compile(r"[。！？；!?;]|\.(?=\s)"), re.compile(r"\s|[，、,]"))


@attrs.define
class Spacing:
    """At least *gap* seconds between two sends."""

    gap: float
    _free_at: float = float("-inf")

    def delay(self, now: float) -> float:
        """Return how many seconds from *now* the next send must wait."""
        return max(0.0, self._free_at - now)

    def sent(self, now: float) -> None:
        """Note that a send went out at *now*."""
        self._free_at = now + self.gap


def split_text(text: str, max_bytes: int) -> list[str]:
    """Return *text* in pieces of at most *max_bytes* UTF-8 bytes, cut on line, sentence or word borders.

    Nothing is lost but the white space at the cuts. A word longer than a piece is cut between characters,
    never inside one, and not between a character and what modifies it (skin tones, joiners).
    """
    if max_bytes <= 0 or len(text.encode()) <= max_bytes:
        return [text]
    pieces: list[str] = []
    rest = text
    while len(rest.encode()) > max_bytes:
        fit = _fitting(rest, max_bytes)
        cut = _border(rest, fit)
        pieces.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest:
        pieces.append(rest)
    return [piece for piece in pieces if piece] or [""]


def _fitting(text: str, max_bytes: int) -> int:
    """Return how many leading characters of *text* fit into *max_bytes*; at least one."""
    fit = len(text.encode()[:max_bytes].decode("utf-8", "ignore"))
    while fit > 1 and _joins(text[fit - 1], text[fit]):
        fit -= 1
    return max(fit, 1)


def _joins(left: str, right: str) -> bool:
    """Whether the two characters form one sign: combining marks, variation selectors, joiners, skin tones."""
    return (
        left == "\u200d"
        or right in "\u200d\ufe0e\ufe0f\u20e3"
        or 0x0300 <= ord(right) <= 0x036F
        or 0x1F3FB <= ord(right) <= 0x1F3FF
    )


def _border(text: str, fit: int) -> int:
    """Return the best place to cut within the first *fit* characters.

    A border in the first half is not taken: many short pieces read worse than one cut word.
    """
    for border in _BORDERS:
        ends = [m.end() for m in border.finditer(text, fit // 2, fit)]
        if ends:
            return ends[-1]
    return fit


def split_draft(draft: Draft, limits: Limits) -> list[Draft]:
    """Return *draft* as parts that keep to *limits*; only the first one carries the reply.

    Pictures and faces stay with the text before them. They weigh nothing: the services count text.
    """
    text, most = draft.text, limits.max_bytes
    if most <= 0 or 4 * len(text) <= most or len(text.encode()) <= most:
        return [draft]
    groups: list[list[Segment]] = [[]]
    used = 0
    for segment in draft.segments:
        if not isinstance(segment, Text):
            groups[-1].append(segment)
            continue
        room = limits.max_bytes - used
        if len(segment.text.encode()) <= room:
            groups[-1].append(segment)
            used += len(segment.text.encode())
            continue
        if groups[-1]:
            groups.append([])
        pieces = split_text(segment.text, limits.max_bytes)
        groups[-1].append(Text(pieces[0]))
        groups.extend([Text(piece)] for piece in pieces[1:])
        used = len(pieces[-1].encode())
    return [
        Draft(room=draft.room, segments=tuple(group), reply_to=draft.reply_to if i == 0 else None)
        for i, group in enumerate(g for g in groups if g)
    ]
