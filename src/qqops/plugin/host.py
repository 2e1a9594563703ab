"""Finds plugins, loads them one by one, and says what is wrong with those that it skips."""

from __future__ import annotations

import difflib
import enum
import importlib.metadata
import inspect
import random
import re
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, TypeAlias

import attrs
import pluggy
import structlog

from qqops.adapters.base import Network
from qqops.errors import ConfigError, PluginError
from qqops.plugin._converter import Conversion, Converter
from qqops.plugin.convert import is_builtin
from qqops.plugin.hooks import AT_DECISIONS, ENTRY_POINTS, PROJECT, Build, Hooks
from qqops.plugin.plugin import Plugin
from qqops.plugin.signature import Unfilled, location
from qqops.runtime.registry import Registry
from qqops.runtime.services import Services
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Tasks

log = structlog.get_logger("qqops.host")

#: Plugins that belong to the core distribution; they cannot be left out.
CORE = "core"

_UNKNOWN_HOOK = re.compile(r"unknown hook '(\w+)'")


class PluginState(enum.Enum):
    """What became of a plugin."""

    LOADED = "loaded"
    SKIPPED = "skipped"
    OFF = "off"


@attrs.frozen(kw_only=True)
class PluginReport:
    """What became of one plugin.

    Attributes:
        package: Distribution it came from, or "".
        load_ms: Milliseconds from the import to the last hook.
        reason: Why it was skipped.
        where: ``file:line`` of the reason.
        notes: What its owner should know though it was loaded.
    """

    name: str
    state: PluginState
    package: str = ""
    version: str = ""
    load_ms: float = 0.0
    reason: str = ""
    where: str = ""
    notes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Candidate:
    """A plugin that was found and not yet touched: no line of it has run.

    Attributes:
        load: Imports it.
        requires: Requirements of its distribution, as its metadata states them.
    """

    name: str
    load: Callable[[], object]
    package: str = ""
    version: str = ""
    requires: Sequence[str] = ()


def discover(entry_points: Iterable[importlib.metadata.EntryPoint] | None = None) -> list[Candidate]:
    """Return the installed plugins by name, the core's own first. Reads metadata only."""
    found = entry_points if entry_points is not None else importlib.metadata.entry_points(group=ENTRY_POINTS)
    candidates = []
    for entry in found:
        dist = entry.dist
        candidates.append(
            Candidate(
                name=entry.name,
                load=entry.load,
                package=dist.name if dist is not None else "",
                version=dist.version if dist is not None else "",
                requires=tuple(dist.requires or ()) if dist is not None else (),
            )
        )
    return sorted(candidates, key=lambda c: (c.name != CORE, c.name))


#: Returns an object of a plugin's configuration class, from its name and the class. Raises `ConfigError`.
Configure: TypeAlias = Callable[[str, type[Any]], object]


def defaults(plugin: str, cls: type[Any]) -> object:
    """Return a configuration of defaults, where there are no settings. Raises `ConfigError`."""
    missing = [a.name for a in attrs.fields(cls) if a.default is attrs.NOTHING]
    if missing:
        raise ConfigError(f"{missing[0]} is missing", where=f"plugins.{plugin}")
    return cls()


