"""The store in a real PostgreSQL server: one bot at a time, connections that break at the worst moment, states with a fix."""

import contextlib
import threading

import psycopg
import pytest
import trio

from qqops.errors import ConfigError, StoreError
from qqops.model import AccountRef, Draft, RoomKind, RoomRef
from qqops.runtime.clock import WallClock
from qqops.runtime.storage import layout
from qqops.runtime.storage import postgres as module
from qqops.runtime.storage import statements as sql
from qqops.runtime.storage.backup import backup_server, restore_server
from qqops.runtime.storage.copies import verify
from qqops.runtime.storage.journal import Journal, JournalPolicy
from qqops.runtime.storage.kv import KV, StoredRows
from qqops.runtime.storage.portable import rows_of
from qqops.runtime.storage.postgres import Postgres
from qqops.runtime.storage.store import Store

ROOM = RoomRef(AccountRef("memory", "x"), RoomKind.GROUP, "g")


def row(number):
    return number, "a", "", "", 0.0, "{}", 0


def ids(connection):
    return [number for (number,) in connection.execute("SELECT id FROM outbound ORDER BY id").fetchall()]


@contextlib.asynccontextmanager
async def running(url, folder, reached=None):
    made = Store(Postgres(url, folder, reached))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.run)
        await made.opened.wait()
        yield made
        nursery.cancel_scope.cancel()


def name_of(url):
    return url.split("@/")[1].split("?")[0]


def break_connections(server, url):
    """End all connections of the database, as a server does that is stopped."""
    with server.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name_of(url),)
        )


async def test_a_second_bot_is_told_who_works_there_and_takes_over_when_that_one_has_ended(
    postgres, tmp_path
):
    url = postgres.database()
    first, gone = Store(Postgres(url, tmp_path)), trio.CancelScope()

    async def run_first():
        with gone:
            await first.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_first)
        await first.opened.wait()
        assert await first.write(sql.QUEUE, row(1)).wait()
        async with running(url, tmp_path) as second:
            assert "another bot works in it: qqops " in second.failing
            assert not await second.write(sql.QUEUE, row(2)).wait()
            with pytest.raises(StoreError, match="another bot works in it"):
                await second.read(ids)
            gone.cancel()
            while second.failing:
                await trio.sleep(0.05)
            assert await second.read(ids) == [1, 2]


async def test_a_connection_that_breaks_is_made_again_and_nothing_is_lost(postgres, tmp_path):
    url = postgres.database()
    async with running(url, tmp_path) as made:
        assert await made.write(sql.QUEUE, row(1)).wait()
        assert await made.read(ids) == [1]
        break_connections(postgres, url)
        assert not await made.write(sql.QUEUE, row(2)).wait(), "who waits is told"
        while made.failing:
            await trio.sleep(0.05)
        assert await made.write(sql.QUEUE, row(3)).wait()
        assert await made.read(ids) == [1, 2, 3]


@pytest.mark.parametrize("happened", [True, False])
async def test_a_commit_whose_answer_is_lost_is_asked_for(postgres, tmp_path, happened):
    """The server has made the transaction, or not: who waits hears what is true."""
    url = postgres.database()
    async with running(url, tmp_path) as made:
        commit = made.file.connection.commit

        def cut():
            if happened:
                commit()
            break_connections(postgres, url)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        made.file.connection.commit = cut
        store = KV("p", StoredRows(made), WallClock())
        if happened:
            await store.put("a", 1)
            assert not made.failing
        else:
            with pytest.raises(StoreError, match="nothing was stored"):
                await store.put("a", 1)
        while made.failing:
            await trio.sleep(0.05)
        assert await store.get("a", int) == (1 if happened else None)


