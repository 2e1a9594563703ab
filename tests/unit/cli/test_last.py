"""A bot that does not end is ended."""

import pytest
import structlog
import trio

from qqops import Plugin
from qqops.cli.last import LastResort


def deaf():
    plugin, may_end = Plugin("deaf"), trio.Event()

    @plugin.command("hang")
    async def hang() -> None:
        with trio.CancelScope(shield=True):
            await may_end.wait()

    return plugin, may_end


@pytest.mark.parametrize(
    ("hurry", "code", "seconds"), [(False, 4, 25.0), (True, 130, 4.0)], ids=["one signal", "two"]
)
async def test_a_bot_that_does_not_end_is_named_and_its_process_ended(bots, hurry, code, seconds):
    plugin, may_end = deaf()
    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/hang")
        await bot.settle()
        stop, left = trio.Event(), []
        last = LastResort(bot.app, stop, left.append)
        with structlog.testing.capture_logs() as logs:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(last.run)
                await trio.sleep(100)
                assert not left
                began = trio.current_time()
                stop.set()
                await trio.sleep(1)
                if hurry:
                    last.hurry.set()
                nursery.cancel_scope.cancel()
        assert (left, trio.current_time() - began) == ([code], seconds)
        assert "run #0001 of deaf:hang" in logs[0]["left"][0]
        may_end.set()


async def test_nothing_happens_to_a_bot_that_ends_by_itself(bots):
    async with bots.run() as bot:
        stop, left = trio.Event(), []
        last = LastResort(bot.app, stop, left.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(last.run)
            stop.set()
            await trio.sleep(5)
            last.off()
        await trio.sleep(100)
        assert not left
