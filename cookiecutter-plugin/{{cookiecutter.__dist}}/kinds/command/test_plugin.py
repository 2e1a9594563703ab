"""The plugin on a whole bot, on virtual time: no account, no waiting."""

from qqops.testing import Bots

from {{ cookiecutter.__module }} import plugin


async def test_it_greets(bots: Bots) -> None:
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/{{ cookiecutter.plugin_name }}")
        await ali.expect("^hello, ali$")
        await ali.say("/{{ cookiecutter.plugin_name }} world --loud")
        await ali.expect("^HELLO, WORLD$")


async def test_it_explains_what_it_does_not_understand(bots: Bots) -> None:
    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/{{ cookiecutter.plugin_name }} world --quiet")
        await ali.expect("usage: /{{ cookiecutter.plugin_name }}")
