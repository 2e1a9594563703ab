"""A bot that does not end is ended."""

import contextlib
from collections.abc import AsyncGenerator

import pytest
import structlog
import trio

from qqops import Plugin
from qqops.cli.last import AFTER_SECOND, LastResort


def deaf():
    plugin, may_end = Plugin("deaf"), trio.Event()

    @plugin.command("hang")
    async def hang() -> None:
        with trio.CancelScope(shield=True):
            await may_end.wait()

    return plugin, may_end


@pytest.mark.parametrize(
    ("hurry", "code", "seconds"), [(False, 4, 25.0), (True, 130, 11.0)], ids=["one signal", "two"]
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
        took = trio.current_time() - began
        may_end.set()  # before anything can fail: the bot would not end
        assert (left, took) == ([code], seconds)
        assert "run #0001 of deaf:hang" in logs[0]["left"][0]


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


class Stuck:
    """A store whose thread hears of no cancellation."""

    def __init__(self, app):
        self.back = trio.Event()
        app.store = self

    async def read(self, query):
        with trio.CancelScope(shield=True):
            await self.back.wait()


async def test_a_disk_that_does_not_answer_keeps_no_process(bots):
    async with bots.run() as bot:
        stop, left = trio.Event(), []
        store, last = Stuck(bot.app), LastResort(bot.app, stop, left.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(last.run)
            stop.set()
            await trio.sleep(28)
            on_time = list(left)
            store.back.set()
        assert on_time == [4]
        bot.app.store = None


@pytest.mark.parametrize("hurry", [False, True], ids=["one signal", "two"])
async def test_a_slow_disk_is_waited_for_when_nothing_else_is_left(bots, hurry):
    async with bots.run() as bot:
        app = bot.app
    stop, left = trio.Event(), []
    assert app.ended.is_set(), "plugins, sessions and services have ended: the store is being written"
    last = LastResort(app, stop, left.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(last.run)
        stop.set()
        if hurry:
            last.hurry.set()
        await trio.sleep(AFTER_SECOND + 29 if hurry else 54)
        assert left == []
        await trio.sleep(2)
        assert left == [130 if hurry else 4], "but not for ever"


async def test_services_that_lean_on_each_other_may_clean_up_after_a_second_signal(bots):
    class Base: ...

    class Upper: ...

    plugin, clean = Plugin("polite"), []

    @contextlib.asynccontextmanager
    async def slow(name, value):
        try:
            yield value
        finally:
            with trio.move_on_after(2, shield=True):
                await trio.sleep(1.9)
                clean.append(name)

    @plugin.service()
    @contextlib.asynccontextmanager
    async def base() -> AsyncGenerator[Base]:
        async with slow("base", Base()) as value:
            yield value

    @plugin.service()
    @contextlib.asynccontextmanager
    async def upper(base: Base) -> AsyncGenerator[Upper]:
        async with slow("upper", Upper()) as value:
            yield value

    async with bots.run(plugin) as bot:
        stop, left = trio.Event(), []
        last = LastResort(bot.app, stop, left.append)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(last.run)
            stop.set()
            last.hurry.set()
            await bot.app.services.close()
            last.off()
        assert (clean, left) == (["upper", "base"], [])
