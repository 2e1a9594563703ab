"""Runs of jobs: what they know of the time, what becomes of moments that are missed or overlap, what is in the log."""

import datetime

import pytest
import trio
from structlog.testing import capture_logs

from qqops import AccountRef, Ctx, Message, Plugin, Refuse, RoomKind, RoomRef, Rooms
from qqops.app import AppPolicy
from qqops.runtime.granted import AccessPolicy, RulesSettings
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.observe import Handled, Result, Skipped
from qqops.testing.virtual import EPOCH, VirtualClock

UTC = datetime.UTC

# -- the time --------------------------------------------------------------------------------------------------


def telling(told, **how):
    plugin = Plugin("clock")

    @plugin.job(**how)
    async def tell(ctx: Ctx) -> None:
        told.append((f"{ctx.now:%Y-%m-%d %H:%M %z}", str(ctx.today), str(ctx.zone)))

    return plugin


# It is Monday, 8:00 in UTC, when virtual time begins.
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"cron": "0 18 * * *", "tz": "America/New_York"}, ("2026-01-05 18:00 -0500", "2026-01-05", "America/New_York")),
        ({"cron": "15 0 * * *", "tz": "Asia/Kathmandu"}, ("2026-01-06 00:15 +0545", "2026-01-06", "Asia/Kathmandu")),
        ({"cron": "0 9 * * *", "tz": "UTC"}, ("2026-01-05 09:00 +0000", "2026-01-05", "UTC")),
        ({"cron": "0 0 * * *"}, ("2026-01-06 00:00 +0100", "2026-01-06", "Europe/Berlin")),
        ({"every": 10 * 3600, "tz": "Asia/Tokyo"}, ("2026-01-06 03:00 +0900", "2026-01-06", "Asia/Tokyo")),
        ({"every": 12 * 3600}, ("2026-01-05 21:00 +0100", "2026-01-05", "Europe/Berlin")),
        ({"once": EPOCH + datetime.timedelta(hours=1), "tz": "Asia/Shanghai"},
         ("2026-01-05 17:00 +0800", "2026-01-05", "Asia/Shanghai")),
    ],
    ids=str,
)  # fmt: skip
async def test_the_time_of_a_job_is_in_its_zone_else_in_the_bots(bots, how, expected):
    told = []
    policy = AppPolicy(rooms=RoomSettings(timezone="Europe/Berlin"))
    async with bots.run(telling(told, **how), policy=policy) as bot:
        await bot.advance(86000)
    assert told[0] == expected


async def test_the_time_of_a_command_a_listener_and_a_job_of_a_person_is_in_the_rooms_zone(bots):
    plugin, told = Plugin("clock"), []

    @plugin.command("time")
    async def time(ctx: Ctx) -> str:
        return f"{ctx.now:%H:%M} {ctx.today}"

    @plugin.on(Message, keyword="when")
    async def when(ctx: Ctx) -> None:
        told.append(ctx.now.hour)

    @plugin.filter()
    async def watch(ctx: Ctx, call) -> None:
        told.append(ctx.now.hour)
        await call()

    policy = AppPolicy(rooms=RoomSettings(timezone="Asia/Shanghai", timezones={"lab": "Pacific/Auckland"}))
    async with bots.run(plugin, policy=policy) as bot:
        for name, hour, said in (("ops", 16, "16:00 2026-01-05"), ("lab", 21, "21:00 2026-01-05")):
            room = bot.room(name)
            ali = bot.user("ali", room=room)
            await ali.say("/time")
            await room.expect(f"^{said}$")
            await ali.say("when")
            assert told == [hour] * 3
            told.clear()
        await bot.app.jobs.add(Spoken(bot, ali).message, "/time", "0 * * * *")
        await bot.advance(3 * 3600 + 1)
        await room.expect("^00:00 2026-01-06$")


class Spoken:
    """What a person has said, as a handler would have it."""

    def __init__(self, bot, user):
        self.message = Message(
            room=user.room.room, sender=bot.network.user(user.name), at=bot.clock.now(), segments=(), id="m",
        )  # fmt: skip


