"""The plugin on a whole bot, on virtual time: no account, no waiting."""

from qqops.testing import Bots

from {{ cookiecutter.__module }} import plugin


async def test_a_ticket_is_linked(bots: Bots) -> None:
    async with bots.run(plugin, config={"url": "http://tracker/"}) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("have a look at OPS-42, please")
        await ops.expect("^http://tracker/OPS-42$")


async def test_chatter_is_left_alone(bots: Bots) -> None:
    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("ops-42 is no ticket, nor is 42")
        await ops.quiet()
