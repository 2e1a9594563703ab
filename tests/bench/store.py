"""What storing costs: ``python tests/bench/store.py [ROUNDS]``.

Prints writes per second of a plugin's `KV`, each waited for until it lasts, by one caller and by 128 at the same time,
for both values of ``store.synchronous``; then µs of one read, alone and with 128 readers. Medians over the rounds.
"""

import pathlib
import statistics
import sys
import tempfile
import time

import trio

from qqops.runtime.clock import WallClock
from qqops.runtime.storage.datafile import StorePolicy
from qqops.runtime.storage.kv import KV, StoredRows
from qqops.runtime.storage.store import Store


async def timed(callers, each, call):
    """Return calls per second when *callers* make *each* of them."""

    async def one(caller):
        for number in range(each):
            await call(f"key:{caller}:{number}", number)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for caller in range(callers):
            nursery.start_soon(one, caller)
    return callers * each / (time.perf_counter() - began)


async def main(rounds):
    for synchronous in ("normal", "full"):
        with tempfile.TemporaryDirectory() as folder:
            file = Store(pathlib.Path(folder) / "q.db", StorePolicy(synchronous=synchronous))
            store = KV("bench", StoredRows(file), WallClock())
            async with trio.open_nursery() as nursery:
                await nursery.start(file.run)
                await store.put("warm", 1)

                async def read(key, number, store=store):
                    await store.get("warm", int)

                found = {"1 writer": [], "128 writers": [], "1 reader": [], "128 readers": []}
                for _ in range(rounds):
                    found["1 writer"].append(await timed(1, 300, store.put))
                    found["128 writers"].append(await timed(128, 40, store.put))
                    found["1 reader"].append(await timed(1, 500, read))
                    found["128 readers"].append(await timed(128, 10, read))
                nursery.cancel_scope.cancel()
        for name, values in found.items():
            rate = statistics.median(values)
            print(f"{synchronous:7} {name:12} {rate:9,.0f} /s  {1e6 / rate:7.1f} µs each")


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 5)
