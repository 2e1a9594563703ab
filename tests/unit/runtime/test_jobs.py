"""Jobs by the clock: grids, misfires, overlaps, restarts, clocks that jump, and jobs that people make."""

import datetime
import itertools
import zoneinfo

import pytest
import trio

from qqops import Ctx, Jobs, Plugin, Refuse, Rest
from qqops.runtime.agenda import Misfire, cron, due, every, span
from qqops.runtime.observe import Skipped
from qqops.testing.virtual import EPOCH, VirtualClock

UTC = datetime.UTC
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def at(*parts, zone=UTC, fold=0):
    return datetime.datetime(*parts, tzinfo=zone, fold=fold)


# -- pure ------------------------------------------------------------------------------------------------------


def moments(schedule, start, count):
    found, moment = [], start
    for _ in range(count):
        moment = schedule.after(moment)
        found.append(moment)
    return found


def test_in_spring_a_missing_hour_is_run_at_the_next_minute_there_is():
    found = moments(cron("30 2 * * *", "Europe/Berlin"), at(2026, 3, 28, 12, zone=BERLIN), 2)
    assert [m.astimezone(UTC) for m in found] == [at(2026, 3, 29, 1, 0), at(2026, 3, 30, 0, 30)]


def test_in_autumn_a_doubled_hour_is_run_once():
    found = moments(cron("30 2 * * *", "Europe/Berlin"), at(2026, 10, 24, 12, zone=BERLIN), 2)
    assert [m.astimezone(UTC).date() for m in found] == [
        datetime.date(2026, 10, 25),
        datetime.date(2026, 10, 26),
    ]
    hourly = moments(cron("0 * * * *", "Europe/Berlin"), at(2026, 10, 25, 0, 30, zone=BERLIN), 4)
    gaps = {(b - a).total_seconds() for a, b in itertools.pairwise(hourly)}
    assert {m.astimezone(UTC).hour for m in hourly} == {23, 0, 1, 2} or gaps == {3600.0}


@pytest.mark.parametrize("text", ["@daily", "@DAILY", "@hourly", "0 9 * JAN,feb mon-fri", "*/15 * * * *"])
def test_names_and_forms(text):
    assert cron(text, "Asia/Shanghai").after(at(2026, 1, 5)) is not None


def test_an_interval_is_a_fixed_grid():
    import attrs

    grid = attrs.evolve(every(0.1), anchor=at(2026, 1, 5))
    found = moments(grid, at(2026, 1, 5), 1000)
    assert found[-1] == at(2026, 1, 5, 0, 1, 40)
    assert all(b > a for a, b in itertools.pairwise(found))
    late = attrs.evolve(every(60), anchor=at(2026, 1, 5)).after(at(2026, 1, 5, 0, 10, 59))
    assert late == at(2026, 1, 5, 0, 11)


NOW = at(2026, 1, 5, 12, 0, 30)


@pytest.mark.parametrize(
    ("misfire", "last", "runs", "missed"),
    [
        (Misfire.SKIP, at(2026, 1, 5, 11), 1, 0), (Misfire.SKIP, at(2026, 1, 5, 8), 1, 3),
        (Misfire.ONCE, at(2026, 1, 5, 8), 1, 0), (Misfire.ALL, at(2026, 1, 5, 8), 4, 0),
        (Misfire.ALL, at(2025, 12, 1), 101, 736), (Misfire.SKIP, at(2026, 1, 5, 12), None, None),
        (Misfire.ONCE, at(2000, 1, 1), 1, 0),
    ],
)  # fmt: skip
def test_moments_that_passed(misfire, last, runs, missed):
    found = due(cron("0 * * * *"), last, NOW, misfire, 60)
    if runs is None:
        assert found is None
        return
    if misfire is Misfire.ALL and runs > 100:
        assert len(found.runs) <= 100
        assert len(found.runs) + found.missed == 852
    else:
        assert (len(found.runs), found.missed) == (runs, missed)


