"""``qqops backup`` and ``qqops restore``: copies of the store that have proved to be whole. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qqops.errors import StoreError
from qqops.runtime.storage.copies import copy, flush, reader, verify
from qqops.runtime.storage.database import Reached, RowError
from qqops.runtime.storage.datafile import DataFile, StorePolicy, lock
from qqops.runtime.storage.layout import HEAD

if TYPE_CHECKING:
    from qqops.runtime.storage.postgres import Postgres


def backup(store: pathlib.Path, target: pathlib.Path, reached: Reached | None = None) -> Mapping[str, int]:
    """Copy *store*, while a bot uses it or not, to *target*; return its tables' row counts.

    *target* appears whole or not at all; one that is there already stays until then.

    Raises:
        StoreError: There is no store, or it cannot be copied.
    """
    if not store.exists():
        raise StoreError(f"there is no store {store}")
    if target.exists() and target.samefile(store):
        raise StoreError(f"{target} is the store itself")
    return copy(store, target, reached)


def restore(
    source: pathlib.Path, store: pathlib.Path, reached: Reached | None = None
) -> tuple[Mapping[str, int], pathlib.Path | None]:
    """Put a copy of *source* in the place of *store*; return its row counts and where the old file is now.

    Raises:
        StoreError: A bot uses the store, or *source* is damaged, no store, or of a later qqops.
    """
    reached = reached or (lambda point: None)
    if not source.exists():
        raise StoreError(f"there is no file {source}")
    found = verify(source)
    _check_layout(source)
    store.parent.mkdir(parents=True, exist_ok=True)
    held = lock(store, shared=False)
    try:
        fresh = store.with_name(f"{store.name}.new")
        copy(source, fresh)
        old = _free_name(store) if store.exists() else None
        if old is not None:
            if _settle(store):
                os.link(store, old)  # both names are whole at every moment
                flush(old.parent)
            else:
                copy(store, old)
        reached("before the exchange")
        # The log of the old file must not be taken for one of the new.
        for more in ("-wal", "-shm"):
            store.with_name(store.name + more).unlink(missing_ok=True)
        os.replace(fresh, store)
        flush(store.parent)
    except OSError as exc:
        raise StoreError(f"cannot replace {store}: {exc}") from exc
    finally:
        if held is not None:
            os.close(held)
    return found, old


def backup_server(
    server: Postgres, target: pathlib.Path, reached: Reached | None = None
) -> Mapping[str, int]:
    """Copy what is in *server*, while a bot uses it or not, to the file *target*; return its tables' row counts.

    Raises:
        StoreError: It cannot be reached or written, or is no store of qqops.
    """
    from qqops.runtime.storage.portable import copy_out

    version = server.version()
    if version is None:
        raise StoreError(f"there is no store in {server.name}")
    return server.copied(lambda reader: copy_out(reader, target, reached, version))


def restore_server(source: pathlib.Path, server: Postgres) -> tuple[Mapping[str, int], pathlib.Path]:
    """Put the rows of *source* in the place of all in *server*; return their counts and where the old ones are now.

    Raises:
        StoreError: A bot works there, or *source* is damaged, no store, or of a later qqops.
    """
    from qqops.runtime.storage.portable import rows_of

    if not source.exists():
        raise StoreError(f"there is no file {source}")
    verify(source)
    _check_layout(source)
    server.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=server.folder) as folder:
        fresh = DataFile(pathlib.Path(folder) / "fresh.db", StorePolicy())
        copy(source, fresh.path)
        fresh.open()  # it may be of an older layout
        fresh.end()
        server.open()
        try:
            old = _free_name(server.folder / "qqops.db")
            backup_server(server, old)
            server.write(rows_of(fresh.path), wait=True)
        except RowError as exc:
            raise StoreError(f"cannot restore {source}: {exc}") from exc
        finally:
            server.end()
        return verify(fresh.path), old


def _settle(store: pathlib.Path) -> bool:
    """Bring what stands in the log of *store* into the file itself; return whether it can be kept alone then.

    Who reads it is in the way. A file that is damaged has no log that is worth anything.
    """
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(store)) as connection:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    return True


def _check_layout(source: pathlib.Path) -> None:
    try:
        with contextlib.closing(reader(source)) as connection:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as exc:
        raise StoreError(f"{source} is not a store of qqops") from exc
    if row is None or str(row[0]) > HEAD:
        raise StoreError(f"{source} has layout {row and row[0]}, this qqops knows up to {HEAD}: update qqops")


def _free_name(store: pathlib.Path) -> pathlib.Path:
    number = 1
    while (found := store.with_name(f"{store.name}.replaced.{number}")).exists():
        number += 1
    return found
