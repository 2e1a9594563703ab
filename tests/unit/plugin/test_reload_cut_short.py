"""A reload that something gets in the way of: the end of the bot, or code of the plugin that raises where nobody waits for it."""

import trio

from qqops import Plugin
from qqops.plugin.host import Candidate
from qqops.plugin.plugins import Plugins


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
