"""Words → typed values. A converter says what is wrong with a word, not what to do about it."""

from __future__ import annotations

import datetime
import difflib
import enum
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

from qqops.model import File, Image, Room, User
from qqops.plugin import _convert_data, _convert_people, _convert_time
from qqops.plugin._converter import BadWord, Converter, short
from qqops.plugin._values import Json, Url
from qqops.texts import Say


class Rest(str):
    """The untouched remainder of the line, as a type for the last positional parameter."""

    __slots__ = ()


_YES = frozenset(["yes", "y", "true", "on", "1", "是", "开", "对", "好", "有"])
_NO = frozenset(["no", "n", "false", "off", "0", "否", "关", "不", "错", "无"])

#: Longest number that is converted, in characters. Python itself refuses beyond 4300 digits, slowly before.
_MAX_NUMBER = 64

#: Whole numbers fit into 64 bits with a sign: what databases, JSON and other programs take.
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1

#: Choices that are listed when a word is none of them.
_LISTED = 20


def _bool(word: str) -> bool:
    folded = word.casefold()
    if folded in _YES:
        return True
    if folded in _NO:
        return False
    raise BadWord(Say("refuse.bad_bool", {"word": word}))


def _int(word: str) -> int:
    try:
        if len(word) > _MAX_NUMBER or "_" in word:
            raise ValueError(word)
        value = int(word)
    except ValueError:
        key = "refuse.big_int" if word.lstrip("+-").isdigit() else "refuse.bad_int"
        raise BadWord(Say(key, {"word": short(word)})) from None
    if not _LOWEST <= value <= _HIGHEST:
        raise BadWord(Say("refuse.big_int", {"word": word}))
    return value


def _float(word: str) -> float:
    try:
        if len(word) > _MAX_NUMBER or "_" in word:
            raise ValueError(word)
        value = float(word)
    except ValueError:
        raise BadWord(Say("refuse.bad_float", {"word": short(word)})) from None
    if value != value or value in (float("inf"), float("-inf")):
        raise BadWord(Say("refuse.bad_float", {"word": word}))
    return value


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
            raise BadWord(_no_choice(word, shown)) from None

    return Converter(convert, label="|".join(shown))


def _no_choice(word: str, shown: Sequence[str]) -> Say:
    listed = ", ".join(shown[:_LISTED]) + (", …" if len(shown) > _LISTED else "")
    folded = {name.casefold(): name for name in shown}
    near = difflib.get_close_matches(word[:_MAX_NUMBER].casefold(), folded, 1)
    if not near:
        return Say("refuse.bad_choice", {"word": short(word), "choices": listed})
    return Say("refuse.bad_choice_hint", {"word": short(word), "choices": listed, "hint": folded[near[0]]})


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


_PLAIN: dict[Any, Converter] = {
    str: Converter(str),
    int: Converter(_int),
    float: Converter(_float),
    bool: Converter(_bool, flag=True),
    Rest: Converter(Rest),
    datetime.datetime: _convert_time.MOMENT,
    datetime.date: _convert_time.DATE,
    datetime.timedelta: _convert_time.DURATION,
    User: _convert_people.USER,
    Room: _convert_people.ROOM,
    Image: _convert_people.IMAGE,
    File: _convert_people.FILE,
    Json: _convert_data.JSON,
    Url: _convert_data.URL,
}


def is_builtin(annotation: Any) -> bool:
    """Whether qqops itself converts words to this type."""
    return converter_for(annotation) is not None


def converter_for(annotation: Any, own: Mapping[type[Any], Converter] | None = None) -> Converter | None:
    """Return the converter for a type, or None when there is none.

    Args:
        own: Converters of plugins, by type.
    """
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if own and isinstance(annotation, type) and annotation in own:
        return own[annotation]
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return _choice([(str(v), v) for v in typing.get_args(annotation)])
    if origin is Union or origin is types.UnionType:
        inner = without_none(annotation)
        return None if inner is annotation else converter_for(inner, own)
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
