"""Tasks of plugins that run beside the handlers, and start again by their own rule."""

from __future__ import annotations

import enum
import random
from collections.abc import Awaitable, Callable, Sequence

import attrs
import structlog
import trio

from qqops.runtime.backoff import Backoff, BackoffPolicy
from qqops.runtime.border import ANYTHING, theirs
from qqops.runtime.observe import Broke, Observer, nobody
from qqops.runtime.services import Provided
from qqops.runtime.spawning import Spawn, spawning

log = structlog.get_logger("qqops.tasks")


class Restart(enum.Enum):
    """When a task is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@attrs.frozen(kw_only=True, eq=False)
class Task:
    """A task of a plugin.

    Attributes:
        needs: Services that must be up before it starts.
        call: Starts it.
    """

    plugin: str
    name: str
    where: str
    restart: Restart
    needs: tuple[Provided, ...]
    call: Callable[[], Awaitable[None]]


@attrs.define(eq=False)
class _Running:
    """The tasks of one plugin that run."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)
    names: list[str] = attrs.field(factory=list)


class Tasks:
    """Owner of the tasks of all plugins: one nursery, and so one cancel scope, for each plugin."""

    def __init__(
        self, rng: random.Random, policy: BackoffPolicy | None = None, tell: Observer = nobody
    ) -> None:
        self._rng = rng
        self._tell = tell
        self._policy = policy or BackoffPolicy()
        self._running: dict[str, _Running] = {}
        self._spawn: Spawn | None = None
        self.all: list[Task] = []

    def add(self, tasks: Sequence[Task]) -> None:
        """Add the tasks of a plugin. While the bot runs, `start` starts them."""
        self.all += tasks

    def drop(self, plugin: str) -> None:
        """Forget the tasks of *plugin*, which do not run, or run no more."""
        self.all = [one for one in self.all if one.plugin != plugin]

    def of(self, plugin: str) -> list[str]:
        """Return the tasks of *plugin* that run, by name."""
        return sorted(self._running[plugin].names) if plugin in self._running else []

    async def run(self) -> None:
        """Run all tasks until cancelled."""
        async with trio.open_nursery() as nursery:
            self._spawn = spawning(nursery)
            for plugin in dict.fromkeys(one.plugin for one in self.all):
                self.start(plugin)
            try:
                await trio.sleep_forever()
            finally:
                self._spawn = None  # a plugin that is being reloaded at the end starts nothing

    def start(self, plugin: str) -> None:
        """Start the tasks of *plugin* while the bot runs."""
        tasks = [one for one in self.all if one.plugin == plugin]
        if self._spawn is not None and tasks:
            running = self._running[plugin] = _Running()
            self._spawn(self._run_plugin, tasks, running, name=f"tasks of {plugin}")

    async def end(self, plugin: str) -> None:
        """End the tasks of *plugin* that run, and wait until they have ended."""
        if (running := self._running.get(plugin)) is not None:
            running.scope.cancel(reason="the plugin is unloaded")
            await running.ended.wait()

    async def _run_plugin(self, tasks: Sequence[Task], running: _Running) -> None:
        try:
            with running.scope:
                async with trio.open_nursery() as nursery:
                    for one in tasks:
                        nursery.start_soon(self._hold, one, running, name=f"task {one.plugin}:{one.name}")
        finally:
            if self._running.get(tasks[0].plugin) is running:
                del self._running[tasks[0].plugin]
            running.ended.set()

    async def _hold(self, task: Task, running: _Running) -> None:
        running.names.append(task.name)
        try:
            await self._keep(task)
        finally:
            running.names.remove(task.name)

    @trio.lowlevel.enable_ki_protection
    async def _keep(self, task: Task) -> None:
        backoff = Backoff(self._policy, self._rng)
        while True:
            for need in task.needs:
                await need.up.wait()
            began = trio.current_time()
            failed = False
            try:
                await task.call()
            except ANYTHING as exc:
                error = theirs(exc)
                failed = True
                log.exception(
                    "task failed", plugin=task.plugin, task=task.name, where=task.where,
                    restart=task.restart.value,
                )  # fmt: skip
                self._tell(
                    Broke(plugin=task.plugin, what="task", name=task.name, where=task.where, error=error)
                )
            if task.restart is Restart.NEVER or (task.restart is Restart.ON_FAILURE and not failed):
                return
            backoff.ended(trio.current_time() - began)
            await trio.sleep(backoff.next_delay())
