"""A command line → the values of a handler's parameters."""

from __future__ import annotations

import difflib
import enum
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from qqops.plugin._converter import BadWord, Converter, short
from qqops.plugin.convert import Rest
from qqops.protocol.words import MAX_WORDS, Word, option_text, plainer
from qqops.runtime.context import Context
from qqops.runtime.registry import Line
from qqops.texts import Say

#: Default of a parameter that has none.
REQUIRED: Any = inspect.Parameter.empty

#: Part of a line that is repeated on each side of a bad word, in characters.
_AROUND = 80


class Slot(enum.Enum):
    """What fills a parameter."""

    CONTEXT = "context"
    EVENT = "event"
    QUOTE = "quote"
    SERVICE = "service"
    WORD = "word"
    OPTION = "option"


@attrs.frozen(kw_only=True)
class Parameter:
    """One parameter of a handler and what fills it.

    Attributes:
        event: Class of the event that it wants.
        looked_up: Whether the service is found anew for each call.
        core: Whether the service is one of the bot itself.
    """

    name: str
    slot: Slot
    keyword: bool
    converter: Converter = attrs.field(factory=lambda: Converter(str))
    default: Any = REQUIRED
    variadic: bool = False
    rest: bool = False
    options: tuple[str, ...] = ()
    event: type[Any] | None = None
    service: object = None
    looked_up: bool = False
    core: bool = False
    help: str = ""


class BadLine(Exception):
    """A command line does not fit the signature; *missing* is the parameter that it lacks."""

    def __init__(self, say: Say, word: Word | None = None, missing: Parameter | None = None) -> None:
        self.say = say
        self.word = word
        self.missing = missing
        super().__init__(say.key)


@attrs.frozen
class Layout:
    """The parameters of a command by what fills them.

    Attributes:
        singles: Those that take one word each, or the rest.
        variadic: The one that takes all further words.
        options: By the names they are typed as.
        flags: Those that can be switched off, by ``--no-NAME``.
        lone: The only one, when it takes one word.
    """

    singles: tuple[Parameter, ...]
    variadic: Parameter | None
    options: Mapping[str, Parameter]
    flags: Mapping[str, Parameter]
    all: tuple[Parameter, ...]
    lone: Parameter | None

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> Layout:
        """Return the layout of *parameters*."""
        taken = [p for p in parameters if p.slot is Slot.WORD]
        singles = tuple(p for p in taken if not p.variadic)
        options_of = [p for p in parameters if p.slot is Slot.OPTION]
        options = {name: p for p in options_of for name in p.options}
        flags = {
            f"--no-{name[2:]}": p for name, p in options.items() if p.converter.flag and name.startswith("--")
        }
        variadic = next((p for p in taken if p.variadic), None)
        every = (*singles, *options_of)
        lone = every[0] if len(every) == 1 and variadic is None and singles and not singles[0].rest else None
        return cls(singles, variadic, options, flags, every, lone)


