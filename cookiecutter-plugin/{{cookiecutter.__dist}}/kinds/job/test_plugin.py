"""The plugin on a whole bot, on virtual time: no account, no waiting."""

from qqops.testing import Bots

from {{ cookiecutter.__module }} import plugin


async def test_it_says_good_morning_and_counts(bots: Bots) -> None:
    async with bots.run(plugin, config={"room": "office"}) as bot:
        office = bot.room("office")
        for day in (1, 2):
            await bot.run_job("morning")
            await office.expect(f"^good morning, this is day {day}$")


async def test_it_does_so_on_working_days(bots: Bots) -> None:
    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        await bot.advance(7 * 24 * 3600)
        for day in range(1, 6):
            await ops.expect(f"day {day}$")
        await ops.quiet()
