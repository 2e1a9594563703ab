"""What an author can do to a bot under test, in one line each."""

import attrs
import pytest
import trio

from qqops import (
    KV,
    Accounts,
    Ctx,
    Delivery,
    Event,
    File,
    Image,
    Kick,
    Message,
    Mute,
    Plugin,
    Recall,
    Rooms,
    SetStatus,
    Text,
)
from qqops.adapters.memory import EVERYTHING
from qqops.model import (
    CardChanged,
    Edited,
    FileOffered,
    FriendRequest,
    GroupInvite,
    Joined,
    JoinRequest,
    Left,
    PersonEvent,
    Poked,
    Reacted,
    Recalled,
    Typing,
)


@attrs.frozen(kw_only=True)
class Fed(PersonEvent):
    """An event of an author's own."""

    food: str


def ears(kind):
    """Return a plugin that notes the events of *kind*."""
    plugin = Plugin("ears")
    plugin.heard = []

    @plugin.on(kind)
    async def hear(event: kind) -> None:
        plugin.heard.append(event)

    return plugin


VERBS = {
    Joined: lambda ali, ops, said: ali.joins(ops),
    Left: lambda ali, ops, said: ali.leaves(ops),
    Recalled: lambda ali, ops, said: ali.recalls(said),
    Edited: lambda ali, ops, said: ali.edits(said, "better"),
    Reacted: lambda ali, ops, said: ali.reacts(said, "👍"),
    Poked: lambda ali, ops, said: ali.pokes(),
    FriendRequest: lambda ali, ops, said: ali.asks_friendship("it is me"),
    JoinRequest: lambda ali, ops, said: ali.asks_to_join(ops, "let me in"),
    Typing: lambda ali, ops, said: ali.does(Typing),
    CardChanged: lambda ali, ops, said: ali.does(CardChanged, old="a", new="b"),
    FileOffered: lambda ali, ops, said: ali.does(FileOffered, name="a.txt"),
    GroupInvite: lambda ali, ops, said: ali.does(GroupInvite),
    Fed: lambda ali, ops, said: ali.does(Fed, food="figs"),
}


@pytest.mark.parametrize("kind", VERBS, ids=lambda kind: kind.__name__)
async def test_a_person_can_do_whatever_there_is_an_event_for(bots, kind):
    plugin = ears(kind)
    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        said = await ali.say("hello")
        event = await VERBS[kind](ali, ops, said)
        assert plugin.heard == [event]
        assert event.sender.name == "ali"
        assert event.room in (ops.room, None)
        assert getattr(event, "message", said.ref) == said.ref


async def test_any_event_can_happen(bots):
    plugin = ears(Fed)
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        event = Fed(room=ali.room.room, sender=ali.user, at=bot.clock.now(), food="figs")
        await bot.event(event)
        assert plugin.heard == [event]


async def test_who_comes_and_goes_is_a_member_meanwhile(bots):
    plugin = Plugin("p")

    @plugin.command("who")
    async def who(ctx: Ctx) -> str:
        return ",".join(sorted(user.name for user in ctx.people()))

    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali, bo = bot.user("ali", room=ops), bot.user("bo")
        await bo.joins(ops, by=ali)
        await ali.say("/who")
        await ops.expect("^ali,bo$")
        await bo.leaves(ops)
        await ali.say("/who")
        await ops.expect("^ali$")


async def test_what_is_said_may_hold_pieces_mention_the_bot_and_quote(bots):
    plugin = ears(Message)

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        first = await ali.say("look ", Image("cat.png"))
        assert first.segments == (Text("look "), Image("cat.png"))
        await ali.say(bot.at(), " ping")
        pong = await ops.expect("pong")
        assert (await ali.say("thanks", reply_to=first)).reply_to == first.ref
        assert (await ali.say("thanks", reply_to=pong)).reply_to == pong.ref
        assert [one.at_me for one in plugin.heard] == [False, True, False, False]


