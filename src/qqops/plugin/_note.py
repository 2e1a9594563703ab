"""What a decorator notes about its function, and the handler that becomes of it when the plugin is loaded."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qqops.errors import PluginError
from qqops.plugin.hooks import Build
from qqops.plugin.signature import Signature, location, read
from qqops.runtime.declared import OPEN
from qqops.runtime.registry import Handler, Mode, Prepare


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
    """Return what is known of *function* where a decorator stands."""
    frame = sys._getframe(2)
    # Classes defined inside a function are found only through its locals, and only while it runs.
    enclosing = dict(frame.f_locals) if frame.f_code.co_name != "<module>" else {}
    return Declared(
        function=function, name=name, timeout=timeout, inline=inline, enclosing=enclosing, more=more
    )


def read_signature(
    d: Declared, build: Build, *, words: bool = False, groups: frozenset[str] | None = None
) -> Signature:
    """Return the signature of the declared function."""
    return read(
        d.function,
        services=build.services,
        enclosing=d.enclosing,
        words=words,
        groups=groups,
        own=build.converters,
        threaded=not d.inline and not inspect.iscoroutinefunction(d.function),
        core=build.core,
    )


def make_handler(d: Declared, build: Build, prepare: Prepare) -> Handler:
    """Return the handler that calls the declared function by what *prepare* makes of it."""
    where = location(d.function)
    if inspect.isasyncgenfunction(d.function) or inspect.isgeneratorfunction(d.function):
        raise PluginError(f"{d.name}() is a generator; return the answer, or use ctx.reply()", where=where)
    mode = Mode.ASYNC if inspect.iscoroutinefunction(d.function) else Mode.INLINE if d.inline else Mode.THREAD
    if d.inline and mode is Mode.ASYNC:
        raise PluginError(f"{d.name}() is async; inline is for plain `def` functions", where=where)
    if d.timeout is not None and not d.timeout > 0:
        raise PluginError(f"{d.name}(): timeout must be > 0 seconds, got {d.timeout:g}", where=where)
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
