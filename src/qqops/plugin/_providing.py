"""Decorators for what a plugin brings along: its configuration, services, tasks, and steps for its stored data."""

from __future__ import annotations

import collections.abc
import contextlib
import inspect
import types
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import attrs

from qqops.errors import PluginError
from qqops.plugin import _checking as checking
from qqops.plugin._injecting import injected, positional
from qqops.plugin._line import Slot
from qqops.plugin._note import Declared, note
from qqops.plugin.hooks import Build, hookimpl
from qqops.plugin.signature import Signature, hints_of, location, read
from qqops.runtime.context import Context
from qqops.runtime.services import Provided, Service

if TYPE_CHECKING:
    from qqops.runtime.storage.upgrade import Migration
    from qqops.runtime.tasks import Task

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])

_Restart = Literal["always", "on-failure", "never"]

#: What the function of a service may be declared to return.
_MANAGERS: tuple[Any, ...] = (
    collections.abc.AsyncGenerator, collections.abc.AsyncIterator, contextlib.AbstractAsyncContextManager,
)  # fmt: skip


class Providing:
    """The part of `Plugin` that is about what it brings along."""

    def __init__(self) -> None:
        self._configs: list[type[Any]] = []
        self._services: list[Declared] = []
        self._tasks: list[Declared] = []
        self._migrations: list[Declared] = []

    @overload
    def config(self, cls: C, /) -> C: ...
    @overload
    def config(self) -> Callable[[C], C]: ...
    def config(self, cls: Any = None) -> Any:
        """Declare an attrs class whose values stand in the settings' table ``[plugins.NAME]``; injected by type."""
        if cls is None:
            return self.config
        if not isinstance(cls, type):
            raise checking.wrong(f"@plugin.config belongs above an attrs class, not {checking.shown(cls)}")
        self._configs.append(cls)
        return cls

    @overload
    def service(self, function: F, /) -> F: ...
    @overload
    def service(self) -> Callable[[F], F]: ...
    def service(self, function: Any = None) -> Any:
        """Declare a service: an `asynccontextmanager` function whose value is injected by its type.

        Its own parameters are injected, too. It is entered before whoever needs it and left after.
        """
        if function is None:
            return self.service
        checking.function(function, "service")
        self._services.append(note(function, function.__name__, None, False, {}))
        return function

    @overload
    def task(self, function: F, /) -> F: ...
    @overload
    def task(self, *, restart: _Restart = "on-failure") -> Callable[[F], F]: ...
    def task(self, function: Any = None, *, restart: _Restart = "on-failure") -> Any:
        """Declare an ``async def`` that runs beside the handlers from the start of the bot on.

        Args:
            restart: When it is started again, after a growing pause.
        """
        more = {"restart": checking.one_of("restart", restart, typing.get_args(_Restart))}

        def declare(function: F) -> F:
            checking.function(function, "task")
            self._tasks.append(note(function, function.__name__, None, False, more))
            return function

        return declare if function is None else declare(function)

    def migration(self, number: int) -> Callable[[F], F]:
        """Declare the step that brings stored values from version *number* - 1 to *number*.

        It is an ``async def`` with one parameter, a `Transaction` on the plugin's values; behind a ``*`` it may have its
        configuration and `Logger`. A snapshot of the file is made before, and what it changes is stored together with
        the new version.
        """
        if callable(number):
            raise checking.wrong("@plugin.migration needs the version that it leads to: @plugin.migration(1)")
        checking.whole("the number of a migration", number)

        def declare(function: F) -> F:
            checking.function(function, "migration")
            self._migrations.append(note(function, function.__name__, None, False, {"number": number}))
            return function

        return declare

    @property
    def configured(self) -> bool:
        """Whether it declares a configuration."""
        return bool(self._configs)

    # -- its own hooks --------------------------------------------------------------------------

    @hookimpl
    def qqops_config(self) -> list[type[Any]]:
        """Return the declared classes."""
        for cls in self._configs:
            if not attrs.has(cls):
                raise PluginError(
                    f"the configuration {cls.__name__} must be an attrs class", where=_place(cls)
                )
            if _takes_rooms(cls):
                raise PluginError(
                    f"the configuration {cls.__name__} has a table 'rooms', and that word is taken: below it stands what"
                    " holds in single rooms; call the field otherwise",
                    where=_place(cls),
                )
        return list(self._configs)

    @hookimpl
    def qqops_services(self, build: Build) -> list[Service]:
        """Return the declared services."""
        places: dict[type[Any], Provided] = {}
        free = dict(build.places)
        for d in self._services:
            kind = _kind(d)
            if kind in places:
                raise PluginError(f"{kind.__name__} is provided twice", where=location(d.function))
            what = f"{kind.__module__}.{kind.__qualname__}"
            # Who leans on another class is refused, and not given this one.
            places[kind] = free.pop(what) if what in free else Provided(build.plugin, d.name, what)
        known = {**build.services, **places}
        found = []
        for d, (kind, provided) in zip(self._services, places.items(), strict=True):
            signature = _without_event(d, known, "service")
            found.append(
                Service(
                    plugin=build.plugin, name=d.name, where=location(d.function), kind=kind, provided=provided,
                    needs=_needs(signature), open=_bind(signature),
                )
            )  # fmt: skip
        return found

    @hookimpl
    def qqops_tasks(self, build: Build) -> list[Task]:
        """Return the declared tasks."""
        from qqops.runtime.tasks import Restart, Task  # here: it is the bot that asks

        found = []
        for d in self._tasks:
            if not inspect.iscoroutinefunction(d.function):
                raise PluginError(f"the task {d.name}() must be `async def`", where=location(d.function))
            signature = _without_event(d, build.services, "task")
            found.append(
                Task(
                    plugin=build.plugin, name=d.name, where=location(d.function), needs=_needs(signature),
                    restart=Restart(d.more["restart"]), call=_bind(signature),
                )
            )  # fmt: skip
        return found

    @hookimpl
    def qqops_migrations(self, build: Build) -> list[Migration]:
        """Return the declared steps."""
        from qqops.runtime.shelves import Logger  # here: it is the bot that asks
        from qqops.runtime.storage.upgrade import Migration

        # It runs before anything else is up, and the plugin's own values are held for it.
        given = {
            kind: one
            for kind, one in build.services.items()
            if kind is Logger or not (kind in build.core or isinstance(one, Provided))
        }
        steps = sorted(self._migrations, key=lambda d: d.more["number"])
        for wanted, d in enumerate(steps, 1):
            where, number = location(d.function), d.more["number"]
            if number != wanted:
                raise PluginError(f"migrations are numbered 1, 2, 3 …: {wanted} is missing", where=where)
            if not inspect.iscoroutinefunction(d.function):
                raise PluginError(f"the migration {d.name}() must be `async def`", where=where)
            if positional(d.function) != 1:
                raise PluginError(f"the migration {d.name}() takes one parameter, a Transaction", where=where)
        return [
            Migration(
                d.more["number"], injected(d.function, given, d.enclosing).into(d.function), location(d.function)
            )
            for d in steps
        ]  # fmt: skip


