"""The store's SQLite file: opening it, its layout, copies of it. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

import attrs

from qqops.errors import StoreError
from qqops.model import Secret
from qqops.model.allowed import OneOf
from qqops.runtime.storage import layout
from qqops.runtime.storage.database import Query, Reached, RowError, Values

T = TypeVar("T")

#: Milliseconds to wait for another process that holds the file.
BUSY_MS = 5000
#: Snapshots of one kind that are kept beside the file.
SNAPSHOTS = 3
#: How thoroughly SQLite writes, by the setting's words.
SYNCHRONOUS = ("normal", "full")


@attrs.frozen(kw_only=True)
class StorePolicy:
    """Table ``[store]``.

    Attributes:
        url: ``postgresql://…`` for a store in a PostgreSQL server; empty for a file in the data folder.
        synchronous: ``normal``: what was stored survives the death of the process; ``full``: a loss of power, too.
            A server has a setting of its own for that.
    """

    url: Secret = attrs.field(factory=lambda: Secret(""))
    synchronous: Annotated[str, OneOf(SYNCHRONOUS)] = "normal"


class DataFile:
    """One file and the connection to it.

    Args:
        reached: Is told each point; nobody listens outside of tests.

    Attributes:
        connection: The connection that writes, while it is open.
        quick: Whether a transaction waits neither for the disk nor for those who read.
    """

    def __init__(self, path: pathlib.Path, policy: StorePolicy, reached: Reached | None = None) -> None:
        self.path = path
        self.reached: Reached = reached or (lambda point: None)
        self.connection: sqlite3.Connection | None = None
        self.quick = False
        self._policy = policy
        self._lock: int | None = None
        self._reader: sqlite3.Connection | None = None
        self._stale = False
        self._waits = True

    @property
    def name(self) -> str:
        """See `Database`."""
        return str(self.path)

    @property
    def folder(self) -> pathlib.Path:
        """See `Database`."""
        return self.path.parent

    @property
    def is_open(self) -> bool:
        """See `Database`."""
        return self.connection is not None

    def open(self) -> None:
        """Open or create the file, and bring it to the newest layout. Raises `StoreError`."""
        if self.connection is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path, shared=True)
            # Before SQLite does: it holds what people wrote, and the journal files inherit these bits.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            # One thread at a time uses it, but not always the same one.
            connection = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, check_same_thread=False)
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
                connection.execute(
                    "PRAGMA wal_autocheckpoint=0"
                )  # it waits for the platter: `checkpoint` does it
                connection.execute(f"PRAGMA synchronous={self._policy.synchronous.upper()}")
                self._bring_up(connection)
            except BaseException:
                connection.close()
                raise
            self.connection, self._waits = connection, True
            self.quick = mode == "wal" and self._policy.synchronous == "normal"
        except (sqlite3.Error, OSError) as exc:
            self.close()
            raise StoreError(f"cannot open {self.path}: {reason_of(exc)}") from exc
        except BaseException:
            self.close()
            raise

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        found = layout.layout_of(connection)
        if found == layout.HEAD:
            return
        if found is not None and found > layout.HEAD:
            raise StoreError(
                f"{self.path} has layout {found}, this qqops knows up to {layout.HEAD}: update qqops"
            )
        if found is not None:
            self.snapshot(f"layout-{found}")
        self.reached("before the migration")
        if found is None:
            layout.create(connection, self.reached)
        else:
            layout.climb(self.path, self.reached)
        self.reached("after the migration")

    def snapshot(self, name: str) -> pathlib.Path:
        """Copy the file to one beside it, and drop the oldest of that kind; return where. Raises `StoreError`."""
        from qqops.runtime.storage.copies import copy  # here: only who makes a copy pays for it

        number = 1
        while (target := self.path.with_name(f"{self.path.name}.{name}.{number}")).exists():
            number += 1
        copy(self.path, target, self.reached)
        old = self.path.with_name(f"{self.path.name}.{name}.{number - SNAPSHOTS}")
        old.unlink(missing_ok=True)
        return target

    def write(self, parts: Iterable[tuple[str, Values]], *, wait: bool) -> None:
        """Write statements with their values, all of them or none.

        Args:
            wait: Whether to wait for another process that holds the file.

        Raises:
            StoreError: The file cannot be written.
            RowError: One of *parts* is at fault.
        """
        connection, reached = self.connection, self.reached
        if connection is None:
            raise StoreError(f"{self.path} is not open")
        try:
            if wait is not self._waits:
                connection.execute(f"PRAGMA busy_timeout={BUSY_MS if wait else 0}")
                self._waits = wait
            reached("before the transaction")
            execute = connection.cursor().execute
            for statement, values in parts:
                execute(statement, values)
            reached("inside the transaction")
            connection.commit()
        except BaseException as exc:
            with contextlib.suppress(Exception):
                connection.rollback()
            if isinstance(exc, sqlite3.OperationalError) or type(exc) is sqlite3.DatabaseError:
                if wait:
                    self.close()  # after an I/O error only a new connection is to be trusted
                raise StoreError(reason_of(exc)) from exc
            if isinstance(exc, Exception):
                raise RowError(reason_of(exc)) from exc
            raise
        reached("after the transaction")

    def read(self, query: Query[T]) -> T:
        """Return what *query* reads of what is written by now. Raises `StoreError`."""
        try:
            return query(self._reading())
        except sqlite3.Error as exc:
            self._stale = True
            raise StoreError(f"cannot read {self.path}: {reason_of(exc)}") from exc

    def _reading(self) -> sqlite3.Connection:
        if self._reader is not None and self._stale:
            self._reader.close()
            self._reader = None
        if self._reader is None:
            from qqops.runtime.storage.copies import connected

            self._stale = False
            self._reader = connected(self.path, "rw")  # it tidies up as well
        return self._reader

    def checkpoint(self) -> None:
        """Bring what stands in the log into the file, beside the connection that writes on."""
        self.reached("before a checkpoint beside")
        with contextlib.suppress(sqlite3.Error):
            self._reading().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        self.reached("after a checkpoint beside")

    def end(self) -> None:
        """Close everything, when nobody reads any more."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(Exception):
                reader.close()
        self.close()

    def close(self) -> None:
        """Close the connection that writes; the next read opens another one of its own."""
        self._stale = True
        connection, self.connection = self.connection, None
        if connection is not None:
            self.reached("before the checkpoint")
            with contextlib.suppress(Exception):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.reached("after the checkpoint")
            with contextlib.suppress(Exception):
                connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def peek(self, namespace: str) -> Mapping[str, str]:
        """Return key → JSON of a namespace without opening the file for good. Raises `StoreError`.

        For the moment before anything runs: no large library is loaded for it, and it takes a millisecond.
        """
        if not self.path.exists():
            return {}
        from qqops.runtime.storage.copies import peek

        return peek(self.path, namespace)


def lock(path: pathlib.Path, *, shared: bool) -> int | None:
    """Return a lock on *path* (close it to let go): shared for who uses the file, alone for who replaces it.

    The system takes it back when the process ends, however it ends. Raises `StoreError` when another one has it.
    """
    if sys.platform == "win32":
        return None  # nothing can replace a file there that somebody has open
    import fcntl

    number = os.open(path.with_name(f"{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(number, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(number)
        what = "is being replaced by another process" if shared else "is in use by a running bot"
        raise StoreError(f"{path} {what}") from exc
    return number


def reason_of(exc: Exception) -> str:
    """Return the system's or the database's own words."""
    return str(getattr(exc, "strerror", None) or exc)
