"""What `@plugin.job` takes: names, moments, words; and what it refuses, with the author's line."""

import datetime
import math

import pytest

from qqops import Ctx, Jobs, Plugin, PluginError
from qqops.testing.virtual import VirtualClock

NAIVE = datetime.datetime(2026, 1, 6, 9)


def line_of(function):
    return f"{__file__}:{function.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({}, "give one of cron, every and once"),
        ({"every": 1, "cron": "@daily"}, "not cron and every"),
        ({"every": math.inf}, "every must be at most ten years, got inf"),
        ({"every": math.nan}, "every must be > 0 seconds.*got nan"),
        ({"every": 1e12}, "at most ten years"),
        ({"every": 10**400}, "at most ten years"),
        ({"every": datetime.timedelta.max}, "at most ten years"),
        ({"every": datetime.timedelta.min}, "> 0 seconds"),
        ({"every": -3}, "> 0 seconds.*got -3"),
        ({"every": 0}, "> 0 seconds.*got 0"),
        ({"every": 1e-9}, "at least 0.001"),
        ({"every": True}, "every must be a number of seconds or a timedelta, got True"),
        ({"every": "1h"}, "every must be a number of seconds or a timedelta, got '1h'"),
        ({"every": 60, "jitter": math.inf}, "jitter must be 0 or more.*got inf"),
        ({"every": 60, "jitter": math.nan}, "jitter must be 0 or more.*got nan"),
        ({"every": 60, "jitter": -1}, "jitter must be 0 or more.*got -1"),
        ({"every": 60, "jitter": True}, "jitter must be a number"),
        ({"every": 60, "jitter": "5"}, "jitter must be a number"),
        ({"every": 60, "jitter": 61}, "longer than the 60 seconds between two runs, got 61"),
        ({"cron": "0 9,10 * * *", "jitter": 3601}, "longer than the 3600 seconds between two runs"),
        ({"once": NAIVE}, r"needs a time zone \(tzinfo=ZoneInfo"),
        ({"once": NAIVE.date()}, "once must be a datetime with a time zone"),
        ({"once": "2026-01-06 09:00"}, "once must be a datetime with a time zone"),
        ({"cron": "0 0 30 2 *"}, "never comes"),
        ({"cron": "0 0 31 4,6,9,11 *"}, "never comes"),
        ({"cron": "0 0 31 2 0#6"}, "Bad day-of-week"),
        ({"cron": "0 24 * * *"}, "Bad hour"),
        ({"cron": "0 9 * *"}, "five fields"),
        ({"cron": "0 0 9 * * *"}, "five fields"),
        ({"cron": "@dayly"}, "five fields.*or be one of @yearly, .*@daily"),
        ({"cron": 5}, "must be a text of five fields"),
        ({"cron": "@daily", "tz": "Asia"}, "unknown time zone 'Asia'.*a folder"),
        ({"cron": "@daily", "tz": "Asia/Shangai"}, r"did you mean Asia/Shanghai\?"),
        ({"cron": "@daily", "tz": ""}, "unknown time zone ''"),
        ({"cron": "@daily", "tz": 8}, "named by a text, got 8"),
        ({"every": 60, "tz": "../etc"}, r"unknown time zone '\.\./etc'"),
        ({"every": 60, "misfire": "never"}, "misfire is one of skip, once, all, got 'never'"),
        ({"every": 60, "misfire": "Skip"}, "did you mean 'skip'"),
        ({"every": 60, "misfire": []}, "misfire is one of skip, once, all"),
        ({"every": 60, "overlap": "que"}, "overlap is one of skip, queue, allow, got 'que'.*did you mean 'queue'"),
        ({"every": 60, "overlap": None}, "overlap is one of skip, queue, allow, got None"),
        ({"every": 60, "name": "two words"}, "name must be one word"),
        ({"every": 60, "name": "a:b"}, "name must be one word"),
        ({"every": 60, "name": ""}, "name must be one word"),
        ({"every": 60, "name": "12"}, "not a number"),
        ({"every": 60, "name": 12}, "name must be one word"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_wrong_is_a_load_error_with_the_authors_line(bots, how, said):
    plugin = Plugin("wrong")

    @plugin.job(**how)
    async def tidy() -> None: ...

    with pytest.raises(PluginError, match=said) as caught:
        async with bots.run(plugin):
            pass
    assert caught.value.where == line_of(tidy)
    assert caught.value.reason.startswith("the job tidy(): ")


@pytest.mark.parametrize(
    "how",
    [
        {"every": 60, "jitter": 60}, {"every": datetime.timedelta(days=3660)}, {"every": 0.001, "misfire": "skip"},
        {"every": 60, "jitter": datetime.timedelta(seconds=5)}, {"cron": "0 9,10 * * *", "jitter": 3600},
        {"once": NAIVE.replace(tzinfo=datetime.UTC), "jitter": 86400}, {"every": 60, "tz": "Asia/Kathmandu"},
        {"cron": "0 0 29 2 *", "jitter": 600}, {"cron": "0 0 * 2 1#5"}, {"every": 60, "name": "清理"},
    ],
    ids=str,
)  # fmt: skip
async def test_what_is_good_is_loaded(bots, how):
    plugin = Plugin("good")

    @plugin.job(**how)
    async def tidy() -> None: ...

    async with bots.run(plugin) as bot:
        assert len(bot.app.jobs.list()) == 1


# -- names -----------------------------------------------------------------------------------------------------


def ids(bot):
    return list(bot.app.jobs.entries)


def declare(plugin, ran, word, name=None):
    """A job in a function that is called as all the others."""

    @plugin.job(cron="30 * * * *", name=name)
    async def _(ctx: Ctx) -> None:
        ran.append(word)

    return _


async def test_functions_of_one_name_are_jobs_of_their_own_over_restarts(bots, tmp_path):
    clock = VirtualClock()
    for life in range(2):
        plugin, ran = Plugin("shop"), []
        for word in ("first", "second", "third"):
            declare(plugin, ran, word)
        async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
            assert ids(bot) == ["shop:_", "shop:_-2", "shop:_-3"]
            assert [job.paused for job in bot.app.jobs.list() if job.id == "shop:_-2"] == [life == 1]
            bot.app.jobs.pause("_-2")
            await bot.advance(3600)
            assert sorted(ran) == ["first", "third"]


async def test_jobs_in_classes_of_one_plugin_may_have_one_name(bots):
    plugin, ran = Plugin("shop"), []

    class Apples:
        @plugin.job(every=60)
        async def tidy(ctx: Ctx) -> None:
            ran.append("apples")

    class Pears:
        @plugin.job(every=60)
        async def tidy(ctx: Ctx) -> None:
            ran.append("pears")

    async with bots.run(plugin) as bot:
        assert ids(bot) == ["shop:tidy", "shop:tidy-2"]
        await bot.advance(61)
    assert sorted(ran) == ["apples", "pears"]


async def test_a_job_of_a_name_of_its_own_is_kept_under_it(bots, tmp_path):
    clock = VirtualClock()
    for names in (("b", None, "a"), ("a", "b", None)):
        plugin, ran = Plugin("shop"), []
        for name in names:
            declare(plugin, ran, name, name)
        async with bots.run(plugin, folder=tmp_path, clock=clock) as bot:
            assert sorted(ids(bot)) == ["shop:_", "shop:a", "shop:b"]
            assert bot.app.jobs.get("a").paused == (names[0] == "a")
            bot.app.jobs.pause("a")


async def test_a_name_that_is_taken_is_a_load_error_with_both_lines(bots):
    for first, second in (("tidy", "tidy"), (None, "_"), ("x", "x")):
        plugin = Plugin("shop")
        one = declare(plugin, [], "one", first)
        two = declare(plugin, [], "two", second)
        with pytest.raises(PluginError, match=f"the name {second!r} is taken by the job at") as caught:
            async with bots.run(plugin):
                pass
        assert line_of(one) in caught.value.reason
        assert caught.value.where == line_of(two)


async def test_a_name_that_a_suffix_has_taken_is_refused_too(bots):
    plugin = Plugin("shop")
    for name in (None, None, "_-2"):
        declare(plugin, [], "", name)
    with pytest.raises(PluginError, match="the name '_-2' is taken"):
        async with bots.run(plugin):
            pass


async def test_jobs_of_a_hook_of_ones_own_may_not_share_a_name(bots):
    from qqops import hookimpl

    class Twice(Plugin):
        @hookimpl
        def qqops_jobs(self, build):
            found = Plugin.qqops_jobs(self, build)
            return found + found

    plugin = Twice("shop")
    declare(plugin, [], "")
    with pytest.raises(PluginError, match="the job '_' is taken"):
        async with bots.run(plugin):
            pass


async def test_a_handler_gets_jobs_by_name_and_id(bots):
    plugin = Plugin("shop")
    declare(plugin, [], "", "nightly")

    @plugin.command("due")
    async def due(job: str, *, jobs: Jobs) -> str:
        return jobs.get(job).id

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        for word in ("nightly", "shop:nightly"):
            await ali.say(f"/due {word}")
            await ali.expect("^shop:nightly$")
