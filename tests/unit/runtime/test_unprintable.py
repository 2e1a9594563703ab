"""An exception that raises when it is printed is no worse than any other."""

import contextlib
from collections.abc import AsyncGenerator

from qqops import Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.model import AccountRef
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("it cannot even say what it is")


class Thing: ...


async def test_out_of_a_service(bots):
    plugin = Plugin("things")

    @plugin.service
    @contextlib.asynccontextmanager
    async def thing() -> AsyncGenerator[Thing]:
        raise Unprintable
        yield Thing()

    @plugin.command("thing")
    async def show(*, thing: Thing) -> str:
        return "there it is"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/thing")
        await ali.expect("Unprintable, which cannot be printed")
        bot.failures.clear()


async def test_out_of_an_adapter(bots):
    class Broken(MemoryAdapter):
        async def serve(self, link, outbox):
            raise Unprintable

    async with bots.run() as bot:
        network = MemoryNetwork(AccountRef("memory", "second"), bot.clock)
        bot.app.links.add(Broken(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        state = bot.app.links.states()[1]
        assert state.phase is Phase.WAITING
        assert state.cause == "internal error: Unprintable, which cannot be printed"
