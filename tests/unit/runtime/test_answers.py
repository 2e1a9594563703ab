"""Answers to questions are read as the words of commands are: with the room's time, people, pictures and own types."""

import datetime

import pytest

from qqops import Alias, At, Ctx, Image, PersonRef, Plugin, Refuse, Rest, Text, User
from qqops.app import AppPolicy
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.named_rooms import RoomSettings

KINDS = {"when": datetime.datetime, "long": datetime.timedelta, "who": User, "picture": Image}


class Service(str):
    pass


def asking():
    plugin = Plugin("p")

    @plugin.converter(Service)
    def service(word: str) -> Service:
        if word != "api":
            raise Refuse(f"no service {word}")
        return Service(word)

    @plugin.command("ask")
    async def ask(ctx: Ctx, what: str) -> str:
        answer = await ctx.ask("well?", KINDS.get(what, Service))
        return f"got {answer.id if isinstance(answer, User | Image) else answer}"

    @plugin.command("greet", inline=True)
    def greet(who: User, text: Rest) -> str:
        return f"{text}, {who.id}"

    @plugin.command("show", inline=True)
    def show(text: str, picture: Image) -> str:
        return f"{text} {picture.id}"

    return plugin


@pytest.mark.parametrize(
    ("kind", "answer", "expected"),
    [
        ("when", "明天 9:00", "got 2026-01-06 09:00:00\\+08:00"),
        ("when", "tomorrow 9:00 sharp", "is not a moment"),
        ("long", "1h30m", "got 1:30:00"),
        ("who", "ali", "got u-ali"),
        ("who", "nobody at all", "I know nobody here"),
        ("service", "api", "got api"),
        ("service", "web", "no service web"),
    ],
)
async def test_an_answer_may_be_of_any_type_that_a_parameter_may_have(bots, kind, answer, expected):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(f"/ask {kind}")
        await ali.expect("well")
        await ali.say(answer)
        await ali.expect(expected)
        await bot.stop()  # some are asked again


async def test_an_answer_may_be_a_mention_or_a_picture(bots):
    async with bots.run(asking()) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        mention = At(PersonRef(ops.room.ref.account, "7"), "bo")
        for kind, segment, expected in [
            ("who", mention, "got 7"),
            ("picture", Image("cat.png"), "got cat.png"),
        ]:
            await ali.say(f"/ask {kind}")
            await ali.expect("well")
            bot.network.say("ali", ops.room, (segment,))
            await ops.expect(expected)


async def test_what_a_line_lacks_may_be_a_mention_or_a_picture(bots):
    async with bots.run(asking()) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        mention = At(PersonRef(ops.room.ref.account, "7"), "bo")
        await ali.say("/show it")
        await ali.expect("picture")
        bot.network.say("ali", ops.room, (Image("cat.png"),))
        await ops.expect("^it cat.png$")
        bot.network.say("ali", ops.room, (Text("/greet "), mention))
        await ops.expect("text")
        await ali.say("good morning")
        await ops.expect("^good morning, 7$")


async def test_an_alias_that_lacks_an_argument_asks_for_it(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        assert bot.app.aliases.add(Alias("g", "greet ali")) == ""
        await ali.say("/g")
        await ali.expect("text")
        await ali.say("hello")
        await ali.expect("^hello, u-ali$")


async def test_the_prefix_of_the_room_tells_a_command_from_an_answer(bots):
    policy = AppPolicy(seed=1, rooms=RoomSettings(prefixes={"ops": ("!",)}))
    async with bots.run(asking(), policy=policy) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("!ask service")
        await ali.expect("well")
        await ali.say("!greet ali you")
        await ali.expect("still|first|answer")
        await ali.say("/greet ali you")
        await ali.expect("no service")
        await ali.say("cancel")


async def test_aliases_outlive_the_process(bots, tmp_path):
    for run in range(2):
        async with bots.run(asking(), folder=tmp_path) as bot:
            ops = bot.room("ops")
            if not run:
                assert bot.app.aliases.add(Alias("g", "greet ali", ops.room.ref)) == ""
                assert bot.app.aliases.add(Alias("gone", "greet ali")) == ""
                assert bot.app.aliases.remove(None, "gone") is not None
            ali = bot.user("ali", room=ops)
            await ali.say("/g hello")
            await ali.expect("^hello, u-ali$")
            assert bot.app.aliases.find(None, "gone") is None


async def test_help_and_hints_show_only_what_the_gate_lets_in(bots):
    plugin = asking()

    @plugin.command("deploy", permission="deploy.run")
    async def deploy() -> str:
        return "deployed"

    policy = AppPolicy(seed=1, access=AccessPolicy(owners=("memory:test/u-boss",)))
    async with bots.run(plugin, policy=policy) as bot:
        ops = bot.room("ops")
        ali, boss = bot.user("ali", room=ops), bot.user("boss", room=ops)
        await ali.say("/deplyo")
        await ops.quiet()
        await bot.advance(20)
        await boss.say("/deplyo")
        await ops.expect("did you mean /deploy")