@pytest.mark.parametrize(("room", "utc"), [("ops", 1), ("lab", 20), ("", 1)])
async def test_a_job_of_a_person_without_a_zone_is_in_that_of_its_room_else_in_the_bots(bots, room, utc):
    policy = AppPolicy(rooms=RoomSettings(timezone="Asia/Shanghai", timezones={"lab": "Pacific/Auckland"}))
    async with bots.run(policy=policy) as bot:
        ali = bot.user("ali", room=bot.room(room) if room else None)
        made = await bot.app.jobs.add(Spoken(bot, ali).message, "/x", "0 9 * * *")
        assert made.next.hour == utc
        made = await bot.app.jobs.add(Spoken(bot, ali).message, "/x", "0 9 * * *", "UTC")
        assert made.next.hour == 9


async def test_the_time_is_right_in_both_of_the_hours_that_a_clock_shows_twice(bots):
    told = []
    start = datetime.datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    plugin = telling(told, cron="30 * * * *", tz="Europe/Berlin")
    async with bots.run(plugin, clock=VirtualClock(start)) as bot:
        await bot.advance(2 * 3600)
    assert [now for now, _, _ in told] == ["2026-10-25 02:30 +0200", "2026-10-25 02:30 +0100"]


# -- misfire, overlap, jitter ----------------------------------------------------------------------------------


def running(ran, seconds=0.0, clock=None, **how):
    plugin = Plugin("clock")

    @plugin.job(timeout=1e6, **how)
    async def tick(ctx: Ctx) -> None:
        ran.append(round((ctx.now - EPOCH).total_seconds()))
        await trio.sleep(seconds)

    return plugin


def skipped(bot):
    return [one.reason for one in bot.records if isinstance(one, Skipped)]


MISSED = "missed while the bot could not run"
GRID = {"every": 100}
#: The same moments by the wall clock: whole minutes, so a grid of 120.
MINUTES = {"cron": "*/2 * * * *"}
AGO = {"once": EPOCH + datetime.timedelta(seconds=300)}


@pytest.mark.parametrize(
    ("how", "misfire", "away", "after", "lost"),
    [
        # Away over 200 … 500; back at 550, 50 seconds late, which is on time.
        (GRID, "skip", 400, [550, 600], True), (GRID, "once", 400, [550, 600], False),
        (GRID, "all", 400, [550, 550, 550, 550, 600], False),
        # Back at 580: too late for the last one.
        (GRID, "skip", 430, [600], True), (GRID, "once", 430, [580, 600], False),
        # Nothing was missed.
        (GRID, "skip", 40, [200, 300], False), (GRID, "once", 40, [200, 300], False), (GRID, "all", 40, [200, 300], False),
        # Away over 240, 360, 480; back at 550.
        (MINUTES, "skip", 400, [600], True), (MINUTES, "once", 400, [550, 600], False),
        (MINUTES, "all", 400, [550, 550, 550, 600], False),
        (AGO, "skip", 400, [], True), (AGO, "once", 400, [550], False), (AGO, "all", 400, [550], False),
        (AGO, "skip", 160, [310], False),
        # Ten days by seconds: nobody counts them.
        ({"every": 60}, "once", 864_000, [864_150, 864_180], False),
    ],
    ids=str,
)  # fmt: skip
async def test_what_becomes_of_moments_over_a_restart(bots, tmp_path, how, misfire, away, after, lost):
    ran, clock = [], VirtualClock()
    plugin = running(ran, misfire=misfire, **how)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(150)
    before = len(ran)
    clock.jump(away)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(60 if away > 100 else 160)
        assert ran[before:] == after
        assert skipped(bot) == ([MISSED] if lost else [])


