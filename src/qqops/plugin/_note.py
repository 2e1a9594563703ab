"""What a decorator notes about its function, and the handler that becomes of it when the plugin is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from qqops.errors import PluginError
from qqops.model import Event
from qqops.plugin import _checking as checking
from qqops.plugin._line import Slot
from qqops.plugin.hooks import Build
from qqops.plugin.signature import Signature, location, read
from qqops.runtime.declared import OPEN
from qqops.runtime.registry import Handler, Mode, Prepare

R = TypeVar("R")


@attrs.frozen(kw_only=True, eq=False)
class Declared:
    """A decorated function and where it stood."""

    function: Callable[..., Any]
    name: str
    timeout: float | None
    inline: bool
    enclosing: Mapping[str, Any]
    more: Mapping[str, Any]


def note(
    function: Callable[..., Any], name: str, timeout: float | None, inline: bool, more: Mapping[str, Any]
) -> Declared:
    """Return what is known of *function* where a decorator stands. Raises `PluginError` for what is none of ours."""
    frame = checking.author()
    # Classes defined inside a function are found only through its locals, and only while it runs.
    enclosing = dict(frame.f_locals) if frame.f_code.co_name != "<module>" else {}
    return Declared(
        function=function,
        name=name,
        timeout=checking.seconds("timeout", timeout),
        inline=checking.flag("inline", inline),
        enclosing=enclosing,
        more=more,
    )


def each(declared: Sequence[Declared], make: Callable[[Declared, Build], R], build: Build) -> list[R]:
    """Return what *make* makes of all that was *declared*; what goes wrong gets file and line of its function."""
    return [_made(d, make, build) for d in declared]


def _made(d: Declared, make: Callable[[Declared, Build], R], build: Build) -> R:
    try:
        return make(d, build)
    except PluginError:
        raise
    except Exception as exc:
        raise PluginError(f"{d.name}(): {type(exc).__name__}: {exc}", where=location(d.function)) from exc


def read_signature(
    d: Declared,
    build: Build,
    event: type[Event] | None,
    *,
    words: bool = False,
    groups: frozenset[str] | None = None,
) -> Signature:
    """Return the signature of the declared function, which an *event* of this class sets off; None for the clock."""
    signature = read(
        d.function,
        services=build.services,
        enclosing=d.enclosing,
        words=words,
        groups=groups,
        own=build.converters,
        threaded=not d.inline and not inspect.iscoroutinefunction(d.function),
        core=build.core,
    )
    for p in signature.parameters:
        if event is None and p.slot in (Slot.EVENT, Slot.QUOTE):
            raise PluginError(
                f"{d.name}(): {p.name!r} belongs to a message, and there is none", where=location(d.function)
            )
        if p.event is not None and event is not None and not issubclass(event, p.event):
            raise PluginError(
                f"{d.name}(): {p.name!r} is to be a {p.event.__name__}, and what sets it off is a {event.__name__}",
                where=location(d.function),
            )
    return signature


def make_handler(d: Declared, build: Build, prepare: Prepare) -> Handler:
    """Return the handler that calls the declared function by what *prepare* makes of it."""
    where = location(d.function)
    if inspect.isasyncgenfunction(d.function) or inspect.isgeneratorfunction(d.function):
        raise PluginError(f"{d.name}() is a generator; return the answer, or use ctx.reply()", where=where)
    mode = Mode.ASYNC if inspect.iscoroutinefunction(d.function) else Mode.INLINE if d.inline else Mode.THREAD
    if d.inline and mode is Mode.ASYNC:
        raise PluginError(f"{d.name}() is async; inline is for plain `def` functions", where=where)
    return Handler(
        plugin=build.plugin,
        name=d.name,
        where=where,
        mode=mode,
        prepare=prepare,
        timeout=d.timeout,
        at_least_once=d.more.get("at_least_once", False),
        guards=d.more.get("guards", OPEN),
    )