def test_skip_runs_nothing_when_even_the_last_moment_is_long_over():
    found = due(cron("0 * * * *"), at(2026, 1, 5, 8), at(2026, 1, 5, 12, 30), Misfire.SKIP, 60)
    assert (found.runs, found.missed, found.last) == ((), 4, at(2026, 1, 5, 12))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("2天", 172800), ("1小时30分钟", 5400), ("90s", 90), ("", None), ("m", None),
     ("10", None), ("10x", None), ("-5m", None), ("999999999w", None)],
)  # fmt: skip
def test_spans(text, seconds):
    found = span(text)
    assert (found.total_seconds() if found is not None else None) == seconds


# -- jobs of plugins -------------------------------------------------------------------------------------------


def ticking(ran, seconds=0.0, **how):
    plugin = Plugin("clock")

    @plugin.job(**how)
    async def tick(ctx: Ctx) -> None:
        ran.append((ctx.now - EPOCH).total_seconds())
        await trio.sleep(seconds)

    @plugin.command("jobs")
    async def jobs(what: str = "", job: str = "", *, jobs: Jobs) -> str:
        if what:
            getattr(jobs, what)(job)
        return "; ".join(
            f"{j.id} {j.next and (j.next - EPOCH).total_seconds()} {j.skipped}" for j in jobs.list()
        )

    return plugin


@pytest.mark.parametrize(("overlap", "runs"), [("skip", [100, 300, 500]), ("queue", [100, 250, 400, 550]),
                                               ("allow", [100, 200, 300, 400, 500])])  # fmt: skip
async def test_overlaps(bots, overlap, runs):
    ran = []
    async with bots.run(ticking(ran, 150, every=100, overlap=overlap, timeout=1000)) as bot:
        await bot.advance(590)
        assert [round(n) for n in ran] == runs
    skipped = [r.reason for r in bot.records if isinstance(r, Skipped)]
    assert skipped == (["still running"] * 2 if overlap == "skip" else [])


async def test_jitter_delays_a_run_and_not_the_grid(bots):
    ran = []
    async with bots.run(ticking(ran, every=100, jitter=20)) as bot:
        await bot.advance(1050)
    late = [n % 100 for n in ran]
    assert len(ran) == 10
    assert all(0 <= n < 21 for n in late)
    assert len({round(n, 3) for n in late}) > 5


@pytest.mark.parametrize(("misfire", "runs"), [("skip", 0), ("once", 1), ("all", 6)])
async def test_a_restart_neither_repeats_nor_forgets(bots, tmp_path, misfire, runs):
    ran, clock = [], VirtualClock()
    plugin = ticking(ran, cron="30 * * * *", misfire=misfire)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(1810)
        assert ran == [1800]
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(100)
        assert ran == [1800], "it is not run again for the same moment"
    clock.jump(6 * 3600)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(100)
        assert len(ran) == 1 + runs
        if misfire == "skip":
            assert [r.reason for r in bot.records if isinstance(r, Skipped)] == [
                "missed while the bot could not run"
            ]
        await bot.advance(3600)
        assert len(ran) == 2 + runs


async def test_a_run_that_was_cut_off_by_the_end_is_told_and_not_repeated(bots, tmp_path):
    ran, clock = [], VirtualClock()
    plugin = ticking(ran, 1e6, cron="30 * * * *", timeout=1e7)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(1810)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        ali = bot.user("ali")
        await ali.say("/jobs")
        await ali.expect("clock:tick 5400.0 cut off by the end of the bot")
    assert ran == [1800]


async def test_a_clock_that_is_set_back_repeats_nothing_and_one_that_was_wrong_stops_nothing(bots):
    ran, clock = [], VirtualClock()
    async with bots.run(ticking(ran, cron="0 * * * *"), clock=clock) as bot:
        await bot.advance(3601)
        assert ran == [3600]
        clock.jump(-1800)
        await bot.advance(1900)
        assert ran == [3600], "the same hour came again and was settled already"
        await bot.advance(3600)
        assert ran == [3600, 7200]
        clock.jump(-40 * 86400)
        await bot.advance(3700)
        assert len(ran) == 3


async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute(bots):
    ran, clock = [], VirtualClock()
    async with bots.run(ticking(ran, cron="0 9 * * *", tz="UTC"), clock=clock) as bot:
        clock.jump(3600)
        await bot.advance(61)
        assert len(ran) == 1


