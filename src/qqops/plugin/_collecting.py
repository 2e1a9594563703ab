"""What one plugin declares, collected from its hooks without touching anything that runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import pluggy

from qqops.adapters.base import Network
from qqops.errors import ConfigError, PluginError
from qqops.plugin._converter import Conversion, Converter
from qqops.plugin._records import flaw
from qqops.plugin.convert import is_builtin
from qqops.plugin.hooks import AT_DECISIONS, PROJECT, Build, Hooks
from qqops.plugin.plugin import Plugin
from qqops.plugin.signature import location
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.registry import Command, Filter, Job, Listener
from qqops.runtime.services import Provided, Service
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Task

#: What the hooks that collect return several of.
_RETURNS: dict[str, type[Any]] = {
    "qqops_commands": Command, "qqops_listeners": Listener, "qqops_filters": Filter, "qqops_jobs": Job,
    "qqops_outgoing": Outgoing, "qqops_converters": Conversion, "qqops_networks": Network, "qqops_config": type,
    "qqops_services": Service, "qqops_tasks": Task, "qqops_migrations": Migration,
}  # fmt: skip

#: Returns an object of a plugin's configuration class, from its name and the class. Raises `ConfigError`.
Configure: TypeAlias = Callable[[str, type[Any]], object]


def defaults(plugin: str, cls: type[Any]) -> object:
    """Return a configuration of defaults, where there are no settings. Raises `ConfigError`."""
    missing = [a.name for a in attrs.fields(cls) if a.default is attrs.NOTHING]
    if missing:
        raise ConfigError(f"{missing[0]} is missing", where=f"plugins.{plugin}")
    return cls()


@attrs.frozen(kw_only=True, eq=False)
class Surroundings:
    """What is there when a plugin declares.

    Attributes:
        core: What the bot itself offers it, by type.
        provided: Services of the other plugins, by type.
        places: Where its own may stand, by the name of their class: who has leaned on what stood there finds them.
        converters: What the other plugins can convert, by type.
        configure: Fills configurations.
    """

    core: Mapping[type[Any], object]
    provided: Mapping[type[Any], Provided]
    places: Mapping[str, Provided]
    converters: Mapping[type[Any], Converter]
    configure: Configure


@attrs.frozen(kw_only=True, eq=False)
class Collected:
    """Everything that one plugin declares.

    Attributes:
        plugin: What pluggy sees.
        configs: Its configurations as the settings fill them, by type.
    """

    plugin: object
    configs: Mapping[type[Any], object]
    converters: Mapping[type[Any], Converter]
    services: Sequence[Service]
    networks: Sequence[Network]
    tasks: Sequence[Task]
    migrations: Sequence[Migration]
    commands: Sequence[Command]
    listeners: Sequence[Listener]
    filters: Sequence[Filter]
    jobs: Sequence[Job]
    outgoing: Sequence[Outgoing]

    @property
    def empty(self) -> bool:
        """Whether a plugin that is made of decorators has used none."""
        own = attrs.astuple(self, recurse=False)[1:]
        return type(self.plugin) is Plugin and not any(own) and not self.plugin.configured


def collect(name: str, plugin: object, around: Surroundings) -> Collected:
    """Return what *plugin* declares under *name*.

    Raises:
        PluginError: It declares something impossible.
        BaseException: Whatever its hooks raise.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    if manager.register(plugin, name) is None:
        raise PluginError("it is blocked")
    manager.check_pending()
    for hook in AT_DECISIONS:
        for one in getattr(manager.hook, hook).get_hookimpls():
            if inspect.iscoroutinefunction(one.function):
                raise PluginError(f"{hook} must be a plain function", where=location(one.function))

    def items(hook: str, **arguments: object) -> list[Any]:
        results = getattr(manager.hook, hook)(**arguments)
        found = [item for result in results for item in _items(plugin, hook, result)]
        if reason := next(filter(None, (flaw(one, name) for one in found)), ""):
            raise PluginError(f"{hook}(): {reason}", where=location(getattr(plugin, hook, None)))
        return found

    known = {**around.core, **around.provided}
    configs: dict[type[Any], object] = {cls: around.configure(name, cls) for cls in items("qqops_config")}
    known.update(configs)
    build = Build(
        plugin=name,
        services=known,
        core=around.core.keys(),
        converters=around.converters,
        places=around.places,
    )
    services: list[Service] = items("qqops_services", build=build)
    build = attrs.evolve(build, services={**known, **{one.kind: one.provided for one in services}})
    own = _by_type(items("qqops_converters", build=build))
    build = attrs.evolve(build, converters={**around.converters, **own})
    return Collected(
        plugin=plugin,
        configs=configs,
        converters=own,
        services=services,
        networks=items("qqops_networks"),
        tasks=items("qqops_tasks", build=build),
        migrations=items("qqops_migrations", build=build),
        commands=items("qqops_commands", build=build),
        listeners=items("qqops_listeners", build=build),
        filters=items("qqops_filters", build=build),
        jobs=items("qqops_jobs", build=build),
        outgoing=items("qqops_outgoing", build=build),
    )


def _items(plugin: object, hook: str, result: object) -> list[Any]:
    """Return what a hook has returned. Raises `PluginError` for what it may not return."""
    kind = _RETURNS[hook]
    items = list(result) if isinstance(result, Iterable) and not isinstance(result, str) else [result]
    if strange := [one for one in items if not isinstance(one, kind)]:
        raise PluginError(
            f"{hook}() must return a list of {kind.__name__}, not of {type(strange[0]).__name__}",
            where=location(getattr(plugin, hook, None)),
        )
    return items


def _by_type(conversions: Iterable[Conversion]) -> dict[type[Any], Converter]:
    """Return the converters of one plugin. Raises `PluginError` for a type that is taken."""
    found: dict[type[Any], Converter] = {}
    for one in conversions:
        if is_builtin(one.kind):
            raise PluginError(f"words are converted to {one.kind.__name__} already", where=one.where)
        if one.kind in found:
            raise PluginError(f"there are two converters for {one.kind.__name__}", where=one.where)
        found[one.kind] = one.converter()
    return found
