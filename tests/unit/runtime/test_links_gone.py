"""What ends with an account that is removed, and when the bot ends with its accounts."""

import contextlib

import pytest
import structlog
import trio

from qqops import AnswerCancelled, Ctx, Plugin, Refuse
from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
from qqops.app import App, AppPolicy, End
from qqops.errors import FatalError
from qqops.model import AccountRef, Delivery
from qqops.runtime.observe import Phase
from qqops.runtime.outbox import OutboxPolicy
from qqops.runtime.storage.journal import RowState
from qqops.runtime.supervisor import LinkPolicy
from qqops.testing.bots import Nobody
from qqops.testing.virtual import VirtualClock


class Parting(MemoryAdapter):
    """Takes its time to leave."""

    async def serve(self, link, outbox):
        try:
            await super().serve(link, outbox)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)


class Barred(MemoryAdapter):
    """Its service wants nothing to do with it."""

    async def serve(self, link, outbox):
        await trio.lowlevel.checkpoint()
        raise FatalError("barred for ever")


def curious(ended):
    plugin = Plugin("curious")

    @plugin.command("weather")
    async def weather(ctx: Ctx) -> None:
        try:
            await ctx.ask("where?", within=5000)
        except AnswerCancelled as exc:
            ended.append((trio.current_time(), str(exc)))
            raise

    @plugin.command("deploy")
    async def deploy(ctx: Ctx) -> None:
        try:
            await ctx.approve("to production", by="role:boss", within=5000)
        except AnswerCancelled as exc:
            ended.append((trio.current_time(), str(exc)))
            raise

    @plugin.command("late")
    async def late(ctx: Ctx) -> None:
        await trio.sleep(20)
        for ask in (
            lambda: ctx.ask("where?", within=5000),
            lambda: ctx.approve("it", by="role:boss", within=5000),
        ):
            try:
                await ask()
            except AnswerCancelled as exc:
                ended.append((trio.current_time(), str(exc)))

    @plugin.command("city")
    async def city(name: str) -> str:
        return name

    return plugin


@pytest.mark.parametrize("command", ["/weather", "/deploy"])
async def test_what_an_account_asks_people_ends_when_it_is_removed_and_the_journal_knows(
    bots, tmp_path, command
):
    ended = []
    async with bots.run(curious(ended), accounts=("test", "second"), folder=tmp_path) as bot:
        network = bot.networks["second"]
        network.say("bo", network.group("lab"), command)
        ali = bot.user("ali")
        await ali.say("/weather")
        await ali.expect("where")
        now = trio.current_time()
        await bot.app.links.remove("second")
        await bot.settle()
        assert ended == [(now, "the account that was asking has been removed")]
        assert bot.app.dispatcher.statistics()["asking"] == 1, "the other account asks on"
        rows = await bot.app.store.read(
            lambda connection: connection.execute("SELECT account, state FROM inbound").fetchall()
        )
        assert sorted(rows) == [("memory:second", RowState.ENDED), ("memory:test", RowState.STARTED)]
        await ali.say("cancel")
        await ali.expect("stopped")


async def test_a_missing_argument_is_not_waited_for_when_its_account_is_removed(bots):
    async with bots.run(curious([]), accounts=("test", "second")) as bot:
        network = bot.networks["second"]
        network.say("bo", network.group("lab"), "/city")
        await bot.settle()
        assert bot.app.talks.open
        await bot.app.links.remove("second")
        assert not bot.app.talks.open


async def test_nobody_is_asked_by_an_account_that_was_removed(bots):
    ended = []
    async with bots.run(curious(ended), accounts=("test", "second")) as bot:
        network = bot.networks["second"]
        network.say("bo", network.group("lab"), "/late")
        await bot.advance(10)
        now = trio.current_time()
        await bot.app.links.remove("second")
        await bot.advance(20)
        assert ended == [(now + 10, "the account that was asking has been removed")] * 2


