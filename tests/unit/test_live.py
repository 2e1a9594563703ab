"""A reload takes new settings: all or nothing, for the plugin that is reloaded."""

import attrs
import pytest
import structlog

from qqops import Ctx, Plugin, Refuse
from qqops import core_plugin as core
from qqops._live import LiveSettings, changed
from qqops.app import AppPolicy
from qqops.plugin.host import Candidate, PluginState
from qqops.runtime.granted import AccessPolicy
from qqops.settings import load_settings, plugin_config
from qqops_essentials import plugin as essentials

START = """
[bot]
language = "en"
[accounts.main]
network = "memory"
[plugins.deploy]
script = "ship"
[plugins.other]
script = "x"
"""


class Deploy:
    """A plugin with a table; its copies tell their number."""

    def __init__(self, name="deploy"):
        self.name, self.copies = name, 0

    def __call__(self):
        self.copies += 1
        number, made = self.copies, Plugin(self.name)

        @made.config
        @attrs.frozen(kw_only=True)
        class Config:
            script: str
            tries: int = 3

        @made.command(self.name)
        async def deploy(ctx: Ctx, *, cfg: Config) -> str:
            return f"{cfg.script} {cfg.tries}, copy {number}"

        return made


class Live:
    """A running bot with a settings file and an environment."""

    def __init__(self, bot, path, environ, start):
        path.write_text(start)
        self.bot, self.path, self.environ = bot, path, environ
        settings, file = load_settings(path, environ)
        host = bot.app.host
        host.load(Candidate(name="core", load=lambda: core))
        for plugin in (Deploy(), Deploy("other")):
            configure = lambda name, cls: plugin_config(settings, file, environ, name, cls)  # noqa: E731
            host.load(Candidate(name=plugin.name, load=plugin), configure=configure)
        bot.app.plugins.renew = LiveSettings(path, settings, environ, host).renew
        bot.app.refresh()

    def write(self, *changes):
        text = self.path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        self.path.write_text(text)

    async def reload(self, name="deploy"):
        return await self.bot.app.plugins.reload(name)


@pytest.fixture
def live(tmp_path):
    return lambda bot, environ=None, start=START: Live(
        bot, tmp_path / "qqops.toml", {} if environ is None else environ, start
    )


async def says(bot):
    ali = bot.user("ali")
    await ali.say("/deploy")
    return await ali.expect("copy")


async def test_the_new_copy_gets_the_new_table_from_the_file_and_the_environment(bots, live):
    environ = {}
    async with bots.run() as bot:
        running = live(bot, environ)
        assert await says(bot) == "ship 3, copy 1"
        running.write(('"ship"', '"sail"'))
        environ["QQOPS_PLUGINS__DEPLOY__TRIES"] = "7"
        change = await running.reload()
        assert (change.done, change.reason, change.restart) == (True, "", ())
        assert await says(bot) == "sail 7, copy 2"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([('"en"', '"fr"'), ('"ship"', "5")], ["qqops.toml:3: bot.language: unknown value 'fr' (one of: en, zh)"]),
        (
            [('"en"', '"fr"\nnew = 1'), ('"memory"', '"web"')],
            [
                "qqops.toml:3: bot.language: unknown value 'fr' (one of: en, zh)",
                "qqops.toml:4: bot.new: unknown key 'new'",
                "qqops.toml:6: accounts.main.network: unknown network 'web'",
            ],
        ),
        ([('"x"', "5")], ["qqops.toml:9: plugins.other.script: must be a text, got 5"]),
        ([('script = "ship"', "script = 5\ntires = 1")], ["qqops.toml:7: plugins.deploy.script", "qqops.toml:8: plugins.deploy.tires"]),
        ([('language = "en"', "language =")], ["qqops.toml:3: no valid TOML: invalid value"]),
    ],
    ids=["bot", "accounts", "another's table", "its own table", "no TOML"],
)  # fmt: skip
async def test_with_any_mistake_nothing_is_touched_and_all_are_named(bots, live, changes, told):
    async with bots.run() as bot:
        running = live(bot)
        running.write(*changes)
        with structlog.testing.capture_logs() as logged:
            change = await running.reload()
        assert (change.done, change.kept, change.report.state) == (False, True, PluginState.LOADED)
        lines = change.reason.replace(f"{running.path.parent}/", "").splitlines()
        assert len(lines) == len(told)
        assert all(line.startswith(start) for line, start in zip(lines, told, strict=True)), lines
        assert any(one["log_level"] == "error" and told[0][:12] in str(one) for one in logged)
        assert await says(bot) == "ship 3, copy 1"
        running.path.write_text(START)
        assert (await running.reload()).done


