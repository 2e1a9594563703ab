"""Finds plugins, loads them one by one, and says what is wrong with those that it skips."""

from __future__ import annotations

import pathlib
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import pluggy
import structlog

from qqops.adapters.base import Network
from qqops.errors import ConfigError, PluginError
from qqops.plugin._blame import explain, files_of, whole
from qqops.plugin._collecting import Collected, Configure, Surroundings, collect, defaults
from qqops.plugin._converter import Converter
from qqops.plugin._finding import CORE, Candidate, discover, plugin_in
from qqops.plugin._interrupt import heeding_interrupts
from qqops.plugin._reports import PluginReport, PluginState, Reports
from qqops.plugin.hooks import PROJECT, Hooks
from qqops.plugin.plugin import NAME
from qqops.plugin.signature import Unfilled
from qqops.runtime.registry import Registry
from qqops.runtime.services import Services
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Tasks

__all__ = ["CORE", "Candidate", "Configure", "Host", "PluginReport", "PluginState", "defaults", "discover"]

log = structlog.get_logger("qqops.host")


class Host:
    """Holds the loaded plugins. One per bot; there is no global registry.

    Args:
        services: What is injected into every plugin, by type.
        own: Returns what is made for one plugin (its store, its logger), by its name.
        configure: Fills configurations.
        adopt: Is given each of them, whoever has filled it; what it returns is injected.
        forget: Is told of each plugin that is dropped.

    Attributes:
        migrations: Steps for the stored data of each plugin.
        reports: What became of each plugin.
        candidates: Where each plugin came from that was ever loaded or left out.
        folder: Where plugins of one file each lie; None for nowhere.
    """

    def __init__(
        self,
        registry: Registry,
        services: Mapping[type[Any], object],
        *,
        version: str,
        own: Callable[[str], Mapping[type[Any], object]] = lambda plugin: {},
        configure: Configure = defaults,
        adopt: Callable[[object], object] = lambda config: config,
        provided: Services | None = None,
        tasks: Tasks | None = None,
        forget: Callable[[str], None] = lambda plugin: None,
    ) -> None:
        self.registry = registry
        self.configure = configure
        self._adopt = adopt
        self.migrations: dict[str, Sequence[Migration]] = {}
        self._own = own
        self._forget = forget
        self._provided = provided or Services(random.Random(0))
        self._tasks = tasks or Tasks(random.Random(0))
        self.networks: dict[str, Network] = {}
        self.reports = Reports()
        self._network_owners: dict[str, str] = {}
        self._collected: dict[str, Collected] = {}
        self.candidates: dict[str, Candidate] = {}
        self.folder: pathlib.Path | None = None
        self._converters: dict[str, Mapping[type[Any], Converter]] = {}
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
                self.candidates.setdefault(candidate.name, candidate)
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

    def load(
        self,
        candidate: Candidate,
        later: list[Candidate] | None = None,
        configure: Configure | None = None,
    ) -> PluginReport:
        """Load one plugin, completely or not at all; return what became of it.

        Args:
            later: Gets it when it needs what no plugin provides so far; nothing is logged then.
            configure: Fills its configuration, in the place of the host's.
        """
        loaded = self.reports.get(candidate.name)
        if loaded is not None and loaded.state is PluginState.LOADED:
            return self._namesake(candidate, loaded)
        began = time.perf_counter()
        outcome: PluginReport | Collected | BaseException = self.prepare(candidate, configure)
        load_ms = (time.perf_counter() - began) * 1000
        if isinstance(outcome, Collected):
            outcome = self.install(candidate, outcome, load_ms)
        if isinstance(outcome, PluginReport):
            return outcome
        self.drop(candidate.name)
        self.candidates.setdefault(candidate.name, candidate)
        report = self.failed(candidate, outcome, load_ms)
        self.reports.add(report)
        if later is not None and isinstance(outcome, Unfilled):
            later.append(candidate)
        else:
            _tell(report)
        return report

    def prepare(self, candidate: Candidate, configure: Configure | None = None) -> Collected | BaseException:
        """Import *candidate* and return what it declares, or what came of it instead; nobody knows of it yet.

        Its configuration is filled by *configure*, or by the host's own.

        Whatever a plugin raises is its own failure: nothing waits here, so nothing is cancelled, and only who presses
        Ctrl-C ends the program.
        """
        outcome: Collected | BaseException
        with heeding_interrupts() as interrupted:
            try:
                self._check(candidate)
                found = candidate.load()
                outcome = self._collect(
                    candidate.name, plugin_in(found, candidate.name), configure or self.configure
                )
            except BaseException as exc:  # noqa: BLE001 - border to plugins: loading
                outcome = exc
        if (interrupt := interrupted()) is not None:
            raise interrupt
        return outcome

    def install(self, candidate: Candidate, found: Collected, load_ms: float) -> PluginReport | PluginError:
        """Let everybody know of what *candidate* declares, and report that; or return why that cannot be."""
        try:
            notes = self._apply(candidate.name, found)
        except PluginError as exc:
            return exc
        self.candidates[candidate.name] = candidate
        self._collected[candidate.name] = found
        return self._report(candidate, PluginState.LOADED, load_ms=load_ms, **notes)

    def failed(self, candidate: Candidate, exc: BaseException, load_ms: float = 0.0) -> PluginReport:
        """Return the report of *candidate*, which has ended in *exc*."""
        reason, where = explain(exc, files_of(candidate.target))
        if isinstance(exc, Unfilled):
            reason += self._who_could(exc.hint, candidate)
        mistakes = exc.all if isinstance(exc, ConfigError) else ()
        return _report_of(
            candidate, PluginState.SKIPPED, reason=reason, where=where, load_ms=load_ms, traceback=whole(exc),
            mistakes=tuple(str(one) for one in mistakes if f" plugins.{candidate.name}" in f" {one.where}"),
        )  # fmt: skip

    def _who_could(self, hint: object, asking: Candidate) -> str:
        """Return which plugin would bring the type *hint*, were it loaded; "" when none is known."""
        package = hint.__module__.partition(".")[0] if isinstance(hint, type) else ""
        for name, other in self.candidates.items():
            report = self.reports.get(name)
            if other.package_name != package or name == asking.name or report is None:
                continue
            if report.state is PluginState.OFF:
                return f"; it is of the plugin {name!r}, which is off (plugins.only, plugins.off)"
            if report.state is PluginState.SKIPPED:
                return f"; it is of the plugin {name!r}, which is skipped: {report.reason}"
        return ""

    def off(self, name: str) -> PluginReport:
        """Report that the plugin *name* was unloaded."""
        return self._report(self.candidates[name], PluginState.OFF)

    def is_loaded(self, name: str) -> bool:
        """Whether the plugin *name* is loaded."""
        return name in self.reports and self.reports[name].state is PluginState.LOADED

    def collected(self, name: str) -> Collected | None:
        """Return what the plugin *name* declares; None when it is not loaded."""
        return self._collected.get(name)

    def _namesake(self, candidate: Candidate, loaded: PluginReport) -> PluginReport:
        """Report *candidate* as skipped: its name is that of what is *loaded*."""
        fix = (
            "rename the file and its Plugin, or uninstall the other"
            if candidate.file
            else "uninstall one of the two, or give its entry point another name"
        )
        reason = f"its name is taken: {loaded} is loaded, and {candidate.source} has a plugin {loaded.name!r} as well; {fix}"
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
        if not NAME.fullmatch(candidate.name) and not candidate.file:
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

    def _collect(self, name: str, plugin: object, configure: Configure) -> Collected:
        """Return what *plugin* declares. Raises whatever its hooks raise, and `PluginError`."""
        if (other := self._manager.get_name(plugin)) not in (None, name):
            raise PluginError(f"it is loaded already, under the name {other!r}")
        others = [of for owner, of in self._converters.items() if owner != name]
        found = collect(
            name,
            plugin,
            Surroundings(
                core={**self._services, **self._own(name)},
                provided=self._provided.besides(name),
                places=self._provided.places(name),
                converters={kind: one for of in reversed(others) for kind, one in of.items()},
                configure=lambda plugin, cls: self._adopt(configure(plugin, cls)),
            ),
        )
        for network in found.networks:
            if network.name in self.networks and self._network_owners[network.name] != name:
                raise PluginError(f"the network {network.name!r} is offered by another plugin already")
        return found

    def _apply(self, name: str, found: Collected) -> Mapping[str, Any]:
        """Let everybody know of what was collected; return what to report. Raises `PluginError`."""
        self._manager.register(found.plugin, name)
        self._converters[name] = found.converters
        self._provided.add(found.services)
        disputes = self.registry.add(
            commands=found.commands, listeners=found.listeners, filters=found.filters, jobs=found.jobs,
            outgoing=found.outgoing,
        )  # fmt: skip
        self._tasks.add(found.tasks)
        if found.migrations:
            self.migrations[name] = found.migrations
        self.networks.update((one.name, one) for one in found.networks)
        self._network_owners.update((one.name, name) for one in found.networks)
        notes = [str(one) for one in disputes]
        settled = [str(one) for one in disputes if self.registry.owners.get(one.name) == one.winner]
        if found.empty:
            notes.append("it declares nothing; does its module import those in which its commands stand?")
        for note in notes:
            log.warning("a plugin is loaded, with a note", plugin=name, note=note)
        return {"notes": tuple(notes), "unsettled": tuple(note for note in notes if note not in settled)}

    def drop(self, name: str) -> None:
        """Forget what the plugin *name* has declared. What of it runs is ended by others."""
        if self._manager.has_plugin(name):
            self._manager.unregister(name=name)
        self.registry.drop(name)
        self._provided.drop(name)
        self._tasks.drop(name)
        self.migrations.pop(name, None)
        self._converters.pop(name, None)
        self._collected.pop(name, None)
        for network in [one for one, owner in self._network_owners.items() if owner == name]:
            del self.networks[network], self._network_owners[network]
        self._forget(name)

    def _report(self, candidate: Candidate, state: PluginState, **more: Any) -> PluginReport:
        report = _report_of(candidate, state, **more)
        self.reports.add(report)
        return report


def _report_of(candidate: Candidate, state: PluginState, **more: Any) -> PluginReport:
    return PluginReport(
        name=candidate.name, state=state, package=candidate.package or candidate.file, version=candidate.version,
        entry=candidate.target, **more,
    )  # fmt: skip


def _tell(report: PluginReport) -> None:
    log.error(
        "plugin skipped", plugin=report.name, package=report.package, where=report.where, reason=report.reason
    )
    if report.traceback:
        log.debug("the whole error", plugin=report.name, exception=report.traceback)


def _caller(one: pluggy.HookImpl) -> Callable[..., Any]:
    """Return a function that gives an implementation those of the hook's arguments that it wants."""
    return lambda **arguments: one.function(*(arguments[name] for name in one.argnames))
