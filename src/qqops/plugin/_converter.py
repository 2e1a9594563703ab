"""What a converter is: one word to a value, with or without knowledge of the moment."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import attrs
import structlog

from qqops.errors import PluginError, Refuse
from qqops.protocol.words import Word, plainer
from qqops.runtime.context import Context
from qqops.texts import Say

log = structlog.get_logger("qqops.convert")

#: Longest part of a word that is repeated in an answer, in characters.
SHOWN = 64


class BadWord(Exception):
    """A word does not fit its type; *say* is the reason, without the usage."""

    def __init__(self, say: Say) -> None:
        self.say = say
        super().__init__(say.key)


@attrs.frozen
class Converter:
    """Turns one word into a value.

    Attributes:
        convert: Does it, for a type that needs nothing but the word.
        label: What stands in the usage for it, or "" for the parameter's own name.
        flag: Whether it is a yes/no, which an option may leave out.
        in_context: Does it instead of *convert*, for a type that depends on who speaks, where and when.
        spans: For values that people type with spaces: takes the line and where the value begins, and returns the
            value and where it ends.
    """

    convert: Callable[[str], Any]
    label: str = ""
    flag: bool = False
    in_context: Callable[[Word, Context], Any] | None = None
    spans: Callable[[str, int, Context], tuple[Any, int]] | None = None

    def read(self, word: Word, ctx: Context) -> Any:
        """Return the value of *word*. Raises `BadWord`.

        What does not fit as it was typed is tried without invisible characters and in narrow ones.
        """
        try:
            return self._read(word, ctx)
        except BadWord:
            plain = plainer(word.text) if word.piece is None and not word.text.isascii() else word.text
            if plain == word.text:
                raise
            return self._read(attrs.evolve(word, text=plain), ctx)

    def _read(self, word: Word, ctx: Context) -> Any:
        if self.in_context is None:
            return self.convert(word.text)
        return self.in_context(word, ctx)


@attrs.frozen(eq=False)
class Conversion:
    """A type that a plugin teaches to convert, and how.

    Attributes:
        function: Takes the word, or the word and the context; raises `Refuse` to say why not.
        where: ``file:line`` of the function.
        name: What the function is called, where it does not know itself.
    """

    kind: type[Any]
    function: Callable[..., Any]
    where: str = ""
    name: str = ""

    def converter(self) -> Converter:
        """Return what the core calls. Raises `PluginError` for a function of the wrong shape."""
        name = self.name or getattr(self.function, "__name__", "converter")
        if inspect.iscoroutinefunction(self.function):
            raise PluginError(f"the converter {name}() must be a plain `def`", where=self.where)
        takes = len(inspect.signature(self.function).parameters)
        if takes not in (1, 2):
            raise PluginError(f"the converter {name}() takes the word, or the word and ctx", where=self.where)

        def convert(word: Word, ctx: Context) -> Any:
            try:
                return self.function(word.text) if takes == 1 else self.function(word.text, ctx)
            except Refuse:
                raise
            except Exception as exc:
                log.exception("a converter failed", converter=name, where=self.where)
                arguments = {"word": short(word.text), "kind": self.kind.__name__}
                raise BadWord(Say("refuse.bad_value", arguments)) from exc

        return Converter(str, in_context=convert)


def short(word: str) -> str:
    """Return as much of *word* as is repeated in an answer."""
    return word if len(word) <= SHOWN else word[:SHOWN] + "…"
