"""A process that is killed at a named point; run by test_kill."""

import os
import pathlib
import signal
import sys

import trio

from qqops.runtime.clock import WallClock
from qqops.runtime.storage import backup, datafile
from qqops.runtime.storage.datafile import StorePolicy
from qqops.runtime.storage.keep import StoredKeep
from qqops.runtime.storage.kv import KV, StoredRows
from qqops.runtime.storage.store import Store
from qqops.runtime.storage.upgrade import Migration, upgrade

WHERE, TIMES = os.environ["POINT"], int(os.environ.get("TIMES", "1"))
seen = 0


def reached(point):
    """Kill this process at the point, the number of times that it was asked to let pass first."""
    global seen
    if point == WHERE:
        seen += 1
        if seen >= TIMES:
            os.kill(os.getpid(), signal.SIGKILL)


async def main(mode, folder):
    path = folder / "q.db"
    if mode == "restore":
        backup.restore(folder / "copy.db", path, reached)
        return
    file = Store(path, StorePolicy(), reached=reached)
    if mode == "steps":
        from sqlalchemy import Engine, event

        event.listen(Engine, "after_cursor_execute", lambda *_: reached("after a statement"))
    if mode == "checkpoint":
        opened = file.file.open

        def small():
            opened()
            file.file.connection.execute("PRAGMA wal_autocheckpoint=1")

        file.file.open = small
    rows = StoredRows(file)
    store, keep = KV("victim", rows, WallClock()), StoredKeep(file, "core:victim")
    async with trio.open_nursery() as nursery:
        await nursery.start(file.run)
        for number in range(20):
            async with store.transaction() as inside:
                inside.put("a", number)
                inside.put("b", number)
            keep.save("n", number)
            await keep.safe()
            print(number, flush=True)
        if mode == "snapshot":
            await file.snapshot("point")
        if mode == "backup":
            await trio.to_thread.run_sync(backup.backup, path, folder / "copy.db", reached)
        if mode == "migrate":

            async def step(inside):
                inside.put("a", 100)
                inside.put("b", 100)

            await upgrade(store, [Migration(1, step, "")], rows, file)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    assert datafile.BUSY_MS
    trio.run(main, sys.argv[1], pathlib.Path(sys.argv[2]))
