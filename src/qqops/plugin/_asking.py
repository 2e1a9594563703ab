"""What people answer → values, with the same converters as the words of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from qqops.model import Message, Segment, Text
from qqops.plugin._converter import BadWord, Converter
from qqops.plugin._line import BadLine, Slot
from qqops.plugin.convert import Rest, converter_for
from qqops.protocol.words import QUOTES, Word, split
from qqops.runtime.addressed import unaddressed
from qqops.runtime.context import Context
from qqops.runtime.conversations import NotThat, Reader
from qqops.runtime.registry import Line
from qqops.runtime.routes import pieces_of
from qqops.texts import Say


def reader_for(kind: Any, ctx: Context, own: Mapping[type[Any], Converter] | None = None) -> Reader:
    """Return how an answer of type *kind* to *ctx* is read.

    Args:
        own: Converters of plugins, by type.

    Raises:
        TypeError: Nothing can read it.
    """
    if kind is Message:
        return lambda message: message
    converter = converter_for(kind, own)
    if converter is None:
        raise TypeError(
            f"an answer cannot be read as {kind!r}; use a type that a command's parameter may have"
        )
    return lambda message: _convert(converter, message, ctx, whole=kind in (str, Rest))


def _convert(converter: Converter, message: Message, ctx: Context, *, whole: bool) -> Any:
    text = message.text.rstrip()
    words = split(text, 0, pieces_of(message.segments, 0))
    if not words:
        raise NotThat(Say("converse.no_text"))
    try:
        return _value(converter, text, words, ctx, whole=whole)
    except BadWord as exc:
        raise NotThat(exc.say) from None


def _value(converter: Converter, text: str, words: list[Word], ctx: Context, *, whole: bool) -> Any:
    first = words[0]
    if whole:
        return converter.convert(text.strip())
    if converter.spans is not None and first.piece is None and not first.quoted:
        value, end = converter.spans(text, first.start, ctx)
        if end >= len(text):
            return value
    if len(words) > 1:
        first = Word(text.strip(), first.start, len(text))
    return converter.read(first, ctx)


def ask_missing(ctx: Context, line: Line, bad: BadLine, text: str) -> str:
    """Return what to say about a bad line: *text*, or more when the argument that it lacks can be asked for.

    The run ends all the same. The answer completes the line, and the command runs as if it had been typed like that.
    """
    missing = bad.missing
    if missing is None:
        return text
    option = f" {missing.options[0]} " if missing.slot is Slot.OPTION else " "
    return ctx.complete(
        text,
        lambda message: _convert(missing.converter, message, ctx, whole=missing.rest),
        lambda message: attrs.evolve(
            message, segments=(*_begun(ctx, line), Text(option), *_answered(message, whole=missing.rest))
        ),
    )


def _begun(ctx: Context, line: Line) -> tuple[Segment, ...]:
    """Return the line as far as it was typed, with what is not text in it."""
    message = unaddressed(ctx.message, ())
    # What an alias stands for has no prefix.
    return message.segments if line.text == ctx.text else (Text(ctx.prefix + line.text),)


def _answered(message: Message, *, whole: bool) -> tuple[Segment, ...]:
    if not all(isinstance(one, Text) for one in message.segments):
        return message.segments
    text = message.text.strip()
    return (Text(text if whole else _quoted(text)),)


def _quoted(text: str) -> str:
    """Return *text* as one word of a line that is not an option."""
    words = split(text)
    if len(words) == 1 and words[0].quote_first:
        return text
    free = next((pair for pair in QUOTES.items() if not any(quote in text for quote in pair)), None)
    return f"{free[0]}{text}{free[1]}" if free is not None else text
