"""The plugins of a running bot: told of, unloaded, loaded, reloaded. Injected into handlers that ask for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import structlog
import trio

from qqops.errors import ConfigError, Refuse, StoreError
from qqops.plugin._beside import everything
from qqops.plugin._collecting import Collected, Configure
from qqops.plugin._finding import CORE, Candidate
from qqops.plugin._modules import Modules, package_of
from qqops.plugin._reports import PluginReport, PluginState
from qqops.texts import Say

if TYPE_CHECKING:
    from qqops.plugin.host import Host
    from qqops.runtime.links import Links
    from qqops.runtime.listener import Route
    from qqops.runtime.owners import Owners
    from qqops.runtime.storage.keep import Keep

log = structlog.get_logger("qqops.plugins")

#: The package of the bot itself: its modules are never read anew.
_OWN = __package__.partition(".")[0]


@attrs.frozen(kw_only=True)
class PluginChange:
    """What came of unloading, loading or reloading a plugin.

    Attributes:
        report: What became of it.
        done: Whether it is as it was wanted; False when the new copy cannot be loaded.
        kept: Whether the old copy goes on, because the new one cannot be loaded.
        reason: Why not, with file and line.
        left: What of the old copy would not end, for people: threads that cannot be stopped, handlers that do not listen.
        restart: Keys of settings that have changed since the start and that hold after a restart only.
        ms: Milliseconds it took.
    """

    report: PluginReport
    done: bool
    kept: bool = False
    reason: str = ""
    left: Sequence[str] = ()
    restart: Sequence[str] = ()
    ms: float = 0.0


@attrs.frozen(kw_only=True)
class Renewed:
    """Settings that were read anew, and are right.

    Attributes:
        configure: Fills configurations by them.
        restart: Keys outside the tables of plugins that are not what they were at the start.
    """

    configure: Configure | None = None
    restart: Sequence[str] = ()


@attrs.frozen(kw_only=True)
class PluginInfo:
    """What there is to know about a plugin.

    Attributes:
        declares: How many commands, listeners, filters, jobs, services and tasks it has.
        running: What it has running at this moment, for people.
    """

    report: PluginReport
    declares: Mapping[str, int]
    running: Sequence[str]


class Plugins:
    """Changes one plugin at a time.

    Attributes:
        host: Holds them.
        renew: Reads the settings anew for the plugin of a name, and raises `ConfigError` for all that is wrong in them. Without
            a file there is nothing to be read.
    """

    host: Host
    renew: Callable[[str], Renewed]

    def __init__(
        self,
        owners: Owners,
        links: Links,
        kept: Keep,
        refresh: Callable[[], None],
        routes: Callable[[str], Sequence[Route]],
    ) -> None:
        self._owners = owners
        self._routes = routes
        self._links = links
        self._kept = kept
        self._refresh = refresh
        self._turn = trio.Lock()
        self.renew = lambda name: Renewed()

    # -- what there is --------------------------------------------------------------------------

    def all(self) -> Sequence[PluginReport]:
        """Return what became of every plugin."""
        return self.host.reports.all()

    def info(self, name: str) -> PluginInfo:
        """Return what there is to know about the plugin *name*. Raises `Refuse` when there is none."""
        report = self._report(name)
        found = self.host.collected(name)
        kinds = ("commands", "listeners", "filters", "jobs", "services", "tasks")
        declares = {kind: len(getattr(found, kind)) for kind in kinds} if found is not None else {}
        return PluginInfo(report=report, declares=declares, running=self._owners.left(name))

    def alone(self, name: str) -> bool:
        """Whether the plugin *name* brings the network of every account that is online: without it nobody could be heard."""
        accounts = self._links.on(self._networks(name))
        return bool(accounts) and self._links.alone(*accounts)

    def _networks(self, name: str) -> list[str]:
        found = self.host.collected(name)
        return [network.name for network in found.networks] if found is not None else []

    # -- changes --------------------------------------------------------------------------------

    async def unload(self, name: str, *, keep: bool = True) -> PluginChange:
        """End and forget the plugin *name*.

        Args:
            keep: Whether it stays unloaded after a restart.

        Raises:
            Refuse: There is none, or it belongs to the bot itself.

        Cancellation: waits until the change is whole, 25 seconds at most.
        """
        async with self._turn:
            self._check(name)
            began = time.perf_counter()
            with trio.CancelScope(shield=True), self._held(name):
                left = await self._end(name)
                self.host.drop(name)
                self._refresh()
            report = self.host.off(name)
            if keep:
                self._kept.save(name, "off")
            log.info("plugin unloaded", plugin=name, left=left)
            return PluginChange(report=report, done=True, left=left, ms=_ms(began))

    async def load(self, name: str) -> PluginChange:
        """Load the plugin *name*, which is not loaded, or was installed while the bot runs.

        Raises:
            Refuse: There is none, or it is loaded.

        Cancellation: waits until the change is whole, 20 seconds at most.
        """
        async with self._turn:
            if self.host.is_loaded(name):
                raise Refuse(Say("plugins.loaded", {"name": name}))
            return await self._load(name)

    async def _load(self, name: str) -> PluginChange:
        began = time.perf_counter()
        candidate = self._candidate(name)
        try:
            renewed = self.renew(name)
        except ConfigError as exc:
            return self._refused(self.host.reports.get(name) or self.host.failed(candidate, exc), exc, began)
        modules = self._modules(candidate)
        modules.take_out()
        report = self.host.load(candidate, configure=renewed.configure)
        done = report.state is PluginState.LOADED
        if done:
            self._kept.delete(name)
            with trio.CancelScope(shield=True):
                await self._begin(name)
        else:
            modules.put_back()
        restart = renewed.restart if done else ()
        return PluginChange(report=report, done=done, reason=_why(report), restart=restart, ms=_ms(began))

    async def reload(self, name: str) -> PluginChange:
        """Read the plugin *name* anew from its files, and its table from the settings, and put it in the place of the old copy.

        All of the settings are looked through, then it is imported and looked through, before anything ends: when that
        fails the old copy goes on. What waits for its turn is run by the new copy; what is under way is cut off. One that was
        skipped is loaded.

        Raises:
            Refuse: There is none, or it belongs to the bot itself.

        Cancellation: waits until the change is whole, 45 seconds at most.
        """
        async with self._turn:
            if self._report(name).state is PluginState.SKIPPED:
                return await self._load(name)
            self._check(name)
            began = time.perf_counter()
            try:
                renewed = self.renew(name)  # on the spot, as the import that follows
            except ConfigError as exc:
                return self._refused(self.host.reports[name], exc, began)
            candidate, old = self._candidate(name), self.host.collected(name)
            assert old is not None
            modules = self._modules(candidate)
            modules.take_out()
            found = self.host.prepare(candidate, renewed.configure)
            if not isinstance(found, Collected):
                modules.put_back()
                report = self.host.failed(candidate, found)
                log.error(
                    "plugin not reloaded, the old copy goes on",
                    plugin=name,
                    where=report.where,
                    reason=report.reason,
                )
                return PluginChange(
                    report=self.host.reports[name], done=False, kept=True, reason=_why(report), ms=_ms(began)
                )
            with trio.CancelScope(shield=True), self._held(name):
                left = await self._end(name)
                reason = self._exchange(candidate, old, found, began)
                if reason:
                    modules.put_back()
                await self._begin(name)
            log.info("plugin reloaded", plugin=name, left=left, kept=bool(reason), restart=renewed.restart)
            return PluginChange(
                report=self.host.reports[name], done=not reason, kept=bool(reason), reason=reason, left=left,
                restart=() if reason else renewed.restart, ms=_ms(began),
            )  # fmt: skip

    def _refused(self, report: PluginReport, exc: ConfigError, began: float) -> PluginChange:
        """Say that nothing was changed, for the settings are wrong."""
        log.error(
            "plugin not loaded anew: the settings are wrong, and the old ones hold",
            plugin=report.name,
            mistakes=[str(one) for one in exc.all],
        )
        kept = report.state is PluginState.LOADED
        return PluginChange(report=report, done=False, kept=kept, reason=str(exc), ms=_ms(began))

    def _exchange(self, candidate: Candidate, old: Collected, new: Collected, began: float) -> str:
        """Put *new* in the place of *old*; "", or why *old* is back again."""
        self.host.drop(candidate.name)
        outcome = self.host.install(candidate, new, _ms(began))
        if not isinstance(outcome, BaseException):
            return ""
        self.host.drop(candidate.name)
        self.host.install(candidate, old, 0.0)
        return str(outcome)

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """Let nothing of *name* begin within the block, and what has waited afterwards, whatever comes out of it."""
        self._owners.hold(name)
        try:
            yield
        finally:
            self._owners.hand_over(name)

    async def _end(self, name: str) -> list[str]:
        await self._links.leave(self._networks(name))
        left = await self._owners.end(name)
        for route in self._routes(name):  # it was asked for by what was ending
            route.close()
        return left

    async def _begin(self, name: str) -> None:
        self._refresh()
        offline = [ref for ref in self._links.offline() if ref.network in self.host.networks]
        self._links.renew(offline)
        await self._owners.begin(name, self.host.migrations.get(name, ()))

    # -- at the start ---------------------------------------------------------------------------

    def restore(self) -> None:
        """Leave out what somebody has unloaded in an earlier run; before anything runs."""
        try:
            kept = self._kept.load()
        except StoreError as exc:
            log.error("which plugins were unloaded cannot be read: all are loaded", reason=str(exc))  # noqa: TRY400 - one line
            return
        for name in kept:
            if self.host.is_loaded(name):
                self.host.drop(name)
                self.host.off(name)
                log.warning("a plugin stays unloaded, as somebody wanted it", plugin=name)

    # -- which ----------------------------------------------------------------------------------

    def _report(self, name: str) -> PluginReport:
        if name not in self.host.reports:
            raise Refuse(Say("plugins.unknown", {"name": name}))
        return self.host.reports[name]

    def _check(self, name: str) -> None:
        """Raises `Refuse` unless *name* is loaded and can be taken away."""
        report = self._report(name)
        if name == CORE or package_of(report.entry) == _OWN:
            raise Refuse(Say("plugins.own", {"name": name}))
        if report.state is not PluginState.LOADED:
            raise Refuse(Say("plugins.not_loaded", {"name": name}))

    def _modules(self, candidate: Candidate) -> Modules:
        """Return what is read anew: the plugin's package, or just its own module where others live in the package."""
        package = package_of(candidate.target)
        others = [one for one in self.all() if one.name != candidate.name and one.state is PluginState.LOADED]
        if package == _OWN:
            return Modules("")
        if any(package_of(one.entry) == package for one in others):
            return Modules(candidate.target.partition(":")[0].strip())
        return Modules(package)

    def _candidate(self, name: str) -> Candidate:
        found = self.host.candidates.get(name)
        if found is None:
            found = next((one for one in everything(self.host.folder) if one.name == name), None)
        if found is None:
            raise Refuse(Say("plugins.unknown", {"name": name}))
        return found


def _why(report: PluginReport) -> str:
    """Return why a plugin was skipped, a line for each mistake in its table."""
    return "\n".join(report.mistakes) or report.why


def _ms(began: float) -> float:
    return (time.perf_counter() - began) * 1000
