"""On which line of a TOML text each key stands. Pure; the text has been parsed before, so it is right."""

from __future__ import annotations

import re

import attrs

_PART = r"""(?:[\w-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_BLANK = re.compile(r"(?:\s|#[^\n]*)+")
_HEADER = re.compile(rf"\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_ENTRY = re.compile(rf"({_DOTTED})[ \t]*=")
#: What a value is made of: texts, comments, brackets, ends of lines, anything else.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|.', re.DOTALL
)


@attrs.frozen
class Lines:
    """Lines of a text, by the key with dots: ``bot.language``.

    Attributes:
        tables: Of each ``[table]``.
        keys: Of each key; what stands in a table that is written in one line is not in it, but that table is.
    """

    tables: dict[str, int] = attrs.field(factory=dict)
    keys: dict[str, int] = attrs.field(factory=dict)

    def line(self, key: str) -> int:
        """Return the line of *key*: its own, its table's, the first beneath it, or that of the line that holds it; else 0."""
        own = self.keys.get(key) or self.tables.get(key)
        if own:
            return own
        every = (*self.keys.items(), *self.tables.items())
        if beneath := [line for one, line in every if one.startswith(f"{key}.")]:
            return min(beneath)
        while "." in key:
            key = key.rpartition(".")[0]
            if key in self.keys:
                return self.keys[key]
        return 0


def lines_of(text: str) -> Lines:
    """Return on which lines the keys of *text* stand."""
    found = Lines()
    section = ""
    at, line = 0, 1
    while at < len(text):
        if blank := _BLANK.match(text, at):
            line += blank[0].count("\n")
            at = blank.end()
        elif header := _HEADER.match(text, at):
            section = f"{_key(header[1])}."
            found.tables.setdefault(section[:-1], line)
            at = header.end()
        elif entry := _ENTRY.match(text, at):
            found.keys.setdefault(section + _key(entry[1]), line)
            end = _end_of_value(text, entry.end())
            line += text.count("\n", at, end)
            at = end
        else:  # nothing that TOML knows
            at += 1
    return found


def _key(dotted: str) -> str:
    return ".".join(part.strip("\"'") for part in re.findall(_PART, dotted))


def _end_of_value(text: str, at: int) -> int:
    """Return where the value ends that begins at *at*: with its line, unless a bracket is open."""
    depth = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        assert piece is not None
        if piece[0] in ("[", "{"):
            depth += 1
        elif piece[0] in ("]", "}"):
            depth -= 1
        elif piece[0] == "\n" and depth <= 0:
            return at
        at = piece.end()
    return at
