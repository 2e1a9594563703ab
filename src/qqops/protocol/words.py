"""A command line as people type it → words.

Knows the quotes of both cultures, the full-width space, and the dashes that phones make of ``--``.
Every word remembers where it stood, so that an error can point at it and `Rest` can be untouched. Mentions and
pictures are words of their own, whatever stands around them and whatever their names contain.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Mapping, Sequence

import attrs

#: Opening quote → closing quote. Straight quotes, Chinese and typographic ones, corner brackets.
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "＂": "＂", "＇": "＇"}

#: More words than this in one line are nobody's intent; the rest of the line becomes the last word.
MAX_WORDS = 1000

_ANY_QUOTE = re.compile(f"[{''.join(QUOTES)}]")
_WORD = re.compile(r"\S+")
_SPACES = re.compile(r"\s*")
#: Where a run of plain characters ends: at white space, and after a sign that a quote may follow.
_STOP = re.compile(r"\s|(?<=[=＝])")
_SPACE = re.compile(r"\s")
#: Stands among the closing quotes that do not come any more when nothing opens one, either.
_NO_QUOTES = ""

#: Characters that nobody sees: zero-width ones and marks of writing direction. Phones put them around copied numbers.
INVISIBLE = "\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
_DROP = dict.fromkeys(map(ord, INVISIBLE))

#: What phones and input methods turn two typed dashes into.
_LONG_DASHES = ("——", "—", "–", "－－")


@attrs.frozen
class Word:
    """One word of a line.

    Attributes:
        text: The word without its quotes.
        start: Index of its first character (the quote, if any) in the line.
        end: Index after its last character.
        quoted: Whether any of it was quoted.
        quote_first: Whether a quote opened the word; such a word is never an option.
        unclosed: Whether it begins with a quote that is never closed.
        piece: What it stands for, when it is not text: a mention, a picture.
    """

    text: str
    start: int
    end: int
    quoted: bool = False
    quote_first: bool = False
    unclosed: bool = False
    piece: object = None


@attrs.frozen
class Piece:
    """A stretch of a line that shows something which is not text."""

    start: int
    end: int
    value: object


def plainer(word: str) -> str:
    """Return *word* without invisible characters and with full-width ones made narrow."""
    return unicodedata.normalize("NFKC", word.translate(_DROP))


def split(line: str, start: int = 0, pieces: Sequence[Piece] = (), *, most: int = MAX_WORDS) -> list[Word]:
    """Return the words of *line* from index *start* on.

    A quote opens only at the start of a word or after ``=``, so ``it's`` is one plain word. A quote that
    is never closed is an ordinary character: chat is not a shell, and "unbalanced" helps nobody.

    Args:
        pieces: What is not text, in order. Each becomes a word of its own, unless it stands within quotes.
        most: Words that are wanted; the line is read no further.
    """
    if not pieces and _ANY_QUOTE.search(line, start) is None:
        return _split_plain(line, start, most)
    words: list[Word] = []
    begins = {piece.start: piece for piece in pieces if piece.start >= start}
    missing: set[str] = set()
    i, n = _skip_spaces(line, start), len(line)
    while i < n and len(words) < most:
        if len(words) == MAX_WORDS - 1:
            words.append(Word(line[i:].rstrip(), i, n))
            break
        piece = begins.get(i)
        if piece is not None:
            word = Word(line[i : piece.end], i, piece.end, piece=piece.value)
        else:
            word = _word(line, i, begins, missing)
        words.append(word)
        i = _skip_spaces(line, word.end)
        if _NO_QUOTES in missing and not pieces:
            return words + _split_plain(line, i, most - len(words), MAX_WORDS - len(words))
    return words


def _word(line: str, begin: int, begins: Mapping[int, Piece], missing: set[str]) -> Word:
    """Return the word that begins at *begin*; *missing* are the closing quotes that do not come any more."""
    parts: list[str] = []
    quoted = unclosed = False
    starts = list(begins)
    i, n = begin, len(line)
    while i < n and not line[i].isspace() and (i == begin or i not in begins):
        closing = QUOTES.get(line[i]) if (i == begin or line[i - 1] in "=＝") else None
        end = line.find(closing, i + 1) if closing is not None and closing not in missing else -1
        if end >= 0:
            parts.append(line[i + 1 : end])
            quoted = True
            i = end + 1
            continue
        if closing is not None:
            unclosed = unclosed or i == begin
            if closing not in missing:
                missing.add(closing)
                if all(other in missing or line.find(q, i + 1) < 0 for q, other in QUOTES.items()):
                    missing.add(_NO_QUOTES)
        stop = (_SPACE if _NO_QUOTES in missing else _STOP).search(line, i + 1)
        after = stop.start() if stop is not None else n
        if starts and (k := bisect.bisect_right(starts, i)) < len(starts):
            after = min(after, starts[k])
        parts.append(line[i:after])
        i = after
    return Word("".join(parts), begin, i, quoted, quoted and line[begin] in QUOTES, unclosed)


def _skip_spaces(line: str, i: int) -> int:
    found = _SPACES.match(line, i)
    return found.end() if found is not None else i


def _split_plain(line: str, start: int, most: int, left: int = MAX_WORDS) -> list[Word]:
    """Return the words of a line without quotes, at most *most*; the last of *left* is all that remains."""
    words: list[Word] = []
    if most <= 0:
        return words
    for found in _WORD.finditer(line, start):
        if len(words) == left - 1:
            words.append(Word(line[found.start() :].rstrip(), found.start(), len(line)))
            break
        words.append(Word(found[0], found.start(), found.end()))
        if len(words) == most:
            break
    return words


def option_text(word: Word) -> str | None:
    """Return the word as an option (``--env``, ``-e``, ``--env=prod``), or None if it is not one.

    Negative numbers and a lone dash are values; dashes that an input method has joined count as two.
    """
    text = word.text
    if word.quote_first:
        return None
    for dash in _LONG_DASHES:
        if text.startswith(dash) and len(text) > len(dash):
            text = "--" + text[len(dash) :]
            break
    if text.startswith("－"):
        text = "-" + text[1:]
    if not text.startswith("-") or text in ("-", "--"):
        return None
    rest = text.lstrip("-")
    if not rest or rest[0].isdigit() or rest[0] == ".":
        return None
    return text
