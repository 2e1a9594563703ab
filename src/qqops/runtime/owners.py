"""What a plugin has running, as a whole: begun and ended while the bot runs, and looked after when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
import trio

from qqops.runtime.handlers import Handlers
from qqops.runtime.jobs import Jobs
from qqops.runtime.listener import Listeners
from qqops.runtime.registry import Job
from qqops.runtime.services import Services
from qqops.runtime.shelves import Shelves
from qqops.runtime.storage.upgrade import Migration
from qqops.runtime.tasks import Tasks

log = structlog.get_logger("qqops.owners")

#: Seconds that each of the three floors of a plugin has to end.
GRACE = 5.0
#: Seconds that the migrations of a plugin have that begins while the bot runs: whoever talks to it waits meanwhile.
MIGRATE_WITHIN = 10.0


class Owners:
    """Ends and begins what plugins have running, floor by floor: sources, handlers, services.

    Args:
        declared: The jobs that a plugin declares now.
    """

    def __init__(
        self,
        handlers: Handlers,
        jobs: Jobs,
        tasks: Tasks,
        services: Services,
        listeners: Listeners,
        shelves: Shelves,
        declared: Callable[[str], Sequence[Job]],
    ) -> None:
        self._handlers = handlers
        self._jobs = jobs
        self._tasks = tasks
        self._services = services
        self._listeners = listeners
        self._shelves = shelves
        self._declared = declared

    async def begin(self, plugin: str, migrations: Sequence[Migration] = ()) -> None:
        """Start what *plugin* has declared. Returns when its services are up, have failed, or take their time.

        Args:
            migrations: Steps that its stored data may need.
        """
        if migrations:
            await self._shelves.upgrade({plugin: migrations}, within=MIGRATE_WITHIN)
        await self._services.start(plugin)
        self._tasks.start(plugin)
        self._jobs.take_up(self._declared(plugin))

    def hold(self, plugin: str) -> None:
        """Let nothing of *plugin* begin until `hand_over`."""
        self._handlers.hold(plugin)

    def hand_over(self, plugin: str) -> None:
        """Let what has waited since `hold` be run by what *plugin* declares now; what it does not any more is refused."""
        self._handlers.hand_over(plugin)

    async def end(self, plugin: str, grace: float = GRACE) -> list[str]:
        """End what *plugin* has running, and return what would not end, for people.

        It must be held. Whoever has asked for this in a run of the plugin goes on.

        Args:
            grace: Seconds for each floor: what does not end in that time is left to itself and named.
        """
        jobs = self._jobs.drop(plugin)
        for route in self._listeners.of(plugin):
            route.close()
        with trio.move_on_after(grace):
            await self._tasks.end(plugin)
            for job in jobs:
                await job.over.wait()
        with trio.move_on_after(grace):
            await self._handlers.end(plugin)
        with trio.move_on_after(grace):
            await self._services.end(plugin)
        await self._shelves.end(plugin)  # it hardly waits
        left = self.left(plugin)
        if left:
            log.error("a plugin has left something running", plugin=plugin, left=left)
        return left

    def left(self, plugin: str) -> list[str]:
        """Return what *plugin* has running, for people."""
        jobs = [f"the job {one.id}" for one in self._jobs.of(plugin) if not one.over.is_set()]
        tasks = [f"the task {plugin}:{name}" for name in self._tasks.of(plugin)]
        services = [f"the service {plugin}:{name}" for name in self._services.of(plugin)]
        routes = [f"the route {route.path}" for route in self._listeners.of(plugin)]
        return [*jobs, *tasks, *routes, *self._handlers.of(plugin), *services]
