"""A command line as people type it → words.

Knows the quotes of both cultures, the full-width space, and the dashes that phones make of ``--``.
Every word remembers where it stood, so that an error can point at it and `Rest` can be untouched.
"""

from __future__ import annotations

import attrs

#: Opening quote → closing quote. Straight quotes, Chinese and typographic ones, corner brackets.
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "＂": "＂", "＇": "＇"}

#: More words than this in one line are nobody's intent; the rest of the line becomes the last word.
MAX_WORDS = 1000

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
    """

    text: str
    start: int
    end: int
    quoted: bool = False
    quote_first: bool = False


def split(line: str, start: int = 0) -> list[Word]:
    """Return the words of *line* from index *start* on.

    A quote opens only at the start of a word or after ``=``, so ``it's`` is one plain word. A quote that
    is never closed is an ordinary character: chat is not a shell, and "unbalanced" helps nobody.
    """
    words: list[Word] = []
    i, n = start, len(line)
    while i < n:
        if line[i].isspace():
            i += 1
            continue
        begin = i
        if len(words) == MAX_WORDS - 1:
            words.append(Word(line[begin:].rstrip(), begin, n))
            break
        parts: list[str] = []
        quoted = False
        while i < n and not line[i].isspace():
            closing = QUOTES.get(line[i]) if (i == begin or line[i - 1] in "=＝") else None
            end = line.find(closing, i + 1) if closing is not None else -1
            if end >= 0:
                parts.append(line[i + 1 : end])
                quoted = True
                i = end + 1
            else:
                parts.append(line[i])
                i += 1
        words.append(Word("".join(parts), begin, i, quoted, quoted and line[begin] in QUOTES))
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
