"""What people do with jobs in the chat."""

import datetime

import attrs
import pytest
import trio

import qqops_essentials
from qqops import Plugin
from qqops.app import AppPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.job_records import Skip
from qqops.runtime.named_rooms import RoomSettings
from qqops.testing.virtual import VirtualClock, run_virtual

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


@pytest.mark.parametrize("name", ["Mars", "Asia", "../etc"])
async def test_a_wrong_time_zone_in_the_settings_is_named(bots, name):
    from qqops import PluginError

    with pytest.raises(PluginError, match=f"unknown time zone '{name}'"):
        async with bots.run(qqops_essentials.plugin, config={"tz": name}):
            pass


def shop(ran):
    """A plugin with a job that takes its time and one that does not."""
    plugin = Plugin("shop")

    @plugin.job(cron="0 9 * * *", tz="Asia/Shanghai")
    async def count() -> None:
        ran.append("count")

    @plugin.job(every=3600, name="clean", timeout=1000)
    async def _() -> None:
        ran.append("clean")
        await trio.sleep(600)

    return plugin


def in_two_zones():
    """Ali may do everything; the lab is in New York, all other rooms are in Shanghai."""
    rooms = RoomSettings(timezone="Asia/Shanghai", timezones={"lab": "America/New_York"})
    return attrs.evolve(owned(), rooms=rooms)


async def test_jobs_are_listed_run_and_paused_in_the_time_of_the_room(bots):
    ran = []
    async with bots.run(qqops_essentials.plugin, shop(ran), policy=in_two_zones()) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali = bot.user("ali", room=ops)
        await ali.say("/jobs")
        assert await ops.expect("shop") == "shop:clean – 2026-01-05 17:00\nshop:count – 2026-01-06 09:00"
        ali = bot.user("ali", room=lab)
        await ali.say("/jobs")
        assert await lab.expect("shop") == "shop:clean – 2026-01-05 04:00\nshop:count – 2026-01-05 20:00"
        # One runs now, and is due again at its moment all the same.
        await ali.say("/jobs run clean")
        assert await lab.expect("clean") == "clean is started"
        assert ran == ["clean"]
        await ali.say("/jobs")
        assert await lab.expect("shop") == "shop:clean – running\nshop:count – 2026-01-05 20:00"
        await bot.advance(601)
        await ali.say("/jobs list")
        assert "shop:clean – 2026-01-05 04:00" in await lab.expect("shop")
        # One is paused: it is skipped, and says so.
        await ali.say("/jobs pause count")
        assert await lab.expect("count") == "count is paused"
        await ali.say("/jobs")
        assert "shop:count – paused" in await lab.expect("shop")
        await bot.advance(86400)
        assert "count" not in ran
        await ali.say("/jobs why count")
        assert await lab.expect("shop") == (
            "shop:count (0 9 * * *): paused\nwas skipped at 2026-01-05 20:00: it was paused"
        )
        # It can be run by hand all the same, and goes on when it is resumed.
        await ali.say("/jobs run count")
        await lab.expect("count is started")
        assert ran.count("count") == 1
        await ali.say("/jobs resume count")
        await lab.expect("count goes on")
        await ali.say("/jobs why count")
        assert "shop:count (0 9 * * *): 2026-01-06 20:00\nran last at 2026-01-06 03:10" in await lab.expect(
            "shop"
        )
        await bot.advance(86400)
        assert ran.count("count") == 2


async def test_who_may_not_manage_jobs_runs_and_pauses_none(bots):
    ran = []
    async with bots.run(qqops_essentials.plugin, shop(ran), policy=in_two_zones()) as bot:
        bo = bot.user("bo")
        for word in ("run", "pause", "resume"):
            await bo.say(f"/jobs {word} count")
            await bo.expect("jobs.manage")
        assert ran == []
        assert not bot.app.jobs.get("count").paused


async def test_a_persons_job_is_meant_in_the_time_of_the_room(bots):
    async with bots.run(qqops_essentials.plugin, policy=in_two_zones()) as bot:
        lab = bot.room("lab")
        ali = bot.user("ali", room=lab)
        await ali.say('/job add "30 3 * * *" /echo good morning')
        assert await lab.expect("job") == "job 1: 2026-01-05 03:30"
        await bot.advance(1801)
        await lab.expect("^good morning$")