async def test_pause_resume_and_run_now(bots):
    ran = []
    async with bots.run(ticking(ran, every=100)) as bot:
        ali = bot.user("ali")
        await ali.say("/jobs pause tick")
        await ali.expect("clock:tick None")
        await bot.advance(350)
        assert ran == []
        await ali.say("/jobs run tick")
        await bot.settle()
        assert len(ran) == 1
        await ali.say("/jobs resume clock:tick")
        await bot.advance(100)
        assert len(ran) == 2
        await ali.say("/jobs run nothing")
        await ali.expect("there is no job 'nothing'")


# -- jobs of people --------------------------------------------------------------------------------------------


def making():
    plugin = Plugin("rig")

    @plugin.command("every")
    async def make(ctx: Ctx, cron: str, line: Rest, *, jobs: Jobs) -> str:
        return f"job {(await jobs.add(ctx.message, line, cron)).id}"

    @plugin.command("later")
    async def later(ctx: Ctx, seconds: float, text: Rest, *, jobs: Jobs) -> str:
        moment = ctx.now + datetime.timedelta(seconds=seconds)
        return f"job {(await jobs.at(ctx.message, text, moment, reminder=not text.startswith('/'))).id}"

    @plugin.command("me")
    async def me(ctx: Ctx, word: str) -> str:
        if word == "no":
            raise Refuse("not you")
        return f"{word} for {ctx.sender.name} in {ctx.room.name} by job {ctx.message.job}"

    @plugin.command("drop")
    async def drop(job: str, *, jobs: Jobs) -> str:
        jobs.remove(job)
        return "dropped"

    return plugin


async def test_a_job_of_a_person_runs_as_that_person_in_that_room_and_survives_a_restart(bots, tmp_path):
    clock = VirtualClock()
    async with bots.run(making(), folder=tmp_path, clock=clock) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say('/every "*/10 * * * *" /me standup')
        await ops.expect("job 1")
        await ali.say('/every "*/10 * * * *" /nothing at all')
        await ops.expect("job 2")
        await bot.advance(605)
        await ops.expect("standup for ali in ops by job 1")
        assert [r.reason for r in bot.records if isinstance(r, Skipped)] == ["there is no such command"]
    async with bots.run(making(), folder=tmp_path, clock=clock) as bot:
        ops = bot.room("ops")
        await bot.advance(600)
        await ops.expect("standup for ali in ops by job 1")
        ali = bot.user("ali", room=ops)
        await ali.say("/drop 1")
        await ops.expect("dropped")
        await bot.advance(1200)
        await ops.quiet(0)


async def test_a_reminder_is_said_once_also_when_the_bot_was_away(bots, tmp_path):
    clock = VirtualClock()
    async with bots.run(making(), folder=tmp_path, clock=clock) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("/later 60 tea is ready")
        await ops.expect("job 1")
        await ali.say("/later 5000 cake")
        await ops.expect("job 2")
        await bot.advance(61)
        await ops.expect("ali: tea is ready")
    clock.jump(9000)
    for again in (False, True):
        async with bots.run(making(), folder=tmp_path, clock=clock) as bot:
            await bot.advance(100)
            assert [draft.text for draft in bot.network.sent] == ([] if again else ["ali: cake"])


async def test_the_gate_stands_before_jobs_of_people(bots):
    async with bots.run(making()) as bot:
        seen = []

        def admit(ctx, hit):
            seen.append((ctx.sender.name, ctx.message.job))
            return "the gate says no" if ctx.message.job else None

        bot.app.gate.admit = admit
        ali = bot.user("ali")
        await ali.say("/later 5 /me x")
        await ali.expect("job 1")
        await bot.advance(6)
        await ali.expect("the gate says no")
        assert seen == [("ali", ""), ("ali", "1")]


async def test_nobody_has_more_jobs_than_are_good(bots):
    async with bots.run(making()) as bot:
        ali = bot.user("ali")
        for _ in range(20):
            await ali.say("/later 5000 x")
        await ali.say("/later 5000 x")
        await ali.expect("you have 20 jobs already")
        bo = bot.user("bo")
        await bo.say("/later 5000 x")
        await bo.expect("job 21")