async def test_people_react_to_what_the_bot_has_said(bots):
    plugin = ears(Reacted)

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/ping")
        pong = await ali.expect("pong")
        await ali.reacts(pong, "👍")
        assert [event.message for event in plugin.heard] == [pong.ref]


async def test_a_role_in_a_room_holds_in_that_room(bots):
    plugin = Plugin("p")

    @plugin.command("role")
    async def role(ctx: Ctx) -> str:
        return ctx.sender.role.value or "nothing"

    async with bots.run(plugin) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali = bot.user("ali", room=ops, roles="room.admin")
        await ali.say("/role")
        await ops.expect("^admin$")
        await ali.say("/role", room=lab)
        await lab.expect("^nothing$")


async def test_an_owner_is_made_by_one_word(bots):
    plugin = Plugin("p")

    @plugin.command("deploy", permission="deploy")
    async def deploy() -> str:
        return "deployed"

    async with bots.run(plugin) as bot:
        await bot.user("bo").say("/deploy")
        await bot.user("bo").expect("may not|permission|allowed|do not know")
        boss = bot.user("boss", roles="owner")
        await boss.say("/deploy")
        await boss.expect("^deployed$")


def deeds():
    plugin = Plugin("deeds")
    plugin.outcomes = []

    @plugin.command("out")
    async def out(ctx: Ctx, *, accounts: Accounts) -> str:
        for action in (
            Kick(room=ctx.room.ref, person=ctx.sender.ref),
            Recall(message=ctx.message.ref),
            SetStatus(account=ctx.account, status="busy"),
        ):
            plugin.outcomes.append((await accounts.act(action)).delivery)
        return "out you go"

    @plugin.command("picture")
    async def picture() -> tuple[Text, Image, File]:
        return (
            Text("here"),
            Image("cat.png", content=b"\x89PNG"),
            File("log.txt", content=b"log", name="log.txt"),
        )

    @plugin.command("send")
    async def send(ctx: Ctx) -> None:
        plugin.outcomes.append((await ctx.reply("hello")).delivery)

    @plugin.command("size")
    async def size(ctx: Ctx, picture: Image, *, accounts: Accounts) -> str:
        return f"{len(await accounts.fetch(picture, ctx.room.ref))} bytes"

    return plugin


async def test_what_the_bot_does_is_expected_as_what_it_says(bots):
    async with bots.run(deeds()) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        message = await ali.say("/out")
        assert (await ops.expect(Kick)).person == ali.user.ref
        assert (await ali.expect(Recall)).message == message.ref
        assert (await bot.expect(SetStatus)).status == "busy"
        await ops.expect("out you go")
        assert [type(one) for one in bot.actions] == [Kick, Recall, SetStatus]
        assert any(line.startswith("bot does Kick(room=g-ops, person=u-ali") for line in bot.transcript)
        with pytest.raises(AssertionError, match="expected Mute within 1 s"):
            await bot.expect(Mute, within=1)


async def test_pictures_and_files_arrive_with_their_content(bots):
    async with bots.run(deeds()) as bot:
        ali = bot.user("ali")
        await ali.say("/picture")
        sent = await ali.expect("here")
        assert [one.content for one in sent.segments[1:]] == [b"\x89PNG", b"log"]
        await ali.say("/picture")
        assert (await ali.expect(File)).name == "log.txt"
        await ali.say("/size ", Image("cat.png", content=b"1234"))
        await ali.expect("^4 bytes$")


async def test_the_network_can_refuse_what_the_bot_sends_and_does(bots):
    plugin = deeds()
    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        bot.refuse("muted")
        await ali.say("/send")
        await ali.say("/out")
        bot.refuse("nobody knows", Delivery.UNKNOWN)
        await ali.say("/send")
        bot.refuse("")
        await ali.say("/send")
        refused, unknown, delivered = Delivery.REFUSED, Delivery.UNKNOWN, Delivery.DELIVERED
        assert plugin.outcomes == [refused, refused, refused, refused, unknown, delivered]
        assert len(bot.heard.texts(ali.room.refs)) == 1


