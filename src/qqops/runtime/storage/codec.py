"""Values as JSON, for the store. What `dump` wrote `load_event`, `load_draft` and `load_value` can read."""

from __future__ import annotations

import base64
import datetime
import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

import cattrs
from cattrs.errors import StructureHandlerNotFoundError
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.preconf.json import JsonConverter, make_converter

from qqops.errors import StoreError
from qqops.model import AccountRef, Draft, Event, Message, Segment

T = TypeVar("T")

#: What it writes was made of values a moment ago, and cannot contain itself.
_encode = json.JSONEncoder(check_circular=False).encode


@functools.cache
def _converter(*, brief: bool = False) -> JsonConverter:
    """Return a converter; a *brief* one leaves out what is as a class has it by default."""
    converter = make_converter(omit_if_default=brief)
    # What a network named itself is JSON already.
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    _register_open(converter, Segment)
    _register_open(converter, Event)
    converter.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode())
    converter.register_structure_hook(bytes, lambda value, _: base64.b64decode(value))
    converter.register_unstructure_hook(datetime.datetime, lambda value: value.isoformat())
    converter.register_structure_hook(
        datetime.datetime, lambda value, _: datetime.datetime.fromisoformat(value)
    )
    converter.register_unstructure_hook(datetime.timedelta, lambda value: value.total_seconds())
    converter.register_structure_hook(datetime.timedelta, lambda value, _: datetime.timedelta(seconds=value))
    for kind in (str, int, float, bool):
        converter.register_structure_hook(kind, functools.partial(_strictly, kind))
    if brief:
        converter.register_unstructure_hook(AccountRef, str)  # it stands in every reference
    whole = converter.get_structure_hook(AccountRef)

    def account(value: Any, kind: type[AccountRef]) -> AccountRef:
        return AccountRef(*value.split(":", 1)) if isinstance(value, str) else whole(value, kind)

    converter.register_structure_hook(AccountRef, account)
    return converter


def _register_open(converter: JsonConverter, base: type[Any]) -> None:
    """Let values of subclasses of *base* say of which they are; those of other packages are found once these are loaded."""
    writers: dict[type[Any], Callable[[Any], dict[str, Any]]] = {}
    readers: dict[type[Any], Callable[[Any, Any], Any]] = {}

    def write(value: Any) -> dict[str, Any]:
        kind = type(value)
        if kind not in writers:
            writers[kind] = make_dict_unstructure_fn(
                kind, converter, _cattrs_omit_if_default=converter.omit_if_default
            )
        written = writers[kind](value)
        written["is"] = kind.__name__
        return written

    def read(value: Any, wanted: type[Any]) -> Any:
        kind = _named(wanted, value.get("is"))
        if kind not in readers:
            readers[kind] = make_dict_structure_fn(kind, converter)
        return readers[kind](value, kind)

    def of_base(kind: Any) -> bool:
        return isinstance(kind, type) and issubclass(kind, base)

    converter.register_unstructure_hook_func(of_base, write)
    converter.register_structure_hook_func(of_base, read)


def _named(base: type[Any], name: object) -> type[Any]:
    """Return the subclass *name* of *base*. Raises `ValueError` when there is none."""
    waiting = [base]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == name:
            return kind
        waiting += kind.__subclasses__()
    raise ValueError(f"no {base.__name__} is called {name!r}")


def _strictly(kind: type[object], value: object, _: object) -> object:
    """Return *value* if it is of *kind*: stored text is not a number, and a number is not text."""
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} is not {kind.__name__}")
    return value


def dump_value(value: object) -> str:
    """Return *value* (JSON's types, attrs classes, enums, dates and so on) as JSON. Raises `TypeError` for others."""
    if type(value) in (str, int, bool):
        return json.dumps(value, ensure_ascii=False)
    return _converter().dumps(value, ensure_ascii=False)


def load_value(text: str, kind: type[T]) -> T:
    """Return the value in *text*. Raises `StoreError` when it is not of *kind*."""
    return _load(text, kind)


def dump(value: Event | Draft) -> str:
    """Return *value* as JSON. Raises `StoreError` when what a network named itself cannot be written."""
    try:
        return _encode(_converter(brief=True).unstructure(value))
    except (ValueError, TypeError, RecursionError) as exc:
        raise StoreError(f"a {type(value).__name__} cannot be stored: {type(exc).__name__}") from exc


def load_event(text: str) -> Event:
    """Return the event in *text*. Raises `StoreError` when it cannot be read."""
    return _load(text, Event)


def load_message(text: str) -> Message:
    """Return the message in *text*. Raises `StoreError` when it cannot be read."""
    return _load(text, Message)


def load_draft(text: str) -> Draft:
    """Return the draft in *text*. Raises `StoreError` when it cannot be read."""
    return _load(text, Draft)


def _load(text: str, kind: type[T]) -> T:
    try:
        return _converter().loads(text, kind)
    except (
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        cattrs.BaseValidationError,
        StructureHandlerNotFoundError,
    ) as exc:
        name = getattr(kind, "__name__", str(kind))
        raise StoreError(f"a stored {name} cannot be read: {type(exc).__name__}") from exc
