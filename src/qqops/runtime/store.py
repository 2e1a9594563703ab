"""What outlives the process: one SQLite file, written by one worker thread.

Writers queue statements and, where it matters, wait until these are on the disk. Everything that was queued
while the thread was busy goes into its next transaction: the more there is to do, the cheaper each write gets.
A store that fails (full disk, locked or corrupt file) is a state, not an end: who waits is told at once, the reason is
logged once, and what could not be written is kept and tried again, in its order, until it can.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import structlog
import trio

from qqops.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Executable

T = TypeVar("T")

log = structlog.get_logger("qqops.store")

#: Milliseconds to wait for another process that holds the file.
BUSY_MS = 5000
#: Seconds between two tries while the store fails, and most writes that are kept meanwhile.
RETRY, MOST_KEPT = 0.5, 100_000


@attrs.define(eq=False)
class Write:
    """A statement that is queued or done.

    Attributes:
        error: Why it is not on the disk, once it is *done*; "" when it is.
    """

    statement: Executable
    values: Mapping[str, Any]
    error: str = ""
    done: trio.Event = attrs.field(factory=trio.Event)

    async def wait(self) -> bool:
        """Wait until it is on the disk; False when it could not be written."""
        await self.done.wait()
        return not self.error


class Store:
    """One file. `run` must be running; what is queued before that waits for it.

    Attributes:
        failing: Why the last transaction failed, or "".
        opened: Set once the file could be opened or could not.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.failing = ""
        self.opened = trio.Event()
        self._queue: list[Write] = []
        self._work = trio.Event()
        # One thread at a time: SQLite has one writer, and a connection is not to be shared.
        self._thread = trio.CapacityLimiter(1)
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    # -- for those who write and read -----------------------------------------------------------

    def write(self, statement: Executable, **values: Any) -> Write:
        """Queue *statement*; it is written after everything queued before it. Wait on what is returned."""
        one = Write(statement, values)
        self._queue.append(one)
        if self.failing:
            # Nobody shall wait for a disk that is full; the task tries again by its own clock.
            one.error = self.failing
            one.done.set()
            if len(self._queue) > MOST_KEPT:
                del self._queue[0]
        else:
            self._work.set()
        return one

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Return what *query* reads, after everything that was queued before.

        Raises:
            StoreError: The file cannot be read.
        """
        await self.opened.wait()
        await self._write_all()
        return await self._in_thread(lambda: self._query(query))

    # -- the task -------------------------------------------------------------------------------

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the file and write what is queued, until cancelled; what is queued by then is still written."""
        task_status.started()
        try:
            try:
                await self._in_thread(self._open)
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
                await self._in_thread(self._close)

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
            self._queue = batch + self._queue
        for one in self._queue if failing else batch:
            if not one.done.is_set():
                one.error = failing or one.error
                one.done.set()

    async def _in_thread(self, call: Callable[[], T]) -> T:
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

    def _open(self) -> None:
        """Open or create the file, and bring it to the newest layout."""
        # Imported here: slow, needed by nobody else, and this is not the event loop's thread.
        import sqlalchemy

        from qqops.runtime import tables

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Before SQLite does: it holds what people wrote, and the journal files inherit these bits.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            url = sqlalchemy.URL.create("sqlite", database=str(self.path))
            self._engine = sqlalchemy.create_engine(
                url, poolclass=sqlalchemy.StaticPool, connect_args={"check_same_thread": False}
            )
            connection = self._engine.connect()
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", f"busy_timeout={BUSY_MS}"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            connection.commit()
            self._migrate(connection, tables.HEAD)
            self._connection = connection
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as exc:
            self._close()
            raise StoreError(f"cannot open {self.path}: {_reason(exc)}") from exc

    def _migrate(self, connection: Connection, head: str) -> None:
        import sqlalchemy

        has = sqlalchemy.inspect(connection).has_table("alembic_version")
        found = (
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if has else None
        )
        if found == head:
            connection.rollback()
            return
        if found is not None and str(found) > head:
            raise StoreError(f"{self.path} has layout {found}, this qqops knows up to {head}: update qqops")
        connection.rollback()
        import alembic.command
        import alembic.config

        config = alembic.config.Config()
        config.set_main_option("script_location", str(pathlib.Path(__file__).with_name("migrations")))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
        connection.commit()

    def _transaction(self, batch: Sequence[Write]) -> str:
        """Write *batch* in one transaction; return why that failed, or ""."""
        import sqlalchemy

        if self._connection is None:
            try:
                self._open()  # perhaps the disk has room by now, or the folder its rights
            except StoreError as exc:
                return str(exc)
        try:
            self._execute(batch)
        except sqlalchemy.exc.IntegrityError as exc:
            if len(batch) > 1:
                # One statement is at fault: the others must not pay for it.
                return next(filter(None, [self._transaction([one]) for one in batch]), "")
            batch[0].error = _reason(
                exc
            )  # a row that is there already: written before a failure was reported
        except sqlalchemy.exc.SQLAlchemyError as exc:
            self._close()  # after an I/O error only a new connection is to be trusted
            return _reason(exc)
        return ""

    def _execute(self, batch: Sequence[Write]) -> None:
        connection = self._connection
        assert connection is not None
        try:
            for _, group in itertools.groupby(batch, key=lambda one: id(one.statement)):
                same = list(group)
                connection.execute(same[0].statement, [dict(one.values) for one in same])
            connection.commit()
        except BaseException:
            with contextlib.suppress(Exception):
                connection.rollback()
            raise

    def _query(self, query: Callable[[Connection], T]) -> T:
        import sqlalchemy

        if self._connection is None:
            raise StoreError(self.failing or f"{self.path} is not open")
        try:
            return query(self._connection)
        except sqlalchemy.exc.SQLAlchemyError as exc:
            raise StoreError(f"cannot read {self.path}: {_reason(exc)}") from exc
        finally:
            with contextlib.suppress(Exception):
                self._connection.rollback()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        engine, self._engine = self._engine, None
        with contextlib.suppress(Exception):
            if connection is not None:
                connection.close()
        if engine is not None:
            engine.dispose()


def _reason(exc: Exception) -> str:
    """Return the database's own words, without the statement and its values: these hold what people wrote."""
    return str(getattr(exc, "orig", None) or getattr(exc, "strerror", None) or exc)
