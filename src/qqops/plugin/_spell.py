"""The values of a command's parameters → the command line that says all of them."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from qqops.errors import PluginError
from qqops.model import Room, Secret, User
from qqops.plugin._line import Parameter, Slot
from qqops.protocol.words import QUOTES, split
from qqops.runtime.declared import Guards
from qqops.runtime.registry import Spell

#: What stands for a value that is shown to nobody.
HIDDEN = "***"


def speller(path: tuple[str, ...], parameters: Sequence[Parameter], guards: Guards, where: str) -> Spell:
    """Return what spells the commands of one signature.

    Raises:
        PluginError: *guards* name a parameter that does not exist.
    """
    names = {p.name for p in parameters if p.slot in (Slot.WORD, Slot.OPTION)}
    if unknown := [name for name in guards.redact if name not in names]:
        raise PluginError(
            f"redact names the parameter {unknown[0]!r}, which the command does not have", where=where
        )
    dry = next(
        (p for p in parameters if p.name == "dry" and p.slot is Slot.OPTION and p.converter.flag), None
    )
    if guards.dry and (dry is None or "--dry" not in dry.options):
        raise PluginError("dry=True needs a keyword-only parameter `dry: bool = False`", where=where)

    def spell(values: Mapping[str, Any], hidden: Sequence[str]) -> str:
        words, options = [], []
        for p in parameters:
            value = values.get(p.name)
            if p.slot is Slot.WORD and value is not None:
                several = value if p.variadic else (value,)
                words += [HIDDEN if p.name in hidden else _word(one) for one in several]
            elif p.slot is Slot.OPTION and value is not None:
                options += _option(p, value, p.name in hidden)
        return " ".join([*path, *words, *options])

    return spell


def _option(p: Parameter, value: Any, hidden: bool) -> list[str]:
    name = next((name for name in p.options if name.startswith("--")), p.options[0])
    if hidden:
        return [name, HIDDEN]
    if not p.converter.flag:
        return [name, _word(value)]
    if value:
        return [name]
    return [f"--no-{name[2:]}"] if p.default is True else []


def _word(value: Any) -> str:
    """Return *value* as it would be typed."""
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, enum.Enum):
        value = value.value
    elif isinstance(value, User | Room):
        value = value.id
    elif isinstance(value, datetime.timedelta):
        value = f"{value.total_seconds():g}s"
    elif isinstance(value, datetime.date):
        value = value.isoformat()
    # What turns the direction, hides or breaks the line would let one command look like another.
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(value))
    plain = [word.text for word in split(text)] == [text] and not any(quote in text for quote in QUOTES)
    if plain and not text.startswith("-"):
        return text
    free = next((pair for pair in QUOTES.items() if not any(quote in text for quote in pair)), ("", ""))
    return f"{free[0]}{text}{free[1]}"
