"""What the runtime promises. Each promise can be broken by one changed line: `tests/mutants` does so."""

import contextvars
import datetime

import pytest
import trio

from qqops import Ctx, Plugin
from qqops.adapters.memory import MemoryNetwork
from qqops.app import AppPolicy
from qqops.errors import StoreError
from qqops.model import (
    AccountRef,
    Capabilities,
    Joined,
    Message,
    Pace,
    PersonRef,
    Room,
    RoomKind,
    RoomRef,
    Text,
    User,
)
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.observe import Expired, Interrupted
from qqops.runtime.storage import directory, store
from qqops.runtime.storage.directory import NameDirectory
from qqops.runtime.storage.journal import Journal, JournalPolicy
from qqops.runtime.storage.store import Store
from qqops.testing.virtual import VirtualClock

NOON = datetime.datetime(2026, 1, 5, tzinfo=datetime.UTC)
CUT = AppPolicy(seed=1, grace_seconds=1)


class Slow:
    """A plugin that begins, and ends when it may."""

    def __init__(self):
        self.began, self.gate, self.plugin = [], trio.Event(), Plugin("slow")

        @self.plugin.on(Joined)
        async def welcome(event: Joined) -> None:
            self.began.append(event.id)
            await self.gate.wait()


def joined(bot, number, who="ali"):
    room, user = bot.room("ops").room, bot.network.user(who)
    return bot.app.dispatcher.route(Joined(room=room, sender=user, at=NOON, id=number))


async def idle(bot):
    with trio.fail_after(60):
        while not bot.app.idle():
            await trio.sleep(0.01)


async def begun(slow, *wanted):
    with trio.fail_after(60):
        while slow.began != list(wanted):
            await trio.sleep(0.01)


# -- back-pressure ------------------------------------------------------------------------------------


async def test_a_reader_waits_while_the_backlog_is_full(bots):
    slow = Slow()
    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=1, backlog=2))
    async with bots.run(slow.plugin, policy=policy) as bot:
        for n in range(4):
            joined(bot, str(n), f"p{n}")
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(10) as waiting:
            await bot.app.dispatcher.ready()
        assert waiting.cancelled_caught
        slow.gate.set()
        with trio.fail_after(10):
            await bot.app.dispatcher.ready()


async def test_a_reader_waits_until_what_it_has_read_is_on_the_disk(bots, tmp_path):
    slow = Slow()
    async with bots.run(slow.plugin, folder=tmp_path) as bot:
        await bot.app.journal.loaded.wait()
        joined(bot, "1")
        await bot.app.dispatcher.ready()
        assert bot.app.journal._last.done
        slow.gate.set()
        await idle(bot)


async def test_a_rush_is_worked_off_and_leaves_no_task(bots):
    slow = Slow()
    dispatch = DispatchPolicy(slots=20, per_plugin=20)
    async with bots.run(slow.plugin, policy=AppPolicy(seed=1, dispatch=dispatch)) as bot:
        before = trio.lowlevel.current_statistics().tasks_living
        for n in range(60):
            joined(bot, str(n), f"p{n}")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before + 20
        slow.gate.set()
        await idle(bot)
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert len(slow.began) == 60


async def test_runs_begin_in_the_order_in_which_they_were_set_off(bots):
    """Trio turns half of its batches round, so this is tried often enough."""
    slow = Slow()
    slow.gate.set()
    numbers = [str(n) for n in range(200)]
    async with bots.run(slow.plugin) as bot:
        for n in numbers:
            joined(bot, n, f"p{n}")
            if int(n) % 10 == 9:
                await idle(bot)
        assert slow.began == numbers


@pytest.mark.parametrize("slots", [1, 8])
async def test_context_variables_do_not_leak_from_run_to_run_or_from_who_caused_it(bots, slots):
    mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="clean")
    plugin, seen = Plugin("p"), []

    @plugin.on(Joined)
    async def welcome() -> None:
        seen.append(mark.get())
        mark.set("the run before")

    async with bots.run(plugin, policy=AppPolicy(seed=1, dispatch=DispatchPolicy(slots=slots))) as bot:
        mark.set("who caused it")
        for n in range(3):
            joined(bot, str(n), f"p{n}")
        await idle(bot)
        assert seen == ["clean"] * 3


async def test_one_plugin_gets_a_quarter_of_the_slots(bots):
    slow = Slow()
    other = Plugin("other")

    @other.command("ping")
    async def ping() -> str:
        return "pong"

    async with bots.run(
        slow.plugin, other, policy=AppPolicy(seed=1, dispatch=DispatchPolicy(slots=8))
    ) as bot:
        for n in range(20):
            joined(bot, str(n), f"p{n}")
        await trio.testing.wait_all_tasks_blocked()
        assert len(slow.began) == 2
        ali = bot.user("ali")
        await ali.say("/ping")
        await ali.expect("pong")
        slow.gate.set()


# -- after a restart ----------------------------------------------------------------------------------


async def test_what_was_accepted_is_handled_once_by_whichever_run(bots, tmp_path):
    slow = Slow()
    async with bots.run(slow.plugin, folder=tmp_path, policy=CUT) as bot:
        joined(bot, "1")
        (second,) = joined(bot, "2")
        await bot.app.journal.safe()
        await begun(slow, "1")
        with trio.CancelScope() as cut:  # while it is being noted that it begins
            cut.cancel()
            await bot.app.journal.starting(second.row)
    slow.gate.set()
    async with bots.run(slow.plugin, folder=tmp_path) as bot:
        await bot.app.journal.loaded.wait()
        for number in ("1", "2"):  # the service delivers it again
            joined(bot, number)
        await idle(bot)
        assert slow.began == ["1", "2"]
        assert [(r.event.id, r.again) for r in bot.records if isinstance(r, Interrupted)] == [("1", False)]
    async with bots.run(slow.plugin, folder=tmp_path) as bot:
        await bot.app.journal.loaded.wait()
        await idle(bot)
        assert slow.began == ["1", "2"]
        assert not [r for r in bot.records if isinstance(r, Interrupted)]