async def test_what_waits_for_its_turn_when_its_account_is_removed_is_run_and_said_to_nobody(bots):
    outcomes = []
    plugin = Plugin("late")

    @plugin.command("slow")
    async def slow() -> str:
        await trio.sleep(5)
        return "slow"

    @plugin.command("reply")
    async def reply(ctx: Ctx) -> str:
        outcomes.append(await ctx.reply("one"))
        return "two"

    async with bots.run(plugin, accounts=("test", "second")) as bot:
        network = bot.networks["second"]
        for text in ("/slow", "/reply"):
            network.say("bo", network.group("lab"), text)
        await bot.advance(1)
        await bot.app.links.remove("second")
        with structlog.testing.capture_logs() as logs:
            await bot.advance(10)
        assert [(one.delivery, one.reason) for one in outcomes] == [
            (Delivery.REFUSED, "the account was removed")
        ]
        assert [line["event"] for line in logs] == ["not sent"] * 3


async def test_a_question_of_an_account_that_is_stopped_may_be_answered_after_its_start(bots):
    ended = []
    async with bots.run(curious(ended)) as bot:
        ali = bot.user("ali")
        await ali.say("/weather")
        await ali.expect("where")
        await bot.app.links.stop("test")
        await bot.advance(100)
        bot.app.links.start("test")
        await bot.settle()
        await ali.say("here")
        await bot.settle()
        assert not bot.app.talks.open
        assert not ended


# -- the end of the bot ---------------------------------------------------------------------------


class Bot:
    """A bot whose end is known."""

    def __init__(self, *kinds):
        self.clock = VirtualClock()
        self.app = App(AppPolicy(seed=1), clock=self.clock, operator=Nobody())
        for number, kind in enumerate(kinds):
            self.add(f"a{number}", kind)
        self.stop, self.end = trio.Event(), None

    @property
    def links(self):
        return self.app.links

    def add(self, name, kind=MemoryAdapter):
        network = MemoryNetwork(AccountRef("memory", name), self.clock)
        self.links.add(kind(network), LinkPolicy(), OutboxPolicy())

    async def run(self, task_status):
        self.end = await self.app.run(self.stop, task_status)


@contextlib.asynccontextmanager
async def bot_of(*kinds):
    bot = Bot(*kinds)
    async with trio.open_nursery() as nursery:
        await nursery.start(bot.run)
        await trio.sleep(5)
        yield bot
        await trio.sleep(5)
        bot.ended = bot.end
        bot.stop.set()


async def test_when_the_last_account_that_works_is_removed_the_bot_ends():
    async with bot_of(MemoryAdapter, Barred, Barred) as bot:
        assert bot.end is None
        await bot.links.remove("a0")
    assert bot.ended is End.NO_ACCOUNTS


async def test_when_the_only_account_is_removed_the_bot_ends():
    async with bot_of(MemoryAdapter) as bot:
        await bot.links.remove("a0")
    assert bot.ended is End.NO_ACCOUNTS


async def test_an_account_that_takes_the_place_of_the_only_one_keeps_the_bot():
    async with bot_of(MemoryAdapter) as bot:
        await bot.links.remove("a0")
        bot.add("a0")
    assert bot.ended is None
    assert bot.end is End.CLEAN


async def test_the_bot_goes_on_while_one_account_can_be_started_again():
    async with bot_of(MemoryAdapter, Barred, MemoryAdapter) as bot:
        await bot.links.stop("a0")
        await bot.links.remove("a2")
    assert bot.ended is None


async def test_an_account_that_was_given_up_and_is_started_at_the_same_time_keeps_the_bot():
    async with bot_of(MemoryAdapter, Barred) as bot:
        await bot.links.remove("a0")
        bot.links._links[AccountRef("memory", "a1")].supervisor.renew(
            MemoryAdapter(MemoryNetwork(AccountRef("memory", "a1"), bot.clock))
        )
        bot.links.start("a1")
    assert bot.ended is None
    assert bot.links.states()[0].phase is Phase.ONLINE


async def test_who_is_alone_is_known():
    async with bot_of(MemoryAdapter, Parting, Barred) as bot:
        assert not bot.links.alone("a0")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bot.links.stop, "a1")
            await trio.sleep(1)
            assert bot.links.alone("a0"), "the other one is leaving"
        assert bot.links.alone("a0")
        with pytest.raises(Refuse):
            bot.links.alone("nobody")
