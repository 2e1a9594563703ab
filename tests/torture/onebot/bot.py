"""The bot that a soak of the OneBot adapter works on: a process of its own that tells its parent what it does.

Run by `tests.torture.onebot.child` only. It is the normal bot, made from the settings file in its folder. Each line it
prints is a letter and JSON: what started, what was sent and how that went, what was dropped, what is held.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import pathlib
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import structlog
import trio

from qqops.app import App, End
from qqops.assemble import add_accounts, make_app
from qqops.model import Image, RoomKind, Segment, Text
from qqops.plugin.host import Candidate
from qqops.plugin.plugin import Plugin
from qqops.runtime.context import Context
from qqops.runtime.observe import LinkState, Overflow, Record, Sent
from qqops.settings import load_settings

#: A picture that does not fit into what the system keeps for a connection.
BIG = bytes(2**20)
#: Part of the handlers that take their time, and at most how many seconds.
SLOW, LONGEST = 0.1, 0.02
#: Seconds between two looks at the queues.
LOOK = 0.02


def tell(kind: str, /, **data: Any) -> None:
    """Write one line to the parent."""
    os.write(1, f"{kind} {json.dumps(data)}\n".encode())


def make_plugin(rng: random.Random) -> Plugin:
    """Return a plugin that answers a mark with the mark, and says first what it believes who gave it, and where."""
    plugin = Plugin("victim")

    def begin(ctx: Context, mark: str) -> str:
        kind = "g" if ctx.room.ref.kind is RoomKind.GROUP else "p"
        tell(
            "S", n=int(mark.partition(".")[0]), room=f"{kind}{ctx.room.ref.id}", person=f"u{ctx.sender.ref.id}"
        )  # fmt: skip
        return mark

    @plugin.command("mark")
    async def answer(ctx: Context, mark: str) -> str:
        begin(ctx, mark)
        if rng.random() < SLOW:
            await trio.sleep(rng.random() * LONGEST)
        return mark

    @plugin.command("now", inline=True)
    def answer_now(ctx: Context, mark: str) -> str:
        return begin(ctx, mark)

    @plugin.command("big")
    async def answer_big(ctx: Context, mark: str) -> tuple[Segment, ...]:
        await trio.lowlevel.checkpoint()
        return Text(begin(ctx, mark)), Image(content=BIG)

    return plugin


def observe(record: Record) -> None:
    """Pass on what the parent wants to know."""
    if isinstance(record, Sent):
        outcome = record.outcome
        tell("O", text=record.draft.text, outcome=outcome.delivery.value, reason=outcome.reason)
    elif isinstance(record, Overflow):
        tell("D", dropped=record.dropped)
    elif isinstance(record, LinkState):
        tell("L", phase=record.phase.value, cause=record.cause, attempt=record.attempt)


async def watch_queues(app: App, most: Counter[str]) -> None:
    """Note the most that waits."""
    while True:
        most["outbox"] = max(most["outbox"], *(len(one.outbox) for one in app.supervisors))
        most["backlog"] = max(most["backlog"], app.dispatcher.statistics()["waiting"])
        await trio.sleep(LOOK)


def tasks() -> int:
    """Return how many tasks there are. Workers are left out: those that a rush has left go home by themselves."""
    count = 0
    root = trio.lowlevel.current_root_task()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        count += not task.name.startswith("handler slot")
        waiting.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return count


def give_back() -> None:
    """Give free memory back to the system: what the allocator keeps for later is not held by the bot."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def report(most: Counter[str]) -> None:
    """Say what is held whenever the parent asks with SIGUSR1."""
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        tell("R", pid=os.getpid())
        async for _ in signals:
            gc.collect()
            give_back()
            tell("U", tasks=tasks(), backlog=most["backlog"], outbox=most["outbox"])


def configure_log() -> None:
    """Write the log as JSON lines, as ``qqops run --log-format json`` does."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )


async def run(folder: pathlib.Path, seed: int) -> int:
    """Run the bot until SIGTERM; return the exit code."""
    settings, file = load_settings(folder / "qqops.toml", {})
    app = make_app(settings, [], {}, folder)
    app.host.load(Candidate(name="victim", load=lambda: make_plugin(random.Random(seed))))
    add_accounts(app, settings, file, {})
    app.observers.add(observe)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)  # as ``qqops run`` does
    stop = trio.Event()
    most: Counter[str] = Counter()
    end = End.CUT

    async def stop_on(signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            stop.set()

    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on, signals)
            nursery.start_soon(report, most)
            nursery.start_soon(watch_queues, app, most)
            end = await app.run(stop)
            nursery.cancel_scope.cancel(reason="the bot has ended")
    return 0 if end is End.CLEAN else 1


if __name__ == "__main__":
    configure_log()
    sys.exit(trio.run(run, pathlib.Path(sys.argv[1]), int(sys.argv[2])))
