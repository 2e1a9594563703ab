"""Second connections to a store's file: reading it beside the bot, copying it, proving that a copy is whole. All block."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import sys
from collections.abc import Mapping

from qqops.errors import StoreError
from qqops.runtime.storage.database import Reached
from qqops.runtime.storage.datafile import BUSY_MS, reason_of


def peek(path: pathlib.Path, namespace: str) -> Mapping[str, str]:
    """Return key → JSON of a namespace in the file *path*. Raises `StoreError`."""
    query = "SELECT key, value FROM kv WHERE namespace = ? AND expires IS NULL"
    try:
        with contextlib.closing(reader(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'kv'").fetchone():
                return {}
            return dict(connection.execute(query, (namespace,)).fetchall())
    except sqlite3.Error as exc:
        raise StoreError(f"cannot read {path}: {exc}") from exc


def reader(path: pathlib.Path) -> sqlite3.Connection:
    """Return a connection of its own that reads *path*, which must exist, and writes nothing. Raises `sqlite3.Error`.

    A process that was killed may have left a transaction to be rolled back or a log to be read in, and whoever opens the
    file next has to be allowed to do that. Only then is it opened otherwise than to be read: whoever may write tidies up
    when it closes the file, and is in the way of others meanwhile.
    """
    try:
        return connected(path, "ro")
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
    return connected(path, "rw")


def connected(path: pathlib.Path, mode: str) -> sqlite3.Connection:
    """Return a connection that changes no data; as ``rw`` it may bring the log into the file. Raises `sqlite3.Error`."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # One thread at a time uses it, but not always the same one.
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA query_only=ON")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows of every table. Raises `sqlite3.Error`."""
    names = [
        name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]  # fmt: skip
    quoted = {name: name.replace('"', '""') for name in names}
    return {
        name: connection.execute(f'SELECT count(*) FROM "{quoted[name]}"').fetchone()[0]
        for name in sorted(names)
    }


def verify(path: pathlib.Path) -> dict[str, int]:
    """Return the row counts of *path* once it has proved to be whole. Raises `StoreError`."""
    try:
        with contextlib.closing(reader(path)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()
            if found is None or found[0] != "ok":
                raise StoreError(f"{path} is damaged: {found[0] if found else 'no answer'}")
            return counts(connection)
    except sqlite3.Error as exc:
        raise StoreError(f"cannot read {path}: {exc}") from exc


def copy(source: pathlib.Path, target: pathlib.Path, reached: Reached | None = None) -> dict[str, int]:
    """Copy a store, also one in use, and compare; *target* appears whole or not at all. Return its row counts.

    Raises:
        StoreError: It cannot be read or written, or the copy is not what was copied.
    """
    reached = reached or (lambda point: None)
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600))
        with (
            contextlib.closing(reader(source)) as original,
            contextlib.closing(sqlite3.connect(part)) as copied,
        ):
            original.execute("BEGIN")  # one moment for the counts and the copy
            wanted = counts(original)
            reached("inside the copy")
            original.backup(copied)
            # The copy stands alone: no files beside it that might be forgotten.
            copied.execute("PRAGMA journal_mode=DELETE")
        found = verify(part)
        if found != wanted:
            raise StoreError(f"the copy of {source} has other rows than the original")
        flush(part)
        reached("before the copy appears")
        os.replace(part, target)
        flush(target.parent)
        reached("after the copy")
    except (sqlite3.Error, OSError) as exc:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise StoreError(f"cannot copy {source} to {target}: {reason_of(exc)}") from exc
    return found


def flush(path: pathlib.Path) -> None:
    """Bring a file, or the entries of a folder, to the platter."""
    if path.is_dir() and sys.platform == "win32":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
