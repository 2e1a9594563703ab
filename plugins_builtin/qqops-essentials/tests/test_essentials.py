"""The essentials on a whole bot, in both languages."""

import pytest

from qqops.app import AppPolicy
from qqops.runtime.rooms import RoomSettings
from qqops_essentials import plugin
from qqops_essentials._text import duration


@pytest.mark.parametrize(
    ("line", "english", "chinese"),
    [
        ("/ping", "^pong$", "^pong$"),
        ("/echo a  “b” c", "^a  “b” c$", "^a  “b” c$"),
        ("/help", "/roll .dice. – Roll dice", "/roll .dice. – 掷骰子"),
        ("/help roll", "also: 掷骰", "别名：掷骰"),
        ("/帮助 掷骰", "Roll dice", "掷骰子"),
        ("/help nothing", "there is no command 'nothing'", "没有命令"),
        ("/help --page 9", "there are 1 pages", "共有 1 页"),
        ("/about", r"qqops \d.*plugins: .*essentials", "插件"),
        ("/uptime", r"up for 0 s\nmemory:test: online", "已运行 0 秒"),
        ("/who", "1 here: ali", "共 1 人：ali"),
        ("/roll 3d1+4", r"3d1\+4: 1 \+ 1 \+ 1 \+ 4 = 7", "= 7"),
        ("/roll 2d1-1", r"2d1-1: 1 \+ 1 - 1 = 1", "= 1"),
        ("/roll 1d1", "^1d1: 1$", "^1d1: 1$"),
        ("/roll 999d6", "is no dice", "不是骰子"),
        ("/roll 0d6", "is no dice", "不是骰子"),
        ("/roll nonsense", "is no dice", "不是骰子"),
    ],
)
async def test_commands_in_both_languages(bots, line, english, chinese):
    policy = AppPolicy(seed=1, rooms=RoomSettings(languages={"china": "zh"}))
    async with bots.run(plugin, policy=policy) as bot:
        for room, pattern in (("ops", english), ("china", chinese)):
            ali = bot.user("ali", room=bot.room(room))
            await ali.say(line)
            await ali.expect(pattern)


async def test_who_in_a_private_chat(bots):
    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/who")
        await ali.expect("just you and me, ali")


async def test_uptime_counts(bots):
    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await bot.advance(2 * 86400 + 3 * 3600 + 59)
        await ali.say("/uptime")
        await ali.expect("up for 2 d 3 h")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (90061, "1 d 1 h")]
)
def test_durations(seconds, text):
    assert duration(seconds, "en") == text