class Host:
    """Holds the loaded plugins. One per bot; there is no global registry.

    Args:
        services: What is injected into every plugin, by type.
        own: Returns what is made for one plugin (its store, its logger), by its name.
        configure: Fills configurations.

    Attributes:
        migrations: Steps for the stored data of each plugin.
    """

    def __init__(
        self,
        registry: Registry,
        services: Mapping[type[Any], object],
        *,
        version: str,
        own: Callable[[str], Mapping[type[Any], object]] = lambda plugin: {},
        configure: Configure = defaults,
        provided: Services | None = None,
        tasks: Tasks | None = None,
    ) -> None:
        self.registry = registry
        self.configure = configure
        self.migrations: dict[str, Sequence[Migration]] = {}
        self._own = own
        self._provided = provided or Services(random.Random(0))
        self._tasks = tasks or Tasks(random.Random(0))
        self.networks: dict[str, Network] = {}
        self.reports: dict[str, PluginReport] = {}
        self._converters: dict[str, dict[type[Any], Converter]] = {}
        self._services = services
        self._version = version
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)

    def load_all(
        self,
        candidates: Iterable[Candidate],
        *,
        only: Collection[str] | None = None,
        off: Collection[str] = (),
    ) -> None:
        """Load *candidates* one by one; a broken one is named in `reports` and the rest goes on.

        Args:
            only: Load just these (and the core's own); None for all.
            off: Leave these out.
        """
        later: list[Candidate] = []
        for candidate in candidates:
            wanted = candidate.name == CORE or (
                (only is None or candidate.name in only) and candidate.name not in off
            )
            if wanted:
                self.load(candidate, later)
            else:
                self._report(candidate, PluginState.OFF)
        # What nothing could fill may be a service of a plugin that came after.
        while later:
            again: list[Candidate] = []
            for candidate in later:
                self.load(candidate, again)
            if len(again) == len(later):
                for candidate in again:
                    self.load(candidate)
                return
            later = again

    def load(self, candidate: Candidate, later: list[Candidate] | None = None) -> PluginReport:
        """Load one plugin, completely or not at all; return what became of it.

        Args:
            later: Gets it when it needs what no plugin provides so far; nothing is logged then.
        """
        began = time.perf_counter()
        name = candidate.name
        if name in self.reports and self.reports[name].state is PluginState.LOADED:
            reason = f"a plugin of the name {name!r} is loaded already, from {self.reports[name].package or 'elsewhere'}"
            return attrs.evolve(self.reports[name], state=PluginState.SKIPPED, reason=reason)
        try:
            self._check_version(candidate)
            loaded = candidate.load()
            notes = self._register(name, _unwrap(loaded))
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - border to plugins: loading
            self._undo(name)
            reason, where = _explain(exc)
            report = self._report(
                candidate, PluginState.SKIPPED, reason=reason, where=where, load_ms=_ms_since(began)
            )
            if later is not None and isinstance(exc, Unfilled):
                later.append(candidate)
                return report
            log.error(  # noqa: TRY400 - the reason and the place are enough; a traceback of ours helps nobody
                "plugin skipped", plugin=name, package=candidate.package, where=where, reason=reason
            )
            return report
        return self._report(candidate, PluginState.LOADED, load_ms=_ms_since(began), notes=notes)

    def callers(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """Return who implements *hook*, by the name of the plugin; each is called with the hook's own arguments."""
        return [(one.plugin_name, _caller(one)) for one in getattr(self._manager.hook, hook).get_hookimpls()]

    def converters_of(self, plugin: str) -> Mapping[type[Any], Converter]:
        """Return what *plugin* can convert words to besides the core's types; its own win over those of others."""
        known = {kind: one for of in reversed(self._converters.values()) for kind, one in of.items()}
        return {**known, **self._converters.get(plugin, {})}

    def _check_version(self, candidate: Candidate) -> None:
        """Refuse a plugin that was made for another qqops before a line of it runs."""
        for text in candidate.requires:
            if not text.lower().startswith(PROJECT):
                continue
            from packaging.requirements import InvalidRequirement, Requirement

            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if requirement.name != PROJECT or (
                requirement.marker and not requirement.marker.evaluate({"extra": ""})
            ):
                continue
            if not requirement.specifier.contains(self._version, prereleases=True):
                raise PluginError(f"it needs qqops {requirement.specifier}, this is {self._version}")

    def _register(self, name: str, plugin: object) -> tuple[str, ...]:
        """Register with pluggy, collect what it declares, and add that to the registry; return what is to be noted."""
        manager = self._manager
        if manager.register(plugin, name) is None:
            raise PluginError("it is blocked")
        manager.check_pending()
        for hook in AT_DECISIONS:
            for one in getattr(manager.hook, hook).get_hookimpls():
                if inspect.iscoroutinefunction(one.function):
                    raise PluginError(f"{hook} must be a plain function", where=location(one.function))
        others = [p for p in manager.get_plugins() if p is not plugin]

        def collect(hook: str, **arguments: object) -> list[Any]:
            results = manager.subset_hook_caller(hook, others)(**arguments)
            return [item for result in results for item in result]

        self._converters[name] = _by_type(collect("qqops_converters"))
        converters = self.converters_of(name)
        core = {**self._services, **self._own(name)}
        known = {**core, **self._provided.provided}
        known.update((cls, self.configure(name, cls)) for cls in collect("qqops_config"))
        services = collect("qqops_services", build=Build(plugin=name, services=known, converters=converters))
        self._provided.add(services)
        injected = {**known, **{one.kind: one.provided for one in services}}
        build = Build(plugin=name, services=injected, core=core.keys(), converters=converters)
        networks: list[Network] = collect("qqops_networks")
        for network in networks:
            if network.name in self.networks:
                raise PluginError(f"the network {network.name!r} is offered by another plugin already")
        tasks, migrations = collect("qqops_tasks", build=build), collect("qqops_migrations")
        disputes = self.registry.add(
            commands=collect("qqops_commands", build=build),
            listeners=collect("qqops_listeners", build=build),
            filters=collect("qqops_filters", build=build),
            jobs=collect("qqops_jobs", build=build),
            outgoing=collect("qqops_outgoing", build=build),
        )
        self._tasks.add(tasks)
        if migrations:
            self.migrations[name] = migrations
        self.networks.update((n.name, n) for n in networks)
        for dispute in disputes:
            log.warning("two plugins have one command", note=str(dispute))
        return tuple(map(str, disputes))

    def _undo(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self.registry.drop(name)
        self._provided.drop(name)
        self._tasks.drop(name)
        self.migrations.pop(name, None)
        self._converters.pop(name, None)

    def _report(self, candidate: Candidate, state: PluginState, **more: Any) -> PluginReport:
        report = PluginReport(
            name=candidate.name, state=state, package=candidate.package, version=candidate.version, **more
        )
        self.reports[candidate.name] = report
        return report


def _caller(one: pluggy.HookImpl) -> Callable[..., Any]:
    """Return a function that gives an implementation those of the hook's arguments that it wants."""
    return lambda **arguments: one.function(*(arguments[name] for name in one.argnames))


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


def _unwrap(loaded: object) -> object:
    """Return what pluggy shall see: a module's ``plugin`` if it has one, else the thing itself."""
    if isinstance(loaded, ModuleType):
        inner = getattr(loaded, "plugin", None)
        if isinstance(inner, Plugin):
            return inner
        if isinstance(inner, ModuleType) or inner is None:
            return loaded
    if isinstance(loaded, Plugin | ModuleType):
        return loaded
    raise PluginError(f"the entry point leads to {type(loaded).__name__}, not to a Plugin or a module")


def _explain(exc: BaseException) -> tuple[str, str]:
    """Return the reason and ``file:line`` of a plugin's failure."""
    if isinstance(exc, PluginError):
        return exc.reason, exc.where or _last_foreign_line(exc)
    if isinstance(exc, ConfigError):
        return f"{exc.message}{f' ({exc.hint})' if exc.hint else ''}", exc.where
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"SyntaxError: {exc.msg}", f"{exc.filename}:{exc.lineno}"
    if isinstance(exc, pluggy.PluginValidationError) and (wrong := _UNKNOWN_HOOK.match(str(exc))):
        hooks = [name for name in vars(Hooks) if name.startswith("qqops_")]
        near = difflib.get_close_matches(wrong[1], hooks, 1) or hooks
        hint = f"did you mean {near[0]}?" if len(near) == 1 else f"known are: {', '.join(near)}"
        where = location(getattr(exc.plugin, wrong[1], None)) or _module_file(exc.plugin)
        return f"there is no hook {wrong[1]!r}; {hint}", where
    if isinstance(exc, pluggy.PluginValidationError):
        return str(exc).replace("\n", " "), _module_file(exc.plugin)
    if isinstance(exc, SystemExit):
        return "it tried to end the program while being imported", _last_foreign_line(exc)
    return f"{type(exc).__name__}: {exc}", _last_foreign_line(exc)


def _module_file(plugin: object) -> str:
    module = plugin if isinstance(plugin, ModuleType) else inspect.getmodule(type(plugin))
    return f"{getattr(module, '__file__', '') or ''}:1"


def _last_foreign_line(exc: BaseException) -> str:
    """Return the innermost line of the traceback that is the plugin's own."""
    ours = (
        __file__,
        importlib.__file__,
        importlib.metadata.__file__,
        pluggy.__file__.rsplit("__init__", 1)[0],
        inspect.getfile(Network),
    )
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        if not frame.filename.startswith((*ours, "<frozen", "<attrs")):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
