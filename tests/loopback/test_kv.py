"""A plugin's values: the same in memory and in a file."""

import contextlib
import datetime
import enum
import sqlite3

import attrs
import pytest
import trio

from qqops.errors import StoreError
from qqops.runtime.storage.keep import MemoryKeep, StoredKeep
from qqops.runtime.storage.kv import KV, MemoryRows, StoredRows
from qqops.runtime.storage.postgres import Postgres
from qqops.runtime.storage.store import Store


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Flag:
    name: str
    on: bool = False
    since: datetime.datetime | None = None


class Clock:
    def __init__(self):
        self.moment = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)

    def now(self):
        return self.moment

    def later(self, seconds):
        self.moment += datetime.timedelta(seconds=seconds)


class Place:
    """Where values are kept: memory or a database, which *make* returns anew for each start."""

    def __init__(self, make):
        self.make = make
        self.clock = Clock()
        self.memory = MemoryRows()

    @contextlib.asynccontextmanager
    async def rows(self):
        if self.make is None:
            yield self.memory
            return
        file = Store(self.make())
        async with trio.open_nursery() as nursery:
            await nursery.start(file.run)
            try:
                yield StoredRows(file)
            finally:
                nursery.cancel_scope.cancel()

    @contextlib.asynccontextmanager
    async def store(self, namespace="deploy"):
        async with self.rows() as rows:
            yield KV(namespace, rows, self.clock)


@pytest.fixture(params=["memory", "file", "postgres"])
def place(request, tmp_path):
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").database()
        return Place(lambda: Postgres(url, tmp_path))
    return Place((lambda: tmp_path / "q.db") if request.param == "file" else None)


VALUES = [
    (7, int), (2.5, float), ("中文 ☃", str), (True, bool), (None, int | None), ([1, 2], list[int]),
    ({"a": [1]}, dict[str, list[int]]), (Colour.RED, Colour), (Flag("a", True), Flag),
    ([Flag("b", since=datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC))], list[Flag]),
    (b"\0\xff", bytes), (datetime.timedelta(minutes=3), datetime.timedelta), ((1, "x"), tuple[int, str]),
    ({"any": [1, None]}, object),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind"), VALUES, ids=[str(kind) for _, kind in VALUES])
async def test_what_is_put_comes_back_with_its_type_also_after_a_restart(place, value, kind):
    async with place.store() as store:
        await store.put("key", value)
        assert await store.get("key", kind) == value
    async with place.store() as store:
        assert await store.get("key", kind) == value
        assert await store.get("other", kind, "default") == "default"


async def test_plugins_do_not_see_each_other(place):
    async with place.rows() as rows:
        mine, other = KV("mine", rows, place.clock), KV("other", rows, place.clock)
        await mine.put("key", 1)
        assert await other.get("key", int) is None
        assert await other.scan(int) == []
        await other.delete("key")
        assert await mine.get("key", int) == 1


async def test_scan_is_by_prefix_in_order_and_literal(place):
    async with place.store() as store:
        for key in ("b:2", "a", "b:1", "B:3", "b%", "b_x", "中:1", "c"):
            await store.put(key, key)
        assert [key for key, _ in await store.scan(str, "b")] == ["b%", "b:1", "b:2", "b_x"]
        assert [key for key, _ in await store.scan(str, "b_")] == ["b_x"]
        assert [key for key, _ in await store.scan(str, "b%")] == ["b%"]
        assert len(await store.scan(str)) == 8
        await store.delete("b:1")
        await store.delete("b:1")
        assert await store.scan(str, "b:") == [("b:2", "b:2")]


async def test_what_has_expired_is_gone_and_can_be_put_again(place):
    async with place.store() as store:
        await store.put("short", 1, ttl=10)
        await store.put("long", 1, ttl=datetime.timedelta(hours=1))
        place.clock.later(10)
        assert await store.get("short", int) is None
        assert [key for key, _ in await store.scan(int)] == ["long"]
        await store.put("short", 2)
        place.clock.later(86400)
        assert await store.get("short", int) == 2


async def test_expired_rows_are_deleted_from_the_file(tmp_path):
    place = Place(lambda: tmp_path / "q.db")
    async with place.store() as store:
        await store.put("old", 1, ttl=1)
    place.clock.later(2)
    async with place.store() as store:
        await store.put("new", 1, ttl=1)
    with contextlib.closing(sqlite3.connect(place.make())) as connection:
        assert connection.execute("SELECT key FROM kv").fetchall() == [("new",)]


async def test_a_transaction_is_stored_as_a_whole_or_not_at_all(place):
    async with place.store() as store:
        async with store.transaction() as inside:
            inside.put("a", 1)
            inside.put("b", 2)
            inside.delete("b")
            assert await inside.get("a", int) == 1
            assert await inside.get("b", int) is None
            assert await inside.scan(int) == [("a", 1)]
            assert await store.get("a", int) is None
        assert await store.scan(int) == [("a", 1)]
        with contextlib.suppress(ZeroDivisionError):
            async with store.transaction() as inside:
                inside.put("a", 9)
                1 / 0  # noqa: B018
        assert await store.get("a", int) == 1


