"""Who starts a bot is told what it has, and what to do when it has nothing."""

import structlog

from qqops import Plugin
from qqops.cli.loaded import HINT, line, missing, tell
from qqops.plugin.host import Candidate
from qqops_essentials import plugin as essentials


def refuse():
    raise ValueError("no luck")


async def test_the_log_names_plugins_commands_and_what_was_skipped(bots):
    async with bots.run(essentials) as bot:
        bot.app.host.load(Candidate(name="broken", load=refuse, package="broken", version="1.0"))
        with structlog.testing.capture_logs() as logs:
            tell(bot.app)
        (said,) = logs
        assert said.pop("commands") == len(bot.app.registry.commands) > 20
        (skipped,) = said.pop("skipped")
        assert skipped.startswith("broken (broken 1.0): ")
        assert skipped.endswith("ValueError: no luck")
        assert said == {"event": "started", "log_level": "info", "plugins": ["essentials"]}
        assert line(bot.app).startswith("1 plugins, ")
        assert missing(bot.app) == ""


async def test_a_bot_without_a_plugin_is_warned_of_and_the_way_out_is_named(bots):
    async with bots.run() as bot:
        bot.app.host.load(Candidate(name="core", load=lambda: Plugin("core")))
        with structlog.testing.capture_logs() as logs:
            tell(bot.app)
        assert logs[1] == {
            "event": "there is no plugin: the bot answers nobody", "hint": HINT, "log_level": "warning",
        }  # fmt: skip
        assert line(bot.app).startswith("0 plugins, 0 commands: - / ")


async def test_a_bot_without_a_command_is_warned_of(bots):
    async with bots.run(Plugin("silent")) as bot:
        with structlog.testing.capture_logs() as logs:
            tell(bot.app)
        assert logs[1]["event"] == "there is no plugin with a command: the bot answers nobody"
