"""What the decorators have noted → the records of the registry. Signatures are read here, when a plugin is loaded."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import attrs

from qqops import model
from qqops.errors import PluginError
from qqops.model import Event, Message
from qqops.plugin._converter import Conversion
from qqops.plugin._injecting import NOTHING, injected, positional
from qqops.plugin._note import Declared, make_handler, read_signature
from qqops.plugin._spell import speller
from qqops.plugin.hooks import Build
from qqops.plugin.signature import location
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.patterns import free_length
from qqops.runtime.registry import Command, Filter, Listener, Trigger

#: Said of functions that take too much.
_BEHIND = "what is injected stands behind a *"


def make_command(d: Declared, build: Build) -> Command:
    """Return the command that *d* declares."""
    path: tuple[str, ...] = d.more["path"]
    names = ("".join(path) if len(path) == 1 else "", *d.more["aliases"])
    if d.more["no_space"] and all(name.isascii() for name in names):
        raise PluginError(
            f"no_space needs a name outside ASCII: {'/'.join(path)} would be found in other words",
            where=location(d.function),
        )
    signature = read_signature(d, build, Message, words=True)
    usage = signature.usage(path)
    spell = speller(path, signature.parameters, d.more["guards"], location(d.function))
    handler = make_handler(d, build, signature.for_command(usage))
    summary, _, rest = inspect.cleandoc(d.function.__doc__ or "").partition("\n")
    return Command(
        path=path,
        aliases=d.more["aliases"],
        handler=attrs.evolve(handler, converse=d.more["converse"], spell=spell),
        summary=summary.strip(),
        usage=usage,
        no_space=d.more["no_space"],
        help="\n".join(part for part in (rest.strip(), signature.details()) if part),
    )


def make_listener(d: Declared, build: Build) -> Listener:
    """Return the listener that *d* declares."""
    event, where = d.more["event"], location(d.function)
    if not (isinstance(event, type) and issubclass(event, Event)):
        known = sorted(
            name for name, one in vars(model).items() if isinstance(one, type) and issubclass(one, Event)
        )
        raise PluginError(f"{event!r} is not an event class; use one of {', '.join(known)}", where=where)
    narrowed = [n for n in ("regex", "keywords", "at_me") if d.more[n]]
    if len(narrowed) > 1 or (narrowed and event is not Message):
        raise PluginError(
            "a listener takes one of regex, keyword and at_me, and only for Message", where=where
        )
    if d.more["also_commands"] and not d.more["at_me"]:
        raise PluginError("also_commands is about at_me: other listeners hear commands anyway", where=where)
    pattern = None
    if d.more["regex"]:
        try:
            pattern = re.compile(d.more["regex"])
        except re.error as exc:
            raise PluginError(f"the pattern {d.more['regex']!r} is wrong: {exc}", where=where) from exc
    groups = frozenset(pattern.groupindex) if pattern is not None else None
    signature = read_signature(d, build, event, groups=groups)
    trigger = (
        Trigger.REGEX if pattern is not None
        else Trigger.KEYWORD if d.more["keywords"]
        else Trigger.AT_ME if d.more["at_me"]
        else Trigger.ANY
    )  # fmt: skip
    return Listener(
        event=event,
        handler=make_handler(
            d, build, signature.for_match() if pattern is not None else signature.for_event()
        ),
        trigger=trigger,
        pattern=pattern,
        free=free_length(pattern) if pattern is not None else -1,
        keywords=tuple(k.casefold() for k in d.more["keywords"]),
        priority=d.more["priority"],
        stop=d.more["stop"],
        also_commands=d.more["also_commands"],
    )


def make_outgoing(d: Declared, build: Build) -> Outgoing:
    """Return the link of the chain of outgoing messages that *d* declares."""
    where = location(d.function)
    if inspect.iscoroutinefunction(d.function):
        raise PluginError(f"{d.name}() must be a plain `def`: nothing waits on the way out", where=where)
    if positional(d.function) != 1:
        raise PluginError(f"{d.name}() takes one parameter: the draft; {_BEHIND}", where=where)
    call = injected(d.function, build.services, d.enclosing).into(d.function)
    return Outgoing(plugin=build.plugin, name=d.name, where=where, order=d.more["order"], call=call)


def make_filter(d: Declared, build: Build) -> Filter:
    """Return the filter that *d* declares."""
    where = location(d.function)
    if not inspect.iscoroutinefunction(d.function):
        raise PluginError(f"the filter {d.name}() must be `async def`", where=where)
    if positional(d.function) != 2:
        raise PluginError(f"the filter {d.name}() takes two parameters: ctx and call; {_BEHIND}", where=where)
    return Filter(
        plugin=build.plugin, name=d.name, where=where, order=d.more["order"], wraps=d.more["wraps"],
        call=injected(d.function, build.services, d.enclosing).into(d.function, 0),
    )  # fmt: skip


def make_conversion(d: Declared, build: Build) -> Conversion:
    """Return the conversion that *d* declares."""
    where, takes = location(d.function), positional(d.function)
    if takes not in (1, 2):
        raise PluginError(
            f"the converter {d.name}() takes the word, or the word and ctx; {_BEHIND}", where=where
        )
    if inspect.iscoroutinefunction(d.function):
        raise PluginError(f"the converter {d.name}() must be a plain `def`", where=where)
    more = injected(d.function, build.services, d.enclosing)
    if more is NOTHING:
        return Conversion(d.more["kind"], d.function, where, d.name)
    # What is looked up needs the context, whether the author asks for it or not.
    call = more.into(d.function if takes == 2 else _with_context(d.function), 1)
    return Conversion(d.more["kind"], lambda word, ctx: call(word, ctx), where, d.name)


def _with_context(convert: Callable[..., Any]) -> Callable[..., Any]:
    return lambda word, ctx, **more: convert(word, **more)
