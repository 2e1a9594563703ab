"""Words → typed values. A converter says what is wrong with a word, not what to do about it."""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union

import attrs

from qqops.texts import Say


class BadWord(Exception):
    """A word does not fit its type; *say* is the reason, without the usage."""

    def __init__(self, say: Say) -> None:
        self.say = say
        super().__init__(say.key)


class Rest(str):
    """The untouched remainder of the line, as a type for the last positional parameter."""

    __slots__ = ()


@attrs.frozen
class Converter:
    """Turns one word into a value.

    Attributes:
        label: What stands in the usage for it, or "" for the parameter's own name.
        flag: Whether it is a yes/no, which an option may leave out.
    """

    convert: Callable[[str], Any]
    label: str = ""
    flag: bool = False


_YES = frozenset(["yes", "y", "true", "on", "1", "是", "开", "对", "好", "有"])
_NO = frozenset(["no", "n", "false", "off", "0", "否", "关", "不", "错", "无"])

#: Longest number that is converted, in characters. Python itself refuses beyond 4300 digits, slowly before.
_LONGEST_NUMBER = 64


def _bool(word: str) -> bool:
    folded = word.casefold()
    if folded in _YES:
        return True
    if folded in _NO:
        return False
    raise BadWord(Say("refuse.bad_bool", {"word": word}))


def _int(word: str) -> int:
    try:
        if len(word) > _LONGEST_NUMBER or "_" in word:
            raise ValueError(word)
        return int(word)
    except ValueError:
        raise BadWord(Say("refuse.bad_int", {"word": _short(word)})) from None


def _float(word: str) -> float:
    try:
        if len(word) > _LONGEST_NUMBER or "_" in word:
            raise ValueError(word)
        value = float(word)
    except ValueError:
        raise BadWord(Say("refuse.bad_float", {"word": _short(word)})) from None
    if value != value or value in (float("inf"), float("-inf")):
        raise BadWord(Say("refuse.bad_float", {"word": word}))
    return value


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST_NUMBER else word[:_LONGEST_NUMBER] + "…"


def _choice(values: Sequence[tuple[str, Any]]) -> Converter:
    """Return the converter for a closed set of (name, value); the first name of a value is shown."""
    table: dict[str, Any] = {}
    for name, value in values:
        table.setdefault(name.casefold(), value)
    shown = list(dict.fromkeys(name for name, _ in values))

    def convert(word: str) -> Any:
        try:
            return table[word.casefold()]
        except KeyError:
            raise BadWord(
                Say("refuse.bad_choice", {"word": _short(word), "choices": ", ".join(shown)})
            ) from None

    return Converter(convert, label="|".join(shown))


def _enum(kind: type[enum.Enum]) -> Converter:
    """Members go by their value and by their name, in any case; values are shown when they are words."""
    by_value = [(str(m.value), m) for m in kind if isinstance(m.value, str | int)]
    converter = _choice(by_value or [(m.name, m) for m in kind])
    by_name = _choice([(m.name, m) for m in kind])

    def convert(word: str) -> Any:
        try:
            return converter.convert(word)
        except BadWord:
            try:
                return by_name.convert(word)
            except BadWord:
                pass
            raise

    return Converter(convert, label=converter.label)


_PLAIN = {
    str: Converter(str),
    int: Converter(_int),
    float: Converter(_float),
    bool: Converter(_bool, flag=True),
    Rest: Converter(Rest),
}


def converter_for(annotation: Any) -> Converter | None:
    """Return the converter for a type, or None when there is none."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return _choice([(str(v), v) for v in typing.get_args(annotation)])
    if origin is Union or origin is types.UnionType:
        inner = without_none(annotation)
        return None if inner is annotation else converter_for(inner)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum(annotation)
    return None


def without_none(annotation: Any) -> Any:
    """Return X of ``X | None``; anything else as it is."""
    inner = [a for a in typing.get_args(annotation) if a is not type(None)]
    return inner[0] if takes_none(annotation) and len(inner) == 1 else annotation


def takes_none(annotation: Any) -> bool:
    """Whether the type is ``X | None``."""
    return type(None) in typing.get_args(annotation)