async def test_a_paused_job_settles_a_long_absence_at_once(bots, tmp_path):
    ran, clock = [], VirtualClock()
    plugin = running(ran, every=1, misfire="all")
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        bot.app.jobs.pause("tick")
    clock.jump(30 * 86400)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(0.5)
        assert skipped(bot) == ["paused"]
        bot.app.jobs.resume("tick")
        await bot.advance(1)
    assert len(ran) == 1


@pytest.mark.parametrize(
    ("overlap", "misfire", "runs", "reasons"),
    [
        # Three moments at once, runs of 30 seconds; the next moment is 50 seconds later.
        ("skip", "once", [450, 500], []), ("queue", "once", [450, 500], []), ("allow", "once", [450, 500], []),
        ("skip", "all", [450, 480, 510], ["still running"]), ("queue", "all", [450, 480, 510, 540], []),
        ("allow", "all", [450, 450, 450, 500], []),
    ],
)  # fmt: skip
async def test_what_becomes_of_overlaps_after_a_restart(bots, tmp_path, overlap, misfire, runs, reasons):
    ran, clock = [], VirtualClock()
    plugin = running(ran, 30, misfire=misfire, overlap=overlap, **GRID)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(150)
    ran.clear()
    clock.jump(300)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(95)
        assert ran == runs
        assert skipped(bot) == reasons


@pytest.mark.parametrize("overlap", ["skip", "queue", "allow"])
async def test_a_run_that_the_end_of_the_bot_cuts_off_keeps_none_from_running(bots, tmp_path, overlap):
    ran, clock = [], VirtualClock()
    plugin = running(ran, 1e5, overlap=overlap, **GRID)
    for _ in range(3):
        async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
            await bot.advance(110)
    # The grace time of ten seconds belongs to the first life.
    assert ran == [100, 200, 300]


async def test_jitter_is_drawn_anew_after_a_restart_and_the_grid_stays(bots, tmp_path):
    ran, clock = [], VirtualClock()
    plugin = running(ran, jitter=90, misfire="skip", **GRID)
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(101)
        assert ran == [], "it waits"
    async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
        await bot.advance(98)
        assert len(ran) == 1, "it was due, and is neither lost nor run twice"
        await bot.advance(1001)
    assert 10 <= len(ran) <= 11
    assert all(100 * n <= second <= 100 * n + 91 for n, second in enumerate(ran[1:], 2))


# -- the log ---------------------------------------------------------------------------------------------------

OPS = "ops"
NOWHERE = RoomRef(AccountRef("memory", "other"), RoomKind.GROUP, "g")


def lines(logs, level):
    return [one for one in logs if one["log_level"] == level]


async def run_once(bots, plugin, **more):
    with capture_logs() as logs:
        async with bots.run(plugin, **more) as bot:
            bot.room(OPS)
            await bot.advance(61)
            return bot, logs


