"""A plugin whose filters are around runs of others is unloaded, or reloaded."""

import pytest
import trio

from qqops import Ctx, Plugin
from qqops.plugin.host import Candidate
from qqops.plugin.plugins import Plugins


def fence(seen, wraps="messages"):
    """Return a plugin with a filter that notes who comes out of it."""
    plugin = Plugin("fence")

    @plugin.filter(wraps=wraps)
    async def around(ctx: Ctx, call) -> None:
        await call()
        seen.append(ctx.plugin)

    return plugin


def shop():
    plugin = Plugin("shop")

    @plugin.command("buy")
    async def buy(seconds: int) -> str:
        await trio.sleep(seconds)
        return "bought"

    @plugin.command("weather")
    async def weather(ctx: Ctx) -> str:
        return await ctx.ask("where?", within=100)

    @plugin.job(every=7)
    async def count() -> None:
        await trio.sleep(6)

    @plugin.command("change")
    async def change(how: str, *, plugins: Plugins) -> str:
        change = await getattr(plugins, how)("fence")
        return f"left: {', '.join(change.left)}"

    return plugin


async def start(bot, seen, **more):
    bot.app.host.load(Candidate(name="fence", load=lambda: fence(seen, **more)))
    bot.app.refresh()
    await bot.app.owners.begin("fence")


@pytest.mark.parametrize("how", ["unload", "reload"])
async def test_who_is_inside_a_filter_is_waited_for(bots, how):
    seen = []
    async with bots.run(shop()) as bot:
        await start(bot, seen)
        ali, bo = bot.user("ali"), bot.user("bo")
        await ali.say("/buy 3")
        await bot.settle()
        began = trio.current_time()
        await bo.say(f"/change {how}")
        await bo.expect("left: $")
        assert trio.current_time() - began == 3
        assert seen[0] == "shop"
        await ali.expect("bought")


async def test_who_does_not_come_out_in_time_is_named_and_goes_on(bots):
    seen = []
    async with bots.run(shop()) as bot:
        await start(bot, seen)
        people = [bot.user(f"u{number}") for number in range(7)]
        for one in people:
            await one.say("/buy 12")
        await bot.settle()
        began = trio.current_time()
        change = await bot.app.plugins.unload("fence")
        assert trio.current_time() - began == 5
        named = ", ".join(f"#{number:04x} of shop:buy" for number in range(1, 6))
        assert change.left == [f"inside its filters: {named}, 2 more"]
        for one in people:
            await one.expect("bought")


async def test_who_waits_for_a_person_inside_a_filter_is_not_waited_for(bots):
    async with bots.run(shop()) as bot:
        await start(bot, [])
        ali = bot.user("ali")
        await ali.say("/weather")
        await ali.expect("where")
        began = trio.current_time()
        await bot.app.plugins.reload("fence")
        assert trio.current_time() == began
        await ali.say("here")
        await ali.expect("here")


async def test_who_asks_a_person_while_it_is_waited_for_is_waited_for_no_longer(bots):
    plugin = Plugin("slow")

    @plugin.command("slow")
    async def slow(ctx: Ctx) -> str:
        await trio.sleep(2)
        return await ctx.ask("well?", within=100)

    async with bots.run(plugin) as bot:
        await start(bot, [])
        ali = bot.user("ali")
        await ali.say("/slow")
        await bot.settle()
        began = trio.current_time()
        await bot.app.plugins.reload("fence")
        assert trio.current_time() - began == 2
        await ali.say("done")
        await ali.expect("done")


@pytest.mark.parametrize(("wraps", "seconds"), [("messages", 0), ("all", 5)])
async def test_a_job_is_inside_a_filter_that_wraps_everything(bots, wraps, seconds):
    async with bots.run(shop()) as bot:
        await start(bot, [], wraps=wraps)
        await bot.advance(7.5)
        began = trio.current_time()
        change = await bot.app.plugins.unload("fence")
        assert trio.current_time() - began == seconds
        assert change.left == (["inside its filters: #0001 of shop:count"] if seconds else [])
