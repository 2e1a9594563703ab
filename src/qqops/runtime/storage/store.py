"""What outlives the process: one database, and one queue of what is to be written into it.

Writers queue statements and, where it matters, wait until these are on the disk. What is queued by then goes into one
transaction: the more there is to do, the cheaper each write gets. Where a transaction hardly ever waits for anything (SQLite
that does not wait for the platter), it is made on the spot, by whoever waits for it: handing it to a thread would cost
more than the transaction. Everything that may take long is done in one worker thread, and so is whatever went wrong on the
spot, or became slow there.

A store that fails (full disk, locked or corrupt file) is a state, not an end: who waits is told at once, the reason is
logged once, and what could not be written is kept and tried again, in its order, until it can.
"""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import structlog
import trio

from qqops.errors import StoreError
from qqops.runtime.storage.advice import advice
from qqops.runtime.storage.database import Database, Query, Reached, RowError, Values
from qqops.runtime.storage.datafile import DataFile, StorePolicy

if TYPE_CHECKING:
    from qqops.runtime.threads import InThread

T = TypeVar("T")

log = structlog.get_logger("qqops.store")

#: Seconds between two tries while the store fails, and most writes that are kept meanwhile.
RETRY, MAX_KEPT = 0.5, 100_000
#: Seconds for which what nobody waits for may lie, so that it goes along with what somebody does.
LAZY = 0.002
#: Seconds of a transaction on the spot after which the disk counts as slow, and for which the thread then does everything.
SLOW, REST = 0.05, 10.0
#: Writes on the spot at once, and parts of one of them, at most: the loop waits meanwhile.
MAX_AT_ONCE, MAX_PARTS = 500, 100
#: Writes after which the log of the file is brought into it.
CHECKPOINT_EVERY = 2000

#: A statement and its values.
Part: TypeAlias = tuple[str, Values]


class Write:
    """Statements that are queued or done: all of them, or none.

    Attributes:
        first: What the thread does before it writes them. It must not raise; as long as it returns False it is tried again
            with them.
        kept: Whether it is tried again when it fails. Who is told that nothing was stored must be able to rely on it;
            who has nobody to tell wants it stored later.
        taken: Whether it is being written or was; until then its values may still be changed.
        done: Whether it is known how it went.
        error: Why it is not on the disk, once it is *done*; "" when it is.
    """

    __slots__ = ("_store", "done", "error", "event", "first", "kept", "parts", "taken")

    def __init__(
        self, store: Store, parts: Sequence[Part], kept: bool, first: Callable[[], bool] | None
    ) -> None:
        self._store = store
        self.parts = parts
        self.kept = kept
        self.first = first
        self.taken = self.done = False
        self.error = ""
        self.event: trio.Event | None = None

    @property
    def values(self) -> list[Any]:
        """The values of its only statement, which were given as a list."""
        return cast("list[Any]", self.parts[0][1])

    async def wait(self) -> bool:
        """Wait until it is on the disk; False when it could not be written."""
        if not self.done:
            await self._store.settled(self)
        return not self.error

    def end(self, error: str = "") -> None:
        """Note how it went, and tell who waits."""
        if not self.done:
            self.done, self.error = True, error
            if self.event is not None:
                self.event.set()


