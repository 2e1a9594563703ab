"""Plugins and accounts from the chat."""

import pytest
import trio

from qqops import Ctx, Plugin
from qqops.adapters.base import Network
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork, MemoryOptions
from qqops.app import AppPolicy
from qqops.model import AccountRef
from qqops.plugin.hooks import hookimpl
from qqops.plugin.host import Candidate
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy
from qqops_essentials import plugin

OWNER = "memory:test/u-boss"


def owned(**more):
    return AppPolicy(seed=1, access=AccessPolicy(owners=(OWNER,)), **more)


class Shop:
    """A plugin whose copies tell their number."""

    def __init__(self):
        self.copies = 0
        self.broken = False

    def __call__(self):
        if self.broken:
            raise ImportError("no till")
        self.copies += 1
        number, made = self.copies, Plugin("shop")

        @made.command("buy")
        async def buy(ctx: Ctx) -> str:
            return f"bought from copy {number}"

        @made.job(every=60)
        async def count() -> None: ...

        return made


async def shop(bot):
    made = Shop()
    bot.app.host.load(Candidate(name="shop", load=made))
    bot.app.refresh()
    await bot.app.owners.begin("shop")
    return made


async def test_a_plugin_is_reloaded_and_told_of(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        made = await shop(bot)
        boss = bot.user("boss")
        await boss.say("/plugin info shop")
        await boss.expect("^shop: loaded\n1 command.s., 1 job.s.\nthe job shop:count$")
        await boss.say("/plugin reload shop")
        await boss.expect(r"^shop is reloaded \(\d+ ms\)$")
        await boss.say("/buy")
        await boss.expect("from copy 2")
        made.broken = True
        await boss.say("/plugin reload shop")
        await boss.expect("^not reloaded, the old copy goes on: .*test_plugins.py:.*no till")
        await boss.say("/buy")
        await boss.expect("from copy 2")


async def test_a_plugin_goes_everywhere_and_comes_back(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        await shop(bot)
        boss = bot.user("boss")
        await boss.say("/plugin off shop --everywhere")
        await boss.expect("^shop is unloaded everywhere, also after a restart")
        await boss.say("/plugin list")
        await boss.expect("shop: not loaded")
        await boss.say("/buy")
        await boss.room.quiet()
        for line in ("/plugin off shop --everywhere", "/plugin reload shop"):
            await boss.say(line)
            await boss.expect("shop is not loaded")
        await boss.say("/plugin on shop -a")
        await boss.expect("^shop is loaded")
        await boss.say("/buy")
        await boss.expect("from copy 2")


async def test_the_plugin_that_brings_the_only_network_stays(bots):
    def make():
        made = Plugin("wires")
        made.qqops_networks = hookimpl(
            lambda: [Network(name="memory", options=MemoryOptions, open=MemoryNetwork)]
        )
        return made

    async with bots.run(plugin, policy=owned()) as bot:
        bot.app.host.load(Candidate(name="wires", load=make))
        boss = bot.user("boss")
        await boss.say("/plugin off wires --everywhere")
        await boss.expect("wires brings the network of the only account by which I can be reached now")
        network = MemoryNetwork(AccountRef("parley", "second"), bot.clock)
        bot.app.links.add(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        await boss.say("/plugin off wires --everywhere")
        await bot.settle()
        assert not bot.app.host.is_loaded("wires")
        assert [state.phase.value for state in bot.app.links.states()] == ["waiting", "online"]


async def test_it_can_reload_itself_and_not_unload_itself(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        boss = bot.user("boss")
        await boss.say("/plugin reload essentials")
        await boss.expect("^essentials is reloaded")
        await boss.say("/ping")
        await boss.expect("pong")
        await boss.say("/plugin off essentials --everywhere")
        await boss.expect("brings the command that would load it again")
        await boss.say("/plugin reload nope")
        await boss.expect("there is no plugin 'nope'")


async def test_two_people_who_stop_each_others_account_leave_one(bots):
    class Parting(MemoryAdapter):
        async def serve(self, link, outbox):
            try:
                await super().serve(link, outbox)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)

    async with bots.run(plugin, policy=owned()) as bot:
        boss = bot.user("boss")
        network = MemoryNetwork(AccountRef("memory", "second"), bot.clock)
        bot.app.links.add(Parting(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        bot.app.access.give("owner", str(network.user("cy").ref))
        network.say("cy", network.private("cy"), "/account stop test")
        await boss.say("/account stop second")
        await bot.advance(20)
        phases = sorted(state.phase.value for state in bot.app.links.states())
        assert phases == ["online", "stopped"]


@pytest.mark.parametrize(
    "line",
    [
        "/plugin reload shop", "/plugin info shop", "/plugin off shop --everywhere", "/plugin on shop --everywhere",
        "/account stop test", "/account list",
    ],
)  # fmt: skip
async def test_it_takes_a_permission(bots, line):
    async with bots.run(plugin, policy=owned()) as bot:
        await shop(bot)
        eve, admin = bot.user("eve"), bot.user("admin", room=bot.room("ops"), roles={"room.admin"})
        bot.app.access.give("switcher", "memory:test/u-admin")
        for who in (eve, admin):
            await who.say(line)
            await who.expect("you may not do that")
        assert bot.app.host.is_loaded("shop")


async def test_accounts_are_stopped_and_started(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        boss = bot.user("boss")
        await boss.say("/account list")
        await boss.expect("^memory:test: online$")
        await boss.say("/account restart test")
        await boss.expect("^test is being connected$")
        await boss.say("/account stop nope")
        await boss.expect("there is no account 'nope'")
        for name in ("test", "memory:test"):
            await boss.say(f"/account stop {name}")
            await boss.expect("is the only account by which I can be reached now")
        assert bot.app.links.states()[0].phase.value == "online"


async def test_of_two_accounts_each_can_stop_the_other_and_the_last_one_stays(bots):
    async with bots.run(plugin, policy=owned()) as bot:
        boss = bot.user("boss")
        network = MemoryNetwork(AccountRef("memory", "second"), bot.clock)
        bot.app.links.add(MemoryAdapter(network), LinkPolicy(), OutboxPolicy())
        await bot.settle()
        await boss.say("/account stop second")
        await boss.expect("^second is off its service now$")
        await boss.say("/account stop test")
        await boss.expect("only account")
        await boss.say("/account start second")
        await boss.expect("being connected")
        await bot.settle()
        await boss.say("/account stop test")
        await bot.settle()
        assert [state.phase.value for state in bot.app.links.states()] == ["stopped", "online"]
