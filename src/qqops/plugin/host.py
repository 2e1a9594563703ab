"""Finds plugins, loads them one by one, and says what is wrong with those that it skips."""

from __future__ import annotations

import enum
import importlib.metadata
import inspect
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import attrs
import pluggy
import structlog
from packaging.requirements import InvalidRequirement, Requirement

from qqops.adapters.base import Network
from qqops.errors import PluginError
from qqops.plugin.hooks import ENTRY_POINTS, PROJECT, Build, Hooks
from qqops.plugin.plugin import Plugin
from qqops.runtime.registry import Registry

log = structlog.get_logger("qqops.host")

#: Plugins that belong to the core distribution; they cannot be left out.
CORE = "core"


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
    """

    name: str
    state: PluginState
    package: str = ""
    version: str = ""
    load_ms: float = 0.0
    reason: str = ""
    where: str = ""


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


class Host:
    """Holds the loaded plugins. One per bot; there is no global registry."""

    def __init__(self, registry: Registry, services: Mapping[type[Any], object], *, version: str) -> None:
        self.registry = registry
        self.networks: dict[str, Network] = {}
        self.reports: dict[str, PluginReport] = {}
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
        for candidate in candidates:
            wanted = candidate.name == CORE or (
                (only is None or candidate.name in only) and candidate.name not in off
            )
            if wanted:
                self.load(candidate)
            else:
                self._report(candidate, PluginState.OFF)

    def load(self, candidate: Candidate) -> PluginReport:
        """Load one plugin, completely or not at all; return what became of it."""
        began = time.perf_counter()
        name = candidate.name
        if name in self.reports and self.reports[name].state is PluginState.LOADED:
            reason = f"a plugin of the name {name!r} is loaded already, from {self.reports[name].package or 'elsewhere'}"
            return attrs.evolve(self.reports[name], state=PluginState.SKIPPED, reason=reason)
        try:
            self._check_version(candidate)
            loaded = candidate.load()
            self._register(name, _unwrap(loaded))
        except (Exception, SystemExit) as exc:  # noqa: BLE001 - border to plugins: loading
            self._undo(name)
            reason, where = _explain(exc)
            report = self._report(
                candidate, PluginState.SKIPPED, reason=reason, where=where, load_ms=_ms_since(began)
            )
            log.error(  # noqa: TRY400 - the reason and the place are enough; a traceback of ours helps nobody
                "plugin skipped", plugin=name, package=candidate.package, where=where, reason=reason
            )
            return report
        return self._report(candidate, PluginState.LOADED, load_ms=_ms_since(began))

    def _check_version(self, candidate: Candidate) -> None:
        """Refuse a plugin that was made for another qqops before a line of it runs."""
        for text in candidate.requires:
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

    def _register(self, name: str, plugin: object) -> None:
        """Register with pluggy, collect what it declares, and add that to the registry."""
        manager = self._manager
        if manager.register(plugin, name) is None:
            raise PluginError("it is blocked")
        manager.check_pending()
        others = [p for p in manager.get_plugins() if p is not plugin]
        build = Build(plugin=name, services=self._services)

        def collect(hook: str, **arguments: object) -> list[Any]:
            results = manager.subset_hook_caller(hook, others)(**arguments)
            return [item for result in results for item in result]

        networks: list[Network] = collect("qqops_networks")
        for network in networks:
            if network.name in self.networks:
                raise PluginError(f"the network {network.name!r} is offered by another plugin already")
        self.registry.add(
            commands=collect("qqops_commands", build=build),
            listeners=collect("qqops_listeners", build=build),
            filters=collect("qqops_filters", build=build),
            jobs=collect("qqops_jobs", build=build),
        )
        self.networks.update((n.name, n) for n in networks)

    def _undo(self, name: str) -> None:
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self.registry.drop(name)

    def _report(self, candidate: Candidate, state: PluginState, **more: Any) -> PluginReport:
        report = PluginReport(
            name=candidate.name, state=state, package=candidate.package, version=candidate.version, **more
        )
        self.reports[candidate.name] = report
        return report


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
    if isinstance(exc, SyntaxError) and exc.filename:
        return f"SyntaxError: {exc.msg}", f"{exc.filename}:{exc.lineno}"
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
    )
    for frame in reversed(traceback.extract_tb(exc.__traceback__)):
        if not frame.filename.startswith((*ours, "<frozen")):
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
