"""What it takes to unload and reload plugins of a running bot: ``python tests/bench/reload.py [PLUGINS]``.

Each plugin has a service, three handlers that run, two jobs, a listener, a task and an open question. Prints milliseconds for
one plugin (median and the slowest of all), by the wall clock, on the in-memory network with production defaults, and what is
left over when all are gone: tasks, conversations, jobs, records, threads.
"""

import contextlib
import statistics
import sys
import threading
from collections.abc import AsyncGenerator

import trio

from qqops import Ctx, Message, Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.cli import logs
from qqops.model import AccountRef
from qqops.plugin.host import Candidate
from qqops.runtime.clock import WallClock
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody

PROMISED = 50.0


def make(name: str, kind: type[object]) -> Plugin:
    Thing = kind
    plugin = Plugin(name)

    @plugin.service
    @contextlib.asynccontextmanager
    async def thing() -> AsyncGenerator[Thing]:
        yield Thing()

    @plugin.command(f"{name}-wait")
    async def wait(*, thing: Thing) -> None:
        await trio.sleep_forever()

    @plugin.command(f"{name}-ask")
    async def ask(ctx: Ctx) -> str:
        return await ctx.ask("well?", within=3600)

    @plugin.on(Message, keyword=f"{name}-cat")
    async def cat() -> None:
        await trio.sleep_forever()

    @plugin.job(every=3600)
    async def hourly() -> None: ...

    @plugin.job(cron="0 9 * * *", tz="Asia/Shanghai")
    async def daily() -> None: ...

    @plugin.task
    async def beat() -> None:
        await trio.sleep_forever()

    return plugin


async def main(count: int) -> None:
    clock = WallClock()
    policy = AppPolicy(dispatch=DispatchPolicy(slots=64 * count))
    app = App(policy, clock=clock, operator=Nobody())
    network = MemoryNetwork(AccountRef("memory", "bench"), clock)
    app.add_account(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(app.run, stop)
        await trio.testing.wait_all_tasks_blocked()
        tasks, threads = trio.lowlevel.current_statistics().tasks_living, threading.active_count()
        names = [f"p{number}" for number in range(count)]
        for name in names:
            kind = type(f"Thing_{name}", (), {})
            app.host.load(Candidate(name=name, load=lambda name=name, kind=kind: make(name, kind)))
        app.refresh()
        for name in names:
            await app.owners.begin(name)

        async def fill() -> None:
            for name in names:
                room = network.group(f"room of {name}")
                for number, line in enumerate(
                    (f"/{name}-wait", f"/{name}-wait", f"{name}-cat", f"/{name}-ask")
                ):
                    network.say(f"{name}-{number}", room, line)
            await trio.testing.wait_all_tasks_blocked()

        await fill()
        running = app.dispatcher.statistics()
        print(
            f"{count} plugins: {running['running']} handlers run, {running['asking']} ask, {len(app.jobs.entries)} jobs"
        )
        reloads = [await app.plugins.reload(name) for name in names]
        await fill()
        unloads = [await app.plugins.unload(name, keep=False) for name in names]
        print(f"{'ms per plugin':28}{'median':>8}{'slowest':>9}{'promised':>10}")
        for what, changes in (("reload", reloads), ("unload", unloads)):
            assert all(change.done for change in changes)
            ms = [change.ms for change in changes]
            print(f"{what:28}{statistics.median(ms):8.1f}{max(ms):9.1f}{PROMISED:10.0f}")
        await trio.testing.wait_all_tasks_blocked()
        left = {
            "named by the bot": sum(len(change.left) for change in (*reloads, *unloads)),
            "tasks": trio.lowlevel.current_statistics().tasks_living - tasks,
            "threads": threading.active_count() - threads,
            "conversations": len(app.talks.open),
            "jobs": len(app.jobs.entries),
            "records": sum(len(app.registry.handlers(name)) for name in names),
        }
        print("left over: " + ", ".join(f"{what} {number}" for what, number in left.items()))
        stop.set()


if __name__ == "__main__":
    logs.configure("text", "error")
    trio.run(main, int(sys.argv[1]) if len(sys.argv) > 1 else 50)
