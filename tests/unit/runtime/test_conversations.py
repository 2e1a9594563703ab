"""Questions to people: one at a time, ended by answer, deadline, word, command, shutdown; never holding a slot."""

import contextlib
import enum
import random

import pytest
import trio

from qqops import AnswerCancelled, AnswerExpired, At, Ctx, Joined, Message, NoAnswer, Plugin, Rest, User
from qqops.app import AppPolicy
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.observe import Handled, Phase, Result


class Color(enum.Enum):
    red = "red"
    blue = "blue"


def one_slot(**more):
    return AppPolicy(seed=1, dispatch=DispatchPolicy(slots=1, per_plugin=1, timeout=5.0), **more)


def asking():
    plugin = Plugin("p")
    plugin.heard = []

    @plugin.command("age", timeout=5.0)
    async def age(ctx: Ctx) -> str:
        years = await ctx.ask("how old?", int, within=60, retries=1)
        return f"{years + 1} next year"

    @plugin.command("wizard", converse="replace")
    async def wizard(ctx: Ctx) -> str:
        name = await ctx.ask("name?")
        color = await ctx.ask("color?", Color)
        sure = await ctx.confirm("sure?")
        return f"{name} {color.name} {sure}"

    @plugin.command("pick")
    async def pick(ctx: Ctx) -> str:
        return f"took {await ctx.choose('which?', [Color.red, Color.blue])}"

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    @plugin.on(Message)
    async def every(ctx: Ctx) -> None:
        plugin.heard.append(ctx.text)

    return plugin


def results(bot, handler):
    return [r.result for r in bot.records if isinstance(r, Handled) and r.handler == handler]


async def test_an_answer_is_converted_and_reaches_nobody_else(bots):
    plugin = asking()
    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        await ali.expect("how old")
        await ali.say(" “41” ")
        await ali.expect("^42 next year$")
        await ali.say("41")
        assert plugin.heard == ["/age", "41"]


