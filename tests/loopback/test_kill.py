"""A process that is killed at any point has lost nothing that a call had returned for."""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import sqlite3

import pytest

from qqops.cli.main import main
from qqops.errors import StoreError
from qqops.runtime.clock import WallClock
from qqops.runtime.storage.backup import backup, restore
from qqops.runtime.storage.copies import verify
from qqops.runtime.storage.datafile import lock
from qqops.runtime.storage.keep import StoredKeep
from qqops.runtime.storage.kv import KV, StoredRows
from qqops.runtime.storage.store import Store

VICTIM = pathlib.Path(__file__).with_name("_victim.py")


@pytest.fixture
def killed(forks):
    return functools.partial(_killed, forks)


def _killed(forks, mode, folder, point, times=1):
    """Run the victim until it kills itself; return the last number that a call had returned for."""
    run = forks.run(VICTIM, mode, folder, env={"POINT": point, "TIMES": str(times)})
    assert run.returncode == -signal.SIGKILL, run.stderr
    lines = [line for line in run.stdout.splitlines() if line.isdigit()]
    return int(lines[-1]) if lines else -1


async def found(path):
    import trio

    file = Store(path)
    kept = StoredKeep(file, "core:victim").load()
    async with trio.open_nursery() as nursery:
        await nursery.start(file.run)
        store = KV("victim", StoredRows(file), WallClock())
        values = [await store.get(key, int, -1) for key in "ab"]
        await store.put("after", 1)
        assert not file.failing
        nursery.cancel_scope.cancel()
    verify(path)
    return (*values, kept.get("n", -1))


POINTS = [
    ("plain", "before the transaction", 1), ("plain", "before the transaction", 17), ("plain", "inside the transaction", 1),
    ("plain", "inside the transaction", 18), ("plain", "after the transaction", 19), ("plain", "before the checkpoint", 1),
    ("plain", "after the checkpoint", 1), ("checkpoint", "after the transaction", 21), ("plain", "before the migration", 1),
    ("plain", "inside the migration", 1), ("plain", "after the migration", 1), ("snapshot", "inside the copy", 1),
    ("snapshot", "before the copy appears", 1), ("snapshot", "after the copy", 1), ("backup", "inside the copy", 1),
    ("backup", "before the copy appears", 1), ("migrate", "inside the copy", 1), ("migrate", "before the transaction", 41),
    ("migrate", "inside the transaction", 41), *(("plain", "after a table", n) for n in range(1, 10)), *(("steps", "after a statement", n) for n in range(1, 10)),
    ("steps", "before the migration", 1), ("steps", "inside the migration", 1), ("steps", "after the migration", 1),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "point", "times"), POINTS)
async def test_nothing_is_lost_that_a_call_had_returned_for(tmp_path, killed, mode, point, times):
    if mode == "steps":
        await found(tmp_path / "q.db")
        older(tmp_path / "q.db")
    returned = killed(mode, tmp_path, point, times)
    a, b, kept = await found(tmp_path / "q.db")
    assert a == b, "a transaction is there as a whole or not at all"
    assert a in (returned, returned + 1)
    assert kept in (returned, returned + 1)
    for copied in tmp_path.glob("*.db*.1"):
        verify(copied)


async def test_a_restore_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path, killed):
    assert killed("backup", tmp_path, "before the checkpoint") == 19
    shutil.copy(tmp_path / "q.db", tmp_path / "old.db")
    killed("restore", tmp_path, "before the exchange")
    assert (await found(tmp_path / "q.db"))[0] == 19
    verify(tmp_path / "q.db.replaced.1")
    rows, old = restore(tmp_path / "copy.db", tmp_path / "q.db")
    assert rows["kv"] == 3
    assert old == tmp_path / "q.db.replaced.2"
    assert (await found(tmp_path / "q.db"))[0] == 19


async def test_a_restore_keeps_all_of_the_old_file_also_while_somebody_reads_it(tmp_path, killed):
    killed("plain", tmp_path, "after the transaction", 19)
    with contextlib.closing(sqlite3.connect(tmp_path / "q.db", isolation_level=None)) as reading:
        reading.execute("BEGIN")
        rows = reading.execute("SELECT count(*) FROM kv").fetchone()[0]
        backup(tmp_path / "q.db", tmp_path / "whole.db")
        with contextlib.closing(sqlite3.connect(tmp_path / "q.db")) as writing, writing:
            writing.execute("INSERT INTO kv VALUES ('victim', 'newest', '1', NULL)")
        _, old = restore(tmp_path / "whole.db", tmp_path / "q.db")
    assert verify(old)["kv"] == rows + 1


def older(path):
    """Take back what the last two steps have made."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE kv")
        for column in ("name", "kind", "start"):
            connection.execute(f"ALTER TABLE inbound DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = '0002'")


async def test_a_layout_of_an_earlier_version_is_copied_before_it_is_changed(tmp_path):
    path = tmp_path / "q.db"
    await found(path)
    older(path)
    await found(path)
    assert "kv" not in verify(tmp_path / "q.db.layout-0002.1")


# -- the commands ----------------------------------------------------------------------------------------------


async def test_backup_and_restore_by_the_command_line(tmp_path, capsys):
    config = tmp_path / "bot.toml"
    config.write_text('[bot]\ndata = "data"\n')
    store, copied = tmp_path / "data" / "qqops.db", tmp_path / "copy.db"
    assert main(["backup", str(copied), "-c", str(config)]) == 1
    assert "there is no store" in capsys.readouterr().err
    store.parent.mkdir()
    await found(store)
    assert main(["backup", str(copied), "-c", str(config)]) == 0
    assert "kv 1" in capsys.readouterr().out
    assert copied.stat().st_mode & 0o077 == 0
    held = lock(store, shared=True)
    assert main(["restore", str(copied), "-c", str(config)]) == 1
    assert "in use by a running bot" in capsys.readouterr().err
    os.close(held)
    assert main(["restore", str(copied), "-c", str(config)]) == 0
    assert "qqops.db.replaced.1" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no database at all" * 99, b"SQLite format 3\0" + b"x" * 4096])
async def test_what_is_no_backup_is_refused_and_the_store_stays(tmp_path, content):
    store, bad = tmp_path / "q.db", tmp_path / "bad.db"
    await found(store)
    before = store.read_bytes()
    bad.write_bytes(content)
    with pytest.raises(StoreError, match=r"bad\.db"):
        restore(bad, store)
    assert store.read_bytes() == before
    with pytest.raises(StoreError, match="the store itself"):
        backup(store, store)
