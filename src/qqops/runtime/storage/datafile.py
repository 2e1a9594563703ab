"""The store's SQLite file: opening it, its layout, copies of it. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs

from qqops.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: Is told which point the work on a file has reached.
Reached: TypeAlias = Callable[[str], None]

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
        synchronous: ``normal``: what was stored survives the death of the process; ``full``: a loss of power, too.
    """

    synchronous: str = "normal"


class DataFile:
    """One file and the connection to it.

    Args:
        reached: Is told each point; nobody listens outside of tests.

    Attributes:
        connection: The connection, while it is open.
    """

    def __init__(self, path: pathlib.Path, policy: StorePolicy, reached: Reached | None = None) -> None:
        self.path = path
        self.reached: Reached = reached or (lambda point: None)
        self.connection: Connection | None = None
        self._policy = policy
        self._engine: Engine | None = None
        self._lock: int | None = None

    def open(self) -> None:
        """Open or create the file, and bring it to the newest layout. Raises `StoreError`."""
        # Imported here: slow, needed by nobody else, and this is not the event loop's thread.
        import sqlalchemy

        from qqops.runtime.storage import tables

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path, shared=True)
            # Before SQLite does: it holds what people wrote, and the journal files inherit these bits.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            url = sqlalchemy.URL.create("sqlite", database=str(self.path))
            self._engine = sqlalchemy.create_engine(
                url, poolclass=sqlalchemy.StaticPool, connect_args={"check_same_thread": False}
            )
            connection = self._engine.connect()
            synchronous = f"synchronous={self._policy.synchronous.upper()}"
            for pragma in ("journal_mode=WAL", synchronous, f"busy_timeout={BUSY_MS}"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            connection.commit()
            self._migrate(connection, tables.HEAD)
            self.connection = connection
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as exc:
            self.close()
            raise StoreError(f"cannot open {self.path}: {reason_of(exc)}") from exc
        except BaseException:
            self.close()
            raise

    def _migrate(self, connection: Connection, head: str) -> None:
        import sqlalchemy

        has = sqlalchemy.inspect(connection).has_table("alembic_version")
        found = (
            connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() if has else None
        )
        connection.rollback()
        if found == head:
            return
        if found is not None and str(found) > head:
            raise StoreError(f"{self.path} has layout {found}, this qqops knows up to {head}: update qqops")
        if found is not None:
            self.snapshot(f"layout-{found}")
        import alembic.command
        import alembic.config

        config = alembic.config.Config()
        config.set_main_option("script_location", str(pathlib.Path(__file__).with_name("migrations")))
        config.attributes["connection"] = connection
        self.reached("before the migration")
        # The driver begins no transaction for statements that change the layout: without this one each would stand
        # alone, and a process that is killed between two of them leaves a file that no other can open.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        alembic.command.upgrade(config, "head")
        self.reached("inside the migration")
        connection.commit()
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

    def close(self) -> None:
        """Close what is open."""
        connection, self.connection = self.connection, None
        engine, self._engine = self._engine, None
        if connection is not None:
            self.reached("before the checkpoint")
            with contextlib.suppress(Exception):
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            self.reached("after the checkpoint")
            with contextlib.suppress(Exception):
                connection.close()
        if engine is not None:
            engine.dispose()
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
    """Return the database's own words, without the statement and its values: these hold what people wrote."""
    return str(getattr(exc, "orig", None) or getattr(exc, "strerror", None) or exc)