def _kind(d: Declared) -> type[Any]:
    """Return the type that a service provides, from its annotation."""
    where = location(d.function)
    inner = inspect.unwrap(d.function)
    returned = hints_of(d.function, d.enclosing, where).get("return")
    origin, arguments = typing.get_origin(returned), typing.get_args(returned)
    kind = typing.get_origin(arguments[0]) or arguments[0] if origin in _MANAGERS and arguments else None
    if not isinstance(kind, type):
        raise PluginError(
            f"the service {d.name}() must say what it provides: -> AsyncGenerator[Pool]", where=where
        )
    if inspect.isasyncgenfunction(inner) and inner is d.function:
        raise PluginError(f"the service {d.name}() needs @asynccontextmanager below it", where=where)
    return kind


def _without_event(d: Declared, services: collections.abc.Mapping[type[Any], object], what: str) -> Signature:
    """Return the signature of a function that no event sets off."""
    signature = read(d.function, services=services, enclosing=d.enclosing, words=False)
    if wrong := next((p for p in signature.parameters if p.slot is not Slot.SERVICE), None):
        raise PluginError(
            f"the {what} {d.name}(): {wrong.name!r} belongs to a message, and there is none",
            where=location(d.function),
        )
    return signature


def _needs(signature: Signature) -> tuple[Provided, ...]:
    return tuple(p.service for p in signature.parameters if isinstance(p.service, Provided))


def _bind(signature: Signature) -> Callable[[], Any]:
    """Return a call that looks up what is injected when it is made."""
    prepare = signature.for_event()
    return lambda: prepare(cast("Context", None), None)()


def _takes_rooms(cls: type[Any]) -> bool:
    """Whether *cls* has a field ``rooms`` that is a table."""
    if not any(field.name == "rooms" for field in attrs.fields(cls)):
        return False
    try:
        hint = typing.get_type_hints(cls).get("rooms")
    except NameError:  # said by whoever reads the values
        return False
    kinds = [typing.get_origin(one) or one for one in (hint, *typing.get_args(hint))]
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        kinds = kinds[:1]
    return any(
        isinstance(k, type) and (issubclass(k, collections.abc.Mapping) or attrs.has(k)) for k in kinds
    )


def _place(cls: type[Any]) -> str:
    try:
        return f"{inspect.getsourcefile(cls)}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return ""
