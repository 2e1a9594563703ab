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
from qqops.runtime.services import Provided

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


class Tasks:
    """Owner of the tasks of all plugins: one nursery, and so one cancel scope, for each plugin."""

    def __init__(self, rng: random.Random, policy: BackoffPolicy | None = None) -> None:
        self._rng = rng
        self._policy = policy or BackoffPolicy()
        self._scopes: dict[str, trio.CancelScope] = {}
        self.all: list[Task] = []

    def add(self, tasks: Sequence[Task]) -> None:
        """Add the tasks of a plugin before the bot runs."""
        self.all += tasks

    def drop(self, plugin: str) -> None:
        """Forget the tasks of *plugin*, and end those that run."""
        self.all = [one for one in self.all if one.plugin != plugin]
        if scope := self._scopes.get(plugin):
            scope.cancel(reason="the plugin is unloaded")

    async def run(self) -> None:
        """Run all tasks until cancelled."""
        async with trio.open_nursery() as nursery:
            for plugin in dict.fromkeys(one.plugin for one in self.all):
                nursery.start_soon(self._run_plugin, plugin, name=f"tasks of {plugin}")

    async def _run_plugin(self, plugin: str) -> None:
        async with trio.open_nursery() as nursery:
            self._scopes[plugin] = nursery.cancel_scope
            for one in self.all:
                if one.plugin == plugin:
                    nursery.start_soon(self._keep, one, name=f"task {plugin}:{one.name}")

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
                theirs(exc)
                failed = True
                log.exception(
                    "task failed", plugin=task.plugin, task=task.name, where=task.where,
                    restart=task.restart.value,
                )  # fmt: skip
            if task.restart is Restart.NEVER or (task.restart is Restart.ON_FAILURE and not failed):
                return
            backoff.ended(trio.current_time() - began)
            await trio.sleep(backoff.next_delay())
