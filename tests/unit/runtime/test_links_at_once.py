"""Several people take one account off its service and back, at once, and some of them are cut off in the middle."""

import pytest
import trio

from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.model import AccountRef
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy


class Parting(MemoryAdapter):
    """Takes its time to leave."""

    seconds = 2

    async def serve(self, link, outbox):
        try:
            await super().serve(link, outbox)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self.seconds)


async def second(bot, kind=Parting):
    network = MemoryNetwork(AccountRef("memory", "second"), bot.clock)
    bot.app.links.add(kind(network), LinkPolicy(), OutboxPolicy())
    await bot.settle()
    return bot.app.links


async def test_one_who_starts_an_account_while_another_stops_it_has_the_last_word(bots):
    async with bots.run() as bot:
        links = await second(bot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.stop, "second")
            await trio.sleep(1)
            links.start("second")
        await bot.settle()
        assert links.states()[1].phase is Phase.ONLINE


async def test_one_who_stops_an_account_while_another_restarts_it_has_the_last_word(bots):
    async with bots.run() as bot:
        links = await second(bot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.restart, "second")
            await trio.sleep(1)
            nursery.start_soon(links.stop, "second")
        await bot.advance(100)
        assert links.states()[1].phase is Phase.STOPPED


async def test_two_who_remove_an_account_at_once_have_both_removed_it(bots):
    async with bots.run() as bot:
        links = await second(bot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.remove, "second")
            nursery.start_soon(links.remove, "second")
        assert len(links.states()) == 1


async def test_an_account_that_is_restarted_while_it_is_removed_stays_away(bots):
    async with bots.run() as bot:
        links = await second(bot)
        before = trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.remove, "second")
            await trio.sleep(1)
            nursery.start_soon(links.restart, "second")
        await bot.settle()
        assert len(links.states()) == 1
        assert trio.lowlevel.current_statistics().tasks_living < before


async def test_two_who_restart_an_account_at_once_find_it_online(bots):
    async with bots.run() as bot:
        links = await second(bot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.restart, "second")
            nursery.start_soon(links.restart, "second")
        await bot.settle()
        assert links.states()[1].phase is Phase.ONLINE


@pytest.mark.parametrize(
    ("what", "phase"), [("restart", Phase.ONLINE), ("stop", Phase.STOPPED)], ids=["restart", "stop"]
)
async def test_who_is_cut_off_in_the_middle_has_done_it_all_the_same(bots, what, phase):
    async with bots.run() as bot:
        links = await second(bot)
        since = links.states()[1].since
        await bot.advance(10)
        with trio.move_on_after(1):
            await getattr(links, what)("second")
        await bot.settle()
        assert links.states()[1].phase is phase
        assert links.states()[1].since > since


async def test_an_account_that_takes_too_long_to_leave_comes_back_once_it_has_left(bots):
    class Deaf(Parting):
        seconds = 25

    async with bots.run() as bot:
        links = await second(bot, Deaf)
        await links.restart("second")
        assert links.states()[1].phase is Phase.WAITING
        await bot.advance(16)
        assert links.states()[1].phase is Phase.ONLINE
        await links.stop("second")
        await bot.advance(100)
        assert links.states()[1].phase is Phase.STOPPED


async def test_accounts_of_one_network_leave_at_the_same_time(bots):
    async with bots.run() as bot:
        for name in ("second", "third", "fourth"):
            network = MemoryNetwork(AccountRef("parley", name), bot.clock)
            bot.app.links.add(Parting(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        before = trio.current_time()
        await bot.app.links.leave(["parley"])
        assert trio.current_time() - before == 2