def parse(
    layout: Layout, text: str, words: list[Word], ctx: Context
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the values by parameter name, and those of the variadic parameter. Raises `BadLine`."""
    if layout.lone is not None and len(words) == 1 and words[0].text != "--":
        try:
            return {layout.lone.name: layout.lone.converter.read(words[0], ctx)}, ()
        except BadWord as exc:
            raise _unclosed(words, BadLine(exc.say, words[0])) from None
    try:
        reading = _Reading(layout, text, words, ctx)
        reading.read()
        return reading.values, tuple(reading.extra)
    except BadLine as exc:
        raise _unclosed(words, exc) from None


class _Reading:
    """One line on its way into values."""

    __slots__ = ("at", "ctx", "extra", "layout", "text", "values", "words")

    def __init__(self, layout: Layout, text: str, words: list[Word], ctx: Context) -> None:
        self.layout = layout
        self.text = text
        self.words = words
        self.ctx = ctx
        self.values: dict[str, Any] = {}
        self.extra: list[Any] = []
        #: Index of the next word.
        self.at = 0

    def read(self) -> None:
        """Read the whole line."""
        words, singles, values = self.words, self.layout.singles, self.values
        position, only_words = 0, False
        while self.at < len(words):
            word = words[self.at]
            self.at += 1
            if word.text == "--" and not word.quoted and not only_words:
                only_words = True
                continue
            # A command without options takes "-x" as a word; there is nothing to confuse it with.
            option = option_text(word) if self.layout.options and not only_words else None
            if option is not None:
                self._option(option, word)
            elif position < len(singles) and singles[position].rest:
                values[singles[position].name] = Rest(self.text[word.start :].rstrip())
                break
            elif self.at == MAX_WORDS and len(word.text.split(maxsplit=1)) > 1:
                raise BadLine(Say("refuse.too_many_words", {"most": MAX_WORDS}))
            elif position < len(singles):
                values[singles[position].name] = self._value(singles[position], word)
                position += 1
            elif self.layout.variadic is not None:
                self.extra.append(self._value(self.layout.variadic, word))
            else:
                raise BadLine(Say("refuse.too_many", {"word": short(word.text)}), word)
        self._defaults()

    def _defaults(self) -> None:
        for p in self.layout.all:
            if p.name in self.values:
                continue
            if p.default is REQUIRED:
                key = "refuse.missing" if p.slot is Slot.WORD else "refuse.option_missing"
                name = p.name if p.slot is Slot.WORD else p.options[0]
                raise BadLine(Say(key, {"name": name}), missing=p)
            self.values[p.name] = p.default

    def _value(self, p: Parameter, word: Word) -> Any:
        """Return the value that *word* begins, or is all of; words that belong to it are taken, too."""
        try:
            spans = p.converter.spans
            if spans is None or word.quoted or word.piece is not None:
                return p.converter.read(word, self.ctx)
            value, end = spans(self.text, word.start, self.ctx)
        except BadWord as exc:
            raise BadLine(exc.say, word) from None
        while self.at < len(self.words) and self.words[self.at].start < end:
            self.at += 1
        return value

    def _option(self, option: str, word: Word) -> None:
        """Take one option and, if it has one, its value."""
        flags = self.layout.flags
        name, has_value, value = option.replace("＝", "=", 1).partition("=")
        p = self.layout.options.get(name)
        if p is None and not name.isascii():
            name = plainer(name)
            p = self.layout.options.get(name)
        if name in flags:
            if has_value:
                raise BadLine(Say("refuse.option_no_value", {"word": name}), word)
            self.values[flags[name].name] = False
        elif p is None:
            near = difflib.get_close_matches(name[:_AROUND], (*self.layout.options, *flags), 1)
            key = "refuse.unknown_option_hint" if near else "refuse.unknown_option"
            raise BadLine(Say(key, {"word": name[:_AROUND], "hint": "".join(near)}), word)
        elif has_value:
            try:
                self.values[p.name] = p.converter.read(attrs.evolve(word, text=value), self.ctx)
            except BadWord as exc:
                raise BadLine(exc.say, word) from None
        elif p.converter.flag:
            self.values[p.name] = True
        elif self.at >= len(self.words):
            raise BadLine(Say("refuse.option_needs_value", {"word": name}), word)
        else:
            self.at += 1
            self.values[p.name] = self._value(p, self.words[self.at - 1])


def _unclosed(words: Sequence[Word], bad: BadLine) -> BadLine:
    """Return *bad*, or that a quote is not closed where that may well be the reason."""
    first = next((w for w in words if w.unclosed), None)
    if first is None or (bad.word is not None and bad.word.start < first.start):
        return bad
    return BadLine(Say("refuse.unclosed", {"word": first.text[:_AROUND]}), first)


def explain(ctx: Context, line: Line, bad: BadLine, usage: str) -> str:
    """Return the reason, the line with the word marked, and the usage."""
    parts = [ctx.render(bad.say)]
    if bad.word is not None:
        text, word = line.text, bad.word
        before, marked, after = text[: word.start], text[word.start : word.end], text[word.end :]
        marked = marked if len(marked) <= _AROUND else marked[:_AROUND] + "…"
        before = before if len(before) <= _AROUND else "…" + before[-_AROUND:]
        after = after if len(after) <= _AROUND else after[:_AROUND] + "…"
        parts.append(f"{before}»{marked}«{after}".strip())
    parts.append(ctx.render(Say("refuse.usage", {"usage": ctx.prefix + usage})))
    return "\n".join(parts)
