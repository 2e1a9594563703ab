"""What is kept about jobs may be damaged, and what a plugin wants to keep may be nonsense: the bot runs."""

import pytest
from structlog.testing import capture_logs

from qqops import ConfigError, Ctx, Jobs, Plugin

MESSAGE = '{"nobody": "can read this"}'


def ticking(ran):
    plugin = Plugin("clock")

    @plugin.job(every=60)
    async def tick() -> None:
        ran.append(1)

    return plugin


async def keep(bots, folder, where, key, value):
    async with bots.run(folder=folder) as bot:
        bot.app.keep(where).save(key, value)
        await bot.advance(1)


@pytest.mark.parametrize(
    "value",
    [
        5, None, [], {}, {"first": "x", "settled": 0}, {"first": 0, "settled": None}, {"first": float("inf"), "settled": 0},
        {"first": 1e300, "settled": 0}, {"first": 0, "settled": -1e18}, {"first": 0, "settled": 0, "running": "yes"},
        {"first": 0, "settled": 0, "skipped_at": "x"}, {"first": 0, "settled": 0, "of a later version": 1},
    ],
    ids=str,
)  # fmt: skip
async def test_a_job_of_which_nonsense_is_known_begins_anew(bots, tmp_path, value):
    await keep(bots, tmp_path, "jobs", "clock:tick", value)
    ran = []
    with capture_logs() as logs:
        async with bots.run(ticking(ran), folder=tmp_path) as bot:
            await bot.advance(130)
    assert len(ran) == 2
    (line,) = [one for one in logs if one.get("job") == "clock:tick"]
    assert line["event"] == "what is known about a job cannot be used: it begins anew"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("1", 5), ("1", {}), ("abc", {"message": MESSAGE, "creator": "c", "name": "n", "line": "/x", "at": 2e9}),
        ("1", {"message": MESSAGE, "creator": "c", "name": "n", "line": 5, "cron": "* * * * *"}),
        ("1", {"message": MESSAGE, "creator": "c", "name": "n", "line": "/x", "cron": "* * * * *", "tz": "Mars"}),
        ("1", {"message": MESSAGE, "creator": "c", "name": "n", "line": "/x", "at": 1e300}),
        ("1", {"message": MESSAGE, "creator": "c", "name": "n", "line": "/x", "cron": "* * * * *"}),
        ("1", {"message": MESSAGE, "creator": "c", "name": "n", "line": "x", "at": 1767600060.0, "reminder": True}),
    ],
    ids=str,
)  # fmt: skip
async def test_a_job_of_a_person_that_cannot_be_used_is_told_and_new_ones_can_be_made(
    bots, tmp_path, key, value
):
    await keep(bots, tmp_path, "made-jobs", key, value)
    ran = []
    with capture_logs() as logs:
        async with bots.run(ticking(ran), folder=tmp_path) as bot:
            await bot.advance(130)
            message = await bot.user("ali").say("hi")
            assert (await bot.app.jobs.add(message, "/x", "0 9 * * *")).id in ("1", "2")
    assert len(ran) == 2
    assert [one for one in logs if one.get("job") == key and one["log_level"] == "error"]


@pytest.mark.parametrize("line", ["", 5, None])
async def test_a_line_that_is_none_makes_no_job(bots, line):
    plugin, said = Plugin("office"), []

    @plugin.command("make")
    async def make(ctx: Ctx, *, jobs: Jobs) -> None:
        with pytest.raises(ConfigError, match=r"no job can be made of this: .*line") as caught:
            await jobs.add(ctx.message, line, "* * * * *")
        said.append(caught.value)

    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/make")
        await bot.advance(61)
        assert said
        assert bot.app.jobs.list() == []
