"""``qqops backup`` and ``qqops restore``."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Mapping

from qqops.assemble import STORE
from qqops.cli import exits
from qqops.errors import StoreError
from qqops.runtime.storage import backup as files
from qqops.settings import load_settings


def backup(config: pathlib.Path, file: pathlib.Path) -> int:
    """Copy the store of *config* to *file*; return the exit code. Raises `ConfigError`."""
    try:
        rows = files.backup(_store(config), file)
    except StoreError as exc:
        print(f"qqops: {exc}", file=sys.stderr)
        return exits.FAILED
    print(f"{file}: {_shown(rows)}")
    return exits.OK


def restore(config: pathlib.Path, file: pathlib.Path) -> int:
    """Put *file* in the place of the store of *config*; return the exit code. Raises `ConfigError`."""
    store = _store(config)
    try:
        rows, old = files.restore(file, store)
    except StoreError as exc:
        print(f"qqops: {exc}", file=sys.stderr)
        return exits.FAILED
    print(f"{store}: {_shown(rows)}")
    if old is not None:
        print(f"the old one is now / 原文件现为 {old}")
    return exits.OK


def _store(config: pathlib.Path) -> pathlib.Path:
    settings, _ = load_settings(config, os.environ)
    return config.parent / settings.bot.data / STORE


def _shown(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in rows.items() if name != "alembic_version")
