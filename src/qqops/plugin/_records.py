"""What hooks return, looked at before anybody else meets it: who writes records by hand makes mistakes by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from qqops.adapters.base import Network
from qqops.model import Event
from qqops.plugin._converter import Conversion
from qqops.runtime.agenda import Cron, Every, Misfire, Once, Overlap
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.registry import Command, Filter, Handler, Job, Listener, Mode, Trigger, Wraps
from qqops.runtime.services import Provided, Service
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Restart, Task

_Kinds: TypeAlias = type[Any] | tuple[type[Any], ...]

#: What stands in the attributes that others lean on.
_SHAPES: Mapping[type[Any], Mapping[str, _Kinds]] = {
    Command: {"path": tuple, "aliases": tuple, "handler": Handler, "summary": str, "usage": str, "help": str},
    Listener: {"event": type, "handler": Handler, "trigger": Trigger, "keywords": tuple, "priority": int},
    Handler: {"plugin": str, "name": str, "where": str, "mode": Mode},
    Filter: {"plugin": str, "name": str, "order": int, "wraps": Wraps},
    Outgoing: {"plugin": str, "name": str, "order": int},
    Job: {
        "name": str, "schedule": (Cron, Every, Once), "handler": Handler, "jitter": (int, float), "misfire": Misfire,
        "overlap": Overlap,
    },
    Task: {"plugin": str, "name": str, "restart": Restart, "needs": tuple},
    Service: {"plugin": str, "name": str, "kind": type, "provided": Provided, "needs": tuple},
    Migration: {"number": int},
    Network: {"name": str, "options": type},
    Conversion: {"kind": type},
}  # fmt: skip
#: Those that are called.
_CALLED: Mapping[type[Any], str] = {
    Handler: "prepare", Filter: "call", Outgoing: "call", Task: "call", Service: "open", Migration: "call",
    Network: "open", Conversion: "function",
}  # fmt: skip


def flaw(record: object, plugin: str) -> str:
    """Return what is wrong with *record*, which a hook of *plugin* has returned; "" when nothing is."""
    kind = type(record)
    if isinstance(record, type):
        return "" if attrs.has(record) else f"{record.__name__} must be an attrs class"
    for name, wanted in _SHAPES.get(kind, {}).items():
        value = getattr(record, name)
        if not isinstance(value, wanted):
            names = " or ".join(one.__name__ for one in (wanted if isinstance(wanted, tuple) else (wanted,)))
            return f"{kind.__name__}.{name} must be {names}, not {type(value).__name__}"
    if kind in _CALLED and not callable(getattr(record, _CALLED[kind])):
        return f"{kind.__name__}.{_CALLED[kind]} must be a function"
    if isinstance(record, Command) and not (
        record.path and all(_is_word(w) for w in (*record.path, *record.aliases))
    ):
        return f"the words of a Command must be texts that are not empty, got {record.path!r} and {record.aliases!r}"
    if isinstance(record, Listener) and not issubclass(record.event, Event):
        return f"Listener.event must be the class of an event, not {record.event.__name__}"
    if isinstance(record, Command | Listener | Job):
        return flaw(record.handler, plugin)
    if (owner := getattr(record, "plugin", plugin)) != plugin:
        return f"{kind.__name__} is declared for {owner!r}, and must be for build.plugin, which is {plugin!r}"
    return ""


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
