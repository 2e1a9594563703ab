"""Jobs at a single moment: those that come too late are told of, once."""

import datetime

import pytest
from structlog.testing import capture_logs

from qqops import ConfigError, Ctx, Jobs, Plugin
from qqops.runtime.observe import Skipped
from qqops.testing.virtual import EPOCH, VirtualClock

PASSED = "its moment had passed before it was known"


def move(ran, moment, **how):
    plugin = Plugin("office")

    @plugin.job(once=moment, **how)
    async def move() -> None:
        ran.append(moment)

    return plugin, f"{__file__}:{move.__code__.co_firstlineno}"


async def told(bots, plugin, folder, seconds=10.0, clock=None):
    """Run *plugin*; return what the log says of skipped jobs."""
    with capture_logs() as logs:
        async with bots.run(plugin, folder=folder, clock=clock) as bot:
            await bot.advance(seconds)
            skipped = [one.reason for one in bot.records if isinstance(one, Skipped)]
    lines = [one for one in logs if one["event"] == "job skipped"]
    assert [one["reason"] for one in lines] == skipped
    return lines


@pytest.mark.parametrize("misfire", ["once", "all", "skip"])
@pytest.mark.parametrize("ago", [0, 1, 3600, 86400 * 400])
async def test_a_moment_that_has_passed_when_the_job_is_first_seen_is_told_once(bots, tmp_path, misfire, ago):
    ran, moment = [], EPOCH - datetime.timedelta(seconds=ago)
    plugin, where = move(ran, moment, misfire=misfire)
    (line,) = await told(bots, plugin, tmp_path)
    assert (line["log_level"], line["job"], line["reason"]) == ("warning", "office:move", PASSED)
    assert (line["moment"], line["where"]) == (moment.isoformat(), where)
    assert "give once= a moment that lies ahead, or say /jobs run office:move" in line["hint"]
    assert await told(bots, plugin, tmp_path) == []
    assert ran == []


async def test_another_such_moment_is_told_as_well(bots, tmp_path):
    for days in (1, 2):
        plugin, _ = move([], EPOCH - datetime.timedelta(days=days))
        assert len(await told(bots, plugin, tmp_path)) == 1


async def test_a_moment_that_was_run_or_passed_while_it_was_paused_is_not_told_of(bots, tmp_path):
    ran, clock = [], VirtualClock()
    plugin, _ = move(ran, EPOCH + datetime.timedelta(seconds=60))
    assert await told(bots, plugin, tmp_path / "run", 100, clock) == []
    assert await told(bots, plugin, tmp_path / "run", 100, clock) == []
    assert len(ran) == 1
    async with bots.run(plugin, folder=tmp_path / "paused") as bot:
        bot.app.jobs.pause("move")
        await bot.advance(100)
        bot.app.jobs.resume("move")
        await bot.advance(100)
    assert await told(bots, plugin, tmp_path / "paused", 100) == []


async def test_it_is_told_at_a_reload_as_well_and_by_jobs_why(bots):
    ran = []
    plugin, _ = move(ran, EPOCH + datetime.timedelta(days=1))
    with capture_logs() as logs:
        async with bots.run(plugin) as bot:
            await bot.reload(Plugin("office"))
            await bot.reload(move(ran, EPOCH - datetime.timedelta(days=1))[0])
            info = bot.app.jobs.get("move")
    assert [one["reason"] for one in logs if one["event"] == "job skipped"] == [PASSED]
    assert (info.skipped, info.skipped_at) == (PASSED, EPOCH - datetime.timedelta(days=1))


@pytest.mark.parametrize(
    ("moment", "error", "said"),
    [
        (EPOCH - datetime.timedelta(seconds=1), None, r"2026-01-05 07:59 UTC has passed already"),
        (datetime.datetime(2026, 1, 9), ConfigError, "needs a time zone"),
    ],
)
async def test_nobody_makes_a_job_at_a_moment_that_cannot_come(bots, moment, error, said):
    plugin = Plugin("office")

    @plugin.command("at")
    async def at(ctx: Ctx, *, jobs: Jobs) -> str:
        try:
            await jobs.at(ctx.message, "/x", moment, reminder=False)
        except ConfigError as exc:
            return str(exc)
        return "made"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/at")
        await ali.expect(said)
        assert [one for one in bot.app.jobs.list() if one.creator] == []
