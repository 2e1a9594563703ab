"""What people cost who are being asked: ``python tests/bench/conversations.py [ROUNDS]``.

On the in-memory network with production defaults, structured logging at the default level: how long `/ping` takes another
person, by the wall clock, while nobody and while 1,000 people are in `ask`, medians of all pings and ratio; CPU µs of a
command then, paired; memory per waiting person by tracemalloc, and by the resident set of the process; and how long it
takes until 1,000 answers that come at once are all handled. Every answer is checked.
"""

import contextlib
import gc
import io
import pathlib
import statistics
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator

import trio
import trio.lowlevel

from qqops import Ctx, Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.cli import logs
from qqops.model import AccountRef, Draft, MessageRef
from qqops.plugin.host import Candidate
from qqops.runtime.clock import WallClock
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody

PEOPLE = 1000
PINGS = 300
COMMANDS = 1000


def plugin() -> Plugin:
    made = Plugin("bench")

    @made.command("age")
    async def age(ctx: Ctx) -> str:
        years = await ctx.ask("how old?", int, within=600)
        return f"{ctx.sender.name} is {years}"

    @made.command("ping")
    async def ping() -> str:
        return "pong"

    return made


class Bot:
    """A bot, and what it has said that nobody has looked at."""

    def __init__(self) -> None:
        self.app = App(AppPolicy(), clock=WallClock(), operator=Nobody(), watch=True)
        made = plugin()
        self.app.host.load(Candidate(name="bench", load=lambda: made))
        self.network = MemoryNetwork(AccountRef("memory", "bench"), WallClock())
        self.network.heard = self.hear
        self.app.add_account(MemoryAdapter(self.network), LinkPolicy(), OutboxPolicy(size=10 * PEOPLE))
        self.room = self.network.group("ops", "zoe", *(f"p{i}" for i in range(PEOPLE)))
        self.said: list[str] = []
        self._heard = trio.Event()

    def hear(self, draft: Draft, ref: MessageRef) -> None:
        self.said.append(draft.text)
        self._heard.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(self.app.run, stop)
            await trio.sleep(0.05)
            yield
            stop.set()

    def forget(self) -> None:
        self.said.clear()
        self.network.sent.clear()

    async def answered(self, count: int) -> None:
        """Wait until the bot has said *count* things."""
        while len(self.said) < count:
            self._heard = trio.Event()
            await self._heard.wait()

    async def ask(self) -> None:
        """Let everybody be asked."""
        self.forget()
        for i in range(PEOPLE):
            self.network.say(f"p{i}", self.room, "/age")
        await self.answered(PEOPLE)
        assert self.app.dispatcher.statistics()["asking"] == PEOPLE

    async def answer(self) -> float:
        """Let everybody answer; return seconds until all answers are handled."""
        self.forget()
        began = time.perf_counter()
        for i in range(PEOPLE):
            self.network.say(f"p{i}", self.room, str(i))
        await self.answered(PEOPLE)
        took = time.perf_counter() - began
        assert sorted(self.said) == sorted(f"p{i} is {i}" for i in range(PEOPLE))
        while not self.app.idle():
            await trio.lowlevel.checkpoint()
        assert self.app.dispatcher.statistics()["asking"] == 0
        assert not self.app.talks.open
        return took

    async def pings(self) -> list[float]:
        """Return the µs that each of some pings took."""
        times = []
        for _ in range(PINGS):
            self.forget()
            began = time.perf_counter()
            self.network.say("zoe", self.room, "/ping")
            await self.answered(1)
            times.append((time.perf_counter() - began) * 1e6)
            await trio.lowlevel.checkpoint()
        return times

    async def command(self) -> float:
        """Return CPU µs per command."""
        self.forget()
        began = time.process_time()
        for _ in range(COMMANDS):
            self.network.say("zoe", self.room, "/ping")
        await self.answered(COMMANDS)
        return (time.process_time() - began) / COMMANDS * 1e6


def resident() -> int:
    """Return the bytes that the process holds in memory; 0 where the system does not tell."""
    path = pathlib.Path("/proc/self/statm")
    return int(path.read_text().split()[1]) * 4096 if path.exists() else 0


async def measure(results: dict[str, list[float]]) -> None:
    """Add one round to *results*."""
    bot = Bot()
    async with bot.running():
        await bot.pings()  # everything is warm
        results.setdefault("ping 0", []).extend(await bot.pings())
        results.setdefault("cpu 0", []).append(await bot.command())
        gc.collect()
        before = resident()
        await bot.ask()
        bot.forget()
        gc.collect()
        results.setdefault("resident", []).append((resident() - before) / PEOPLE / 1024)
        results.setdefault("ping 1000", []).extend(await bot.pings())
        results.setdefault("cpu 1000", []).append(await bot.command())
        results.setdefault("answers", []).append(await bot.answer())


async def weigh() -> float:
    """Return KiB of Python objects per waiting person."""
    bot = Bot()
    async with bot.running():
        await bot.ask()
        await bot.answer()
        bot.forget()
        gc.collect()
        tracemalloc.start()
        await bot.ask()
        bot.forget()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        await bot.answer()
    return held / PEOPLE / 1024


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    sys.stderr = io.StringIO()  # the few lines about the connection
    logs.configure("text", "info")
    results: dict[str, list[float]] = {}
    for _ in range(rounds):
        trio.run(measure, results)
    middle = {name: statistics.median(values) for name, values in results.items()}
    print(f"{'':44}{'0 in ask':>12}{'1000 in ask':>14}{'ratio':>9}")
    for what, name in (("ping", "/ping to its answer, µs by the wall clock"), ("cpu", "CPU µs per command")):
        idle, full = middle[f"{what} 0"], middle[f"{what} 1000"]
        print(f"{name:44}{idle:12.1f}{full:14.1f}{full / idle:9.2f}")
    print(f"{'KiB per waiting person, Python objects':44}{trio.run(weigh):26.1f}")
    print(f"{'KiB per waiting person, resident, first round':44}{results['resident'][0]:26.1f}")
    print(f"{'ms until 1000 answers are all handled':44}{middle['answers'] * 1000:26.1f}")


if __name__ == "__main__":
    main()