async def test_a_zone_in_the_settings_goes_before_that_of_the_room(bots):
    config = {"tz": "Asia/Kathmandu"}
    async with bots.run(qqops_essentials.plugin, policy=in_two_zones(), config=config) as bot:
        ali = bot.user("ali")
        await ali.say('/job add "45 14 * * *" /echo x')
        assert await ali.expect("job") == "job 1: 2026-01-05 14:45"


async def test_a_reminder_comes_after_the_time_that_was_said_also_when_the_clock_changes(bots):
    night = datetime.datetime(2026, 10, 25, 0, 30, tzinfo=datetime.UTC)
    policy = attrs.evolve(owned(), rooms=RoomSettings(timezone="Europe/Berlin"))
    async with bots.run(qqops_essentials.plugin, policy=policy, clock=VirtualClock(night)) as bot:
        ali = bot.user("ali")
        await ali.say("/remind 1h tea")
        assert await ali.expect("job") == "job 1: 2026-10-25 02:30"
        await bot.advance(3601)
        await ali.expect("^tea$")


@pytest.mark.parametrize("why", Skip)
async def test_there_are_words_for_every_reason(bots, why):
    async with bots.run(qqops_essentials.plugin, ticking("aa"), policy=owned()) as bot:
        state = bot.app.jobs.entries["aa:tick"].state
        state.skipped, state.skipped_at = why.value, 1e9
        await bot.user("ali").say("/jobs why tick")
        assert "was skipped at 2001-09-09" in await bot.user("ali").expect("aa:tick")


async def test_a_job_whose_account_is_gone_says_so(bots, tmp_path):
    async with bots.run(accounts=("one", "two"), folder=tmp_path) as bot:
        message = await bot.user("ali", account="two").say("hi")
        await bot.app.jobs.add(message, "/jobs", "* * * * *")
    clock = VirtualClock(bot.clock.now())
    async with bots.run(qqops_essentials.plugin, accounts=("one",), folder=tmp_path, clock=clock) as bot:
        await bot.advance(61)
        assert bot.app.jobs.get("1").skipped == "its account is gone"


def ticking(name):
    plugin = Plugin(name)

    @plugin.job(every=3600, timeout=1e6)
    async def tick() -> None:
        await trio.sleep_forever()

    return plugin


async def test_of_two_jobs_of_one_name_the_answer_names_both(bots):
    async with bots.run(qqops_essentials.plugin, ticking("aa"), ticking("bb"), policy=owned()) as bot:
        ali = bot.user("ali")
        for line in ("run", "pause", "resume", "why"):
            await ali.say(f"/jobs {line} tick")
            await ali.expect("^several jobs are called 'tick': aa:tick, bb:tick$")
        await ali.say("/jobs run bb:tick")
        await ali.expect("^bb:tick is started$")
        await bot.stop()


@pytest.mark.parametrize("name", ['""', "1:", ":", ":tick", "aa:"])
async def test_no_name_is_no_job(bots, name):
    async with bots.run(qqops_essentials.plugin, ticking("aa"), policy=owned()) as bot:
        ali = bot.user("ali")
        await ali.say("/remind 1d tea")
        await ali.expect("job 1")
        await ali.say(f"/jobs pause {name}")
        await ali.expect("there is no job")


async def test_a_job_that_cannot_be_started_now_is_not_said_to_be(bots):
    async with bots.run(qqops_essentials.plugin, ticking("aa"), policy=owned()) as bot:
        ali = bot.user("ali")
        await ali.say('/job add "0 9 * * *" /nosuch')
        await ali.expect("job 1")
        await ali.say("/jobs run 1")
        await ali.expect("^1 is not started: there was no such command$")
        for _ in range(10):
            await ali.say("/jobs run tick")
            await ali.expect("^tick is started$")
        await ali.say("/jobs run tick")
        await ali.expect("^tick is not started: the last run had not ended$")
        await bot.stop()
