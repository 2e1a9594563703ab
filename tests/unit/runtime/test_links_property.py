"""Whatever people do to accounts at the same time: in the end each is as the last one wanted it, and nothing else is left."""

import random

import pytest
import trio

from qqops import Ctx, Plugin, Refuse
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.errors import TransientError
from qqops.model import AccountRef
from qqops.runtime.conversations import Ending
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.supervisor import LinkPolicy


class World:
    """Accounts that are hard to keep, and people who cannot make up their minds."""

    def __init__(self, bot, dice):
        self.bot = bot
        self.links = bot.app.links
        self.dice = dice
        self.sessions = {}
        self.networks = {}

    def adapter(self, name):
        world = self

        class Moody(MemoryAdapter):
            async def serve(self, link, outbox):
                world.sessions[name] = world.sessions.get(name, 0) + 1
                assert world.sessions[name] == 1, "an account has one session"
                try:
                    if world.dice.random() < 0.2:
                        raise TransientError("no luck")
                    await super().serve(link, outbox)
                finally:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(world.dice.choice([0, 0, 0.1, 1, 3, 8]))
                    world.sessions[name] -= 1

        self.networks[name] = MemoryNetwork(AccountRef("net", name), self.bot.clock)
        return Moody(self.networks[name])

    async def act(self):
        """Do something to an account, or lose patience while it is done."""
        name, links = self.dice.choice("abc"), self.links
        acts = (
            lambda: links.add(self.adapter(name), LinkPolicy(), OutboxPolicy(), lambda: self.adapter(name)),
            lambda: links.remove(name), lambda: links.stop(name), lambda: links.start(name),
            lambda: links.restart(name), lambda: links.leave(["net"]), lambda: links.renew(links.offline()),
            lambda: self.ask(name),
        )  # fmt: skip
        try:
            with trio.move_on_after(self.dice.choice([0.5, 5, 1000])):
                done = self.dice.choice(acts)()
                if hasattr(done, "__await__"):
                    await done
        except Refuse:
            pass

    def ask(self, name):
        if (network := self.networks.get(name)) is not None:
            network.say("bo", network.group("lab"), "/asks")


@pytest.mark.parametrize("seed", range(40))
async def test_in_the_end_each_account_is_as_it_was_wanted(bots, seed):
    plugin = Plugin("curious")

    @plugin.command("asks")
    async def asks(ctx: Ctx) -> None:
        await ctx.ask("what?", within=100_000)

    async with bots.run(plugin) as bot:
        world = World(bot, random.Random(seed))
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(world.act)
                await trio.sleep(world.dice.choice([0, 0, 0.05, 1, 4]))
        world.links.renew(world.links.offline())
        await trio.sleep(400)
        known = world.links._links
        for ref, link in known.items():
            assert link.supervisor.state.phase is (Phase.ONLINE if link.wanted else Phase.STOPPED)
            assert bool(link.supervisor.outbox._closed) is not link.wanted
            assert ref.network != "net" or world.sessions.get(ref.id, 0) == link.wanted
        assert sum(world.sessions.values()) == sum(link.wanted for link in known.values()) - 1
        assert set(bot.app.dispatcher._outboxes) == set(known)
        assert {room.account for room, _ in bot.app.talks.open} <= set(known)
        for question in list(bot.app.talks.open.values()):
            bot.app.talks.end(question, Ending.CANCELLED)
