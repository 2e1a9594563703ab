"""Messages and drafts as JSON, for the store. What `dump` wrote `load_message` and `load_draft` can read."""

from __future__ import annotations

import base64
import datetime
import functools
from typing import TypeVar

import cattrs
from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_tagged_union

from qqops.errors import StoreError
from qqops.model import Draft, Message, Segment

T = TypeVar("T")


@functools.cache
def _converter() -> JsonConverter:
    converter = make_converter()
    # What a network named itself is JSON already.
    converter.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
    configure_tagged_union(Segment, converter, tag_name="is")
    converter.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode())
    converter.register_structure_hook(bytes, lambda value, _: base64.b64decode(value))
    converter.register_unstructure_hook(datetime.datetime, lambda value: value.isoformat())
    converter.register_structure_hook(
        datetime.datetime, lambda value, _: datetime.datetime.fromisoformat(value)
    )
    return converter


def dump(value: Message | Draft) -> str:
    """Return *value* as JSON."""
    return _converter().dumps(value)


def load_message(text: str) -> Message:
    """Return the message in *text*. Raises `StoreError` when it cannot be read."""
    return _load(text, Message)


def load_draft(text: str) -> Draft:
    """Return the draft in *text*. Raises `StoreError` when it cannot be read."""
    return _load(text, Draft)


def _load(text: str, kind: type[T]) -> T:
    try:
        return _converter().loads(text, kind)
    except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as exc:
        raise StoreError(f"a stored {kind.__name__} cannot be read: {type(exc).__name__}") from exc
