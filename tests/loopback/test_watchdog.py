"""A bot whose handlers hold it up, on the real clock: named while they do, switched off with the third time."""

import linecache
import re
import time

import structlog
import trio

from qqops import Message, Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy
from qqops.model import AccountRef
from qqops.plugin.host import Candidate
from qqops.runtime.clock import WallClock
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody


def blocking():
    plugin = Plugin("slow")

    @plugin.command("nap")
    async def nap() -> str:
        time.sleep(0.3)  # noqa: ASYNC251 - that is the mistake  # the line is looked for
        return "slept"

    @plugin.command("inline", inline=True)
    def inline() -> str:
        time.sleep(0.3)
        return "slept inline"

    @plugin.command("fine")
    def fine() -> str:
        time.sleep(0.3)
        return "slept elsewhere"

    @plugin.on(Message, keyword="compute")
    async def compute() -> str:
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            pass
        return "computed"

    return plugin


async def until(condition):
    while not condition():
        await trio.sleep(0.01)


async def test_who_holds_everything_up_is_named_and_then_switched_off():
    app = App(AppPolicy(seed=1), clock=WallClock(), operator=Nobody(), watch=True)
    plugin = blocking()
    app.host.load(Candidate(name="slow", load=lambda: plugin))
    network = MemoryNetwork(AccountRef("memory", "slow"), WallClock())
    app.add_account(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
    said = []
    network.heard = lambda draft, ref: said.append(draft.text)
    stop = trio.Event()
    room = network.group("ops", "ali")

    async def say(text, answer):
        before = len(said)
        network.say("ali", room, text)
        await until(lambda: len(said) > before)
        assert re.search(answer, said[-1])

    def told(event):
        return [line for line in lines if line["event"] == event]

    def named():
        return [line["handler"] for line in told("a handler holds everything up")]

    async def until_named(text, handler):
        """A machine that has much else to do may not let anybody look in time."""
        while handler not in named():
            await say(text, "slept|computed")
            await trio.sleep(0.1)

    with structlog.testing.capture_logs() as lines:
        async with trio.open_nursery() as nursery:
            await nursery.start(app.run, stop)
            await say("/fine", "slept elsewhere")
            assert named() == []
            await until_named("/nap", "nap")
            await until(lambda: told("it goes on"))
            first = told("a handler holds everything up")[0]
            assert (first["plugin"], first["handler"], first["time"]) == ("slow", "nap", "1 of 3")
            assert first["seconds"] >= 0.2
            assert first["message"]
            assert first["run"]
            file, _, line = first["at"].rpartition(":")
            assert file == __file__
            assert "# the line is looked for" in linecache.getline(file, int(line))
            assert told("it goes on")[0]["run"] == first["run"]
            await until_named("/inline", "inline")
            await until_named("compute", "compute")
            while not app.gate.halted:
                await say("/nap", "slept")
                await trio.sleep(0.1)
            assert list(app.gate.halted) == ["slow:nap"]
            await say("/nap", "nap is switched off")
            stop.set()