async def test_a_file_that_is_gone_keeps_the_old_settings(bots, live):
    async with bots.run() as bot:
        running = live(bot)
        running.path.unlink()
        change = await running.reload()
        assert (change.done, change.kept) == (False, True)
        assert "there is no file" in change.reason


async def test_what_was_skipped_for_its_table_is_loaded_when_that_is_right(bots, live):
    async with bots.run() as bot:
        running = live(bot, start=START.replace('"ship"', "5"))
        report = bot.app.host.reports["deploy"]
        assert report.state is PluginState.SKIPPED
        assert [one.rpartition("/")[2] for one in report.mistakes] == [
            "qqops.toml:7: plugins.deploy.script: must be a text, got 5"
        ]
        change = await running.reload()
        assert (change.done, change.kept, change.report.state) == (False, False, PluginState.SKIPPED)
        assert change.reason.endswith("plugins.deploy.script: must be a text, got 5")
        running.path.write_text(START)
        change = await running.reload()
        assert (change.done, change.report.state) == (True, PluginState.LOADED)
        assert (await says(bot)).startswith("ship 3")


async def test_what_was_unloaded_is_loaded_with_its_new_table_and_not_by_a_reload(bots, live):
    async with bots.run() as bot:
        running = live(bot)
        await bot.app.plugins.unload("deploy")
        running.write(('"ship"', '"sail"'))
        with pytest.raises(Refuse):
            await running.reload()
        running.write(('"en"', '"fr"'))
        change = await bot.app.plugins.load("deploy")
        assert (change.done, change.kept) == (False, False)
        assert "bot.language" in change.reason
        running.write(('"fr"', '"en"'))
        assert (await bot.app.plugins.load("deploy")).done
        assert (await says(bot)).startswith("sail 3")


async def test_an_account_whose_network_was_unloaded_is_no_mistake(bots, live):
    async with bots.run() as bot:
        running = live(bot)
        bot.app.host.drop("core")
        assert bot.app.host.networks == {}
        assert (await running.reload()).done


async def test_the_chat_is_told_what_is_wrong_and_what_needs_a_restart(bots, live):
    policy = AppPolicy(seed=1, access=AccessPolicy(owners=("memory:test/u-boss",)))
    async with bots.run(essentials, policy=policy) as bot:
        running = live(bot)
        boss = bot.user("boss")
        running.write(('"en"', '"fr"'), ('"memory"', '"web"'))
        await boss.say("/plugin reload deploy")
        answer = await boss.expect("not reloaded, the old copy goes on")
        assert ":3: bot.language: unknown value 'fr'" in answer
        assert ":5: accounts.main.network: unknown network 'web'" in answer
        running.path.write_text(START.replace('"en"', '"zh"').replace('"ship"', '"sail"'))
        await boss.say("/plugin reload deploy")
        answer = await boss.expect("deploy is reloaded")
        assert answer.splitlines()[1:] == ["needs a restart: bot.language"]
        assert (await says(bot)).startswith("sail")


def test_changes_outside_the_tables_of_plugins_are_named_by_their_keys(tmp_path):
    path = tmp_path / "qqops.toml"

    def read(text):
        path.write_text(text)
        return load_settings(path, {})[0]

    before = read("[bot]\ndata = 'a'\n[rooms.ops]\nlanguage = 'zh'\n[accounts.a]\nnetwork = 'memory'\nnick = 'x'\n"
                  "[accounts.b]\nnetwork = 'memory'\n[plugins.p]\nx = 1")  # fmt: skip
    now = read("[bot]\ndata = 'b'\n[rooms.ops]\nlanguage = 'en'\n[rooms.lab]\n[accounts.a]\nnetwork = 'memory'\nnick = 'y'\n"
               "[plugins]\noff = ['q']\n[plugins.p]\nx = 2\n[roles]\nsre = []\n")  # fmt: skip
    assert list(changed(before, now)) == [
        "accounts.a.nick", "accounts.b", "bot.data", "plugins.off", "roles.sre", "rooms.lab", "rooms.ops.language",
    ]  # fmt: skip
    assert list(changed(before, before)) == []
