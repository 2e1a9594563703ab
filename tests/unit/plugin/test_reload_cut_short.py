"""A reload that something gets in the way of: the end of the bot, or code of the plugin that raises where nobody waits for it."""

import contextlib
from collections.abc import AsyncGenerator

import pytest
import trio

from qqops import KV, Ctx, Plugin, Transaction
from qqops.adapters.base import Network
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork, MemoryOptions
from qqops.app import AppPolicy
from qqops.model import AccountRef
from qqops.plugin.hooks import hookimpl
from qqops.plugin.host import Candidate
from qqops.plugin.plugins import Plugins
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy


def busy(said):
    """Return a plugin with a handler that takes three seconds to end, and one of everything that begins."""
    plugin = Plugin("busy")

    @plugin.command("hang")
    async def hang() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)

    @plugin.command("hi")
    async def hi() -> None:
        said.append("hi")

    @plugin.job(every=5)
    async def tick() -> None: ...

    @plugin.task
    async def beat() -> None:
        await trio.sleep_forever()

    return plugin


async def test_a_reload_that_the_end_of_the_bot_overtakes_is_whole_and_runs_what_has_waited(bots):
    said, changes = [], []
    ops = Plugin("ops")

    @ops.command("reload")
    async def reload(*, plugins: Plugins) -> None:
        changes.append(await plugins.reload("busy"))

    async with bots.run(ops) as bot:
        bot.app.host.load(Candidate(name="busy", load=lambda: busy(said)))
        bot.app.refresh()
        await bot.app.owners.begin("busy")
        await bot.user("ali").say("/hang")
        await bot.user("bo").say("/reload")
        await bot.settle()
        await bot.user("cy").say("/hi")
        await bot.advance(1)
        assert said == []
    assert [change.done for change in changes] == [True]
    assert said == ["hi"]


async def test_a_reload_that_the_end_of_the_grace_overtakes_starts_nothing_and_says_nothing_wrong(bots):
    class Thing: ...

    def make():
        plugin, number = busy([]), len(entered)
        entered.append(0)

        @plugin.service
        @contextlib.asynccontextmanager
        async def thing() -> AsyncGenerator[Thing]:
            entered[number] += 1
            yield Thing()

        return plugin

    entered, changes = [], []
    ops = Plugin("ops")

    @ops.command("reload")
    async def reload(*, plugins: Plugins) -> None:
        changes.append(await plugins.reload("busy"))

    async with bots.run(ops, policy=AppPolicy(grace_seconds=1)) as bot:
        bot.app.host.load(Candidate(name="busy", load=make))
        bot.app.refresh()
        await bot.app.owners.begin("busy")
        await bot.user("ali").say("/hang")
        await bot.user("bo").say("/reload")
        await bot.settle()
    assert [change.done for change in changes] == [True]
    assert entered == [1, 0]


async def test_an_account_that_the_new_code_cannot_make_stays_offline_and_holds_nothing_back(bots):
    made = []

    def open_(opening, options):
        made.append(opening)
        if len(made) == 2:
            raise TypeError("a mistake in the new code")
        return MemoryAdapter(MemoryNetwork(opening, bot.clock))

    def make():
        plugin = busy(said)

        @hookimpl
        def qqops_networks():
            return [Network(name="parley", options=MemoryOptions, open=open_)]

        plugin.qqops_networks = qqops_networks
        return plugin

    said, ref = [], AccountRef("parley", "one")
    async with bots.run() as bot:
        bot.app.host.load(Candidate(name="busy", load=make))
        bot.app.refresh()
        again = lambda: bot.app.host.networks["parley"].open(ref, None)  # noqa: E731
        bot.app.links.add(again(), LinkPolicy(), OutboxPolicy(), again)
        await bot.settle()
        assert (await bot.app.plugins.reload("busy")).done
        state = bot.app.links.states()[1]
        assert (state.phase, state.cause) == (
            Phase.WAITING,
            "it cannot be made anew: TypeError: a mistake in the new code",
        )
        await bot.user("ali").say("/hi")
        await bot.settle()
        assert said == ["hi"]
        assert (await bot.app.plugins.reload("busy")).done
        await bot.settle()
        assert bot.app.links.states()[1].phase is Phase.ONLINE


async def test_an_inline_command_waits_for_the_new_copy_like_every_other(bots):
    made = []

    def make():
        made.append(None)
        number, plugin = len(made), busy([])

        @plugin.command("which", inline=True)
        def which() -> str:
            return f"copy {number}"

        return plugin

    async with bots.run() as bot:
        bot.app.host.load(Candidate(name="busy", load=make))
        bot.app.refresh()
        await bot.user("ali").say("/hang")
        bo = bot.user("bo")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bot.app.plugins.reload, "busy")
            await trio.sleep(1)
            await bo.say("/which")
        await bo.expect("copy 2")


async def test_a_migration_that_does_not_end_is_cut_off_and_the_data_closed_with_the_reason(bots):
    made = []

    def make():
        made.append(None)
        number, plugin = len(made), Plugin("notes")

        @plugin.command("note")
        async def note(*, store: KV) -> str:
            await store.put("count", number)
            return f"copy {number}"

        if number == 2:

            @plugin.migration(1)
            async def endless(old: Transaction) -> None:
                await trio.sleep_forever()

        if number == 3:

            @plugin.migration(1)
            async def mended(old: Transaction) -> None: ...

        return plugin

    async with bots.run() as bot:
        bot.app.host.load(Candidate(name="notes", load=make))
        bot.app.refresh()
        ali = bot.user("ali")
        await ali.say("/note")
        await ali.expect("copy 1")
        before = trio.current_time()
        assert (await bot.app.plugins.reload("notes")).done
        assert trio.current_time() - before == 10
        await ali.say("/note")
        await ali.expect("data")
        assert (await bot.app.plugins.reload("notes")).done
        await ali.say("/note")
        await ali.expect("copy 3")


@pytest.mark.parametrize("people", range(40, 46))
async def test_reloads_in_a_row_leave_no_question_of_runs_that_have_hardly_begun(bots, people):
    def make():
        plugin = Plugin("busy")

        @plugin.command("weather")
        async def weather(ctx: Ctx, city: str) -> str:
            return await ctx.ask(f"{city}?", within=1000)

        @plugin.command("slow")
        async def slow() -> None:
            await trio.sleep(30)

        return plugin

    async def reload():
        left.extend((await bot.app.plugins.reload("busy")).left)

    left = []
    async with bots.run() as bot:
        bot.app.host.load(Candidate(name="busy", load=make))
        bot.app.refresh()
        for number in range(people):
            await bot.user(f"u{number}").say("/weather" if number % 2 else "/weather here")
            for _ in range(2):
                await bot.user(f"s{number}").say("/slow")
        await bot.settle()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(reload)
        assert left == []
        await bot.advance(3000)
        assert not bot.app.dispatcher._runs._queues