async def test_when_nobody_can_say_whether_it_was_stored_that_is_said(postgres, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "RESOLVE", 0.3)
    url = postgres.database()
    async with running(url, tmp_path) as made:

        def cut():
            with postgres.connect() as connection:
                connection.execute(f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS false")
            break_connections(postgres, url)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        made.file.connection.commit = cut
        with pytest.raises(StoreError, match="cannot be asked whether it was"):
            await KV("p", StoredRows(made), WallClock()).put("a", 1)


async def test_what_may_have_been_stored_is_not_changed_any_more_but_added_to(
    postgres, tmp_path, monkeypatch
):
    """Nobody could say whether the row is there; what flies then says so in a statement of its own."""
    monkeypatch.setattr(module, "RESOLVE", 0.3)
    url = postgres.database()

    def admit(yes):
        with postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS {yes}")

    async with running(url, tmp_path) as made:
        commit = made.file.connection.commit

        def cut():
            commit()
            admit("false")
            break_connections(postgres, url)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

        made.file.connection.commit = cut
        journal = Journal(made, WallClock(), JournalPolicy())
        number = journal.queued(ROOM.account, Draft.of(ROOM, "hello"), "p", "m")
        assert not await made._queue[0].wait()
        await journal.flying([number])
        admit("true")
        while made.failing:
            await trio.sleep(0.05)
        found = await made.read(lambda c: c.execute("SELECT id, flying FROM outbound").fetchall())
        assert found == [(number, 1)]


async def test_a_user_without_a_schema_is_told_so_and_options_of_the_url_hold(postgres, tmp_path):
    url = f"{postgres.database()}&options=-csearch_path%3Dnowhere"
    async with running(url, tmp_path) as made:
        assert "there is no schema" in made.failing
        with postgres.connect(name_of(url)) as connection:
            connection.execute("CREATE SCHEMA nowhere")
        while made.failing:
            await trio.sleep(0.05)
        with postgres.connect(name_of(url)) as connection:
            assert connection.execute("SELECT count(*) FROM nowhere.kv").fetchone() == (0,)


async def test_what_the_server_finds_too_large_costs_that_row(postgres, tmp_path):
    async with running(postgres.database(), tmp_path) as made:
        long = "".join(chr(0x4E00 + n * 7 % 20000) for n in range(3000))  # nothing that can be made small
        values = {"account": "a", "kind": "k", "place": long, "name": "n", "number": "1", "now": 1.0}
        large, other = made.write(sql.SEE, values), made.write(sql.QUEUE, row(1))
        assert not await large.wait()
        assert "maximum" in large.error
        assert await other.wait()
        assert not made.failing


async def test_the_bot_that_is_named_is_the_one_in_that_database(postgres, tmp_path):
    urls = [postgres.database() for _ in range(4)]
    async with contextlib.AsyncExitStack() as stack:
        made = [await stack.enter_async_context(running(url, tmp_path)) for url in urls]
        for url, one in zip(urls, made, strict=True):
            with pytest.raises(StoreError, match=one.file._token):
                await trio.to_thread.run_sync(Postgres(url, tmp_path).open)


@pytest.mark.parametrize("password", ["s3cr@et-tail", "12/cr@et-tail"])
def test_a_password_that_must_be_escaped_shows_nowhere(tmp_path, password):
    with pytest.raises(ConfigError) as caught:
        Postgres(f"postgresql://bot:{password}@127.0.0.1:1/db", tmp_path)
    assert "et-tail" not in f"{caught.value} {caught.value.hint}"
    assert "%40" in caught.value.hint


async def test_a_server_that_is_away_at_the_start_is_waited_for(postgres, tmp_path):
    url = postgres.database()
    await trio.to_thread.run_sync(postgres.stop)
    try:
        async with running(url, tmp_path) as made:
            assert "cannot open PostgreSQL" in made.failing
            assert not await made.write(sql.QUEUE, row(1)).wait()
            await trio.to_thread.run_sync(postgres.start)
            while made.failing:
                await trio.sleep(0.05)
            assert await made.read(ids) == [1]
    finally:
        with contextlib.suppress(AssertionError):
            await trio.to_thread.run_sync(postgres.start)


async def test_a_database_that_may_only_be_read_is_a_state_with_the_servers_words(postgres, tmp_path):
    url = postgres.database()
    async with running(url, tmp_path) as made:
        assert await made.write(sql.QUEUE, row(1)).wait()
    with postgres.connect() as connection:
        connection.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = on")
    async with running(url, tmp_path) as made:
        write = made.write(sql.QUEUE, row(2))
        assert not await write.wait()
        assert "read-only transaction" in write.error
        assert await made.read(ids) == [1]
        with postgres.connect() as connection:
            connection.execute(f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = off")
        while made.failing:
            await trio.sleep(0.05)


async def test_no_password_and_no_value_stands_in_a_message(postgres, tmp_path):
    url = postgres.database().replace("qqops@", "nobody:hush-hush@")
    async with running(url, tmp_path) as made:
        assert 'role "nobody" does not exist' in made.failing
        assert "hush" not in made.failing
    with pytest.raises(ConfigError) as caught:
        Postgres("postgresql://a:hush-hush@b:c:d:e/x?nonsense=1", tmp_path)
    assert "hush" not in f"{caught.value} {caught.value.hint}"
    async with running(postgres.database(), tmp_path) as made:
        first, second = made.write(sql.QUEUE, row(77123)), made.write(sql.QUEUE, row(77123))
        assert await first.wait()
        assert not await second.wait()
        assert "77123" not in second.error


async def test_a_database_of_a_later_version_is_not_touched(postgres, tmp_path):
    url = postgres.database()
    async with running(url, tmp_path):
        pass
    with postgres.connect(name_of(url)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    async with running(url, tmp_path) as made:
        assert "layout 9999" in made.failing
        assert "update qqops" in made.failing


def shape(connection):
    """Return all there is to know of the tables, whatever words they were made with."""
    columns = """
        SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name
        FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"""
    indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    return connection.execute(columns).fetchall(), connection.execute(indexes).fetchall()


async def test_the_steps_lead_to_the_layout_of_a_new_database(postgres, tmp_path):
    fresh, climbed = postgres.database(), postgres.database()
    async with running(fresh, tmp_path):
        pass
    layout.climb_postgres(lambda: psycopg.connect(climbed), "x", lambda point: None)
    with postgres.connect(name_of(fresh)) as one, postgres.connect(name_of(climbed)) as other:
        made, found = shape(one), shape(other)
    assert [line for line in found[0] if line[0] != "alembic_version"] == [
        line for line in made[0] if line[0] != "alembic_version"
    ]
    assert found[1] == made[1]


async def test_an_older_database_is_copied_and_brought_to_the_newest_layout(postgres, tmp_path):
    url = postgres.database()
    async with running(url, tmp_path) as made:
        assert await made.write(sql.QUEUE, row(1)).wait()
    with postgres.connect(name_of(url)) as connection:
        for column in ("name", "kind", "start"):
            connection.execute(f"ALTER TABLE inbound DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    async with running(url, tmp_path) as made:
        assert not made.failing
        assert await made.read(ids) == [1]
    assert verify(tmp_path / "qqops.db.layout-0003.1")["outbound"] == 1


async def test_what_is_copied_out_is_a_file_that_an_sqlite_store_opens_and_back_again(postgres, tmp_path):
    async with running(postgres.database(), tmp_path) as made:
        store = KV("p", StoredRows(made), WallClock())
        for n in range(50):
            await store.put(f"key:{n}", {"n": n, "text": "中文 ☃"})
        made.write(sql.QUEUE, row(2**50))
        copied = await made.snapshot("test")
    async with running(postgres.database(), tmp_path) as other:
        await trio.to_thread.run_sync(lambda: other.file.write(rows_of(copied), wait=True))
        store = KV("p", StoredRows(other), WallClock())
        assert [key for key, _ in await store.scan(object)] == sorted(f"key:{n}" for n in range(50))
        assert await other.read(ids) == [2**50]
    in_file = Store(copied)
    async with trio.open_nursery() as nursery:
        await nursery.start(in_file.run)
        assert await KV("p", StoredRows(in_file), WallClock()).get("key:7", object) == {
            "n": 7,
            "text": "中文 ☃",
        }
        nursery.cancel_scope.cancel()


async def test_a_backup_is_made_beside_a_running_bot_and_restored_when_none_runs(postgres, tmp_path):
    url, copied = postgres.database(), tmp_path / "copy.db"
    with pytest.raises(StoreError, match="there is no store in PostgreSQL"):
        backup_server(Postgres(url, tmp_path), copied)
    async with running(url, tmp_path) as made:
        assert await made.write(sql.QUEUE, row(1)).wait()
        assert backup_server(Postgres(url, tmp_path), copied)["outbound"] == 1
        assert copied.stat().st_mode & 0o077 == 0
        assert await made.write(sql.QUEUE, row(2)).wait()
        with pytest.raises(StoreError, match="another bot works in it"):
            restore_server(copied, Postgres(url, tmp_path))
    rows, old = restore_server(copied, Postgres(url, tmp_path))
    assert rows["outbound"] == 1
    assert verify(old)["outbound"] == 2
    async with running(url, tmp_path) as made:
        assert await made.read(ids) == [1]


SETTINGS = """
[store]
url = { env = "STORE_URL" }
[accounts.m]
network = "memory"
"""


def test_the_command_line_takes_the_url_from_the_settings(postgres, tmp_path, forks):
    url = postgres.database()
    (tmp_path / "qqops.toml").write_text(SETTINGS)

    def qqops(*arguments, url=url):
        return forks.run("qqops", *arguments, cwd=tmp_path, env={"STORE_URL": url})

    first = qqops("backup", "copy.db")
    assert (first.returncode, "there is no store in PostgreSQL" in first.stderr) == (1, True)
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as holder:
        database = Postgres(url, tmp_path)
        database.open()
        try:
            busy = qqops("run")
            assert busy.returncode == 2
            assert "another bot works in it: qqops " in busy.stderr
            assert "a store.url of its own" in busy.stderr
        finally:
            database.end()
        assert holder.execute("SELECT count(*) FROM kv").fetchone() == (0,)
        holder.execute("INSERT INTO kv VALUES ('p', 'a', '1', NULL)")
        assert "kv 1" in qqops("backup", "copy.db").stdout
        holder.execute("DELETE FROM kv")
    assert "qqops.db.replaced.1" in qqops("restore", "copy.db").stdout
    with contextlib.closing(psycopg.connect(url)) as holder:
        assert holder.execute("SELECT namespace, key, value FROM kv").fetchall() == [("p", "a", "1")]
    wrong = qqops("check", url="postgresql://a:hush-hush@b/x?nonsense=1")
    assert wrong.returncode == 2
    assert "qqops.toml:3: store.url: " in wrong.stderr
    assert "hush" not in wrong.stderr + wrong.stdout
    shown = qqops("config", "explain", "store.url", url="postgresql://u:hush-hush@127.0.0.1:1/x")
    assert "***" in shown.stdout
    assert "hush" not in shown.stdout + shown.stderr


async def test_nothing_is_left_of_it_in_the_server(postgres, tmp_path):
    url = postgres.database()
    async with running(url, tmp_path) as made:
        await made.read(ids)
        await made.snapshot("test")
    threads = threading.active_count()
    with postgres.connect() as connection:
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        until = trio.current_time() + 10
        while connection.execute(left, (name_of(url),)).fetchone() != (0,):
            assert trio.current_time() < until
            await trio.sleep(0.01)
    assert threads == threading.active_count()