async def test_no_update_is_lost_between_transactions_and_puts(place):
    async with place.store() as store:
        await store.put("n", 0)

        async def add():
            async with store.transaction() as inside:
                inside.put("n", await inside.get("n", int, 0) + 1)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(add)
                nursery.start_soon(store.put, f"other{number}", number)
        assert await store.get("n", int) == 20
        assert len(await store.scan(int, "other")) == 20


async def test_a_put_inside_the_own_transaction_is_an_error_and_no_deadlock(place):
    async with place.store() as store:
        with pytest.raises(RuntimeError):
            async with store.transaction():
                await store.put("a", 1)
        await store.put("a", 2)


async def test_cancelling_a_transaction_leaves_nothing(place):
    async with place.store() as store:
        with trio.CancelScope() as scope:
            async with store.transaction() as inside:
                inside.put("a", 1)
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert await store.scan(int) == []
        await store.put("a", 2)


@pytest.mark.parametrize("kind", [str, bool, float | None, list[int], Flag, Colour, datetime.datetime])
async def test_a_value_of_another_type_is_a_clear_error(place, kind):
    async with place.store() as store:
        await store.put("key", {"x": 1})
        with pytest.raises(StoreError, match="deploy: 'key'"):
            await store.get("key", kind)


@pytest.mark.parametrize("key", ["", "x" * 401])
async def test_a_key_has_bounds(place, key):
    async with place.store() as store:
        with pytest.raises(ValueError, match="key"):
            await store.put(key, 1)
        with pytest.raises(ValueError, match="key"):
            await store.get(key, int)


async def test_what_cannot_be_stored_is_named(place):
    async with place.store() as store:
        with pytest.raises(TypeError, match="'key' cannot be stored"):
            await store.put("key", object())
        with pytest.raises(StoreError, match="larger than"):
            await store.put("key", "x" * 1_048_577)


async def test_a_store_that_is_held_lets_wait_and_one_that_is_closed_refuses(place):
    async with place.store() as store:
        store.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.put, "a", 1)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await store._rows.get("deploy", "a", 0) is None
            store.release()
        assert await store.get("a", int) == 1
        store.release("its data is of a later version")
        with pytest.raises(StoreError, match="later version"):
            await store.get("a", int)


async def test_a_failed_put_is_not_stored_later(tmp_path):
    place = Place(lambda: tmp_path / "folder" / "q.db")
    (tmp_path / "folder").write_text("")
    async with place.store() as store:
        with pytest.raises(StoreError, match="nothing was stored"):
            await store.put("a", 1)
        with pytest.raises(StoreError):
            await store.get("a", int)
        (tmp_path / "folder").unlink()
        while store._rows._file.failing:
            await trio.sleep(0.05)
        assert await store.get("a", int) is None
        await store.put("b", 1)
        assert await store.scan(int) == [("b", 1)]


async def test_a_store_that_nobody_needs_is_not_opened(tmp_path):
    file = Store(tmp_path / "q.db")
    file.eager = False
    async with trio.open_nursery() as nursery:
        await nursery.start(file.run)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not (tmp_path / "q.db").exists()
        assert StoredKeep(file, "core:x").load() == {}
        store = KV("a", StoredRows(file), Clock())
        assert await store.get("a", int) is None
        assert (tmp_path / "q.db").exists()
        nursery.cancel_scope.cancel()


# -- what the core keeps ---------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def keep_of(place, name="core:roles"):
    if place.make is None:
        place.keep = getattr(place, "keep", MemoryKeep())
        yield place.keep
        return
    file = Store(place.make())
    keep = StoredKeep(file, name)
    keep.found = keep.load()
    async with trio.open_nursery() as nursery:
        await nursery.start(file.run)
        yield keep
        nursery.cancel_scope.cancel()


async def test_the_core_finds_what_it_has_kept(place):
    async with keep_of(place) as keep:
        keep.save("a", {"x": [1, "中"]})
        keep.save("b", 1)
        keep.save("a", 2)
        keep.delete("b")
        keep.save("c", None)
        assert await keep.safe()
        assert keep.load() == {"a": 2, "c": None}
    async with keep_of(place) as keep:
        assert keep.load() == {"a": 2, "c": None}


async def test_what_is_read_is_a_copy_of_its_own(place):
    async with keep_of(place) as keep:
        keep.save("a", (1, 2))
        await keep.safe()
        read = keep.load()
        assert read == {"a": [1, 2]}
        read["a"].append(3)
        assert keep.load() == {"a": [1, 2]}


async def test_what_cannot_be_read_is_an_error_and_not_nothing(tmp_path):
    (tmp_path / "q.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError):
        StoredKeep(Store(tmp_path / "q.db"), "core:roles").load()


@pytest.mark.parametrize("key", ["a\0b", "\ud800", "", "x" * 401])
async def test_a_key_that_no_database_takes_is_refused(place, key):
    async with place.store() as store:
        for call in (store.put(key, 1), store.get(key, int), store.delete(key)):
            with pytest.raises(ValueError):
                await call
