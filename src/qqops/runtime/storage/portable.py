"""The rows of a store in an SQLite file, whatever database they come from; and from there into a database. All block."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Iterator, Mapping

from qqops.errors import StoreError
from qqops.runtime.storage import layout
from qqops.runtime.storage.copies import counts, flush, reader, verify
from qqops.runtime.storage.database import Reached, Reader, Values
from qqops.runtime.storage.datafile import reason_of

#: Tables and what their rows are in order of.
TABLES = {
    "inbound": "id",
    "outbound": "id",
    "names": "account, kind, place, name, number",
    "kv": "namespace, key",
}


def copy_out(
    source: Reader, target: pathlib.Path, reached: Reached | None = None, version: str = layout.HEAD
) -> Mapping[str, int]:
    """Copy all rows that *source* sees to the file *target*, which appears whole or not at all; return their counts.

    Args:
        version: Of the layout of *source*; the file gets the same.

    Raises:
        StoreError: It cannot be written, or the copy is not what was copied.
    """
    reached = reached or (lambda point: None)
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o600))
        wanted = {"alembic_version": 1}
        if version != layout.HEAD:
            layout.climb(part, lambda point: None, version)
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copied:
            if version == layout.HEAD:
                layout.create(copied, lambda point: None)
            reached("inside the copy")
            for table in sorted(TABLES.keys() & counts(copied).keys()):
                wanted[table] = _copied(source, copied, table)
        if (found := verify(part)) != wanted:
            raise StoreError(f"{part} has other rows than the store")
        flush(part)
        reached("before the copy appears")
        os.replace(part, target)
        flush(target.parent)
        reached("after the copy")
    except (sqlite3.Error, OSError) as exc:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise StoreError(f"cannot write {target}: {reason_of(exc)}") from exc
    return found


def _copied(source: Reader, target: sqlite3.Connection, table: str) -> int:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    found = source.execute(f"SELECT {names} FROM {table} ORDER BY {TABLES[table]}").fetchall()
    target.execute("BEGIN")
    target.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", found)
    target.execute("COMMIT")
    return len(found)


def rows_of(source: pathlib.Path) -> Iterator[tuple[str, Values]]:
    """Yield the statements that put the rows of the file *source* in the place of all there are.

    Raises:
        StoreError: *source* cannot be read.
    """
    try:
        with contextlib.closing(reader(source)) as found:
            for table in TABLES:
                yield f"DELETE FROM {table}", ()
                columns = [row[1] for row in found.execute(f"PRAGMA table_info({table})")]
                names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
                for row in found.execute(f"SELECT {names} FROM {table} ORDER BY {TABLES[table]}"):
                    yield f"INSERT INTO {table} ({names}) VALUES ({marks})", row
    except sqlite3.Error as exc:
        raise StoreError(f"cannot read {source}: {reason_of(exc)}") from exc
