"""Runs of handlers: in order within a key, concurrently across keys, each in a task of its own and within its deadline.

A queue exists only while there is work for its key. A task begins in the context variables of the bot, never in those
of who caused it or of what ran before: plugins do not see each other's.

A run that waits for a person steps aside: it gives its slot and its key to others, its time stands still, and it queues
behind what is ready when it wants to go on. Otherwise a full house of waiting runs would keep out the answer.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable
from typing import Generic, Protocol, TypeVar

import attrs
import trio

from qqops.runtime.spawning import Spawn, spawning


class Run(Protocol):
    """Something to be run.

    Attributes:
        plugin: Whose it is.
        name: What its task is called.
        seconds: How long it may take.
    """

    @property
    def plugin(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def seconds(self) -> float: ...


R = TypeVar("R", bound=Run)


@attrs.define(eq=False)
class _Task(Generic[R]):
    """A run that has begun.

    Attributes:
        ended: Whether it was told to end.
        out: Whether it has stepped aside; it counts for nothing then.
        waits: How many people it waits for; its time stands still until the last has answered.
        left: Seconds that it had left when it stepped aside.
        back: Its place in the queue, once it wants to go on.
    """

    run: R
    key: Hashable
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: bool = False
    out: bool = False
    waits: int = 0
    left: float = 0.0
    back: _Back[R] | None = None


@attrs.define(eq=False)
class _Back(Generic[R]):
    """Stands in the queue for a run that wants to go on."""

    plugin: str
    task: _Task[R]
    turn: trio.Event = attrs.field(factory=trio.Event)
    waiters: int = 0


class Runs(Generic[R]):
    """Owner of all runs of a bot.

    Args:
        call: Runs one; raises only when it is cancelled.
        slots: Most that run at the same time.
        per_plugin: Most of one plugin that do.

    Attributes:
        waiting: Runs that are queued.
        active: Runs that are under way and hold a slot.
        away: Runs that have stepped aside.
        space: Set when a run begins; who waits for room puts a new one here.
    """

    def __init__(self, call: Callable[[R], Awaitable[None]], *, slots: int, per_plugin: int) -> None:
        self._call = call
        self._slots = slots
        self._per_plugin = per_plugin
        self._queues: dict[Hashable, deque[R | _Back[R]]] = {}
        self._ready: deque[Hashable] = deque()
        self._parked: dict[str, deque[Hashable]] = {}
        self._held: set[str] = set()
        self._running: dict[str, int] = {}
        self._tasks: dict[R, _Task[R]] = {}
        self._starting: deque[_Task[R]] = deque()
        self._nursery: trio.Nursery | None = None
        self._spawn: Spawn
        self._closed = trio.Event()
        self._cut = False
        self._gone = trio.Event()
        self.space = trio.Event()
        self.waiting = 0
        self.active = 0
        self.away = 0

    def statistics(self) -> dict[str, int]:
        """Return how many runs are under way, wait for their turn, and wait for people."""
        return {"running": self.active, "waiting": self.waiting, "asking": self.away}

    @property
    def open(self) -> bool:
        """Whether it runs and takes new work."""
        return self._nursery is not None and not self._closed.is_set()

    @property
    def closed(self) -> bool:
        """Whether new work is refused."""
        return self._closed.is_set()

    def busy(self, key: Hashable, plugin: str) -> bool:
        """Whether something of *key* runs or waits, or nothing of *plugin* may begin."""
        return key in self._queues or plugin in self._held

    def aside_now(self) -> list[R]:
        """Return the runs that have stepped aside."""
        return [run for run, task in self._tasks.items() if task.out]

    def overdue(self, run: R) -> bool:
        """Whether *run* is being cut off because it took too long."""
        task = self._tasks[run]
        return not task.ended and task.scope.cancel_called

    def ended(self, run: R) -> bool:
        """Whether *run* was told to end."""
        return self._tasks[run].ended

    def add(self, key: Hashable, run: R) -> None:
        """Queue *run* behind the others of its key."""
        self._add(key, run)

    def _add(self, key: Hashable, run: R | _Back[R]) -> None:
        self.waiting += 1
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(run)
            return
        self._queues[key] = deque((run,))
        self._ready.append(key)
        self._begin()

    # -- the tasks ------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run what is queued until `close`; returns when the last one has ended."""
        async with trio.open_nursery() as self._nursery:
            self._spawn = spawning(self._nursery)
            task_status.started()
            self._begin()
            # What is queued then is begun by who ends: the nursery stays until the last one has.
            await self._closed.wait()

    def close(self) -> None:
        """Refuse new work; what has been queued is still done."""
        self._closed.set()

    def _begin(self) -> None:
        """Start what is ready, as far as there are slots."""
        if self._nursery is None or self._cut:
            return
        while self._ready and self.active < self._slots:
            key = self._ready.popleft()
            queue = self._queues[key]
            plugin = queue[0].plugin
            running = self._running.get(plugin, 0)
            if running >= self._per_plugin or plugin in self._held:
                # One slow plugin must not hold the slots of the others: its work waits aside.
                self._parked.setdefault(plugin, deque()).append(key)
                continue
            run = queue.popleft()
            self.waiting -= 1
            self.active += 1
            self._running[plugin] = running + 1
            if not self.space.is_set():
                self.space.set()
            if not isinstance(run, _Back):
                task = self._tasks[run] = _Task(run, key)
                self._starting.append(task)
                self._spawn(self._work, name="run")
            elif run.task.back is run:
                self._seat(run.task)
            else:
                self._vacate(plugin, key)  # it was cancelled while it stood in the queue

    @trio.lowlevel.enable_ki_protection  # Ctrl-C is for the bot, not for the plugin that happens to run
    async def _work(self) -> None:
        # Trio runs what is ready in any order; runs begin in the order in which they were set off.
        task = self._starting.popleft()
        run = task.run
        trio.lowlevel.current_task().name = run.name
        try:
            with task.scope as scope:
                scope.deadline = trio.current_time() + run.seconds
                await self._call(run)
        except BaseException:
            self._cut = True  # a cancellation, but not by its own scope: everything ends
            raise
        finally:
            del self._tasks[run]
            self._gone.set()
            if task.out:
                self.away -= 1
            else:
                self._vacate(run.plugin, task.key)
                self._begin()

    # -- a plugin as a whole --------------------------------------------------------------------

    def hold(self, plugin: str) -> None:
        """Let nothing of *plugin* begin until `go_on`."""
        self._held.add(plugin)

    def go_on(self, plugin: str) -> None:
        """Let what of *plugin* has waited begin."""
        self._held.discard(plugin)
        self._ready.extend(self._parked.pop(plugin, ()))
        self._begin()

    def queued(self, plugin: str) -> list[R]:
        """Return what of *plugin* waits for its turn."""
        return [
            run
            for queue in self._queues.values()
            for run in queue
            if not isinstance(run, _Back) and run.plugin == plugin
        ]

    def take_out(self, unwanted: Collection[R]) -> None:
        """Take what is *unwanted* and waits for its turn out of the queues."""
        for plugin in {run.plugin for run in unwanted}:
            # Whoever is first there then may be somebody else's.
            self._ready.extend(self._parked.pop(plugin, ()))
        gone = set(unwanted)
        for key, queue in list(self._queues.items()):
            kept = [run for run in queue if run not in gone]
            if len(kept) == len(queue):
                continue
            self.waiting -= len(queue) - len(kept)
            queue.clear()
            queue.extend(kept)
            if not kept and key in self._ready:
                self._ready.remove(key)
                del self._queues[key]
        self._begin()

    def of(self, plugin: str) -> list[R]:
        """Return the runs of *plugin* that are under way, also those that have stepped aside."""
        return [run for run in self._tasks if run.plugin == plugin]

    def those(self, wanted: Callable[[R], bool]) -> list[R]:
        """Return the *wanted* of those that are under way and wait for nobody."""
        return [run for run, task in self._tasks.items() if not task.out and wanted(run)]

    async def end(self, plugin: str, spare: R | None = None) -> None:
        """Tell the runs of *plugin* that are under way, but not *spare*, to end, and wait until they have."""
        for run in self.of(plugin):
            if run is not spare:
                task = self._tasks[run]
                task.ended = True
                task.scope.cancel(reason="the plugin is unloaded")
        await self._until(lambda: all(run is spare for run in self.of(plugin)))

    async def over(self, runs: Collection[R]) -> None:
        """Wait until *runs* have ended, or wait for people."""
        await self._until(lambda: all(run not in self._tasks or self._tasks[run].out for run in runs))

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until *holds*; looked at whenever a run ends or steps aside."""
        while not holds():
            if self._gone.is_set():
                self._gone = trio.Event()
            await self._gone.wait()

    # -- stepping aside -------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def aside(self, run: R) -> AsyncGenerator[None]:
        """Let others have the slot and the key of *run* while the block waits; its time stands still meanwhile.

        Cancellation: the run goes on without a slot, as it can only clean up or end; its time counts again.
        """
        task = self._tasks.get(run)
        if task is None:
            yield
            return
        if not task.out:
            task.out = True
            self.away += 1
            self._gone.set()
            self._vacate(run.plugin, task.key)
            self._begin()
        task.waits += 1
        if task.waits == 1:
            task.left, task.scope.deadline = task.scope.deadline - trio.current_time(), math.inf
        try:
            yield
            if task.out:
                await self._come_back(task)
        finally:
            task.waits -= 1
            if not task.waits:
                task.scope.deadline = trio.current_time() + task.left

    async def _come_back(self, task: _Task[R]) -> None:
        back = task.back
        if back is None:
            back = task.back = _Back(task.run.plugin, task)
            self._add(task.key, back)
        back.waiters += 1
        try:
            await back.turn.wait()
        finally:
            back.waiters -= 1
            if not back.waiters and task.back is back:
                task.back = None  # cancelled: nobody wants the place any more

    def _seat(self, task: _Task[R]) -> None:
        """Give *task* the slot that its place in the queue has got."""
        assert task.back is not None
        task.back.turn.set()
        task.back = None
        task.out = False
        self.away -= 1

    def _vacate(self, plugin: str, key: Hashable) -> None:
        """Free a slot and a key."""
        self.active -= 1
        self._running[plugin] -= 1
        if not self._running[plugin]:
            del self._running[plugin]
        if parked := self._parked.get(plugin):
            self._ready.append(parked.popleft())
            if not parked:
                del self._parked[plugin]
        if self._queues[key]:
            self._ready.append(key)
        else:
            del self._queues[key]
