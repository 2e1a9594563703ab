"""The wall clock of the bot's machine jumps; that of the service does not."""

import pytest
import trio

from qqops.runtime.observe import Phase

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@pytest.mark.parametrize("seconds", [MINUTE, -MINUTE, HOUR, -HOUR, DAY, -DAY, 400 * DAY, -400 * DAY])
async def test_a_jump_of_the_wall_clock_costs_nothing(rig, profile, seconds):
    async def script(at):
        await at.online()
        await trio.sleep(100)
        at.say()
        await trio.sleep(5)
        before = at.server.service.requests
        at.bot_clock.jump(seconds)
        at.say()
        await trio.sleep(10)
        assert at.bot.handled == [1, 2], "also what comes right after the jump"
        await trio.sleep(HOUR)
        at.bot_clock.jump(-seconds)
        at.say()
        await trio.sleep(10)
        assert at.bot.handled == [1, 2, 3]
        assert at.seen() == ["r1", "r2", "r3"]
        assert [link.phase for link in at.bot.links].count(Phase.ONLINE) == 1, "the session goes on"
        assert at.server.service.requests - before < 250, "and nothing is asked for more often"

    await rig().add(profile).run(script)


@pytest.mark.parametrize("seconds", [DAY, -DAY])
async def test_a_jump_while_the_bot_waits_for_the_next_try_does_not_change_the_wait(rig, profile, seconds):
    async def script(at):
        await at.online()
        at.fault("port", seconds=20 * MINUTE)
        await at.until(lambda: at.bot.links[-1].attempt > 6)
        at.bot_clock.jump(seconds)
        began = trio.current_time()
        await at.until(lambda: at.bot.phase is Phase.ONLINE)
        assert trio.current_time() - began < 21 * MINUTE
        at.say()
        await at.settled()
        assert at.bot.handled == [1]
        assert all((link.retry_in or 0) <= 30 for link in at.bot.links)

    await rig().add(profile).run(script)