class Store:
    """One database. `run` must be running; what is queued before that waits for it.

    Args:
        place: The database, or the path of an SQLite file.
        threads: Runs what blocks; a test that holds its clock meanwhile puts its own in its place.
        reached: Is told each point that the work on the file passes; a test kills the process there.

    Attributes:
        file: The database; everything it does blocks.
        eager: Whether the file is opened at the start; else when somebody needs it, and its libraries are loaded then.
        failing: Why the last transaction failed, or "".
        opened: Set once the file could be opened or could not.
    """

    def __init__(
        self,
        place: pathlib.Path | Database,
        policy: StorePolicy | None = None,
        *,
        threads: InThread | None = None,
        reached: Reached | None = None,
    ) -> None:
        self.file: Database = (
            DataFile(place, policy or StorePolicy(), reached) if isinstance(place, pathlib.Path) else place
        )
        self.eager = True
        self.failing = ""
        self.opened = trio.Event()
        self._run_in_thread = threads
        self._queue: list[Write] = []
        self._work, self._hurry = trio.Event(), trio.Event()
        # The connection that writes is not to be shared, and neither is the one that reads.
        self._writing, self._reading = trio.CapacityLimiter(1), trio.CapacityLimiter(1)
        self._turn = trio.Lock()
        self._known = self._on_the_spot = self._only_in_thread = False
        self._slow = 0.0
        self._since_checkpoint = 0
        self._full = trio.Event()

    # -- for those who write and read -----------------------------------------------------------

    def write(
        self,
        statement: str,
        values: Values,
        first: Callable[[], bool] | None = None,
    ) -> Write:
        """Queue *statement*; it is written after everything queued before it. Wait on what is returned."""
        return self._add(Write(self, ((statement, values),), True, first))

    def write_all(
        self, parts: Sequence[Part], *, kept: bool = True, first: Callable[[], bool] | None = None
    ) -> Write:
        """Queue *parts*, which are written together or not at all; see `write`."""
        return self._add(Write(self, parts, kept, first))

    def _add(self, one: Write) -> Write:
        if one.first is not None or len(one.parts) > MAX_PARTS:
            self._only_in_thread = True
        if one.kept or not self.failing:
            self._queue.append(one)
        if self.failing:
            # Nobody shall wait for a disk that is full; the task tries again by its own clock.
            one.end(self.failing)
            if len(self._queue) > MAX_KEPT:
                del self._queue[0]
        else:
            self._work.set()
        return one

    async def read(self, query: Query[T]) -> T:
        """Return what *query* reads, after everything that was queued before.

        Raises:
            StoreError: The file cannot be read.
        """
        await self._needed()
        if not self.failing:
            await self._write_all()
        if self.failing and not self._known:
            raise StoreError(self.failing)
        return await self._in_thread(lambda: self.file.read(query), self._reading)

    async def settled(self, one: Write) -> None:
        """Wait until it is known how *one* went."""
        await trio.lowlevel.checkpoint()  # what others are about to write goes along
        if not one.done and self._quick():
            self._write_now()
        if not one.done:
            self._hurry.set()
            if one.event is None:
                one.event = trio.Event()
            await one.event.wait()

    async def _needed(self) -> None:
        """Wait until the file is open, or could not be opened; one that nobody has needed so far is opened now."""
        if not self.opened.is_set():
            self._work.set()
            await self.opened.wait()

    async def snapshot(self, name: str) -> pathlib.Path:
        """Copy the file, with everything that was queued before, to one beside it; return where. Raises `StoreError`."""
        await self._needed()
        await self._write_all()
        return await self._in_thread(lambda: self.file.snapshot(name))

    # -- the task -------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the file and write what is queued, until cancelled; what is queued by then is still written."""
        task_status.started()
        try:
            if not self.eager:
                await self._work.wait()
            try:
                await self._in_thread(self.file.open)
                self._known, self._on_the_spot = True, self.file.quick
            except StoreError as exc:
                self._note(str(exc))
            self.opened.set()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tidy, name="store: log")
                while True:
                    if self.failing:
                        await trio.sleep(RETRY)
                    elif not self._queue:
                        self._work, self._hurry = trio.Event(), trio.Event()
                        await self._work.wait()
                        with trio.move_on_after(LAZY):
                            await self._hurry.wait()
                    await self._write_all()
        finally:
            self._on_the_spot = False
            with trio.CancelScope(shield=True):  # bounded: the thread is local, and waits 5 s for others
                self.opened.set()
                await self._write_all()
                if self._queue:
                    log.error("lost with this end", file=self.file.name, writes=len(self._queue))
                async with self._reading:
                    await self._in_thread(self.file.end)

    async def _tidy(self) -> None:
        """Bring what stands in the file's log into the file whenever there is much of it."""
        while True:
            await self._full.wait()
            self._full = trio.Event()
            await self._in_thread(self.file.checkpoint, self._reading)

    def _quick(self) -> bool:
        """Whether what is queued can be written without waiting for anything."""
        return (
            self._on_the_spot
            and not self.failing
            and not self._turn.locked()
            and len(self._queue) <= MAX_AT_ONCE
            and not self._only_in_thread
            and (not self._slow or trio.current_time() >= self._slow)
        )

    def _write_now(self) -> None:
        """Write what is queued on the spot. Where that does not go well nothing has happened: the thread does it."""
        batch, self._queue = self._queue, []
        began = time.perf_counter()
        self._on_the_spot = False  # unless it goes well
        try:
            self.file.write((part for one in batch for part in one.parts), wait=False)
        except (RowError, StoreError):
            self._queue = batch
            return
        except BaseException:
            self._queue = batch
            raise
        self._on_the_spot = True
        for one in batch:
            one.taken = True
            one.end()
        self._count(batch)
        if time.perf_counter() - began > SLOW:
            self._slow = trio.current_time() + REST
            log.info("the disk is slow", file=self.file.name, ms=round((time.perf_counter() - began) * 1000))

    async def _write_all(self) -> None:
        """Write what is queued; what cannot be written goes back to its head, and its waiters are told."""
        if self._queue and self._quick():
            self._write_now()
        if not self._queue and not self.failing and not self._turn.locked():
            return
        # Taken when the one before is over: what that could not write goes first.
        async with self._turn:
            if self._queue or self.failing:
                # Shielded: a cancelled call would go on in its thread all the same, and nobody would hear how it went.
                with trio.CancelScope(shield=True):
                    await self._write_patiently()

    async def _write_patiently(self) -> None:
        batch, self._queue = self._queue, []
        self._only_in_thread = False
        for one in batch:
            one.taken = True
        failing, errors = await self._in_thread(lambda: self._transactions(batch))
        self._note(failing)
        if not failing:
            self._known, self._on_the_spot = True, self.file.quick
        self._count(batch)
        back = []
        for one, error in zip(batch, errors, strict=True):
            if error is None and one.kept:
                back.append(one)
            one.end(failing if error is None else error)
        if failing:
            self._queue = back + self._queue
            for one in self._queue:
                one.end(failing)

    def _count(self, batch: Sequence[Write]) -> None:
        self._since_checkpoint += len(batch)
        if self._since_checkpoint >= CHECKPOINT_EVERY:
            self._since_checkpoint = 0
            self._full.set()

    async def _in_thread(self, call: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
        limiter = limiter or self._writing
        if self._run_in_thread is not None:
            return cast("T", await self._run_in_thread(call, limiter=limiter, abandon_on_cancel=False))
        return await trio.to_thread.run_sync(call, limiter=limiter)

    def _note(self, failing: str) -> None:
        """Take over the new state, and log it when it is another one."""
        if failing and not self.failing:
            log.error(
                "the store cannot be written: a restart would not know what was done",
                file=self.file.name,
                reason=failing,
                **({"hint": hint} if (hint := advice(failing)) else {}),
            )
        elif self.failing and not failing:
            log.info("the store can be written again", file=self.file.name)
        self.failing = failing

    # -- in the thread --------------------------------------------------------------------------

    def _transactions(self, batch: Sequence[Write]) -> tuple[str, list[str | None]]:
        """Write *batch*; return why that failed or "", and for each: why it never will be written, "" when it was, or None."""
        for one in batch:
            if one.first is not None and one.first():
                one.first = None
        errors: list[str | None] = [None] * len(batch)
        try:
            self.file.open()  # perhaps the disk has room by now, or the folder its rights
            try:
                if not batch:  # a probe: what writes nothing would find room on a full disk
                    self.file.write([("UPDATE alembic_version SET version_num = version_num", ())], wait=True)
                self._transaction(batch)
                return "", [""] * len(batch)
            except RowError:
                # One statement is at fault: the others must not pay for it.
                for number, one in enumerate(batch):
                    errors[number] = self._alone(one)
        except StoreError as exc:
            return str(exc), errors
        return "", errors

    def _transaction(self, batch: Iterable[Write]) -> None:
        self.file.write((part for one in batch for part in one.parts), wait=True)

    def _alone(self, one: Write) -> str:
        try:
            self._transaction([one])
        except RowError as exc:
            if one.kept:  # who wrote it without a way back is not told
                log.error("something cannot be written, and is left out", reason=str(exc))  # noqa: TRY400
            return str(exc)
        return ""