async def test_no_account_is_connected_before_it_is_known_what_was_there(bots, tmp_path, monkeypatch):
    loaded, connected = trio.Event(), []
    load, session = Journal.load, MemoryNetwork.session

    async def late(self):
        await loaded.wait()
        return await load(self)

    async def noted(self, link, outbox):
        connected.append(trio.current_time())
        await session(self, link, outbox)

    monkeypatch.setattr(Journal, "load", late)
    monkeypatch.setattr(MemoryNetwork, "session", noted)
    async with bots.run(folder=tmp_path) as bot:
        await trio.sleep(5)
        assert connected == []
        loaded.set()
        await bot.app.journal.loaded.wait()
        await trio.sleep(1)
        assert len(connected) == 1


async def test_what_is_too_old_is_told_and_not_handled(bots, tmp_path):
    slow, clock = Slow(), VirtualClock()
    async with bots.run(slow.plugin, folder=tmp_path, policy=CUT, clock=clock) as bot:
        joined(bot, "1")
        (second,) = joined(bot, "2")
        await bot.app.journal.safe()
        await begun(slow, "1")
        with trio.CancelScope() as cut:  # while it is being noted that it begins
            cut.cancel()
            await bot.app.journal.starting(second.row)
    slow.gate.set()
    clock.jump(1000.0)
    async with bots.run(slow.plugin, folder=tmp_path, clock=clock) as bot:
        await bot.app.journal.loaded.wait()
        await idle(bot)
        assert slow.began == ["1"]
        assert [r.event.id for r in bot.records if isinstance(r, Expired)] == ["2"]


async def test_a_message_that_went_in_part_goes_on_where_it_was(bots, tmp_path):
    plugin = Plugin("long")

    @plugin.command("long")
    async def long(ctx: Ctx) -> str:
        return "aaaa bbbb cccc"

    can = Capabilities(max_bytes=4)
    async with bots.run(plugin, folder=tmp_path, policy=CUT, can=can, pace=Pace(gap=1000.0)) as bot:
        await bot.user("ali", room=bot.room("ops")).say("/long")
        with trio.fail_after(60):
            while not bot.network.sent:
                await trio.sleep(0.01)
        assert [draft.text for draft in bot.network.sent] == ["aaaa"]
    async with bots.run(plugin, folder=tmp_path, can=can) as bot:
        await bot.app.journal.loaded.wait()
        await idle(bot)
        assert [draft.text for draft in bot.network.sent] == ["bbbb", "cccc"]
    async with bots.run(plugin, folder=tmp_path, can=can) as bot:
        await bot.app.journal.loaded.wait()
        await idle(bot)
        assert bot.network.sent == []


async def test_what_is_open_is_not_deleted_however_old_it_is(tmp_path):
    kept = Store(tmp_path / "q.db")
    clock = VirtualClock()
    journal = Journal(kept, clock, JournalPolicy(remember=0.0, max_age=1e9))
    async with trio.open_nursery() as nursery:
        await nursery.start(kept.run)
        await journal.load()
        me = AccountRef("memory", "x")
        room = Room(ref=RoomRef(me, RoomKind.GROUP, "1"), name="ops")
        user = User(ref=PersonRef(me, "2"), name="Ali")
        message = Message(room=room, sender=user, at=NOON, id="1", segments=(Text("hi"),))
        [row] = journal.accepted(message, [("a:b", -1)])
        clock.jump(86_400.0)
        journal._purge()
        await journal.safe()
        again = Journal(kept, clock, JournalPolicy(remember=0.0, max_age=1e9))
        again._first = again._next = row + 1
        left = await again.load()
        assert [one.row for one in left.unfinished] == [row]
        nursery.cancel_scope.cancel()


# -- the end ------------------------------------------------------------------------------------------


async def test_no_job_starts_while_the_bot_is_closing(bots):
    ran, plugin = [], Plugin("jobs")

    @plugin.job(every=1000.0)
    async def tick() -> None:
        ran.append(1)

    async with bots.run(plugin) as bot:
        handler = next(iter(bot.app.registry.jobs)).handler
        bot.app.dispatcher.close()
        ticket = bot.app.dispatcher.submit(handler)
        await trio.testing.wait_all_tasks_blocked()
        assert (ticket.done.is_set(), ran) == (True, [])


# -- bounds -------------------------------------------------------------------------------------------


async def test_a_store_that_cannot_be_written_keeps_so_much_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "MAX_KEPT", 10)
    (tmp_path / "q.db").mkdir()
    broken = Store(tmp_path / "q.db")
    async with trio.open_nursery() as nursery:
        await nursery.start(broken.run)
        await broken.opened.wait()
        with pytest.raises(StoreError):
            await broken.read(lambda connection: None)
        for _ in range(50):
            broken.write("", ())
        assert len(broken._queue) == 10
        nursery.cancel_scope.cancel()


async def test_names_are_remembered_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(directory, "MAX_NAMES", 10)
    names = NameDirectory(None, VirtualClock())
    for n in range(50):
        names.note(AccountRef("memory", "x"), "nick", "", f"n{n}", str(n))
    assert len(names._names) == 10
    assert names.find(AccountRef("memory", "x"), "nick", "", "n49") == ["49"]
