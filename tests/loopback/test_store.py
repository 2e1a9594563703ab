"""The store on a real disk: what is written survives, and a disk that fails is a state."""

import contextlib
import gc
import os
import pathlib
import resource
import shutil
import sqlite3
import stat

import alembic.command
import alembic.config
import pytest
import sqlalchemy
import trio

from qqops.errors import StoreError
from qqops.runtime import storage
from qqops.runtime.storage import copies
from qqops.runtime.storage.layout import HEAD
from qqops.runtime.storage.statements import QUEUE as INSERT
from qqops.runtime.storage.store import Store


def row(number):
    return number, "a", "", "", 0.0, "{}", 0


def ids(connection):
    return [number for (number,) in connection.execute("SELECT id FROM outbound ORDER BY id")]


async def with_store(path, use):
    store = Store(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        result = await use(store)
        nursery.cancel_scope.cancel()
    return result


async def test_what_was_waited_for_is_on_the_disk_and_private(tmp_path):
    path = tmp_path / "new" / "qqops.db"

    async def use(store):
        writes = [store.write(INSERT, row(n)) for n in range(100)]
        assert await writes[-1].wait()
        return await store.read(ids)

    assert await with_store(path, use) == list(range(100))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await with_store(path, lambda store: store.read(ids)) == list(range(100))


async def test_what_was_only_queued_is_written_at_the_end(tmp_path):
    async def use(store):
        store.write(INSERT, row(1))

    await with_store(tmp_path / "q.db", use)
    assert await with_store(tmp_path / "q.db", lambda store: store.read(ids)) == [1]


async def test_a_row_that_is_there_already_does_not_cost_the_others(tmp_path):
    async def use(store):
        first = store.write(INSERT, row(1))
        second = store.write(INSERT, row(1))
        third = store.write(INSERT, row(2))
        assert await first.wait()
        assert not await second.wait()
        assert await third.wait()
        assert not store.failing
        return await store.read(ids)

    assert await with_store(tmp_path / "q.db", use) == [1, 2]


async def test_a_full_disk_is_a_state_and_nothing_is_lost_when_it_has_room_again(tmp_path):
    async def use(store):
        assert await store.write(INSERT, row(1)).wait()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
        try:
            assert not await store.write(INSERT, row(2)).wait()
            assert store.failing
            assert not await store.write(INSERT, row(3)).wait(), "nobody waits for a disk that is full"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        while store.failing:
            await trio.sleep(0.05)
        return await store.read(ids)

    assert await with_store(tmp_path / "q.db", use) == [1, 2, 3]


@pytest.mark.parametrize("content", [b"this is not a database", b"SQLite format 3\0" + b"x" * 5000])
async def test_a_corrupt_file_is_a_state_and_left_alone(tmp_path, content):
    path = tmp_path / "q.db"
    path.write_bytes(content)

    async def use(store):
        await store.opened.wait()
        assert store.failing
        assert not await store.write(INSERT, row(1)).wait()
        with pytest.raises(StoreError, match=r"q\.db"):
            await store.read(ids)

    await with_store(path, use)
    assert path.read_bytes() == content


async def test_a_file_of_a_later_version_is_not_touched(tmp_path):
    path = tmp_path / "q.db"
    await with_store(path, lambda store: store.opened.wait())
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    async def use(store):
        await store.opened.wait()
        assert "9999" in store.failing
        assert "update qqops" in store.failing

    await with_store(path, use)


def make(path, revision):
    """Make a file as the version of qqops did that knew up to *revision*."""
    folder = pathlib.Path(storage.__file__).with_name("migrations")
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(folder))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


async def test_a_file_of_the_first_layout_is_brought_to_the_newest(tmp_path):
    path = tmp_path / "q.db"
    make(path, "0001")
    row = "INSERT INTO inbound (id, account, room, message, handler, state, at) VALUES (?, 'a', 'r', 'm', 'h', ?, 1.0)"
    with sqlite3.connect(path) as connection:
        connection.executemany(row, [(1, 0), (2, 1), (3, 2)])

    def starts(connection):
        return connection.execute("SELECT id, starts FROM inbound ORDER BY id").fetchall()

    assert await with_store(path, lambda store: store.read(starts)) == [(1, 0), (2, 1), (3, 0)]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (HEAD,)


def layout(path):
    """Return all there is to know of the tables in a file, whatever words they were made with."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        made = "SELECT type, name FROM sqlite_master ORDER BY type, name"
        look = {"table": "table_xinfo", "index": "index_xinfo"}
        return {
            (kind, name): sorted(connection.execute(f"PRAGMA {look[kind]}({name})"))
            for kind, name in connection.execute(made).fetchall()
        } | {"version": connection.execute("SELECT version_num FROM alembic_version").fetchall()}


async def test_the_steps_lead_to_the_layout_of_a_new_file(tmp_path):
    await with_store(tmp_path / "new.db", lambda store: store.opened.wait())
    make(tmp_path / "steps.db", "head")
    assert layout(tmp_path / "new.db") == layout(tmp_path / "steps.db")


async def test_a_file_that_another_process_holds_is_waited_for(tmp_path):
    path = tmp_path / "q.db"

    async def use(store):
        assert await store.write(INSERT, row(1)).wait()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        held = store.write(INSERT, row(2))
        await trio.sleep(0.1)
        assert not held.done
        other.execute("COMMIT")
        other.close()
        assert await held.wait()
        return await store.read(ids)

    assert await with_store(path, use) == [1, 2]


async def test_a_folder_that_cannot_be_made_is_a_state(tmp_path):
    (tmp_path / "file").write_text("")

    async def use(store):
        await store.opened.wait()
        return store.failing

    assert "cannot open" in await with_store(tmp_path / "file" / "q.db", use)


async def test_nothing_stays_open(tmp_path):
    async def use(store):
        await store.write(INSERT, row(1)).wait()

    await with_store(tmp_path / "q.db", use)
    gc.collect()  # what other tests have left is not counted
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await with_store(tmp_path / "q.db", use)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
async def test_what_a_killed_process_has_left_is_cleared_up_by_whoever_reads_next(tmp_path, mode):
    """The file and what lies beside it, in the middle of a transaction: it is rolled back, what was there before stays."""
    running, left = tmp_path / "running" / "q.db", tmp_path / "left" / "q.db"
    running.parent.mkdir()
    with contextlib.closing(sqlite3.connect(running, isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode={mode}")
        writer.execute("PRAGMA cache_size=1")  # so that an open transaction reaches the disk
        writer.execute("CREATE TABLE kv (namespace TEXT, key TEXT, value TEXT, expires REAL)")
        writer.execute("INSERT INTO kv VALUES ('n', 'k', 'old', NULL)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE kv SET value = 'new'")
        writer.executemany(
            "INSERT INTO kv VALUES ('n', ?, ?, NULL)", [(str(n), "x" * 2000) for n in range(50)]
        )
        left.parent.mkdir()
        for file in running.parent.iterdir():
            if not file.name.endswith("-shm"):  # the system's memory, not the disk
                shutil.copy(file, left.parent / file.name)
    assert len(list(left.parent.iterdir())) == 2
    assert copies.peek(left, "n") == {"k": "old"}
    assert copies.copy(left, tmp_path / "copy.db") == {"kv": 1}
