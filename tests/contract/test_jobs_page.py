"""The page about jobs: its code runs, what is said there is said, and what is refused there is refused."""

import datetime
import inspect
import pathlib
import re
import types

import pytest
from structlog.testing import capture_logs

import qqops_essentials
from qqops import Plugin, PluginError
from qqops.app import AppPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.testing.virtual import run_virtual

ROOT = pathlib.Path(__file__).parents[2]
UNITS = {"minutes": 60, "hours": 3600, "days": 86400}


def page(language):
    return (ROOT / "docs" / language / "how-to/jobs.md").read_text("utf-8")


def blocks(language, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", page(language), re.DOTALL | re.MULTILINE)


def office(language):
    """The plugin of the page."""
    module = types.ModuleType("office")
    exec(compile("\n\n".join(blocks(language, "python")), "jobs.md", "exec"), module.__dict__)
    return module.plugin


def transcripts(language):
    return [block for block in blocks(language, "text") if block.startswith("ali> ")]


def test_both_languages_have_the_same_code():
    for kind in ("python", "text"):
        assert blocks("en", kind) == blocks("zh", kind)
    assert (len(blocks("en", "python")), len(transcripts("en"))) == (4, 2)


@pytest.mark.trio(run=run_virtual)
@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_is_said_on_the_page_is_said(bots, language):
    policy = AppPolicy(seed=1, access=AccessPolicy(owners=("memory:test/u-ali",)))
    async with bots.run(qqops_essentials.plugin, office(language), policy=policy) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        first, second = transcripts(language)
        await follow(bot, ali, first)
    async with bots.run(qqops_essentials.plugin, office(language), policy=policy) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/in 2 tea is ready")
        await ali.expect("18:00")
        await follow(bot, ali, second)


async def follow(bot, ali, transcript):
    """Say what ali says, and expect what the bot says, until nothing is left of either."""
    for line in transcript.splitlines():
        who, _, text = line.partition(" ")
        if who == "ali>":
            await ali.say(text)
        elif who == "...":
            number, unit = text.split()
            await bot.advance(int(number) * UNITS[unit])
        else:
            shown, cut, _ = text.partition("…")
            said = await ali.expect(re.escape(shown))
            assert cut or said == shown
    assert bot.heard.texts(ali.room.refs) == []


@pytest.mark.trio(run=run_virtual)
async def test_what_nobody_hears_is_in_the_log(bots):
    with capture_logs() as logs:
        async with bots.run(office("en")) as bot:
            await bot.advance(86401)
    lines = [one for one in logs if one.get("job") == "count"]
    assert [(one["log_level"], one["plugin"]) for one in lines] == [("error", "office")]
    assert lines[0]["where"].startswith("jobs.md:")
    assert "the answer of a job goes nowhere" in lines[0]["event"]


def refused(language):
    return re.findall(r"^\| `((?:every|cron|once)=.*)` \| (.*) \|$", page(language), re.MULTILINE)


@pytest.mark.trio(run=run_virtual)
@pytest.mark.parametrize(("how", "error"), refused("en"), ids=lambda v: v[:30])
async def test_what_is_refused_on_the_page_is_refused(bots, how, error):
    plugin = Plugin("wrong")

    @plugin.job(every=1, name="tidy-logs")
    async def tidy() -> None: ...

    @plugin.job(**eval(f"dict({how})", {"datetime": datetime}))
    async def wrong() -> None: ...

    with pytest.raises(PluginError, match=re.escape(error)) as caught:
        async with bots.run(plugin):
            pass
    assert caught.value.where == f"{__file__}:{wrong.__code__.co_firstlineno}"


def test_both_languages_refuse_the_same():
    assert len(refused("en")) == 12
    assert refused("en") == refused("zh")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_argument_and_command_is_on_the_page(language):
    text = page(language)
    arguments = [
        p.name for p in inspect.signature(Plugin.job).parameters.values() if p.kind is p.KEYWORD_ONLY
    ]
    assert [name for name in arguments if f"`{name}`" not in text] == []
    lines = [
        "/jobs",
        "/jobs list",
        "/jobs why",
        "/jobs run",
        "/jobs pause",
        "/jobs resume",
        "/job add",
        "/job remove",
    ]
    assert [line for line in lines if f"`{line}" not in text] == []


def test_the_log_says_what_the_page_says():
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src/qqops/runtime").glob("*.py"))
    for line in re.findall(r"(?:error|warning) `([^`]+)`", page("en")):
        assert f'"{line}' in source
        assert f"`{line}`" in page("zh")
