"""The essentials on a whole bot, in both languages."""

import pytest

from qqops import Plugin
from qqops.app import AppPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.rooms import RoomSettings
from qqops_essentials import plugin
from qqops_essentials._text import duration

#: Aliases are for everybody here.
FREE = AccessPolicy(permissions={"everyone": ("alias.*",)})


@pytest.mark.parametrize(
    ("line", "english", "chinese"),
    [
        ("/ping", "^pong$", "^pong$"),
        ("/echo a  “b” c", "^a  “b” c$", "^a  “b” c$"),
        ("/help --page 2", "/roll .dice. – Roll dice", "/roll .dice. – 掷骰子"),
        (
            "/help",
            r"(?s)^/about – .*page 1 of 3; /help --page 2 shows another$",
            "第 1/3 页；/help --page 2 查看另一页$",
        ),
        ("/help alias everywhere", "^/alias everywhere add <name> .line. – Give", "在所有房间给命令行起名"),
        ("/help alias --page 2", "there are 1 pages", "共有 1 页"),
        ("/help essentials:roll", "also: 掷骰", "别名：掷骰"),
        ("/help rol", "there is no command 'rol'; did you mean roll", "没有命令 'rol'，是不是想用 roll"),
        ("/alias list", "there are no aliases here", "这里没有别名"),
        ("/alias add say = /echo again", "^from now on /say = /echo again$", "从现在起 /say = /echo again"),
        ("/alias add say＝echo", "^from now on /say = /echo$", "从现在起"),
        ("/alias add say", "say what 'say' stands for", "请说明 'say' 代表什么"),
        ("/alias add ping = echo", "'ping' is a command already", "已经是命令"),
        ("/alias add again = again x", "would lead back to itself", "会指回自己"),
        ("/alias add lost = nowhere x", "there is no command 'nowhere x'", "没有命令"),
        ("/alias add a:b = echo", "'a:b' is not a name", "不能作别名"),
        ("/alias remove nothing", "there is no alias 'nothing'", "没有这样的别名"),
        ("/help roll", "also: 掷骰", "别名：掷骰"),
        ("/帮助 掷骰", "Roll dice", "掷骰子"),
        ("/help nothing", "there is no command 'nothing'", "没有命令"),
        ("/help --page 9", "there are \\d pages", "共有 . 页"),
        ("/about", r"qqops \d.*plugins: .*essentials", "插件"),
        ("/uptime", r"up for 0 s\nmemory:test: online", "已运行 0 秒"),
        ("/who", "1 here: ali", "共 1 人：ali"),
        ("/roll 3d1+4", r"3d1\+4: 1 \+ 1 \+ 1 \+ 4 = 7", "= 7"),
        ("/roll 2d1-1", r"2d1-1: 1 \+ 1 - 1 = 1", "= 1"),
        ("/roll 1d1", "^1d1: 1$", "^1d1: 1$"),
        ("/roll 999d6", "is not dice", "不是骰子"),
        ("/roll 0d6", "is not dice", "不是骰子"),
        ("/roll nonsense", "is not dice", "不是骰子"),
    ],
)
async def test_commands_in_both_languages(bots, line, english, chinese):
    policy = AppPolicy(seed=1, rooms=RoomSettings(languages={"china": "zh"}), access=FREE)
    async with bots.run(plugin, policy=policy) as bot:
        for room, pattern in (("ops", english), ("china", chinese)):
            ali = bot.user("ali", room=bot.room(room))
            await ali.say(line)
            await ali.expect(pattern)


async def test_aliases_from_the_first_to_the_last_word(bots):
    async with bots.run(plugin, policy=AppPolicy(seed=1, access=FREE)) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=lab)
        for who, line, answer in [
            (ali, "/alias add 重复一遍 = echo again:", "from now on /重复一遍 = /echo again:"),
            (ali, "/重复一遍 hello  there", "^again: hello  there$"),
            (bo, "/alias everywhere add hi = echo hello", "from now on"),
            (ali, "/hi you", "^hello you$"),
            (ali, "/alias list", r"^/重复一遍 = /echo again:\n/hi = /echo hello \(everywhere\)$"),
            (bo, "/alias list", r"^/hi = /echo hello \(everywhere\)$"),
            (ali, "/alias remove hi", "there is no alias 'hi'"),
            (ali, "/alias everywhere remove hi", "^forgotten: /hi = /echo hello$"),
            (ali, "/alias remove 重复一遍", "^forgotten"),
        ]:
            await who.say(line)
            await who.expect(answer)
        for line in ("/hi", "/重复一遍 x"):
            assert bot.app.dispatcher.route(bot.network.say("ali", ops.room, line)) == []


async def test_help_shows_what_who_asks_may_know_of(bots):
    async with bots.run(plugin) as bot:
        bot.app.registry.visible = lambda ctx, handler: (
            ctx.sender.name == "boss" or not handler.name.startswith("alias")
        )
        ops = bot.room("ops")
        ali, boss = bot.user("ali", room=ops), bot.user("boss", room=ops)
        await ali.say("/help")
        assert "/alias" not in await ali.expect("/about")
        await ali.say("/help alias add")
        await ali.expect("there is no command")
        await boss.say("/help alias add")
        await boss.expect("NAME = COMMAND")


async def test_help_with_the_prefix_of_the_room_and_with_two_plugins(bots):
    other = Plugin("other")

    @other.command("ping", aliases=("乒", "复读"))
    async def ping() -> str:
        return "other"

    policy = AppPolicy(rooms=RoomSettings(prefixes={"ops": ("!",)}))
    async with bots.run(plugin, other, policy=policy) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("!help ping")
        await ali.expect(r"^!other:ping\n!ping – Answer pong")
        await ali.say("!help other:ping")
        await ali.expect(r"^!other:ping\nalso: 乒$")
        await ali.say("!other:ping")
        await ali.expect("^other$")


async def test_who_in_a_private_chat(bots):
    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/who")
        await ali.expect("just you and me, ali")


async def test_sends_are_counted_by_room(bots):
    async with bots.run(plugin) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=lab)
        await ali.say("/sends")
        await ali.expect("nothing was sent yet")
        for who in (ali, bo, bo):
            await who.say("/ping")
            await who.expect("pong")
        await ali.say("/sends")
        await ali.expect(
            r"lab: 2 sent, 0 in part, 0 unknown, 0 refused\n.*ops: 2 sent, 0 in part, 0 unknown, 0 refused|ops: 2 .*\n.*lab: 2"
        )


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