async def test_several_accounts_are_in_one_room(bots):
    plugin = Plugin("p")

    @plugin.command("ping")
    async def ping(ctx: Ctx) -> str:
        return f"pong from {ctx.account.id}"

    async with bots.run(plugin, accounts=("one", "two")) as bot:
        both = bot.room("ops", accounts=("one", "two"))
        ali = bot.user("ali", room=both)
        await ali.say("hello")
        await ali.say("/ping")
        await both.expect("^pong from one$")
        await both.quiet()
        await ali.say(bot.at("two"), " ping")
        await both.expect("^pong from two$")
        alone = bot.user("ali", account="two")
        await alone.say("/ping")
        await alone.expect("^pong from two$")
        assert "bot two> pong from two" in bot.transcript


async def test_accounts_of_several_networks_can_do_different_things(bots):
    plugin = deeds()
    able = {"one": EVERYTHING, "poor:two": attrs.evolve(EVERYTHING, segments=frozenset({Text}))}
    async with bots.run(plugin, accounts=able) as bot:
        rich, poor = bot.user("ali"), bot.user("ali", account="poor:two")
        assert poor.user.ref.account.network == "poor"
        await rich.say("/picture")
        await rich.expect(Image)
        await poor.say("/picture")
        assert await poor.expect("here") == "here[image][file:log.txt]"


async def test_a_job_is_run_to_its_end(bots):
    plugin = Plugin("p")

    @plugin.job(cron="0 9 * * *")
    async def report(*, rooms: Rooms) -> None:
        await trio.sleep(3)
        await rooms.send("ops", "all is well")

    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        await bot.run_job("report")
        assert await ops.expect("all is well", within=0.1)
        with pytest.raises(AssertionError, match="no one job 'nightly'; there are: p:report"):
            await bot.run_job("nightly")


async def test_a_bot_with_a_folder_can_be_restarted(bots, tmp_path):
    plugin = Plugin("p")

    @plugin.command("count")
    async def count(*, store: KV) -> str:
        number = await store.get("n", int, 0) + 1
        await store.put("n", number)
        return f"number {number}"

    async with bots.run(plugin, folder=tmp_path) as bot:
        ali = bot.user("ali")
        await ali.say("/count")
        await ali.expect("number 1")
        before = bot.app
        await bot.restart()
        assert bot.app is not before
        await ali.say("/count")
        await ali.expect("number 2")
    async with bots.run(plugin) as bot:
        with pytest.raises(AssertionError, match="folder=tmp_path"):
            await bot.restart()


async def test_a_dialogue_that_goes_wrong_is_shown(bots):
    plugin = Plugin("p")

    @plugin.command("wizard")
    async def wizard(ctx: Ctx) -> str:
        name = await ctx.ask("what shall it be called?")
        return f"made {name}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/wizard")
        await ali.expect("called")
        with pytest.raises(AssertionError) as silent:
            await ali.expect("^made", within=5)
        assert "the bot said nothing more here" in str(silent.value)
        await ali.say("api")
        with pytest.raises(AssertionError) as talking:
            await ali.room.quiet()
    for caught in (silent, talking):
        lines = ["ali in ops> /wizard", "bot> what shall it be called?"]
        assert "\n  ".join(("transcript so far:", *lines)) in str(caught.value)
    assert "the bot said ['made api']" in str(talking.value)


async def test_whoever_listens_to_everything_hears_what_people_do(bots):
    plugin = ears(Event)
    async with bots.run(plugin) as bot:
        plugin.heard.clear()
        ali = bot.user("ali", room=bot.room("ops"))
        bo = bot.user("bo", room=bot.room("ops"))
        await ali.pokes(bo)
        assert [event.target for event in plugin.heard] == [bo.user]
