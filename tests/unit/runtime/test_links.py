"""Accounts are added, stopped, started and taken away while the bot runs."""

import pytest
import trio

from qqops import Plugin, Refuse
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork, MemoryOptions
from qqops.model import AccountRef, Delivery, Disconnected
from qqops.plugin.hooks import hookimpl
from qqops.plugin.host import Candidate, PluginState
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy


def tools():
    plugin, heard = Plugin("tools"), []

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    @plugin.on(Disconnected)
    async def gone(event: Disconnected) -> None:
        heard.append(event.cause)

    return plugin, heard


def second(bot, first=1):
    network = MemoryNetwork(AccountRef("memory", "second"), bot.clock, first=first)
    said = []
    network.heard = lambda draft, ref: said.append(draft.text)
    return network, said


def phase(bot, number=0):
    return bot.app.links.states()[number].phase


async def test_an_account_that_is_added_while_the_bot_runs_is_connected_and_answers(bots):
    plugin, _ = tools()
    async with bots.run(plugin) as bot:
        network, said = second(bot)
        bot.app.links.add(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        assert phase(bot, 1) is Phase.ONLINE
        network.say("bo", network.group("lab"), "/ping")
        await bot.settle()
        assert said == ["pong"]
        with pytest.raises(Refuse):
            bot.app.links.add(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())


async def test_an_account_that_is_stopped_says_why_it_refuses_and_comes_back_when_it_is_started(bots):
    plugin, heard = tools()
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await bot.app.links.stop("test")
        assert phase(bot) is Phase.STOPPED
        await bot.settle()
        assert heard == ["the account was stopped"]
        outcome = await bot.app.rooms.send(ali.room.room.ref, "hello")
        assert (outcome.delivery, outcome.reason) == (Delivery.REFUSED, "the account was stopped")
        await bot.advance(300)
        assert phase(bot) is Phase.STOPPED, "the bot goes on, and leaves it alone"
        for _ in range(2):
            bot.app.links.start("test")
        await bot.settle()
        assert phase(bot) is Phase.ONLINE
        await ali.say("/ping")
        await ali.expect("pong")
        assert len(heard) == 1


async def test_what_a_restarted_account_has_to_send_waits(bots):
    plugin, _ = tools()
    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        held = trio.Event()
        leave = bot.app.links._leave

        async def slowly(link, reason=""):
            await leave(link, reason)
            bot.app.supervisors[0].outbox.put(bot_draft(ops))
            held.set()

        bot.app.links._leave = slowly
        await bot.app.links.restart("memory:test")
        assert held.is_set()
        await ops.expect("meanwhile")
        assert phase(bot) is Phase.ONLINE


def bot_draft(room):
    from qqops.model import Draft

    return Draft.of(room.room.ref, "meanwhile")


async def test_an_account_that_is_removed_is_forgotten_everywhere(bots):
    plugin, _ = tools()
    async with bots.run(plugin) as bot:
        before = trio.lowlevel.current_statistics().tasks_living
        network, said = second(bot)
        bot.app.links.add(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        network.say("bo", network.group("lab"), "/ping")
        await bot.settle()
        await bot.app.links.remove("second")
        await bot.settle()
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert len(bot.app.links.states()) == 1
        assert bot.app.rooms.find("lab") is None
        ali = bot.user("ali")
        await ali.say("/ping")
        await ali.expect("pong")
        network, said = second(bot, first=1000)  # what it delivers again is still known
        bot.app.links.add(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        network.say("bo", network.group("lab"), "/ping")
        await bot.settle()
        assert said == ["pong"]
        with pytest.raises(Refuse):
            await bot.app.links.remove("nobody")


async def test_accounts_of_a_network_that_is_reloaded_come_back_by_the_new_code(bots):
    opened = []

    class Parley:
        name, remembers = "parley", False
        options = MemoryOptions

        def open(self, opening, options):
            network = MemoryNetwork(opening, bot_clock[0])
            opened.append(network)
            return MemoryAdapter(network)

    bot_clock = []

    def make():
        from qqops.adapters.base import Network

        plugin = Plugin("parley")
        network = Network(name="parley", options=MemoryOptions, open=Parley().open)

        @hookimpl
        def qqops_networks():
            return [network]

        plugin.qqops_networks = qqops_networks
        return plugin

    plugin, _ = tools()
    async with bots.run(plugin) as bot:
        bot_clock.append(bot.clock)
        assert bot.app.host.load(Candidate(name="parley", load=make)).state is PluginState.LOADED
        ref = AccountRef("parley", "one")

        def again():
            return bot.app.host.networks["parley"].open(ref, None)

        bot.app.links.add(again(), LinkPolicy(), OutboxPolicy(), again)
        await bot.settle()
        assert phase(bot, 1) is Phase.ONLINE
        assert (await bot.app.plugins.reload("parley")).done
        await bot.settle()
        assert (len(opened), phase(bot, 1)) == (2, Phase.ONLINE)
        assert not bot.app.plugins.alone("parley")
        await bot.app.plugins.unload("parley")
        await bot.advance(100)
        assert phase(bot, 1) is Phase.WAITING
        with pytest.raises(Refuse, match=r"links\.unloaded"):
            bot.app.links.start("one")
        with pytest.raises(Refuse, match=r"links\.unloaded"):
            await bot.app.links.restart("one")
        await bot.app.plugins.load("parley")
        await bot.settle()
        assert (len(opened), phase(bot, 1)) == (3, Phase.ONLINE)
        said = []
        opened[-1].heard = lambda draft, ref: said.append(draft.text)
        opened[-1].say("bo", opened[-1].group("lab"), "/ping")
        await bot.settle()
        assert said == ["pong"]
        await bot.app.links.stop("test")
        assert bot.app.plugins.alone("parley")
        await bot.app.links.stop("one")
        assert (await bot.app.plugins.reload("parley")).done
        await bot.advance(100)
        assert str(bot.app.links.states()[1]) == "stopped (the account was stopped)"
