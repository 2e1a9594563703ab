"""The plugin on a whole bot, on virtual time: no account, no waiting."""

from qqops import Plugin
from qqops.testing import Bots

from {{ cookiecutter.__module }} import Tally, plugin


async def test_votes_are_counted(bots: Bots) -> None:
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for count in (1, 2):
            await ali.say("/{{ cookiecutter.plugin_name }} tea")
            await ali.expect(f"^tea: {count}$")


async def test_another_plugin_can_count_as_well(bots: Bots) -> None:
    other = Plugin("other")

    @other.command("coffee")
    async def coffee(*, tally: Tally) -> str:
        return f"coffee: {tally.add('coffee')}"

    async with bots.run(plugin, other) as bot:
        ali = bot.user("ali")
        await ali.say("/coffee")
        await ali.expect("^coffee: 1$")
