"""What a plugin author writes: a `Plugin` and its decorators.

The decorators return the function unchanged and only note what was declared. Signatures are read when the
plugin is loaded, so that classes defined later in the module can be used in annotations.
"""

from __future__ import annotations

import datetime
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args

import attrs

from qqops.errors import ConfigError, PluginError
from qqops.model import Event, Message
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.signature import Signature, location, read
from qqops.runtime.agenda import Schedule, cron, every, once
from qqops.runtime.registry import Command, Filter, FilterCall, Handler, Job, Listener, Mode, Prepare, Trigger

F = TypeVar("F", bound=Callable[..., Any])

#: Every class that can be listened to.
_EVENTS: tuple[type[Any], ...] = get_args(Event)


@attrs.frozen(kw_only=True, eq=False)
class _Declared:
    """A decorated function and where it stood."""

    function: Callable[..., Any]
    name: str
    timeout: float | None
    inline: bool
    enclosing: Mapping[str, Any]
    more: Mapping[str, Any]


class Plugin:
    """A plugin: a name, and what its decorators have collected.

    Example::

        plugin = Plugin("add")


        @plugin.command("add")
        async def add(a: int, b: int) -> str:
            \"\"\"Add two integers.\"\"\"
            return str(a + b)
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            raise PluginError(f"{name!r} is no plugin name: lower-case letters, digits, - and _ only")
        self.name = name
        self._commands: list[_Declared] = []
        self._listeners: list[_Declared] = []
        self._filters: list[_Declared] = []
        self._jobs: list[_Declared] = []

    def __repr__(self) -> str:
        return f"<Plugin {self.name}>"

    # -- decorators -----------------------------------------------------------------------------

    def command(
        self,
        name: str,
        *,
        aliases: Sequence[str] = (),
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
    ) -> Callable[[F], F]:
        """Declare a command. Its words, options and help come from the signature and the docstring.

        Args:
            name: The word after the prefix; two words make a command of a group.
            aliases: Other single words that call it.
            timeout: Seconds it may take; None for the setting's value.
            inline: Call a plain ``def`` in place instead of in a thread; for quick, pure functions.
            at_least_once: Start it again when the bot was killed while it ran; else that is only reported.
        """
        return self._command((name,), aliases, timeout, inline, at_least_once)

    def group(self, name: str) -> Group:
        """Return a group: its commands are called ``/name sub …``."""
        return Group(self, tuple(name.split()))

    def on(
        self,
        event: type[Any],
        *,
        regex: str | None = None,
        keyword: str | Sequence[str] | None = None,
        at_me: bool = False,
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
    ) -> Callable[[F], F]:
        """Declare a listener for an event class.

        Args:
            event: A class of `qqops.model.events`: `Message`, `Joined`, `FriendRequest`, `Connected` and so on.
            regex: Only messages in which this is found; its named groups become typed arguments.
            keyword: Only messages that contain it (one of them), in any case.
            at_me: Only messages that address the bot.
            at_least_once: Start it again when the bot was killed while it ran; messages only.
        """
        keywords = (keyword,) if isinstance(keyword, str) else tuple(keyword or ())
        more = {"event": event, "regex": regex, "keywords": keywords, "at_me": at_me}
        more["at_least_once"] = at_least_once

        def declare(function: F) -> F:
            self._listeners.append(_note(function, function.__name__, timeout, inline, more))
            return function

        return declare

    def filter(self, *, order: int = 0) -> Callable[[F], F]:
        """Declare a filter: ``async def quiet(ctx: Ctx, call: Next) -> None`` around every handler of the bot.

        The lowest order is outermost. Not awaiting ``call()`` means no, and is recorded as such; an error
        means no as well.
        """

        def declare(function: F) -> F:
            self._filters.append(_note(function, function.__name__, None, False, {"order": order}))
            return function

        return declare

    def job(
        self,
        *,
        cron: str | None = None,  # noqa: A002, RUF100 - the author's word
        tz: str = "UTC",
        every: float | datetime.timedelta | None = None,
        once: datetime.datetime | None = None,
        timeout: float | None = None,
        inline: bool = False,
    ) -> Callable[[F], F]:
        """Declare a job: by *cron* (five fields, in time zone *tz*), *every* so many seconds, or *once*.

        A run that is due while the last one has not ended is skipped.
        """
        more = {"cron": cron, "tz": tz, "every": every, "once": once}

        def declare(function: F) -> F:
            self._jobs.append(_note(function, function.__name__, timeout, inline, more))
            return function

        return declare

    def _command(
        self,
        path: tuple[str, ...],
        aliases: Sequence[str],
        timeout: float | None,
        inline: bool,
        at_least_once: bool,
    ) -> Callable[[F], F]:
        words = tuple(" ".join(path).split())

        def declare(function: F) -> F:
            names = (aliases,) if isinstance(aliases, str) else tuple(aliases)
            more = {"path": words, "aliases": names, "at_least_once": at_least_once}
            self._commands.append(_note(function, " ".join(words), timeout, inline, more))
            return function

        return declare

    # -- its own hooks --------------------------------------------------------------------------

    @hookimpl
    def qqops_commands(self, build: Build) -> list[Command]:
        """Return the declared commands."""
        return [self._make_command(d, build) for d in self._commands]

    @hookimpl
    def qqops_listeners(self, build: Build) -> list[Listener]:
        """Return the declared listeners."""
        return [self._make_listener(d, build) for d in self._listeners]

    @hookimpl
    def qqops_filters(self, build: Build) -> list[Filter]:
        """Return the declared filters."""
        return [self._make_filter(d, build) for d in self._filters]

    @hookimpl
    def qqops_jobs(self, build: Build) -> list[Job]:
        """Return the declared jobs."""
        return [self._make_job(d, build) for d in self._jobs]

    def _make_command(self, d: _Declared, build: Build) -> Command:
        path: tuple[str, ...] = d.more["path"]
        if not path or any(a != a.strip() or len(a.split()) != 1 for a in d.more["aliases"]):
            raise PluginError(
                "a command needs a name, and an alias must be one word", where=location(d.function)
            )
        signature = read(d.function, services=build.services, enclosing=d.enclosing, words=True)
        usage = signature.usage(path)
        summary, _, rest = inspect.cleandoc(d.function.__doc__ or "").partition("\n")
        return Command(
            path=path,
            aliases=d.more["aliases"],
            handler=_handler(d, build, signature.for_command("/" + usage)),
            summary=summary.strip(),
            usage=usage,
            help="\n".join(part for part in (rest.strip(), signature.details()) if part),
        )

    def _make_listener(self, d: _Declared, build: Build) -> Listener:
        event, where = d.more["event"], location(d.function)
        if event not in _EVENTS:
            raise PluginError(f"{event!r} is no event class; use one of {_names(_EVENTS)}", where=where)
        narrowed = [n for n in ("regex", "keywords", "at_me") if d.more[n]]
        if len(narrowed) > 1 or (narrowed and event is not Message):
            raise PluginError(
                "a listener takes one of regex, keyword and at_me, and only for Message", where=where
            )
        pattern = None
        if d.more["regex"]:
            try:
                pattern = re.compile(d.more["regex"])
            except re.error as exc:
                raise PluginError(f"the pattern {d.more['regex']!r} is wrong: {exc}", where=where) from exc
        groups = frozenset(pattern.groupindex) if pattern is not None else None
        signature = read(
            d.function, services=build.services, enclosing=d.enclosing, words=False, groups=groups
        )
        trigger = (
            Trigger.REGEX if pattern is not None
            else Trigger.KEYWORD if d.more["keywords"]
            else Trigger.AT_ME if d.more["at_me"]
            else Trigger.ANY
        )  # fmt: skip
        return Listener(
            event=event,
            handler=_handler(
                d, build, signature.for_match() if pattern is not None else signature.for_event()
            ),
            trigger=trigger,
            pattern=pattern,
            keywords=tuple(k.casefold() for k in d.more["keywords"]),
        )

    def _make_filter(self, d: _Declared, build: Build) -> Filter:
        where = location(d.function)
        if not inspect.iscoroutinefunction(d.function):
            raise PluginError(f"the filter {d.name}() must be `async def`", where=where)
        if len(inspect.signature(d.function).parameters) != 2:
            raise PluginError(f"the filter {d.name}() takes two parameters: ctx and call", where=where)
        call: FilterCall = d.function
        return Filter(plugin=build.plugin, name=d.name, where=where, order=d.more["order"], call=call)

    def _make_job(self, d: _Declared, build: Build) -> Job:
        signature = read(d.function, services=build.services, enclosing=d.enclosing, words=False)
        try:
            schedule = _schedule(d.more)
        except ConfigError as exc:
            raise PluginError(f"the job {d.name}(): {exc}", where=location(d.function)) from exc
        return Job(name=d.name, schedule=schedule, handler=_handler(d, build, signature.for_event()))


class Group:
    """Commands that share their first words."""

    def __init__(self, plugin: Plugin, path: tuple[str, ...]) -> None:
        self._plugin = plugin
        self._path = path

    def command(
        self,
        name: str,
        *,
        aliases: Sequence[str] = (),
        timeout: float | None = None,
        inline: bool = False,
        at_least_once: bool = False,
    ) -> Callable[[F], F]:
        """Declare a command of this group; arguments as in `Plugin.command`."""
        return self._plugin._command((*self._path, name), aliases, timeout, inline, at_least_once)

    def group(self, name: str) -> Group:
        """Return a group within this one."""
        return Group(self._plugin, (*self._path, *name.split()))


def _note(
    function: Callable[..., Any], name: str, timeout: float | None, inline: bool, more: Mapping[str, Any]
) -> _Declared:
    frame = sys._getframe(2)
    # Classes defined inside a function are found only through its locals, and only while it runs.
    enclosing = dict(frame.f_locals) if frame.f_code.co_name != "<module>" else {}
    return _Declared(
        function=function, name=name, timeout=timeout, inline=inline, enclosing=enclosing, more=more
    )


def _handler(d: _Declared, build: Build, prepare: Prepare) -> Handler:
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
    )


def _schedule(more: Mapping[str, Any]) -> Schedule:
    given = [name for name in ("cron", "every", "once") if more[name] is not None]
    if len(given) != 1:
        raise ConfigError(
            "give one of cron, every and once" + (f", not {' and '.join(given)}" if given else "")
        )
    if given == ["cron"]:
        return cron(more["cron"], more["tz"])
    if given == ["every"]:
        interval = more["every"]
        return every(interval.total_seconds() if isinstance(interval, datetime.timedelta) else interval)
    return once(more["once"])


def _names(classes: Sequence[type[Any]]) -> str:
    return ", ".join(c.__name__ for c in classes)


__all__ = ["Group", "Plugin", "Signature"]
