"""What people do with jobs in the chat."""

import pytest

import qqops_essentials
from qqops import Plugin
from qqops.app import AppPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.testing.virtual import run_virtual

pytestmark = pytest.mark.trio(run=run_virtual)


def owned():
    """Ali may do everything."""
    return AppPolicy(seed=1, access=AccessPolicy(owners=("memory:test/u-ali",)))


def nightly():
    plugin = Plugin("shop")

    @plugin.job(cron="0 9 * * *", tz="Asia/Shanghai")
    async def count() -> None: ...

    return plugin


async def test_a_reminder_and_a_job_are_made_listed_and_removed(bots):
    async with bots.run(qqops_essentials.plugin, nightly()) as bot:
        ops = bot.room("ops")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=ops)
        await ali.say("/remind 1h30m tea is ready")
        assert await ops.expect("job 1") == "job 1: 2026-01-05 17:30"
        await ali.say('/job add "*/30 * * * *" /echo stand up')
        assert await ops.expect("job 2") == "job 2: 2026-01-05 16:30"
        await bo.say("/jobs")
        assert await ops.expect("shop") == "shop:count – 2026-01-06 09:00"
        await ali.say("/jobs list")
        assert (await ops.expect("tea")).splitlines() == [
            "2 – 2026-01-05 16:30 – /echo stand up", "1 – 2026-01-05 17:30 – tea is ready",
            "shop:count – 2026-01-06 09:00",
        ]  # fmt: skip
        await bot.advance(1801)
        await ops.expect("^stand up$")
        await bot.advance(3600)
        await ops.expect("^ali: tea is ready$")
        await bo.say("/job remove 2")
        await ops.expect("no job '2'")
        await ali.say("/job remove 2")
        await ops.expect("2 is removed")
        await ali.say("/job remove shop:count")
        await ops.expect("belongs to a plugin")


async def test_pause_why_and_run(bots):
    async with bots.run(qqops_essentials.plugin, nightly(), policy=owned()) as bot:
        ali = bot.user("ali")
        await ali.say("/jobs pause count")
        await ali.expect("paused")
        await bot.advance(86400)
        await ali.say("/jobs why count")
        why = await ali.expect("shop:count")
        assert "it was paused" in why
        await ali.say("/jobs resume count")
        await ali.say("/jobs run count")
        await ali.say("/jobs why shop:count")
        assert "ran last at 2026-01-06 16:00" in await ali.expect("ran last")


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/remind soon tea", "'soon' is not a time from now"), ("/remind 0m tea", "not a time from now"),
        ("/remind 900000d tea", "at most a year"), ('/job add "99 * * * *" /x', "is wrong"),
        ('/job add "* *" /x', "five fields"), ("/jobs run nothing", "no job 'nothing'"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(bots, line, answer):
    async with bots.run(qqops_essentials.plugin, policy=owned()) as bot:
        ali = bot.user("ali")
        await ali.say(line)
        await ali.expect(answer)


async def test_a_wrong_time_zone_in_the_settings_is_named(bots):
    from qqops import PluginError

    with pytest.raises(PluginError, match="unknown time zone 'Mars'"):
        async with bots.run(qqops_essentials.plugin, config={"tz": "Mars"}):
            pass
