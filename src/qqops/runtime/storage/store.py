"""What outlives the process: one SQLite file, written by one worker thread.

Writers queue statements and, where it matters, wait until these are on the disk. Everything that was queued
while the thread was busy goes into its next transaction: the more there is to do, the cheaper each write gets.
A store that fails (full disk, locked or corrupt file) is a state, not an end: who waits is told at once, the reason is
logged once, and what could not be written is kept and tried again, in its order, until it can.
"""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import attrs
import structlog
import trio

from qqops.errors import StoreError
from qqops.runtime.storage.datafile import DataFile, Reached, StorePolicy, reason_of

if TYPE_CHECKING:
    from qqops.runtime.threads import InThread

T = TypeVar("T")

log = structlog.get_logger("qqops.store")

#: Seconds between two tries while the store fails, and most writes that are kept meanwhile.
RETRY, MAX_KEPT = 0.5, 100_000


#: A statement and its values.
Part: TypeAlias = tuple[str, Mapping[str, Any]]


@attrs.define(eq=False)
class Write:
    """Statements that are queued or done: all of them, or none.

    Attributes:
        first: What the thread does before it writes them. It must not raise; as long as it returns False it is tried again
            with them.
        kept: Whether it is tried again when it fails. Who is told that nothing was stored must be able to rely on it;
            who has nobody to tell wants it stored later.
        error: Why it is not on the disk, once it is *done*; "" when it is.
    """

    parts: Sequence[Part]
    kept: bool = True
    first: Callable[[], bool] | None = None
    error: str = ""
    done: trio.Event = attrs.field(factory=trio.Event)

    async def wait(self) -> bool:
        """Wait until it is on the disk; False when it could not be written."""
        await self.done.wait()
        return not self.error


class Store:
    """One file. `run` must be running; what is queued before that waits for it.

    Args:
        threads: Runs what blocks; a test that holds its clock meanwhile puts its own in its place.
        reached: Is told each point that the work on the file passes; a test kills the process there.

    Attributes:
        eager: Whether the file is opened at the start; else when somebody needs it, and its libraries are loaded then.
        failing: Why the last transaction failed, or "".
        opened: Set once the file could be opened or could not.
    """

    def __init__(
        self,
        path: pathlib.Path,
        policy: StorePolicy | None = None,
        *,
        threads: InThread | None = None,
        reached: Reached | None = None,
    ) -> None:
        self.path = path
        self.file = DataFile(path, policy or StorePolicy(), reached)
        self.eager = True
        self.failing = ""
        self.opened = trio.Event()
        self._run_in_thread = threads
        self._queue: list[Write] = []
        self._work = trio.Event()
        # One thread at a time: SQLite has one writer, and a connection is not to be shared.
        self._thread = trio.CapacityLimiter(1)

    # -- for those who write and read -----------------------------------------------------------

    def write(self, statement: str, first: Callable[[], bool] | None = None, **values: Any) -> Write:
        """Queue *statement*; it is written after everything queued before it. Wait on what is returned."""
        return self.write_all(((statement, values),), first=first)

    def write_all(
        self, parts: Sequence[Part], *, kept: bool = True, first: Callable[[], bool] | None = None
    ) -> Write:
        """Queue *parts*, which are written together or not at all; see `write`."""
        one = Write(parts, kept, first)
        if kept or not self.failing:
            self._queue.append(one)
        if self.failing:
            # Nobody shall wait for a disk that is full; the task tries again by its own clock.
            one.error = self.failing
            one.done.set()
            if len(self._queue) > MAX_KEPT:
                del self._queue[0]
        else:
            self._work.set()
        return one

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return what *query* reads, after everything that was queued before.

        Raises:
            StoreError: The file cannot be read.
        """
        await self._needed()
        await self._write_all()
        return await self._in_thread(lambda: self._query(query))

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
            except StoreError as exc:
                self._note(str(exc))
            self.opened.set()
            while True:
                if self.failing:
                    await trio.sleep(RETRY)
                elif not self._queue:
                    self._work = trio.Event()
                    await self._work.wait()
                await self._write_all()
        finally:
            with trio.CancelScope(shield=True):  # bounded: the thread is local, and busy_timeout is 5 s
                self.opened.set()
                await self._write_all()
                if self._queue:
                    log.error("lost with this end", file=str(self.path), writes=len(self._queue))
                await self._in_thread(self.file.close)

    async def _write_all(self) -> None:
        """Write what is queued; what cannot be written goes back to its head, and its waiters are told."""
        batch, self._queue = self._queue, []
        if not batch and not self.failing:
            return
        # Shielded: a cancelled call would go on in its thread all the same, and nobody would hear how it went.
        with trio.CancelScope(shield=True):
            failing = await self._in_thread(lambda: self._transaction(batch))
        self._note(failing)
        if failing:
            self._queue = [one for one in batch if one.kept] + self._queue
        for one in [*batch, *self._queue] if failing else batch:
            if not one.done.is_set():
                one.error = failing or one.error
                one.done.set()

    async def _in_thread(self, call: Callable[[], T]) -> T:
        if self._run_in_thread is not None:
            return cast("T", await self._run_in_thread(call, limiter=self._thread, abandon_on_cancel=False))
        return await trio.to_thread.run_sync(call, limiter=self._thread)

    def _note(self, failing: str) -> None:
        """Take over the new state, and log it when it is another one."""
        if failing and not self.failing:
            log.error(
                "the store cannot be written: a restart would not know what was done",
                file=str(self.path),
                reason=failing,
            )
        elif self.failing and not failing:
            log.info("the store can be written again", file=str(self.path))
        self.failing = failing

    # -- in the thread --------------------------------------------------------------------------

    def _transaction(self, batch: Sequence[Write]) -> str:
        """Write *batch* in one transaction; return why that failed, or ""."""
        for one in batch:
            if one.first is not None and one.first():
                one.first = None
        if self.file.connection is None:
            try:
                self.file.open()  # perhaps the disk has room by now, or the folder its rights
            except StoreError as exc:
                return str(exc)
        try:
            self._execute(batch)
        except sqlite3.IntegrityError as exc:
            if len(batch) > 1:
                # One statement is at fault: the others must not pay for it.
                return next(filter(None, [self._transaction([one]) for one in batch]), "")
            # A row that is there already: it was written before a failure was reported.
            batch[0].error = reason_of(exc)
        except sqlite3.Error as exc:
            self.file.close()  # after an I/O error only a new connection is to be trusted
            return reason_of(exc)
        return ""

    def _execute(self, batch: Sequence[Write]) -> None:
        connection, reached = self.file.connection, self.file.reached
        assert connection is not None
        reached("before the transaction")
        try:
            parts = (part for one in batch for part in one.parts)
            for statement, group in itertools.groupby(parts, key=lambda part: part[0]):
                connection.executemany(statement, [values for _, values in group])
            reached("inside the transaction")
            connection.commit()
        except BaseException:
            with contextlib.suppress(Exception):
                connection.rollback()
            raise
        reached("after the transaction")

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        connection = self.file.connection
        if connection is None:
            raise StoreError(self.failing or f"{self.path} is not open")
        try:
            return query(connection)
        except sqlite3.Error as exc:
            raise StoreError(f"cannot read {self.path}: {reason_of(exc)}") from exc
