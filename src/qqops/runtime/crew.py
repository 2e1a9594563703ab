"""Workers that run what is queued: in order within a key, concurrently across keys, each run within its deadline.

A queue exists only while there is work for its key. Workers are reused; a run that takes too long is cut off by the
scope of its worker, which is then replaced, so that a run costs no scope and no timer of its own.

A run that waits for a person steps aside: it gives its slot and its key to others, its time stands still, and it queues
behind what is ready when it wants to go on. Otherwise a full house of waiting runs would keep out the answer.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

import attrs
import trio

#: Workers that stay when there is nothing to do, and seconds between two looks for idle ones beyond that.
KEPT_WORKERS, WORKER_REST = 2, 10.0


class Run(Protocol):
    """Something to be run.

    Attributes:
        plugin: Whose it is.
        seconds: How long it may take.
        overdue: Whether it took longer and is being cut off.
        worker: Who runs it; the crew's own.
    """

    @property
    def plugin(self) -> str: ...

    @property
    def seconds(self) -> float: ...

    overdue: bool
    worker: Any


R = TypeVar("R", bound=Run)


@attrs.define(eq=False)
class _Worker(Generic[R]):
    """A task that runs one after the other.

    Attributes:
        key: Of what it runs.
        out: Whether its run has stepped aside; it counts for nothing then.
        left: Seconds that its run had left when it stepped aside.
        back: Its place in the queue, once it wants to go on.
    """

    scope: trio.CancelScope
    run: R | None = None
    by: float = math.inf
    key: Hashable = None
    out: bool = False
    left: float = 0.0
    back: _Back[R] | None = None


@attrs.define(eq=False)
class _Back(Generic[R]):
    """Stands in the queue for a run that wants to go on."""

    plugin: str
    worker: _Worker[R]
    turn: trio.Event = attrs.field(factory=trio.Event)
    waiters: int = 0


class Crew(Generic[R]):
    """Owner of the workers.

    Args:
        run: Runs one; raises only when it is cancelled.
        slots: Most that run at the same time.
        per_plugin: Most of one plugin that do.

    Attributes:
        waiting: Runs that are queued.
        active: Runs that are under way.
        away: Runs that have stepped aside.
        workers: Tasks there are.
    """

    def __init__(self, run: Callable[[R], Awaitable[None]], *, slots: int, per_plugin: int) -> None:
        self._run = run
        self._slots = slots
        self._per_plugin = per_plugin
        self._queues: dict[Hashable, deque[R | _Back[R]]] = {}
        self._ready: deque[Hashable] = deque()
        self._parked: dict[str, deque[Hashable]] = {}
        self._running: dict[str, int] = {}
        self._idle = trio.lowlevel.ParkingLot()
        self._crew: set[_Worker[R]] = set()
        self._alarm = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._closed = trio.Event()
        self._grown = trio.Event()
        self._dismissed = 0
        self.space = trio.Event()
        self.waiting = 0
        self.active = 0
        self.away = 0
        self.workers = 0

    def statistics(self) -> dict[str, int]:
        """Return how many runs are under way, wait, and wait for people, and how many tasks there are."""
        return {
            "running": self.active,
            "waiting": self.waiting,
            "workers": self.workers,
            "asking": self.away,
        }

    @property
    def open(self) -> bool:
        """Whether it runs and takes new work."""
        return self._nursery is not None and not self._closed.is_set()

    @property
    def closed(self) -> bool:
        """Whether new work is refused."""
        return self._closed.is_set()

    def busy(self, key: Hashable) -> bool:
        """Whether something of *key* runs or waits."""
        return key in self._queues

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
        self._make_ready(key)

    def _make_ready(self, key: Hashable) -> None:
        self._ready.append(key)
        self._call_worker()

    def _call_worker(self) -> None:
        if self._idle:
            self._idle.unpark()
        elif self.workers < self._slots and self._nursery is not None:
            self.workers += 1
            if self.workers > KEPT_WORKERS:
                self._grown.set()
            self._nursery.start_soon(self._work, name=f"handler slot {self.workers}")

    # -- the tasks ------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run what is queued until `close`; returns when the last one has ended."""
        async with trio.open_nursery() as watching:
            watching.start_soon(self._watch, name="handler deadlines")
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                while not self._closed.is_set():
                    self._grown = trio.Event()
                    if self.workers <= KEPT_WORKERS:
                        await self._grown.wait()
                    with trio.move_on_after(WORKER_REST):
                        await self._closed.wait()
                    self._dismiss()
                self._idle.unpark_all()
            watching.cancel_scope.cancel(reason="nothing runs any more")

    def close(self) -> None:
        """Refuse new work; what has been queued is still done."""
        self._closed.set()
        self._grown.set()

    def _dismiss(self) -> None:
        """Send workers home that a rush has left; those that are busy by then stay."""
        self._dismissed = max(min(self.workers - KEPT_WORKERS, len(self._idle)), 0)
        self._idle.unpark(count=self._dismissed)

    async def _watch(self) -> None:
        """Cut off what takes too long. One task, one timer: it sleeps until the first deadline that it knows."""
        while True:
            with trio.CancelScope() as self._alarm:
                self._alarm.deadline = min((worker.by for worker in self._crew), default=math.inf)
                await trio.sleep_forever()
            now = trio.current_time()
            for worker in self._crew:
                if worker.by <= now and worker.run is not None and not worker.run.overdue:
                    worker.run.overdue = True
                    worker.by = math.inf
                    worker.scope.cancel(reason="the handler took too long")

    async def _work(self) -> None:
        worker: _Worker[R] = _Worker(trio.CancelScope())
        self._crew.add(worker)
        try:
            while True:
                with trio.CancelScope() as worker.scope:
                    await self._shift(worker)
                if worker.out or not worker.scope.cancel_called:
                    return
        finally:
            self._crew.discard(worker)
            if worker.out:
                self.away -= 1
            else:
                self.workers -= 1

    async def _shift(self, worker: _Worker[R]) -> None:
        """Work until there is nothing to do any more, or until a run was cut off."""
        while True:
            if not self._ready:
                if self._dismissed:
                    self._dismissed -= 1
                    return
                if self._closed.is_set() and not self.waiting:
                    self._idle.unpark_all()
                    return
                await self._idle.park()
                continue
            key = self._ready.popleft()
            queue = self._queues[key]
            plugin = queue[0].plugin
            running = self._running.get(plugin, 0)
            if running >= self._per_plugin:
                # One slow plugin must not hold the slots of the others: its work waits aside.
                self._parked.setdefault(plugin, deque()).append(key)
                continue
            run = queue.popleft()
            self.waiting -= 1
            self.active += 1
            self._running[plugin] = running + 1
            if not self.space.is_set():
                self.space.set()
            if isinstance(run, _Back):
                if run.worker.back is run:
                    self._seat(run.worker)
                    return  # the place is the other's from now on
                self._vacate(plugin, key)  # it was cancelled while it stood in the queue
                continue
            worker.run, worker.by, worker.key = run, trio.current_time() + run.seconds, key
            run.worker = worker
            if worker.by < self._alarm.deadline:
                self._alarm.deadline = worker.by
            try:
                await self._run(run)
            finally:
                worker.run, worker.by = None, math.inf
                if not worker.out:
                    self._vacate(plugin, key)
            if worker.out or worker.scope.cancel_called:
                return

    # -- stepping aside -------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def aside(self, run: R) -> AsyncGenerator[None]:
        """Let others have the slot and the key of *run* while the block waits; its time stands still meanwhile.

        Cancellation: the run goes on without a slot, as it can only clean up or end; its time counts again.
        """
        worker: _Worker[R] | None = run.worker
        if worker is None or worker.run is not run:
            yield
            return
        if not worker.out:
            self._step_out(worker, run.plugin)
        if worker.by < math.inf:
            worker.left, worker.by = worker.by - trio.current_time(), math.inf
        try:
            yield
            if worker.out:
                await self._come_back(worker, run.plugin)
        finally:
            worker.by = trio.current_time() + worker.left
            if worker.by < self._alarm.deadline:
                self._alarm.deadline = worker.by

    def _step_out(self, worker: _Worker[R], plugin: str) -> None:
        worker.out = True
        self.away += 1
        self.workers -= 1
        self._vacate(plugin, worker.key)
        if self._ready:
            self._call_worker()

    async def _come_back(self, worker: _Worker[R], plugin: str) -> None:
        back = worker.back
        if back is None:
            back = worker.back = _Back(plugin, worker)
            self._add(worker.key, back)
        back.waiters += 1
        try:
            await back.turn.wait()
        finally:
            back.waiters -= 1
            if not back.waiters and worker.back is back:
                worker.back = None  # cancelled: nobody wants the place any more

    def _seat(self, worker: _Worker[R]) -> None:
        """Give *worker* the slot that its place in the queue has got."""
        assert worker.back is not None
        worker.back.turn.set()
        worker.back = None
        worker.out = False
        self.away -= 1
        self.workers += 1

    def _vacate(self, plugin: str, key: Hashable) -> None:
        """Free a slot and a key."""
        self.active -= 1
        self._release(plugin)
        if self._queues[key]:
            self._make_ready(key)
        else:
            del self._queues[key]

    def _release(self, plugin: str) -> None:
        self._running[plugin] -= 1
        if not self._running[plugin]:
            del self._running[plugin]
        parked = self._parked.get(plugin)
        if parked:
            self._make_ready(parked.popleft())
            if not parked:
                del self._parked[plugin]
