"""Where a long text is cut. Pure.

A text may hold *marks*: single characters that stand for something else (a mention, a picture) and weigh what that
weighs. They are lone surrogates, which a `Text` cannot hold.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

#: Signs that are written without blanks between the words, and what must not begin a line after them.
_DENSE = r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af](?![，。、！？；：…”’」』）》\u0300-\u036f\ufe00-\ufe0f\U000e0100-\U000e01ef])"
#: Where a text may be cut, best first: after a line, a sentence, a word, a clause, and between dense signs.
_BORDERS = (
    re.compile(r"\n"),
    re.compile(r"[。！？；…]+[”’」』）》]*|[.!?;]+[\"')\]]*(?=\s)"),
    re.compile(r"\s+"),
    re.compile(r"[，、：]"),
    re.compile(_DENSE),
)
#: What is of no use in two pieces: addresses, and numbers with what groups their digits.
_WHOLE = re.compile(
    r"[a-z][a-z0-9+.-]{1,15}://[^\s<>\"，。！？；：、）」』》]+|\d+(?:[.,:'/-]?\d)*", re.IGNORECASE
)
#: Opening or closing line of a block of code.
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)([^\n`]*)$", re.MULTILINE)
#: Closing and opening a block again may cost this part of a piece, and no more.
_FENCE_SHARE = 4


def weight(text: str, marks: Mapping[str, int]) -> int:
    """Return the UTF-8 bytes of *text*, with what its *marks* weigh instead of theirs."""
    if text.isascii():
        return len(text)
    if not marks:
        return len(text.encode())
    return sum(marks[c] if c in marks else len(c.encode()) for c in text)


def pieces(
    text: str, most: Callable[[int], int], marks: Mapping[str, int] | None = None
) -> Iterator[tuple[str, int]]:
    """Yield *text* in pieces, each with the place in *text* at which it ends.

    Nothing is lost but the white space at the cuts; lines keep their indentation. Addresses, numbers and what a reader
    sees as one sign are cut only where they are longer than a piece. A block of code (fenced by ``` or ~~~) is closed
    at the end of a piece and opened again in the next. No piece is blank.

    Args:
        most: Returns what the piece of an index may weigh, in UTF-8 bytes.
        marks: What the marks in *text* weigh.
    """
    marks = marks or {}
    at, index, fence = 0, 0, ""
    while at < len(text):
        limit = most(index)
        head = _head(fence, limit)
        room = limit - weight(head, {})
        cut, after, tail = _fitting(text, at, room, marks), "", ""
        if cut < len(text):
            cut = _cut(text, at, cut)
            after = _fence_at(text, at, cut, fence)
            if after and _head(after, limit):
                tail = f"\n{_marker(after)}"
                cut = _cut(text, at, _fitting(text, at, room - len(tail), marks))
                cut = _not_behind_an_opening(text, at, cut)
                after = _fence_at(text, at, cut, fence)
                tail = tail if after else ""
        rest = _rest(text, cut)
        if tail and (closing := _FENCE.match(text, rest)) is not None and _closes(closing, after):
            rest, after = _rest(text, closing.end()), ""  # what closes the piece closes the block
        body = text[at:cut].rstrip() if cut < len(text) else text[at:]
        if body.strip():
            index += 1
            yield head + body + tail, cut
        at, fence = rest, after


def _rest(text: str, cut: int) -> int:
    """Return where the next piece begins: behind the blank lines at *cut*, with the indentation of its first line."""
    at = cut
    while at < len(text) and text[at].isspace():
        at += 1
    if at == len(text):
        return at
    line = text.rfind("\n", max(cut - 1, 0), at) + 1
    return max(line, cut) if line else at


def _fitting(text: str, at: int, room: int, marks: Mapping[str, int]) -> int:
    """Return the end of the longest piece from *at* that weighs at most *room*; at least one character."""
    if not marks:
        head = text[at : at + max(room, 0)].encode()[: max(room, 0)]
        return at + max(len(head.decode("utf-8", "ignore")), 1)
    end = at
    while end < len(text) and (room := room - weight(text[end], marks)) >= 0:
        end += 1
    return max(end, at + 1)


def _cut(text: str, at: int, end: int) -> int:
    """Return the best place to cut between *at* and *end*.

    A border in the first half is not taken: many short pieces read worse than one cut word.
    """
    if end >= len(text):
        return len(text)
    half = at + (end - at + 1) // 2
    for border in _BORDERS:
        ends = (m.end() for m in border.finditer(text, half, end + 1))
        found = max((min(place, end) for place in ends if place <= end or text[end].isspace()), default=0)
        if found > at:
            return found
    for whole in _WHOLE.finditer(text, at):
        if whole.start() >= end:
            break
        if at < whole.start() and end < whole.end():
            return whole.start()
    return _sign_end(text, at, end)


def _sign_end(text: str, at: int, end: int) -> int:
    """Return the last place up to *end* that is inside no sign; *end* itself when the sign is longer than that."""
    if text[at : end + 1].isascii():
        return end
    from wcwidth import iter_graphemes  # here: only who sends long texts pays for the tables

    place = last = at
    for sign in iter_graphemes(text[at : end + 1]):
        place += len(sign)
        if place > end:
            break
        last = place
    return last if last > at else end


# -- blocks of code ---------------------------------------------------------------------------------


def _marker(fence: str) -> str:
    return fence[: len(fence) - len(fence.lstrip(fence[0]))]


def _head(fence: str, limit: int) -> str:
    """Return what opens the block *fence* again, "" where that would cost too much."""
    for line in (fence, _marker(fence) if fence else ""):
        if line and len(line.encode()) + len(_marker(fence)) + 2 <= limit // _FENCE_SHARE:
            return f"{line}\n"
    return ""


def _closes(line: re.Match[str], fence: str) -> bool:
    return line[1].startswith(_marker(fence)) and not line[2].strip()


def _fence_at(text: str, at: int, cut: int, fence: str) -> str:
    """Return the opening line of the block in which *cut* is, "" for none.

    Args:
        fence: The same for *at*.
    """
    for line in _FENCE.finditer(text, at, cut):
        if not fence:
            fence = line[0].strip()
        elif _closes(line, fence):
            fence = ""
    return fence


def _not_behind_an_opening(text: str, at: int, cut: int) -> int:
    """Return *cut*, or the place before the line that opens a block when nothing of that block would be left."""
    line = text[at:cut].rstrip()
    start = at + line.rfind("\n") + 1
    opens = start > at and _FENCE.match(text, start, at + len(line)) is not None
    return start if opens else cut