async def test_a_wrong_answer_is_explained_and_may_be_tried_again(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        await ali.say("x")
        await ali.expect("'x' is not a whole number")
        await ali.say("1")
        await ali.expect("2 next year")
        await ali.say("/age")
        await ali.say("x")
        await ali.say("y")
        await ali.expect("'y' is not")
        assert results(bot, "age") == [Result.DONE, Result.REFUSED]


async def test_several_questions_follow_each_other(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        for line in ("/wizard", "bo", "RED", "是"):
            await ali.say(line)
        await ali.expect(r"sure\? \(yes/no\)")
        await ali.expect("^bo red True$")


@pytest.mark.parametrize(("said", "taken"), [("1", "red"), ("2.", "blue"), ("BLUE", "blue")])
async def test_a_choice_by_number_or_name(bots, said, taken):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/pick")
        await ali.expect("which.\n1. red\n2. blue")
        await ali.say("green")
        await ali.expect("'green' is none of them")
        await ali.say(said)
        await ali.expect(f"took Color.{taken}")


async def test_the_cancel_word_ends_it(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        await ali.say("cancel")
        await ali.expect("all right, I have stopped")
        assert results(bot, "age") == [Result.REFUSED]
        await ali.say("/ping")
        await ali.expect("pong")


async def test_expiry_fires_by_itself_and_is_told_once(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        await ali.expect("how old")
        await bot.advance(59)
        assert results(bot, "age") == []
        await bot.advance(2)
        await ali.expect("no answer in time")
        await ali.room.quiet()
        assert results(bot, "age") == [Result.REFUSED]
        assert not bot.app.talks.open


async def test_the_author_may_catch_how_it_ended(bots):
    plugin = Plugin("p")

    @plugin.command("ask")
    async def ask(ctx: Ctx) -> str:
        ends = []
        for _ in range(3):
            try:
                await ctx.ask("n?", int, within=5, retries=0)
            except NoAnswer as exc:
                ends.append(type(exc))
        return str(ends == [AnswerExpired, AnswerCancelled, NoAnswer])

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/ask")
        await bot.advance(6)
        await ali.say("cancel")
        await ali.say("x")
        await ali.expect("^True$")


async def test_waiting_holds_no_slot_and_the_deadline_stands_still(bots):
    async with bots.run(asking(), policy=one_slot()) as bot:
        ops = bot.room("ops")
        people = [bot.user(name, room=ops) for name in ("ali", "bo", "cy", "di")]
        for who in people:
            await who.say("/age")
        assert bot.app.dispatcher.statistics()["asking"] == 4
        await people[0].say("/ping", room=bot.room("lab"))
        await bot.room("lab").expect("pong")
        await bot.advance(50)  # ten times the handler's own deadline
        for number, who in enumerate(people):
            await who.say(str(number))
            await ops.expect(f"^{number + 1} next year")
        assert results(bot, "age") == [Result.DONE] * 4
        assert bot.app.dispatcher.statistics()["running"] == 0


async def test_the_time_that_is_left_runs_again_after_the_answer(bots):
    plugin = Plugin("p")

    @plugin.command("slow", timeout=5.0)
    async def slow(ctx: Ctx) -> None:
        await trio.sleep(3)
        await ctx.ask("?", within=60)
        await trio.sleep(3)

    async with bots.run(plugin, policy=one_slot()) as bot:
        ali = bot.user("ali")
        await ali.say("/slow")
        await bot.advance(20)
        await ali.say("go on")
        await ali.expect("took longer than 5 s", within=2.5)


async def test_the_deadline_holds_for_who_gives_up_waiting(bots):
    plugin = Plugin("p")

    @plugin.command("slow", timeout=5.0)
    async def slow(ctx: Ctx) -> None:
        with trio.move_on_after(20):
            await ctx.ask("?", within=60)
        await trio.sleep(1000)

    async with bots.run(plugin, policy=one_slot()) as bot:
        ali = bot.user("ali")
        await ali.say("/slow")
        await bot.advance(21)
        await ali.expect("took longer than 5 s", within=5)
        await ali.say("/slow")
        await ali.say("yes")
        await ali.expect("took longer than 5 s", within=6)


async def test_the_first_of_two_in_one_slot_goes_on_when_the_slot_is_free(bots):
    plugin = Plugin("p")
    began = trio.Event()

    @plugin.command("ask")
    async def ask(ctx: Ctx) -> str:
        return await ctx.ask("?")

    @plugin.command("hold")
    async def hold() -> str:
        began.set()
        await trio.sleep(4)
        return "held"

    async with bots.run(plugin, policy=one_slot()) as bot:
        ops = bot.room("ops")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=ops)
        await ali.say("/ask")
        await bo.say("/hold")
        await began.wait()
        await ali.say("mine")
        assert bot.app.dispatcher.statistics()["running"] == 1
        await ops.expect("held")
        await ops.expect("mine")


async def test_another_command_is_refused_with_a_hint(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        await ali.say("/ping")
        await ali.expect("waiting for your answer.*cancel")
        await ali.say("/nothing-of-the-kind")  # no command: an answer
        await ali.expect("is not a whole number")
        await ali.say("1")
        await ali.expect("2 next year")


async def test_another_command_replaces_where_declared(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/wizard")
        await ali.say("/ping")
        await ali.expect("stopped what I was asking")
        await ali.expect("pong")
        assert results(bot, "wizard") == [Result.REFUSED]


async def test_people_and_rooms_are_told_apart(bots):
    async with bots.run(asking()) as bot:
        ops, lab = bot.room("ops"), bot.room("lab")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=ops)
        await ali.say("/age")
        await bo.say("7")
        await ali.say("8", room=lab)
        assert results(bot, "age") == []
        await ali.say("9")
        await ops.expect("10 next year")


async def test_a_lost_connection_does_not_end_it(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        bot.drop_connection()
        await bot.advance(10)
        await ali.say("1")
        await ali.expect("2 next year")


async def test_a_shutdown_ends_it_at_once_and_says_so(bots):
    async with bots.run(asking(), policy=one_slot()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        began = trio.current_time()
        await bot.stop()
        assert trio.current_time() - began < 1
        await ali.expect("being stopped")


async def test_unloading_its_plugin_ends_it(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        await bot.app.dispatcher.handlers.end("p")
        await ali.expect("was unloaded")


async def test_cancelling_a_run_that_waits_leaves_the_slots_whole(bots):
    plugin = Plugin("p")

    @plugin.command("both")
    async def both(ctx: Ctx) -> str:
        with trio.move_on_after(1):
            await ctx.ask("?")
        return "moved on"

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    async with bots.run(plugin, policy=one_slot()) as bot:
        ali = bot.user("ali")
        for _ in range(3):
            await ali.say("/both")
            await ali.expect("moved on")
            await ali.say("/ping")
            await ali.expect("pong")
        assert bot.app.dispatcher.statistics()["running"] == 0
        assert not bot.app.talks.open


async def test_an_answer_of_any_kind_is_the_message_itself(bots):
    plugin = Plugin("p")

    @plugin.command("show")
    async def show(ctx: Ctx) -> str:
        return f"got {len((await ctx.ask('?', Message)).segments)}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/show")
        await ali.say("x")
        await ali.expect("got 1")


async def test_what_goes_on_after_the_shutdown_has_ended_its_question_is_cut(bots):
    plugin = Plugin("p")

    @plugin.command("stubborn", timeout=100)
    async def stubborn(ctx: Ctx) -> None:
        with contextlib.suppress(NoAnswer):
            await ctx.ask("?")
        await trio.sleep(50)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/stubborn")
        assert bot.app.idle()
        began = trio.current_time()
        await bot.stop()
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize("seed", range(5))
async def test_no_slot_is_lost_or_used_twice_whatever_happens(bots, seed):
    """Many people converse over three slots: answers, cancels, expiries, deadlines, cut-off waits."""
    rng = random.Random(seed)
    plugin = Plugin("p")
    running, most = set(), []

    @contextlib.contextmanager
    def seat(who):
        running.add(who)
        most.append(len(running))
        yield
        running.discard(who)

    @plugin.command("go", timeout=3)
    async def go(ctx: Ctx) -> str:
        who = ctx.id
        for _ in range(rng.randrange(1, 4)):
            with seat(who):
                await trio.sleep(rng.choice([0, 0.1, 1]))
            with trio.move_on_after(rng.choice([0.5, 100])) as scope:
                await ctx.ask("?", int, within=rng.choice([1, 5]), retries=0)
            if scope.cancelled_caught:
                return "gave up"  # without a slot of its own by now, and at its end
        with seat(who):
            await trio.sleep(rng.choice([0, 0.5]))
        return "done"

    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=3, per_plugin=2))
    async with bots.run(plugin, policy=policy) as bot:
        ops = bot.room("ops")
        everybody = [bot.user(f"u{number}", room=ops) for number in range(12)]
        for _ in range(150):
            who = rng.choice(everybody)
            await who.say(rng.choice(["/go", "7", "x", "cancel"]))
            if rng.random() < 0.3:
                await bot.advance(rng.choice([0.1, 0.7]))
        await bot.advance(60)
        runs = bot.app.dispatcher._runs
        assert max(most) == 2
        assert (runs.active, runs.away, runs.waiting) == (0, 0, 0)
        assert not runs._queues
        assert not runs._running
        assert not runs._tasks
        assert not bot.app.talks.open
        assert not bot.app.talks.concerns(bot.network.account)


# -- a missing argument ----------------------------------------------------------------------------


def lacking():
    plugin = Plugin("p")

    @plugin.command("add", timeout=5)
    async def add(a: int, b: int) -> str:
        return str(a + b)

    @plugin.command("tell")
    async def tell(who: str, text: Rest, *, loud: bool = False) -> str:
        return f"{who}|{text}|{loud}"

    @plugin.command("ship")
    async def ship(ctx: Ctx, *, env: Color = Color.red, ref: str, note: str = "") -> str:
        return f"{env.name} {ref} {note}"

    return plugin


async def test_missing_arguments_are_asked_for_one_by_one(bots):
    async with bots.run(lacking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/add")
        await ali.expect("a is missing\nusage: .*\nSay it now")
        await ali.say("one")
        await ali.expect("'one' is not a whole number")
        await ali.say("1")
        await ali.expect("b is missing")
        await ali.say("2")
        await ali.expect("^3$")


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["/tell", "my friend", "it's -- “so”  it is"], r"^my friend\|it's -- “so”  it is\|False$"),
        (["/tell --loud", "--bo", "x"], r"^--bo\|x\|True$"),
        (["/tell", "“q”", "x"], r"^q\|x\|False$"),
        (["/ship --env blue", "main v2"], "^blue main v2 $"),
        (["/ship --note n", "-x"], "^red -x n$"),
    ],
)
async def test_an_answer_becomes_the_missing_word_whatever_it_holds(bots, lines, answer):
    async with bots.run(lacking()) as bot:
        ali = bot.user("ali")
        for line in lines:
            await ali.say(line)
        await ali.expect(answer)


async def test_a_missing_argument_can_be_cancelled_replaced_and_expires(bots):
    async with bots.run(lacking()) as bot:
        ali = bot.user("ali")
        await ali.say("/add")
        await ali.say("取消")
        await ali.expect("all right")
        await ali.say("/add")
        await ali.say("/add 1 4")
        await ali.expect("^5$")
        await ali.say("/add")
        await bot.advance(61)
        await ali.expect("no answer in time")
        await ali.say("1")
        await bot.advance(1)
        assert "bot>" not in bot.transcript[-2]
        assert bot.transcript[-2].endswith("> 1")


async def test_a_missing_argument_is_not_asked_for_by_name_in_a_group_or_when_switched_off(bots):
    async with bots.run(lacking()) as bot:
        bot.app.dispatcher.online(bot.network.account, ("bot",))
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("bot, add")
        assert "Say it now" not in await ali.expect("a is missing")
    async with bots.run(lacking(), policy=AppPolicy(seed=1, ask_missing=False)) as bot:
        ali = bot.user("ali")
        await ali.say("/add")
        assert "Say it now" not in await ali.expect("a is missing")
        assert not bot.app.talks.open


# -- words that end it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word",
    ["cancel", "Cancel", "cancel.", "Cancel!", "取消", "取消。", " 取消！ ", "“cancel”", "ｃａｎｃｅｌ"],
)
async def test_cancel_is_understood_however_it_is_written(bots, word):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/age")
        await ali.say(word)
        await ali.expect("all right, I have stopped")


@pytest.mark.parametrize(
    "word",
    ["qqops-bot, cancel", "qqops-bot: 取消", "QQops-Bot cancel.", "@qqops-bot cancel", "qqops-bot，取消"],
)
async def test_cancel_may_be_said_to_the_bot_by_name(bots, word):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        await ali.expect("how old")
        await ali.say(word)
        await ali.expect("all right, I have stopped")


@pytest.mark.parametrize("word", ["qqops-bot cancel", "QQops-Bot 取消。"])
async def test_the_bare_name_is_enough_before_cancel(bots, word):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        await ali.say(word)
        await ali.expect("all right, I have stopped")


@pytest.mark.parametrize("text", ["cancel the order", "cancelled", "no, cancel", "取消订单"])
async def test_a_text_that_holds_the_word_is_an_answer(bots, text):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali")
        await ali.say("/wizard")
        await ali.say(text)
        await ali.expect("color")
        await ali.say("cancel")


# -- answers that address the bot -------------------------------------------------------------------


@pytest.mark.parametrize("said", ["@qqops-bot 41", "qqops-bot, 41", "QQops-Bot：41", "＠qqops-bot 41"])
async def test_an_answer_may_address_the_bot(bots, said):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        await ali.say(said)
        await ali.expect("^42 next year$")


async def test_an_answer_may_mention_the_bot_and_then_somebody(bots):
    plugin = Plugin("p")

    @plugin.command("tell")
    async def tell(ctx: Ctx) -> str:
        who = await ctx.ask("whom?", User)
        return f"told {who.name}"

    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=ops)
        for answer in (
            (bot.at(), " ", At(bo.user.ref, "bo")),
            ("qqops-bot, ", At(bo.user.ref, "bo")),
            (At(bo.user.ref, "bo"),),
        ):
            await ali.say("/tell")
            await ali.say(*answer)
            await ali.expect("^told bo$")
        alone = bot.user("ali")
        await alone.say("/tell")
        await alone.say(
            At(bo.user.ref, "bo")
        )  # nobody else is there to be addressed, and yet it is not the bot
        await alone.expect("^told bo$")


