"""``qqops backup`` and ``qqops restore``."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qqops.assemble import database
from qqops.cli import exits
from qqops.errors import StoreError
from qqops.runtime.storage import backup as files
from qqops.runtime.storage.advice import advice
from qqops.settings import load_settings

if TYPE_CHECKING:
    from qqops.runtime.storage.postgres import Postgres


def backup(config: pathlib.Path, file: pathlib.Path) -> int:
    """Copy the store of *config* to *file*; return the exit code. Raises `ConfigError`."""
    store = _store(config)
    try:
        if isinstance(store, pathlib.Path):
            rows = files.backup(store, file)
        else:
            rows = files.backup_server(store, file)
    except StoreError as exc:
        return _failed(exc)
    print(f"{file}: {_shown(rows)}")
    return exits.OK


def restore(config: pathlib.Path, file: pathlib.Path) -> int:
    """Put *file* in the place of the store of *config*; return the exit code. Raises `ConfigError`."""
    store = _store(config)
    old: pathlib.Path | None
    try:
        if isinstance(store, pathlib.Path):
            rows, old = files.restore(file, store)
        else:
            rows, old = files.restore_server(file, store)
    except StoreError as exc:
        return _failed(exc)
    print(f"{store if isinstance(store, pathlib.Path) else store.name}: {_shown(rows)}")
    if old is not None:
        print(f"the old one is now / 原文件现为 {old}")
    return exits.OK


def _failed(exc: StoreError) -> int:
    print(f"qqops: {exc}", file=sys.stderr)
    if hint := advice(str(exc)):
        print(f"  → {hint}", file=sys.stderr)
    return exits.FAILED


def _store(config: pathlib.Path) -> pathlib.Path | Postgres:
    settings, _ = load_settings(config, os.environ)
    return database(settings, config.parent / settings.bot.data)


def _shown(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in rows.items() if name != "alembic_version")
