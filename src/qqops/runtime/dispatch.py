"""From an event to the handlers that it sets off.

`Dispatcher.route` is synchronous: duplicates, own messages and chatter end there, without a task, a lock
or a log line. What matched waits in a queue of its (room, person), which exists only while there is work,
and is run by a reused worker: in order for one person in one room, concurrently for all others.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Hashable, Mapping, Sequence

import attrs
import structlog
import trio

from qqops.model import AccountRef, Clock, Event, Message
from qqops.runtime.context import Context
from qqops.runtime.journal import Journal, Left, Step, Unfinished
from qqops.runtime.observe import Handled, Interrupted, Observers, Result
from qqops.runtime.outbox import Outbox
from qqops.runtime.registry import Handler, Hit, Registry
from qqops.runtime.rooms import RoomSettings
from qqops.runtime.run import InThread, Runner, in_thread
from qqops.texts import Catalogue

log = structlog.get_logger("qqops.dispatch")


#: Workers that stay when there is nothing to do, and seconds between two looks for idle ones beyond that.
KEPT_WORKERS, WORKER_REST = 2, 10.0


@attrs.frozen(kw_only=True)
class DispatchPolicy:
    """Bounds of the dispatcher.

    Attributes:
        slots: Handlers that run at the same time.
        per_plugin: How many of them one plugin may hold.
        backlog: Matched messages that may wait; beyond that the connections are read later.
        timeout: Seconds a handler may take unless it declares its own.
        threads: Plain ``def`` handlers of one plugin that run at the same time.
        window: Messages of an account that are remembered to recognise duplicates.
    """

    slots: int = 64
    per_plugin: int = 32
    backlog: int = 10_000
    timeout: float = 60.0
    threads: int = 4
    window: int = 4096


@attrs.frozen(eq=False)
class Ticket:
    """One handler that shall run for one event.

    Attributes:
        row: Where the journal keeps it; 0 for nowhere.
    """

    id: str
    hit: Hit
    event: Event | None
    account: AccountRef | None
    arrived: float
    done: trio.Event | None = None
    row: int = 0


class Dispatcher:
    """Owner of all running handlers."""

    def __init__(
        self,
        registry: Registry,
        *,
        clock: Clock,
        observers: Observers,
        catalogue: Catalogue,
        rooms: RoomSettings,
        policy: DispatchPolicy,
        threads: InThread = in_thread,
        journal: Journal | None = None,
    ) -> None:
        self._journal = journal
        self._registry = registry
        self._routes = registry.compile()
        self._observers = observers
        self._catalogue = catalogue
        self._rooms = rooms
        self._clock = clock
        self._policy = policy
        self._runner = Runner(threads=policy.threads, timeout=policy.timeout, in_thread=threads)
        self._outboxes: dict[AccountRef, Outbox] = {}
        self._names: dict[AccountRef, tuple[str, ...]] = {}
        self._seen: dict[AccountRef, dict[tuple[Hashable, str], None]] = {}
        self._queues: dict[Hashable, deque[Ticket]] = {}
        self._ready: deque[Hashable] = deque()
        self._parked: dict[str, deque[Hashable]] = {}
        self._running: dict[str, int] = {}
        self._idle_workers = trio.lowlevel.ParkingLot()
        self._workers = 0
        self._waiting = 0
        self._active = 0
        self._space = trio.Event()
        self._numbers = itertools.count(1)
        self._nursery: trio.Nursery | None = None
        self._closed = trio.Event()
        self._grown = trio.Event()
        self._dismissed = 0
        self.dropped = 0
        self.messages = 0

    # -- wiring ---------------------------------------------------------------------------------

    def account(self, ref: AccountRef, outbox: Outbox, names: Sequence[str]) -> None:
        """Let handlers answer through *outbox*; *names* are what people call the bot there."""
        self._outboxes[ref] = outbox
        self._names[ref] = tuple(sorted({n.lower() for n in names if n}, key=len, reverse=True))

    def refresh(self) -> None:
        """Take over what the registry holds now. Running handlers are not touched."""
        self._routes = self._registry.compile()

    @property
    def closed(self) -> bool:
        """Whether new work is refused."""
        return self._closed.is_set()

    @property
    def busy(self) -> int:
        """Handlers that run or wait."""
        return self._waiting + self._active

    # -- the synchronous part -------------------------------------------------------------------

    def route(self, event: Event) -> list[Ticket]:
        """Decide about *event* and queue what it sets off; nothing matched gives an empty list."""
        if self._nursery is None or self._closed.is_set():
            self.dropped += 1
            return []
        if isinstance(event, Message):
            account = event.ref.room.account
            if not self._is_new(account, event):
                return []
            self.messages += 1
            hits = self._routes.match(event, self._names.get(account, ()))
            if not hits:
                return []
            return self._queue_all(account, event, hits)
        hits = self._routes.match_event(event)
        if not hits:
            return []
        room = getattr(event, "room", None)
        account = room.ref.account if room is not None else event.account  # type: ignore[union-attr]
        key = (room.ref if room is not None else account, type(event))
        return [
            self._queue(key, Ticket(self._next_id(), hit, event, account, trio.current_time()))
            for hit in hits
        ]

    def _queue_all(self, account: AccountRef, message: Message, hits: list[Hit]) -> list[Ticket]:
        key = (message.room.ref, message.sender.ref)
        rows = [0] * len(hits)
        if self._journal is not None:
            rows = self._journal.accepted(message, [hit.handler.key for hit in hits])
        now = trio.current_time()
        return [
            self._queue(key, Ticket(self._next_id(), hit, message, account, now, None, row))
            for hit, row in zip(hits, rows, strict=True)
        ]

    def resume(self, left: Left) -> None:
        """Go on where an earlier run was killed; what had started is reported, not repeated."""
        for where, room, seen in left.seen:
            self._remember(where, (room, seen))
        for one in left.unfinished:
            message = one.message
            account = message.ref.room.account
            hits = self._routes.match(message, self._names.get(account, ()))
            hit = next((hit for hit in hits if hit.handler.key == one.handler), None)
            again = hit is not None and (not one.started or hit.handler.at_least_once)
            if one.started:
                self._report(one, again)
            if again and hit is not None and account in self._outboxes:
                key = (message.room.ref, message.sender.ref)
                self._queue(
                    key, Ticket(self._next_id(), hit, message, account, trio.current_time(), None, one.row)
                )
            elif self._journal is not None:
                if not one.started:
                    log.warning("its handler is gone", message=str(message.ref), handler=one.handler)
                self._journal.settle(one.row, Step.INTERRUPTED if one.started else Step.DROPPED)

    def _report(self, one: Unfinished, again: bool) -> None:
        log.warning(
            "started before the last end of the bot, and not known to have ended",
            message=str(one.message.ref), handler=one.handler, again=again,
        )  # fmt: skip
        self._observers.tell(Interrupted(message=one.message, handler=one.handler, again=again))

    def submit(self, handler: Handler) -> Ticket:
        """Queue *handler* without an event, as the scheduler does. ``ticket.done`` is set at its end."""
        done = trio.Event()
        ticket = Ticket(self._next_id(), Hit(handler), None, None, trio.current_time(), done)
        if self._nursery is None or self._closed.is_set():
            done.set()
            self.dropped += 1
            return ticket
        return self._queue(("job", handler.plugin, handler.name), ticket)

    def _next_id(self) -> str:
        return format(next(self._numbers), "04x")

    def _is_new(self, account: AccountRef, message: Message) -> bool:
        """Whether *message* was not seen before; the window outlives sessions."""
        return self._remember(account, (message.ref.room.id, message.ref.id))

    def _remember(self, account: AccountRef, key: tuple[str, str]) -> bool:
        """Return whether *key* is new."""
        seen = self._seen.setdefault(account, {})
        if key in seen:
            return False
        seen[key] = None
        if len(seen) > self._policy.window:
            del seen[next(iter(seen))]
        return True

    def _queue(self, key: Hashable, ticket: Ticket) -> Ticket:
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque((ticket,))
            self._make_ready(key)
        else:
            queue.append(ticket)
        self._waiting += 1
        return ticket

    def _make_ready(self, key: Hashable) -> None:
        self._ready.append(key)
        if self._idle_workers:
            self._idle_workers.unpark()
        elif self._workers < self._policy.slots and self._nursery is not None:
            self._workers += 1
            if self._workers > KEPT_WORKERS:
                self._grown.set()
            self._nursery.start_soon(self._work, name=f"handler slot {self._workers}")

    # -- back-pressure --------------------------------------------------------------------------

    async def ready(self) -> None:
        """Wait while the backlog is full, and until what was accepted is on the disk.

        The readers wait here and nowhere else.
        """
        if self._journal is not None:
            await self._journal.safe()
        if self._closed.is_set():
            # What comes now would be refused, and the next read would tell the service that it has arrived.
            await trio.sleep_forever()
        while self._waiting >= self._policy.backlog:
            if self._space.is_set():
                self._space = trio.Event()
            await self._space.wait()

    # -- the tasks ------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run handlers until `close`; returns when the last one has ended."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            while not self._closed.is_set():
                self._grown = trio.Event()
                if self._workers <= KEPT_WORKERS:
                    await self._grown.wait()
                with trio.move_on_after(WORKER_REST):
                    await self._closed.wait()
                self._dismiss()
            self._idle_workers.unpark_all()

    def _dismiss(self) -> None:
        """Send workers home that a rush has left; those that are busy by then stay."""
        surplus = min(self._workers - KEPT_WORKERS, len(self._idle_workers))
        self._dismissed = max(surplus, 0)
        self._idle_workers.unpark(count=self._dismissed)

    def close(self) -> None:
        """Refuse new work; what has been queued is still done."""
        self._closed.set()
        self._grown.set()

    async def _work(self) -> None:
        while True:
            if not self._ready:
                if self._dismissed:
                    self._dismissed -= 1
                    self._workers -= 1
                    return
                if self._closed.is_set() and not self._waiting:
                    self._workers -= 1
                    self._idle_workers.unpark_all()
                    return
                await self._idle_workers.park()
                continue
            key = self._ready.popleft()
            queue = self._queues[key]
            plugin = queue[0].hit.handler.plugin
            if self._running.get(plugin, 0) >= self._policy.per_plugin:
                # One slow plugin must not hold the slots of the others: its work waits aside.
                self._parked.setdefault(plugin, deque()).append(key)
                continue
            ticket = queue.popleft()
            self._waiting -= 1
            self._space.set()
            self._active += 1
            self._running[plugin] = self._running.get(plugin, 0) + 1
            try:
                await self._run(ticket)
            finally:
                self._active -= 1
                self._release(plugin)
                if ticket.done is not None:
                    ticket.done.set()
                if queue:
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

    async def _run(self, ticket: Ticket) -> None:
        handler, event = ticket.hit.handler, ticket.event
        room = getattr(event, "room", None)
        outbox = self._outboxes.get(ticket.account) if ticket.account is not None else None
        ctx = Context(
            id=ticket.id,
            plugin=handler.plugin,
            event=event,
            language=self._rooms.language(room),
            catalogue=self._catalogue,
            now=self._clock.now(),
            outbox=outbox if room is not None else None,
        )
        if ticket.row and self._journal is not None:
            await self._journal.starting(ticket.row)
        began = trio.current_time()
        names = {
            "account": str(ticket.account or ""),
            "room": room.ref.id if room is not None else "",
            "message": event.id if isinstance(event, Message) else "",
            "plugin": handler.plugin,
        }
        result = Result.CANCELLED
        try:
            with structlog.contextvars.bound_contextvars(**names, handler=handler.name, run=ticket.id):
                result = await self._runner.run(ctx, ticket.hit, self._routes.filters)
        finally:
            record = Handled(
                id=ticket.id,
                plugin=handler.plugin,
                handler=handler.name,
                account=names["account"],
                room=names["room"],
                message=names["message"],
                result=result,
                wait=began - ticket.arrived,
                run=trio.current_time() - began,
            )
            self._observers.tell(record)
            if ticket.row and self._journal is not None and result is not Result.CANCELLED:
                # What was cut off by a shutdown has no end: the next start says so.
                self._journal.ended(ticket.row)

    def statistics(self) -> Mapping[str, int]:
        """Return how many handlers run, wait, and how many events came after the end."""
        return {
            "running": self._active,
            "waiting": self._waiting,
            "workers": self._workers,
            "late": self.dropped,
        }
