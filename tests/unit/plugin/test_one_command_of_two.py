"""Two plugins with one command: both are loaded and reached, and the owner says whose the plain name is."""

import pytest

from qqops import Plugin
from qqops.app import AppPolicy
from qqops.plugin.host import PluginState


def make(name):
    """Return a plugin with a command, a group, aliases of both, and a name that needs no space."""
    plugin = Plugin(name)

    @plugin.command("status", aliases=("st", "状态"))
    async def status(word: str = "-") -> str:
        return f"{name} status {word}"

    @plugin.group("flag").command("set", aliases=("fs",))
    async def flag(word: str = "-") -> str:
        return f"{name} flag {word}"

    @plugin.command("天气", no_space=True)
    async def weather(word: str = "-") -> str:
        return f"{name} 天气 {word}"

    return plugin


NAMES = ["status", "st", "状态", "flag set", "fs", "天气"]


async def answers(bots, lines, owners=None):
    """Return what each of *lines* is answered with."""
    policy = AppPolicy(commands=owners or {})
    async with bots.run(make("aa"), make("bb"), policy=policy) as bot:
        assert bot.app.host.reports["bb"].state is PluginState.LOADED
        ali = bot.user("ali")
        got = []
        for line in lines:
            await ali.say(line)
            got.append(await ali.expect(""))
        return got, bot.app.host.reports["bb"]


@pytest.mark.parametrize("name", NAMES)
async def test_each_is_reached_by_its_plugin_whatever_the_name(bots, name):
    lines = [f"/{name} x", f"/aa:{name} x", f"/bb:{name} x", f"/BB：{name.upper()} x"]
    got, report = await answers(bots, lines)
    assert [line.split()[0] for line in got] == ["aa", "aa", "bb", "bb"]
    assert all(line.endswith(" x") for line in got)
    note = f"the command {name!r} is that of 'aa'; the other one is bb:{name}"
    assert note in report.notes
    assert report.unsettled == report.notes


@pytest.mark.parametrize("line", ["/bb:天气北京", "/BB：天气北京", "/b\u200bb:天气北京"])
async def test_a_name_that_needs_no_space_needs_none_behind_its_plugin(bots, line):
    got, _ = await answers(bots, [line])
    assert got == ["bb 天气 北京"]


@pytest.mark.parametrize(
    "line", ["/cc:天气北京", "/bb:天", "/bb:statusx", "/bb:", "/bb:：天气", ":天气北京", "/:天气北京"]
)
async def test_what_is_no_name_of_the_plugin_is_none(bots, line):
    async with bots.run(make("aa"), make("bb")) as bot:
        await bot.user("ali", room=bot.room("ops")).say(line)
        await bot.room("ops").quiet()


@pytest.mark.parametrize("name", NAMES)
async def test_the_owner_gives_a_single_name_to_one_of_them(bots, name):
    lines = [f"/{name} x" for name in NAMES]
    got, report = await answers(bots, lines, {f" {name.upper()}": "bb"})
    assert [line.split()[0] for line in got] == ["bb" if one == name else "aa" for one in NAMES]
    assert f"the command {name!r} is that of 'bb'; the other one is aa:{name}" in report.notes
    assert len(report.notes) == len(NAMES)
    assert len(report.unsettled) == len(NAMES) - 1


async def test_the_owner_may_also_settle_for_the_first(bots):
    got, report = await answers(bots, ["/status"], dict.fromkeys(NAMES, "aa"))
    assert got == ["aa status -"]
    assert report.unsettled == ()


async def test_a_name_without_space_is_the_owners_too(bots):
    got, _ = await answers(bots, ["/天气北京", "/天气 北京"], {"天气": "bb"})
    assert got == ["bb 天气 北京", "bb 天气 北京"]