def where(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


@pytest.mark.parametrize("way", ["return", "reply", "answer"])
@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
async def test_the_answer_of_a_job_has_no_room_and_is_an_error_in_the_log(bots, way, kind):
    plugin, outcomes = Plugin("shop"), []
    if kind == "async":

        @plugin.job(every=60, name="nightly")
        async def tidy(ctx: Ctx) -> str | None:
            if way == "reply":
                outcomes.append((await ctx.reply("done")).delivery.value)
            elif way == "answer":
                ctx.answer("done")
            else:
                return "done"
            return None
    else:

        @plugin.job(every=60, name="nightly", inline=kind == "inline")
        def tidy(ctx: Ctx) -> str:
            return "done"

    bot, logs = await run_once(bots, plugin)
    (line,) = lines(logs, "error")
    assert (line["plugin"], line["job"], line["where"]) == ("shop", "nightly", where(tidy))
    assert "rooms.send" in line["event"]
    assert bot.network.sent == []
    assert outcomes == (["refused"] if way == "reply" and kind == "async" else [])
    assert [one.result for one in bot.records if isinstance(one, Handled)] == [Result.DONE]


@pytest.mark.parametrize(
    ("room", "reason"),
    [
        ("nowhere", "no account knows exactly one room 'nowhere'"),
        (NOWHERE, "no account knows"),
        (OPS, "held back"),
    ],
)
async def test_what_a_job_sends_nowhere_is_an_error_in_the_log(bots, room, reason):
    plugin = Plugin("shop")

    @plugin.job(every=60)
    async def tidy(*, rooms: Rooms) -> None:
        await rooms.send(room, "done")

    @plugin.outgoing()
    def mask(draft):
        return None

    _, logs = await run_once(bots, plugin)
    (line,) = [one for one in lines(logs, "error") if "job" in one]
    assert (line["plugin"], line["job"], line["where"], line["room"]) == (
        "shop",
        "tidy",
        where(tidy),
        str(room),
    )
    assert line["reason"]
    if room != OPS:
        assert reason in line["reason"]


async def test_what_a_job_sends_to_a_room_is_no_error_nor_what_a_command_sends_nowhere(bots):
    plugin = Plugin("shop")

    @plugin.job(every=60)
    async def tidy(*, rooms: Rooms) -> None:
        await rooms.send(OPS, "done")

    @plugin.command("send")
    async def send(*, rooms: Rooms) -> str:
        return (await rooms.send("nowhere", "done")).reason

    with capture_logs() as logs:
        async with bots.run(plugin) as bot:
            room = bot.room(OPS)
            await bot.advance(61)
            await room.expect("^done$")
            ali = bot.user("ali", room=room)
            await ali.say("/send")
            await room.expect("no account knows")
    assert lines(logs, "error") == []


async def test_a_job_that_refuses_is_a_warning_with_the_reason(bots):
    plugin = Plugin("shop")

    @plugin.job(every=60)
    async def tidy() -> None:
        raise Refuse("there is no broom")

    _, logs = await run_once(bots, plugin)
    (line,) = [one for one in lines(logs, "warning") if "job" in one]
    assert (line["event"], line["plugin"], line["job"]) == ("job refused", "shop", "tidy")
    assert (line["where"], line["reason"]) == (where(tidy), "there is no broom")
    assert lines(logs, "error") == []


@pytest.mark.parametrize(("words", "reason"), [("", "shop:quiet"), ("it is night", "it is night")])
async def test_a_job_that_a_filter_refuses_is_a_warning_with_the_reason(bots, words, reason):
    plugin, ran = Plugin("shop"), []

    @plugin.job(every=60)
    async def tidy() -> None:
        ran.append(1)

    @plugin.filter(wraps="all")
    async def quiet(ctx: Ctx, call) -> None:
        if words:
            raise Refuse(words)

    _, logs = await run_once(bots, plugin)
    (line,) = [one for one in lines(logs, "warning") if "job" in one]
    assert (line["event"], line["job"], line["where"]) == ("job refused", "tidy", where(tidy))
    assert reason in line["reason"]
    assert ran == []


async def test_a_job_that_a_rule_denies_is_a_warning_with_the_reason(bots):
    plugin, ran = Plugin("shop"), []

    @plugin.job(every=60)
    async def tidy() -> None:
        ran.append(1)

    policy = AppPolicy(access=AccessPolicy(rules=RulesSettings(deny=("command=tidy",))))
    bot, logs = await run_once(bots, plugin, policy=policy)
    (line,) = [one for one in lines(logs, "warning") if "job" in one]
    (decision,) = bot.app.access.why_job("tidy")
    rule = bot.app.access.rules()[0]
    assert line["reason"] == f"the rule {rule.id}: {rule}"
    assert decision.reason.args == {"id": rule.id, "rule": str(rule)}
    assert ran == []


async def test_what_a_person_is_refused_is_no_line_about_a_job(bots):
    plugin = Plugin("shop")

    @plugin.command("tidy")
    async def tidy() -> None:
        raise Refuse("there is no broom")

    with capture_logs() as logs:
        async with bots.run(plugin) as bot:
            ali = bot.user("ali")
            await ali.say("/tidy")
            await ali.expect("no broom")
    assert [one for one in logs if "job" in one] == []
