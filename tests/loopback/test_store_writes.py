"""How the store writes: on the spot where that does not wait, in its thread where it may; in order, and no row for another's fault."""

import contextlib
import sqlite3
import threading

import pytest
import trio
import trio.testing

from qqops.errors import StoreError
from qqops.model import AccountRef, Draft, RoomKind, RoomRef
from qqops.runtime.clock import WallClock
from qqops.runtime.storage import datafile, store
from qqops.runtime.storage import statements as sql
from qqops.runtime.storage.datafile import StorePolicy
from qqops.runtime.storage.journal import Journal, JournalPolicy
from qqops.runtime.storage.postgres import Postgres
from qqops.runtime.storage.store import Store

ROOM = RoomRef(AccountRef("memory", "x"), RoomKind.GROUP, "g")


def row(number, draft="{}"):
    return number, "a", "", "", 0.0, draft, 0


def ids(connection):
    return [number for (number,) in connection.execute("SELECT id FROM outbound ORDER BY id").fetchall()]


@pytest.fixture(params=["normal", "full", "postgres"])
def place(request, tmp_path):
    """Where the store keeps its rows, and how."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").database()
        return Postgres(url, tmp_path), None
    return tmp_path / "q.db", StorePolicy(synchronous=request.param)


@contextlib.asynccontextmanager
async def running(place, policy=None):
    """Yield a store that is open, and the points that it passes: with True where its thread does it."""
    points = []

    def reached(point):
        points.append((point, in_thread()))

    if isinstance(place, Postgres):
        place.reached = reached
    made = Store(place, policy, reached=reached)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        await made.opened.wait()
        points.clear()
        yield made, points
        nursery.cancel_scope.cancel()


def in_thread():
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return True
    return False


def transactions(points):
    return [threaded for point, threaded in points if point == "before the transaction"]


@pytest.mark.parametrize(("synchronous", "threaded"), [("normal", False), ("full", True)])
async def test_only_what_does_not_wait_for_the_platter_is_written_on_the_spot(
    tmp_path, synchronous, threaded
):
    async with running(tmp_path / "q.db", StorePolicy(synchronous=synchronous)) as (made, points):
        writes = [made.write(sql.QUEUE, row(n)) for n in range(5)]
        assert await writes[0].wait()
        assert transactions(points) == [threaded]
        assert all(one.done for one in writes), "what was queued goes along"


async def test_what_is_much_at_once_is_left_to_the_thread(tmp_path):
    async with running(tmp_path / "q.db") as (made, points):
        assert await made.write_all([(sql.QUEUE, row(n)) for n in range(store.MAX_PARTS + 1)]).wait()
        assert await made.write(sql.QUEUE, row(1000)).wait()
        assert transactions(points) == [True, False]


async def test_a_file_that_was_taken_away_is_not_made_again_by_tidying_up(tmp_path):
    async with running(tmp_path / "q.db") as (made, _):
        (tmp_path / "q.db").unlink()
        await trio.to_thread.run_sync(made.file.checkpoint)
        assert not (tmp_path / "q.db").exists()


async def test_what_nobody_waits_for_goes_along_or_soon(tmp_path):
    async with running(tmp_path / "q.db") as (made, points):
        made.write(sql.QUEUE, row(1))
        with trio.fail_after(5):
            while not points:
                await trio.sleep(0.001)
        assert await made.read(ids) == [1]


async def test_who_waits_at_the_same_time_shares_a_transaction(tmp_path):
    async with running(tmp_path / "q.db") as (made, points):
        async with trio.open_nursery() as nursery:
            for n in range(50):
                nursery.start_soon(lambda n=n: made.write(sql.QUEUE, row(n)).wait())
        assert len(transactions(points)) <= 2
        assert await made.read(ids) == list(range(50))


async def test_a_transaction_that_fails_on_the_spot_is_left_to_the_thread(tmp_path, monkeypatch):
    monkeypatch.setattr(datafile, "BUSY_MS", 20_000)
    path = tmp_path / "q.db"
    async with running(path) as (made, points):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                first = made.write(sql.QUEUE, row(1))
                nursery.start_soon(first.wait)
                while True not in transactions(points):
                    await trio.sleep(0.001)
                assert not first.done, "the loop goes on meanwhile"
                second = made.write(sql.QUEUE, row(2))
                other.execute("COMMIT")
        assert await second.wait()
        points.clear()
        assert await made.write(sql.QUEUE, row(3)).wait()
        assert transactions(points) == [False], "and then it is quick again"
        assert await made.read(ids) == [1, 2, 3]


async def test_a_slow_disk_gets_the_thread_for_a_while(tmp_path, monkeypatch):
    async with running(tmp_path / "q.db") as (made, points):
        monkeypatch.setattr(store, "SLOW", -1.0)
        assert await made.write(sql.QUEUE, row(1)).wait()
        assert await made.write(sql.QUEUE, row(2)).wait()
        assert transactions(points) == [False, True]
        monkeypatch.setattr(store, "SLOW", 1000.0)
        made._slow = trio.current_time() - 1
        assert await made.write(sql.QUEUE, row(3)).wait()
        assert transactions(points) == [False, True, False]


@pytest.mark.parametrize("bad", [row(2, "\ud800"), row(2**70), row(2, object()), row(1), (2,)])
async def test_a_row_that_cannot_be_written_costs_that_row(place, capsys, bad):
    async with running(*place) as (made, _):
        writes = [made.write(sql.QUEUE, row(1)), made.write(sql.QUEUE, bad), made.write(sql.QUEUE, row(3))]
        assert [await one.wait() for one in writes] == [True, False, True]
        assert await made.read(ids) == [1, 3]
        assert not made.failing
        assert await made.write(sql.QUEUE, row(4)).wait()
    assert capsys.readouterr().out.count("something cannot be written, and is left out") == 1


async def test_what_belongs_together_goes_together_when_one_part_is_at_fault(place):
    async with running(*place) as (made, _):
        one = made.write_all([(sql.QUEUE, row(1)), (sql.QUEUE, row(2, "\ud800"))], kept=False)
        assert not await one.wait()
        assert await made.read(ids) == []


async def test_a_reader_does_not_bring_what_comes_later_before_what_failed(place):
    """The row is there before it is changed, however often the disk fails and whoever looks meanwhile."""
    async with running(*place) as (made, _):
        real, fails = made.file.write, [True, True]

        def write(parts, *, wait):
            if fails and fails.pop():
                raise StoreError("the disk is full")
            real(parts, wait=wait)

        made.file.write = write
        made.write(sql.QUEUE, row(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.read, ids)
            while made._queue:
                await trio.lowlevel.checkpoint()
            made.write(sql.LAND, (3, 1))
            nursery.start_soon(made.read, ids)
        while made.failing:
            await trio.sleep(0.01)
        done = await made.read(lambda connection: connection.execute("SELECT done FROM outbound").fetchall())
        assert done == [(3,)]


async def test_who_was_told_that_nothing_was_stored_can_rely_on_it(place):
    async with running(*place) as (made, _):
        real, fails = made.file.write, [True, True, True]

        def write(parts, *, wait):
            if fails and fails.pop():
                raise StoreError("the disk is full")
            real(parts, wait=wait)

        made.file.write = write
        kept = made.write(sql.QUEUE, row(1))
        told = made.write_all([(sql.QUEUE, row(2))], kept=False)
        assert not await told.wait()
        assert not await kept.wait()
        assert not await made.write_all([(sql.QUEUE, row(3))], kept=False).wait()
        while made.failing:
            await trio.sleep(0.01)
        assert await made.read(ids) == [1]


async def test_while_it_cannot_be_written_it_is_read_at_once_and_stays_in_that_state(place):
    """What writes nothing finds room on a full disk: it proves nothing."""
    async with running(*place) as (made, _):
        assert await made.write(sql.QUEUE, row(1)).wait()
        real, full, tried = made.file.write, True, []

        def write(parts, *, wait):
            listed = list(parts)
            tried.append(listed)
            if full and listed:
                raise StoreError("the disk is full")
            real(listed, wait=wait)

        made.file.write = write
        assert not await made.write_all([(sql.QUEUE, row(2))], kept=False).wait()
        before = len(tried)
        for _ in range(5):
            assert await made.read(ids) == [1]
        assert len(tried) <= before + 1, "readers try nothing"
        while len(tried) < before + 3:
            await trio.sleep(0.01)
        assert made.failing
        full = False
        while made.failing:
            await trio.sleep(0.01)


async def test_the_log_beside_the_file_stays_small(tmp_path):
    async with running(tmp_path / "q.db") as (made, points):
        for n in range(20_000):
            made.write(sql.QUEUE, row(n, "x" * 500))
            made.write(sql.UNQUEUE, (n,))
            if n % 100 == 0:
                await made.write(sql.FLY, (n,)).wait()
                await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            while ("after a checkpoint beside", True) not in points:
                await trio.sleep(0.01)
        assert (tmp_path / "q.db-wal").stat().st_size < 16 * 1024 * 1024


# -- the journal ------------------------------------------------------------------------------------


async def queued(made):
    journal = Journal(made, WallClock(), JournalPolicy())
    number = journal.queued(ROOM.account, Draft.of(ROOM, "hello"), "p", "m")
    return journal, number


def flying(connection):
    return connection.execute("SELECT flying, done FROM outbound").fetchall()


async def test_a_row_that_is_not_written_yet_says_at_once_that_it_flies(tmp_path):
    async with running(tmp_path / "q.db") as (made, points):
        journal, number = await queued(made)
        assert len(made._queue) == 1
        await journal.flying([number])
        assert transactions(points) == [False]
        assert await made.read(flying) == [(1, 0)]


async def test_a_row_that_is_being_written_is_not_changed(tmp_path):
    """It flies only when the disk says so: what the thread has in its hands is as it was when it took it."""
    inside, on = threading.Event(), threading.Event()

    def reached(point):
        if point == "inside the transaction":
            inside.set()
            on.wait(20)

    made = Store(tmp_path / "q.db", StorePolicy(synchronous="full"), reached=reached)
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        await made.opened.wait()
        journal, number = await queued(made)
        nursery.start_soon(made.settled, made._queue[0])
        while not inside.is_set():
            await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as waiting:
            waiting.start_soon(journal.flying, [number])
            await trio.testing.wait_all_tasks_blocked()
            on.set()
        assert await made.read(flying) == [(1, 0)]
        nursery.cancel_scope.cancel()
