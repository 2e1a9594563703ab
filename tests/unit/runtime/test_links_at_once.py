"""Several people take one account off its service and back, at once, and some of them are cut off in the middle."""

import pytest
import trio

from qqops import Plugin
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.errors import TransientError
from qqops.model import AccountRef, Connected, Disconnected
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


async def test_an_account_whose_network_is_being_unloaded_reaches_nobody(bots):
    async with bots.run() as bot:
        network = MemoryNetwork(AccountRef("net", "second"), bot.clock)
        bot.app.links.add(Parting(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        links = bot.app.links
        assert not links.alone("test")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.leave, ["net"])
            await trio.sleep(1)
            assert links.states()[1].phase is Phase.ONLINE, "it takes its time"
            assert links.alone("test")


@pytest.mark.parametrize("act", ["stop", "restart"])
async def test_an_account_that_fails_long_after_it_was_taken_for_gone_changes_nothing(bots, act):
    class Late(MemoryAdapter):
        """Takes longer to leave than it is waited for, and fails at that."""

        async def serve(self, link, outbox):
            try:
                await super().serve(link, outbox)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(12)
                raise TransientError("it would not let me go")

    plugin, gone = Plugin("p"), []

    @plugin.on(Disconnected, inline=True)
    def note(event: Disconnected) -> None:
        gone.append(event.cause)

    async with bots.run(plugin) as bot:
        links = await second(bot, Late)
        await getattr(links, act)("second")
        after = links.states()[1]
        await bot.advance(30)
        assert len(gone) == 1
        if act == "stop":
            assert links.states()[1] == after, "stopped, and not to be tried again"
        else:
            assert links.states()[1].phase is Phase.ONLINE


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


class Eager:
    """An event after which somebody starts the account before anybody else can do anything."""

    def __init__(self, links):
        self._event = trio.Event()
        self._links = links
        self.is_set, self.wait = self._event.is_set, self._event.wait

    def set(self):
        self._event.set()
        self._links.start("second")


@pytest.mark.parametrize("what", ["stop", "restart", "remove"])
async def test_one_who_starts_an_account_the_moment_it_has_left_starts_it_once_or_not_at_all(bots, what):
    async with bots.run() as bot:
        links = await second(bot)
        ref = AccountRef("memory", "second")
        before = trio.lowlevel.current_statistics().tasks_living
        links._links[ref].over = Eager(links)
        await getattr(links, what)("second")
        await bot.advance(100)
        if what == "remove":
            assert trio.lowlevel.current_statistics().tasks_living < before
            return
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert links.states()[1].phase is Phase.ONLINE
        assert not links._links[ref].supervisor.outbox._closed


async def test_who_restarts_an_account_that_another_stops_leaves_it_stopped(bots):
    async with bots.run() as bot:
        links = await second(bot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(links.restart, "second")
            await trio.sleep(0.5)
            nursery.start_soon(links.restart, "second")
            await trio.sleep(0.5)
            links._find("second").wanted = False  # the first thing that `stop` does
        await bot.advance(100)
        assert str(links.states()[1]) == "stopped (the account was stopped)"


@pytest.mark.parametrize("again", [False, True], ids=["gone", "added again"])
async def test_an_account_that_leaves_long_after_it_was_removed_harms_nobody(bots, again):
    class Deaf(Parting):
        seconds = 25

        async def serve(self, link, outbox):
            try:
                await super().serve(link, outbox)
            except BaseException:
                link.online(["late"])
                link.event(Connected(account=self.account, at=bot.clock.now()))
                raise TransientError("it does not know what was asked of it") from None

    heard = []
    plugin = Plugin("listening")

    @plugin.on(Connected)
    async def connected(event: Connected) -> None:
        heard.append((event.account.id, trio.current_time() - began))

    began = trio.current_time()
    async with bots.run(plugin) as bot:
        links = await second(bot, Deaf)
        await links.remove("second")
        if again:
            await second(bot, MemoryAdapter)
        await bot.advance(100)
        assert [state.phase for state in links.states()] == [Phase.ONLINE] * (1 + again)
        ref = AccountRef("memory", "second")
        assert not again or bot.app.dispatcher.siblings._accounts[ref].online
        assert sorted(heard) == [("second", 0), *[("second", 10)] * again, ("test", 0)]


async def test_accounts_of_one_network_leave_at_the_same_time(bots):
    async with bots.run() as bot:
        for name in ("second", "third", "fourth"):
            network = MemoryNetwork(AccountRef("parley", name), bot.clock)
            bot.app.links.add(Parting(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        before = trio.current_time()
        await bot.app.links.leave(["parley"])
        assert trio.current_time() - before == 2
