"""Threads of a plugin that is unloaded, on the real clock: waited for, and named only when they do not end."""

import threading

from qqops import Plugin, SyncCtx


async def test_a_thread_that_ends_when_it_is_told_is_waited_for(bots):
    plugin, ended, may_end = Plugin("asker"), [], threading.Event()

    @plugin.command("ask")
    def ask(ctx: SyncCtx) -> str:
        try:
            return ctx.ask("well?")
        finally:
            may_end.wait(0.1)  # nobody sets it: its clean-up takes a while
            ended.append(True)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/ask")
        await ali.expect("well")
        change = await bot.app.plugins.unload("asker")
        assert (list(change.left), ended) == ([], [True])
        await ali.expect("cut off")
