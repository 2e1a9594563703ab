"""Killed at 200 seeded moments, at a point of the work on the disk or somewhere: what returned is there, what raised is not."""

import contextlib
import pathlib
import signal
import sqlite3

import psycopg
import pytest

from qqops.runtime.storage.copies import verify
from qqops.runtime.storage.postgres import Postgres
from qqops.runtime.storage.store import Store

VICTIM = pathlib.Path(__file__).with_name("_seeded.py")
ENDS = (-signal.SIGKILL, -signal.SIGALRM, 0)
#: Runs of one test: many in one, as each takes only a moment.
TOGETHER = 10


class Said:
    """What a victim has said until it was killed."""

    def __init__(self, output):
        whole, _, _ = output.rpartition("\n")  # the last line may have been cut off with its process
        self.lines = [line.split() for line in whole.splitlines() if line.count(" ") == 2]

    def all(self, how, what):
        return [word for h, w, word in self.lines if (h, w) == (how, what)]

    def last(self, how, what):
        return max((int(word) for word in self.all(how, what)), default=-1)


async def opened(database):
    """Open it as the next start does."""
    import trio

    store = Store(database)
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run)
        await store.opened.wait()
        assert not store.failing, store.failing
        nursery.cancel_scope.cancel()


def judge(said, tables):
    values = {key: value for namespace, key, value in tables["kv"] if namespace == "victim"}
    a, b = values.get("a"), values.get("b")
    assert a == b, "a transaction is there as a whole or not at all"
    did, tried = said.last("did", "pair"), said.last("try", "pair")
    assert int(a if a is not None else -1) in (did, tried)
    assert values.keys() <= {"a", "b"}, "what has raised is not there"
    kept = {key: value for namespace, key, value in tables["kv"] if namespace == "core:victim"}
    assert int(kept.get("n", -1)) in (said.last("did", "kept"), said.last("try", "kept"))
    states = dict(tables["inbound"])
    for row in said.all("did", "heard"):
        assert int(row) in states, "what was heard for certain"
    for row in said.all("did", "began"):
        assert states[int(row)] >= 1, "what began"
    assert not [row for row, state in states.items() if state == 2 and str(row) not in said.all("try", "end")]
    flying, sent = dict(tables["outbound"]), said.all("try", "sent")
    for row in said.all("did", "queue"):
        assert row in sent or flying[int(row)] == 1, "what was about to leave"
    for copied in said.all("did", "copied"):
        if pathlib.Path(copied).exists():  # else newer ones took its place
            verify(pathlib.Path(copied))


QUERIES = {
    "kv": "SELECT namespace, key, value FROM kv",
    "inbound": "SELECT id, state FROM inbound",
    "outbound": "SELECT id, flying FROM outbound",
}


@pytest.mark.parametrize("first", range(0, 150, TOGETHER))
async def test_a_file_keeps_what_it_has_promised(tmp_path, forks, first):
    for seed in range(first, first + TOGETHER):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = forks.run(VICTIM, str(seed), folder)
        assert run.returncode in ENDS, run.stderr
        if not (folder / "q.db").exists():
            continue  # it was not even made
        await opened(folder / "q.db")
        with contextlib.closing(sqlite3.connect(folder / "q.db")) as connection:
            tables = {name: connection.execute(query).fetchall() for name, query in QUERIES.items()}
        verify(folder / "q.db")
        judge(Said(run.stdout), tables)


@pytest.mark.parametrize("first", range(150, 200, TOGETHER))
async def test_a_server_keeps_what_it_has_promised(tmp_path, postgres, forks, first):
    for seed in range(first, first + TOGETHER):
        url = postgres.database()
        run = forks.run(VICTIM, str(seed), tmp_path, env={"URL": url})
        assert run.returncode in ENDS, run.stderr
        await opened(Postgres(url, tmp_path))
        with contextlib.closing(psycopg.connect(url)) as connection:
            tables = {name: connection.execute(query).fetchall() for name, query in QUERIES.items()}
        judge(Said(run.stdout), tables)
