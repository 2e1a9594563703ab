"""Shutdown: the order of nesting, the grace time, and what is cut."""

import pytest
import trio

from qqops import Plugin
from qqops.app import AppPolicy
from qqops.runtime.observe import Handled, Result


def slow_plugin(log):
    plugin = Plugin("slow")

    @plugin.command("wait", timeout=1000)
    async def wait(seconds: float) -> str:
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            log.append(f"cut {seconds:g}")
            raise
        return f"waited {seconds:g}"

    @plugin.job(every=1)
    async def tick() -> None:
        log.append("tick")

    return plugin


async def run_and_stop(bots, *commands, grace=10.0):
    log = []
    async with bots.run(slow_plugin(log), policy=AppPolicy(seed=1, grace_seconds=grace)) as bot:
        ali = bot.user("ali")
        for i, command in enumerate(commands):
            await bot.user(f"p{i}").say(command)
        await trio.sleep(0.5)
        began = trio.current_time()
    await ali.room._bot.app.ended.wait()
    return bot, log, trio.current_time() - began


async def test_running_handlers_finish_and_their_replies_go_out(bots):
    bot, log, took = await run_and_stop(bots, "/wait 1", "/wait 3")
    assert [d.text for d in bot.network.sent] == ["waited 1", "waited 3"]
    assert took == 2.5
    assert "tick" not in log, "no new work while stopping"
    assert bot.app.idle()


async def test_a_handler_that_does_not_end_is_cut_after_the_grace_time(bots):
    bot, log, took = await run_and_stop(bots, "/wait 1", "/wait 500")
    assert took == 10
    assert log == ["cut 500"]
    assert [d.text for d in bot.network.sent] == ["waited 1"]
    results = [r.result for r in bot.records if isinstance(r, Handled)]
    assert results == [Result.DONE, Result.CANCELLED]


async def test_messages_that_come_while_stopping_are_refused(bots):
    log = []
    async with bots.run(slow_plugin(log)) as bot:
        await bot.user("ali").say("/wait 5")
        bot.app.dispatcher.close()
        await bot.user("bo").say("/wait 1")
        assert bot.app.dispatcher.dropped == 1


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.9, 1.0, 1.5, 3.0])
async def test_cancellation_at_any_moment_leaves_nothing_behind(bots, moment):
    """Work in every stage, then the whole bot is cancelled; no task survives."""
    from qqops.adapters.memory import MemoryAdapter, MemoryNetwork
    from qqops.app import App
    from qqops.model import AccountRef, Pace
    from qqops.plugin.host import Candidate
    from qqops.runtime.outbox import OutboxPolicy
    from qqops.runtime.supervisor import LinkPolicy
    from qqops.testing.bots import Nobody
    from qqops.testing.virtual import VirtualClock

    clock, log = VirtualClock(), []
    app = App(AppPolicy(seed=1), clock=clock, operator=Nobody())
    app.host.load(Candidate(name="slow", load=lambda: slow_plugin(log)))
    network = MemoryNetwork(AccountRef("memory", "x"), clock)
    app.add_account(MemoryAdapter(network, Pace(gap=0.5)), LinkPolicy(), OutboxPolicy())
    for seconds in (0, 1, 2, 3):
        network.say(f"p{seconds}", network.group("ops"), f"/wait {seconds}")
    before = trio.lowlevel.current_statistics().tasks_living
    ends = []
    with trio.move_on_after(moment):
        ends.append(await app.run(trio.Event()))
    assert not ends
    assert trio.lowlevel.current_statistics().tasks_living == before