async def test_an_answer_may_begin_with_a_word_that_the_bot_is_called_by(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for line in ("/wizard", "qqops-bot restart", "red", "yes"):
            await ali.say(line)
        await ali.expect("^qqops-bot restart red True$")


async def test_a_command_that_addresses_the_bot_is_a_command(bots):
    async with bots.run(asking()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        await ali.say(bot.at(), " /ping")
        await ali.expect("waiting for your answer")
        await ali.say("qqops-bot, /ping")
        await ali.expect("waiting for your answer")
        await ali.say("cancel")


async def test_a_second_question_to_who_has_one_is_refused_and_leaves_the_first(bots):
    plugin = asking()
    plugin.refused = []

    @plugin.on(Joined)
    async def welcome(ctx: Ctx) -> None:
        try:
            await ctx.ask("what brings you here?")
        except AnswerCancelled as exc:
            plugin.refused.append(exc.text)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        await ali.joins(ali.room)
        assert plugin.refused == ["I am waiting for your answer here; “cancel” ends that"]
        await ali.say("41")
        await ali.expect("42 next year")


async def test_a_second_question_replaces_one_that_may_be(bots):
    plugin = asking()

    @plugin.on(Joined)
    async def welcome(ctx: Ctx) -> str:
        return f"so {await ctx.ask('what brings you here?')}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/wizard")
        await ali.joins(ali.room)
        await ali.expect("what brings you here")
        await ali.expect("stopped what I was asking")
        await ali.say("work")
        await ali.expect("^so work$")
        assert results(bot, "wizard") == [Result.REFUSED]


# -- outages and crowds -----------------------------------------------------------------------------


async def test_a_question_that_is_put_during_an_outage_waits_for_its_end(bots):
    plugin = Plugin("p")
    go = trio.Event()

    @plugin.command("age", timeout=60)
    async def age(ctx: Ctx) -> str:
        await go.wait()
        return f"{await ctx.ask('how old?', int, within=60) + 1} next year"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/age")
        bot.drop_connection()
        await bot.settle()
        go.set()
        await bot.settle()
        assert bot.links[-1].phase is not Phase.ONLINE
        await ali.room.quiet(0)
        await ali.expect("how old", within=15)
        bot.drop_connection()
        await ali.say("41")  # while nobody hears it
        await ali.room.quiet(0)
        await ali.expect("^42 next year$", within=15)


async def test_a_thousand_people_are_asked_over_64_slots(bots):
    plugin = asking()

    @plugin.command("who")
    async def who(ctx: Ctx) -> str:
        before = ctx.sender.name
        number = await ctx.ask("number?", int, within=600)
        await trio.sleep(1)
        return f"{before} said {number}"

    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=64, per_plugin=64))
    async with bots.run(plugin, policy=policy) as bot:
        ops = bot.room("ops")
        people = [bot.user(f"p{number}", room=ops) for number in range(1000)]
        for one in people:
            bot.network.say(one.name, ops.room, "/who")
        await bot.settle()
        assert bot.app.dispatcher.statistics() == {"running": 0, "waiting": 0, "asking": 1000, "late": 0}
        assert bot.heard.texts(ops.refs) == ["number?"] * 1000
        await bot.user("zoe", room=ops).say("/ping")
        assert await ops.expect("pong", within=0)
        began = trio.current_time()
        for number, one in enumerate(people):
            bot.network.say(one.name, ops.room, str(number))
        await bot.settle()
        assert bot.app.dispatcher.statistics()["running"] == 64
        await bot.advance(30)
        answers = [text for text in bot.heard.texts(ops.refs) if "said" in text]
        assert sorted(answers) == sorted(f"p{number} said {number}" for number in range(1000))
        assert max(r.run for r in bot.records if isinstance(r, Handled)) < 1000 / 64 + 1 + 1
        assert trio.current_time() - began == 30
        assert not bot.app.talks.open
        assert bot.app.dispatcher.statistics() == {"running": 0, "waiting": 0, "asking": 0, "late": 0}
        runs = bot.app.dispatcher._runs
        assert [runs._queues, runs._running, runs._tasks, runs._parked] == [{}, {}, {}, {}]
