"""A run that waits for two people at once."""

import trio

from qqops import Ctx, Plugin
from qqops.runtime.approvals import Judges
from qqops_essentials import plugin as essentials


async def test_its_time_stands_still_until_both_have_answered(bots):
    plugin = Plugin("deploys")

    @plugin.command("deploy", timeout=30)
    async def deploy(ctx: Ctx) -> str:
        async with trio.open_nursery() as nursery:

            async def approve():
                await ctx.approve("deploy it?", by="role:sre", within=600)

            nursery.start_soon(approve)
            version = await ctx.ask("which version?", within=600)
        await trio.sleep(29)
        return f"{version} is deployed"

    async with bots.run(essentials, plugin) as bot:
        bot.app.approvals.judges = Judges(roles_of=lambda ctx: frozenset({"sre"}))
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("/deploy")
        await bot.settle()
        await ali.say("1.2")
        await bot.advance(300)
        await bot.user("bo", room=ops).say("/approve")
        await bot.advance(28)
        await ops.expect("1.2 is deployed")
