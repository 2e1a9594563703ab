"""Jobs when the computer's clock is set: intervals go by the time that passes, cron by the clock, and it is said once."""

import attrs
import pytest
from structlog.testing import capture_logs

from qqops import Ctx, Plugin
from qqops.testing.virtual import EPOCH, VirtualClock

HOUR = 3600


@attrs.define
class Watch:
    """What runs, by the time that really passes."""

    clock: VirtualClock = attrs.field(factory=VirtualClock)
    moved: float = 0.0
    ran: list = attrs.field(factory=list)

    def set(self, seconds):
        self.clock.jump(seconds)
        self.moved += seconds

    def plugin(self, *jobs):
        plugin = Plugin("clock")
        for number, how in enumerate(jobs):
            self.declare(plugin, number, how)
        return plugin

    def declare(self, plugin, number, how):
        @plugin.job(name=f"job{number}", **how)
        async def job(ctx: Ctx) -> None:
            self.ran.append((number, round((ctx.now - EPOCH).total_seconds() - self.moved)))

    def times(self, number=0):
        return [second for one, second in self.ran if one == number]


def set_clock(logs):
    return [line for line in logs if line["event"].startswith("the clock")]


@pytest.mark.parametrize("seconds", [-HOUR, HOUR, -90 * 86400, 90 * 86400, -120, 45, -5])
@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
@pytest.mark.parametrize("interval", [100, 2 * HOUR])
async def test_an_interval_goes_on_whatever_the_clock_is_set_to(bots, seconds, misfire, interval):
    watch = Watch()
    async with bots.run(watch.plugin({"every": interval, "misfire": misfire}), clock=watch.clock) as bot:
        await bot.advance(interval * 2.5)
        watch.set(seconds)
        await bot.advance(interval * 3)
    assert watch.times() == [interval * n for n in range(1, 6)]


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
async def test_the_grid_that_has_moved_with_the_clock_outlives_a_restart(bots, tmp_path, seconds):
    watch = Watch()
    plugin = watch.plugin({"every": 100, "misfire": "all"})
    async with bots.run(plugin, folder=tmp_path, clock=watch.clock) as bot:
        await bot.advance(250)
        watch.set(seconds)
        await bot.advance(100)
    async with bots.run(plugin, folder=tmp_path, clock=watch.clock) as bot:
        await bot.advance(100)
    assert watch.times() == [100, 200, 300, 400]


async def test_a_clock_that_was_set_back_while_the_bot_was_away_silences_no_interval(bots, tmp_path):
    watch = Watch()
    plugin = watch.plugin({"every": 100}, {"every": 2 * HOUR})
    async with bots.run(plugin, folder=tmp_path, clock=watch.clock) as bot:
        await bot.advance(150)
    watch.set(-HOUR)
    async with bots.run(plugin, folder=tmp_path, clock=watch.clock) as bot:
        await bot.advance(3 * HOUR)
    assert len(watch.times()) == 1 + 3 * HOUR // 100
    assert len(watch.times(1)) == 1, "it may be late by as much as the clock was set back"


async def test_a_clock_that_is_set_is_said_once_for_all_jobs(bots):
    watch = Watch()
    jobs = [{"every": 100}, {"every": 40}, {"cron": "0 * * * *"}, {"cron": "*/5 * * * *"}]
    with capture_logs() as logs:
        async with bots.run(watch.plugin(*jobs), clock=watch.clock) as bot:
            await bot.advance(250)
            assert set_clock(logs) == []
            watch.set(-30 * 86400)
            await bot.advance(250)
            assert [(one["log_level"], one["seconds"]) for one in set_clock(logs)] == [
                ("warning", -30 * 86400)
            ]
            watch.set(HOUR)
            await bot.advance(250)
            assert len(set_clock(logs)) == 2


async def test_a_clock_that_stands_before_what_is_stored_is_said_once(bots, tmp_path):
    watch = Watch()
    plugin = watch.plugin({"cron": "*/5 * * * *"}, {"cron": "*/10 * * * *"})
    async with bots.run(plugin, folder=tmp_path, clock=watch.clock) as bot:
        await bot.advance(610)
    watch.set(-30 * 86400)
    with capture_logs() as logs:
        async with bots.run(plugin, folder=tmp_path, clock=watch.clock) as bot:
            await bot.advance(600)
    assert len(set_clock(logs)) == 1
    assert len(watch.times()) == 4, "cron goes by the new time"


async def test_what_a_time_server_corrects_is_no_jump(bots):
    watch = Watch()
    with capture_logs() as logs:
        async with bots.run(watch.plugin({"every": 100}), clock=watch.clock) as bot:
            for _ in range(3):
                watch.clock.jump(3)
                await bot.advance(100)
                watch.clock.jump(-3)
                await bot.advance(100)
    assert set_clock(logs) == []
    assert len(watch.times()) == 6


async def test_a_clock_that_is_set_during_jitter_makes_no_burst(bots):
    watch = Watch()
    async with bots.run(
        watch.plugin({"every": 100, "jitter": 90, "misfire": "all"}), clock=watch.clock
    ) as bot:
        await bot.advance(101)
        assert watch.ran == [], "it waits for its moment in the jitter"
        watch.set(HOUR)
        await bot.advance(700)
    assert 6 <= len(watch.ran) <= 8


async def test_a_job_that_is_resumed_just_after_the_clock_was_set_waits_no_longer(bots):
    watch = Watch()
    async with bots.run(watch.plugin({"every": 2 * HOUR}), clock=watch.clock) as bot:
        bot.app.jobs.pause("job0")
        await bot.advance(1.5 * HOUR)
        watch.set(HOUR)
        bot.app.jobs.resume("job0")
        await bot.advance(HOUR)
    assert watch.times() == [2 * HOUR]
