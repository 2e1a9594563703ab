"""Finds plugins, loads them one by one, and says what is wrong with those that it skips."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
import pluggy
import structlog

from qqops.adapters.base import Network
from qqops.errors import ConfigError, PluginError
from qqops.plugin._blame import explain, files_of, whole
from qqops.plugin._converter import Conversion, Converter
from qqops.plugin._finding import CORE, Candidate, discover, plugin_in
from qqops.plugin._interrupt import heeding_interrupts
from qqops.plugin._reports import PluginReport, PluginState, Reports
from qqops.plugin.convert import is_builtin
from qqops.plugin.hooks import AT_DECISIONS, PROJECT, Build, Hooks
from qqops.plugin.plugin import NAME, Plugin
from qqops.plugin.signature import Unfilled, location
from qqops.runtime.outgoing import Outgoing
from qqops.runtime.registry import Command, Filter, Job, Listener, Registry
from qqops.runtime.services import Service, Services
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Task, Tasks

__all__ = ["CORE", "Candidate", "Configure", "Host", "PluginReport", "PluginState", "defaults", "discover"]

log = structlog.get_logger("qqops.host")


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


class Host:
    """Holds the loaded plugins. One per bot; there is no global registry.

    Args:
        services: What is injected into every plugin, by type.
        own: Returns what is made for one plugin (its store, its logger), by its name.
        configure: Fills configurations.

    Attributes:
        migrations: Steps for the stored data of each plugin.
        reports: What became of each plugin.
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
        self.reports = Reports()
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
        loaded = self.reports.get(candidate.name)
        if loaded is not None and loaded.state is PluginState.LOADED:
            return self._namesake(candidate, loaded)
        began = time.perf_counter()
        outcome = self._try(candidate)
        load_ms = (time.perf_counter() - began) * 1000
        if not isinstance(outcome, BaseException):
            return self._report(candidate, PluginState.LOADED, load_ms=load_ms, **outcome)
        self._undo(candidate.name)
        reason, where = explain(outcome, files_of(candidate.target))
        report = self._report(
            candidate, PluginState.SKIPPED, reason=reason, where=where, load_ms=load_ms, traceback=whole(outcome)
        )  # fmt: skip
        if later is not None and isinstance(outcome, Unfilled):
            later.append(candidate)
        else:
            _tell(report)
        return report

    def _try(self, candidate: Candidate) -> Mapping[str, Any] | BaseException:
        """Import and register *candidate*; return what to report besides, or what came of it instead.

        Whatever a plugin raises is its own failure: nothing waits here, so nothing is cancelled, and only who presses
        Ctrl-C ends the program.
        """
        outcome: Mapping[str, Any] | BaseException
        with heeding_interrupts() as interrupted:
            try:
                self._check(candidate)
                found = candidate.load()
                outcome = self._register(candidate.name, plugin_in(found, candidate.name))
            except BaseException as exc:  # noqa: BLE001 - border to plugins: loading
                outcome = exc
        if (interrupt := interrupted()) is not None:
            self._undo(candidate.name)
            raise interrupt
        return outcome

    def _namesake(self, candidate: Candidate, loaded: PluginReport) -> PluginReport:
        """Report *candidate* as skipped: its name is that of what is *loaded*."""
        reason = (
            f"its name is taken: {loaded} is loaded, and {candidate.source} has a plugin {loaded.name!r} as well;"
            " uninstall one of the two, or give its entry point another name"
        )
        report = _report_of(candidate, PluginState.SKIPPED, reason=reason)
        if report.origin != loaded.origin:
            self.reports.add(report)
        _tell(report)
        return report

    def callers(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """Return who implements *hook*, by the name of the plugin; each is called with the hook's own arguments."""
        return [(one.plugin_name, _caller(one)) for one in getattr(self._manager.hook, hook).get_hookimpls()]

    def converters_of(self, plugin: str) -> Mapping[type[Any], Converter]:
        """Return what *plugin* can convert words to besides the core's types; its own win over those of others."""
        known = {kind: one for of in reversed(self._converters.values()) for kind, one in of.items()}
        return {**known, **self._converters.get(plugin, {})}

    def _check(self, candidate: Candidate) -> None:
        """Refuse a plugin with an impossible name, or made for another qqops, before a line of it runs."""
        if not NAME.fullmatch(candidate.name):
            raise PluginError(
                f"{candidate.name!r} is no name for an entry point: lower-case letters, digits, - and _ only"
            )
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

    def _register(self, name: str, plugin: object) -> Mapping[str, Any]:
        """Register with pluggy, collect what it declares, and add that to the registry; return what to report."""
        manager = self._manager
        if (other := manager.get_name(plugin)) is not None:
            raise PluginError(f"it is loaded already, under the name {other!r}")
        if manager.register(plugin, name) is None:
            raise PluginError("it is blocked")
        manager.check_pending()
        for hook in AT_DECISIONS:
            for one in getattr(manager.hook, hook).get_hookimpls():
                if inspect.iscoroutinefunction(one.function):
                    raise PluginError(f"{hook} must be a plain function", where=location(one.function))
        others = [p for p in manager.get_plugins() if p is not plugin]

        declared = 0

        def collect(hook: str, **arguments: object) -> list[Any]:
            nonlocal declared
            results = manager.subset_hook_caller(hook, others)(**arguments)
            items = [item for result in results for item in _items(plugin, hook, result)]
            declared += len(items)
            return items

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
        notes = [str(one) for one in disputes]
        settled = [str(one) for one in disputes if self.registry.owners.get(one.name) == one.winner]
        if type(plugin) is Plugin and not declared:
            notes.append("it declares nothing; does its module import those in which its commands stand?")
        for note in notes:
            log.warning("a plugin is loaded, with a note", plugin=name, note=note)
        return {"notes": tuple(notes), "unsettled": tuple(note for note in notes if note not in settled)}

    def _undo(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self.registry.drop(name)
        self._provided.drop(name)
        self._tasks.drop(name)
        self.migrations.pop(name, None)
        self._converters.pop(name, None)

    def _report(self, candidate: Candidate, state: PluginState, **more: Any) -> PluginReport:
        report = _report_of(candidate, state, **more)
        self.reports.add(report)
        return report


def _report_of(candidate: Candidate, state: PluginState, **more: Any) -> PluginReport:
    return PluginReport(
        name=candidate.name, state=state, package=candidate.package, version=candidate.version,
        entry=candidate.target, **more,
    )  # fmt: skip


def _tell(report: PluginReport) -> None:
    log.error(
        "plugin skipped", plugin=report.name, package=report.package, where=report.where, reason=report.reason
    )
    if report.traceback:
        log.debug("the whole error", plugin=report.name, exception=report.traceback)


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
