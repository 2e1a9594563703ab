"""A command line → the values of a handler's parameters."""

from __future__ import annotations

import difflib
import enum
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from qqops.plugin.convert import BadWord, Converter, Rest
from qqops.protocol.words import Word, option_text
from qqops.runtime.context import Context
from qqops.runtime.registry import Line
from qqops.texts import Say

#: Default of a parameter that has none.
REQUIRED: Any = inspect.Parameter.empty


class Slot(enum.Enum):
    """What fills a parameter."""

    CONTEXT = "context"
    EVENT = "event"
    SERVICE = "service"
    WORD = "word"
    OPTION = "option"


@attrs.frozen(kw_only=True)
class Parameter:
    """One parameter of a handler and what fills it."""

    name: str
    slot: Slot
    keyword: bool
    converter: Converter = attrs.field(factory=lambda: Converter(str))
    default: Any = REQUIRED
    variadic: bool = False
    rest: bool = False
    options: tuple[str, ...] = ()
    service: object = None
    help: str = ""


class BadLine(Exception):
    """A command line does not fit the signature."""

    def __init__(self, say: Say, word: Word | None = None) -> None:
        self.say = say
        self.word = word
        super().__init__(say.key)


def parse(
    parameters: Sequence[Parameter], text: str, words: list[Word]
) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the values by parameter name, and those of the variadic parameter."""
    taken = [p for p in parameters if p.slot is Slot.WORD]
    options_of = [p for p in parameters if p.slot is Slot.OPTION]
    singles = [p for p in taken if not p.variadic]
    variadic = next((p for p in taken if p.variadic), None)
    options = {name: p for p in options_of for name in p.options}
    flags = {
        f"--no-{name[2:]}": p for name, p in options.items() if p.converter.flag and name.startswith("--")
    }
    values: dict[str, Any] = {}
    extra: list[Any] = []
    position, i, only_words = 0, 0, False
    while i < len(words):
        word = words[i]
        i += 1
        if word.text == "--" and not word.quoted and not only_words:
            only_words = True
            continue
        # A command without options takes "-x" as a word; there is nothing to confuse it with.
        option = option_text(word) if options and not only_words else None
        if option is not None:
            i = _option(option, word, words, i, options, flags, values)
        elif position < len(singles) and singles[position].rest:
            values[singles[position].name] = Rest(text[word.start :].rstrip())
            break
        elif position < len(singles):
            values[singles[position].name] = _convert(singles[position], word)
            position += 1
        elif variadic is not None:
            extra.append(_convert(variadic, word))
        else:
            raise BadLine(Say("refuse.too_many", {"word": word.text}), word)
    for p in (*singles, *options_of):
        if p.name not in values:
            if p.default is REQUIRED:
                key = "refuse.missing" if p.slot is Slot.WORD else "refuse.option_missing"
                raise BadLine(Say(key, {"name": p.name if p.slot is Slot.WORD else p.options[0]}))
            values[p.name] = p.default
    return values, tuple(extra)


def _option(
    option: str,
    word: Word,
    words: list[Word],
    i: int,
    options: Mapping[str, Parameter],
    flags: Mapping[str, Parameter],
    values: dict[str, Any],
) -> int:
    """Take one option and, if it has one, its value; return the index of the next word."""
    name, has_value, value = option.partition("=")
    if name in flags:
        if has_value:
            raise BadLine(Say("refuse.option_no_value", {"word": name}), word)
        values[flags[name].name] = False
        return i
    p = options.get(name)
    if p is None:
        near = difflib.get_close_matches(name, options, 1)
        key = "refuse.unknown_option_hint" if near else "refuse.unknown_option"
        raise BadLine(Say(key, {"word": name, "hint": "".join(near)}), word)
    if p.converter.flag and not has_value:
        values[p.name] = True
        return i
    if not has_value:
        if i >= len(words):
            raise BadLine(Say("refuse.option_needs_value", {"word": name}), word)
        word = words[i]
        value = word.text
        i += 1
    values[p.name] = _convert(p, attrs.evolve(word, text=value))
    return i


def _convert(p: Parameter, word: Word) -> Any:
    try:
        return p.converter.convert(word.text)
    except BadWord as exc:
        raise BadLine(exc.say, word) from None


def explain(ctx: Context, line: Line, bad: BadLine, usage: str) -> str:
    """Return the reason, the line with the word marked, and the usage."""
    parts = [ctx.render(bad.say)]
    if bad.word is not None:
        text, word = line.text, bad.word
        parts.append(f"{text[: word.start]}»{text[word.start : word.end]}«{text[word.end :]}".strip())
    parts.append(ctx.render(Say("refuse.usage", {"usage": usage})))
    return "\n".join(parts)
