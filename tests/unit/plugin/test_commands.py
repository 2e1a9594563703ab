"""Commands, options, listeners and filters as an author writes them, on the in-memory network."""

import enum
import gc
from typing import Annotated, Any, Literal

import pytest
import trio

from qqops import Arg, Ctx, Face, Joined, Message, Next, Opt, Plugin, PluginError, Refuse, Rest, Rooms, Text
from qqops.app import AppPolicy
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.named_rooms import RoomSettings
from qqops.runtime.observe import Handled, Result, Sent


class Env(enum.Enum):
    staging = "staging"
    prod = "production"


def make():
    plugin = Plugin("demo")

    @plugin.command("add")
    async def add(a: int, b: int) -> str:
        """Add two integers."""
        return str(a + b)

    @plugin.command("deploy", aliases=("部署",))
    async def deploy(
        service: Annotated[str, Arg(help="what to ship")],
        ref: str = "main",
        *more: int,
        env: Annotated[Env, Opt("-e", "--env")] = Env.staging,
        dry: bool = False,
        level: Literal["low", "high"] = "low",
        count: int | None = None,
    ) -> str:
        """Ship a service."""
        return f"{service} {ref} {more} {env.name} {dry} {level} {count}"

    @plugin.command("say")
    def say(loud: bool, text: Rest) -> str:
        return text.upper() if loud else text

    flags = plugin.group("flag")

    @flags.command("set")
    async def flag_set(name: str, on: bool) -> str:
        return f"{name}={on}"

    @plugin.command("boom")
    async def boom() -> str:
        raise ValueError("secret detail")

    @plugin.command("no")
    async def no() -> None:
        raise Refuse("certainly not")

    @plugin.command("face")
    async def face() -> tuple[Text | Face, ...]:
        return (Text("hi"), Face(14))

    return plugin


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/add 1 2", "3"),
        ("／add 1 2", "3"),
        ("/ADD 1\u30002", "3"),
        ("/add -1 -2", "-3"),
        ("qqops-bot: add 1 2", "3"),
        ("@qqops-bot add 1 2", "3"),
        ("@qqops-bot /add 1 2", "3"),
        ("/deploy api", "api main () staging False low None"),
        ("/部署 api dev 7 8 -e prod", "api dev (7, 8) prod False low None"),
        ("/deploy api ——env PRODUCTION --dry --level=HIGH --count 3", "api main () prod True high 3"),
        ("/deploy “my svc” --no-dry", "my svc main () staging False low None"),
        ("/say 是 hello  world", "HELLO  WORLD"),
        ("/say off “quoted” rest", "“quoted” rest"),
        ("/flag set dark 开", "dark=True"),
        ("/no", "certainly not"),
        ("/face", "hi[face:14]"),
    ],
)
async def test_commands(bots, line, answer):
    async with bots.run(make()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(line)
        assert await ali.expect("") == answer


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("/add 1 x", "'x' is not a whole number\n/add 1 »x«\nusage: /add <a> <b>"),
        ("/add 1", "b is missing\nusage: /add <a> <b>"),
        ("/add 1 2 3", "I do not know what to do with '3'\n/add 1 2 »3«\nusage: /add <a> <b>"),
        ("/deploy x --evn prod", "there is no option '--evn'; did you mean --env?"),
        ("/deploy x --env", "the option '--env' needs a value"),
        ("/deploy x --env mars", "'mars' is none of: staging, production"),
        (
            "/deploy x --env productoin",
            "'productoin' is none of: staging, production; did you mean production?",
        ),
        ("/deploy x --level hgih", "'hgih' is none of: low, high; did you mean high?"),
        ("/deploy x --no-dyr", "there is no option '--no-dyr'; did you mean --no-dry?"),
        ("/deploy x --no-dry=1", "the option '--no-dry' takes no value"),
        ("/flag", "flag needs one of: set"),
        ("/flag set x maybe", "'maybe' is neither yes nor no"),
        ("/add 1 " + "9" * 5000, "does not fit into 64 bits"),
        ("/add 1 9223372036854775808", "'9223372036854775808' does not fit into 64 bits"),
    ],
)
async def test_bad_words_are_named_with_the_usage(bots, line, reason):
    async with bots.run(make()) as bot:
        ali = bot.user("ali")
        await ali.say(line)
        assert reason in await ali.expect("")


async def test_chinese_room_gets_chinese_errors(bots):
    policy = AppPolicy(rooms=RoomSettings(languages={"ops": "zh"}))
    async with bots.run(make(), policy=policy) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/add 1 x")
        await ali.expect("'x' 不是整数")


async def test_chatter_is_not_answered_and_starts_no_task(bots):
    async with bots.run(make()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for line in ("hello", "/unknown", "add 1 2", "/", "", " / add 1 2", "qqops-bottle add 1 2"):
            await ali.say(line)
        await ali.room.quiet()
        assert not [one for one in bot.records if isinstance(one, Handled)]


async def test_a_failing_handler_says_one_line_and_nothing_else_breaks(bots):
    async with bots.run(make()) as bot:
        ali = bot.user("ali")
        await ali.say("/boom")
        answer = await ali.expect("went wrong in demo:boom")
        assert "secret" not in answer
        await ali.say("/add 1 2")
        await ali.expect("^3$")


async def test_a_handler_that_takes_too_long_is_stopped(bots):
    plugin = Plugin("slow")
    ended = []

    @plugin.command("slow", timeout=5)
    async def slow() -> None:
        try:
            await trio.sleep(100)
        finally:
            ended.append(trio.current_time())

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        began = trio.current_time()
        await ali.say("/slow")
        await ali.expect("longer than 5 s")
        assert ended == [began + 5]


async def test_order_per_person_and_concurrency_across_rooms(bots):
    plugin = Plugin("order")

    @plugin.command("wait")
    async def wait(name: str, seconds: float) -> str:
        await trio.sleep(seconds)
        return name

    async with bots.run(plugin) as bot:
        ops, dev = bot.room("ops"), bot.room("dev")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=dev)
        began = trio.current_time()
        await ali.say("/wait first 3")
        await ali.say("/wait second 0")
        await bo.say("/wait third 1")
        await dev.expect("third")
        assert trio.current_time() - began == 1
        await ops.expect("second")
        assert [d.text for d in bot.network.sent] == ["third", "first", "second"]


async def test_a_plugin_cannot_hold_the_slots_of_others(bots):
    hog, other = Plugin("hog"), Plugin("other")

    @hog.command("hog")
    async def hold() -> None:
        await trio.sleep(50)

    @other.command("quick")
    async def quick() -> str:
        return "here"

    policy = AppPolicy(dispatch=DispatchPolicy(slots=4, per_plugin=2))
    async with bots.run(hog, other, policy=policy) as bot:
        room = bot.room("ops")
        for i in range(10):
            await bot.user(f"u{i}", room=room).say("/hog")
        began = trio.current_time()
        await bot.user("ali", room=room).say("/quick")
        await room.expect("here")
        assert trio.current_time() == began
        await trio.sleep(300)
        assert bot.app.idle()
        assert sum(isinstance(r, Handled) and r.plugin == "hog" for r in bot.records) == 10


async def test_plain_functions_run_in_a_thread_and_do_not_freeze_the_bot(bots):
    import threading

    plugin, gate = Plugin("blocking"), threading.Event()

    @plugin.command("block")
    def block() -> str:
        gate.wait(5)
        return threading.current_thread().name

    @plugin.command("quick", inline=True)
    def quick() -> str:
        return threading.current_thread().name

    async with bots.run(plugin) as bot:
        room = bot.room("ops")
        ali, bo = bot.user("ali", room=room), bot.user("bo", room=room)
        bot.network.say("ali", room.room, "/block")
        bot.network.say("bo", room.room, "/quick")
        assert await room.expect("") == threading.current_thread().name
        gate.set()
        assert await room.expect("") != threading.current_thread().name
        assert ali.name != bo.name


async def test_listeners(bots):
    plugin = Plugin("ears")

    @plugin.on(Message, regex=r"\bINC-(?P<number>\d+)(?P<urgent>!)?")
    async def linkify(ctx: Ctx, number: int, urgent: str | None = None) -> str:
        return f"incident {number + 1} {urgent} for {ctx.sender.name}"

    @plugin.on(Message, keyword=("红包", "LUCKY"))
    async def lucky(message: Message) -> str:
        return f"lucky {message.text}"

    @plugin.on(Message, at_me=True)
    async def called() -> str:
        return "you called"

    @plugin.on(Joined)
    async def welcome(event: Joined, ctx: Ctx) -> str:
        return f"welcome {event.sender.name}"

    async with bots.run(plugin) as bot:
        ops = bot.room("ops")
        ali = bot.user("ali", room=ops)
        await ali.say("see INC-41 please")
        await ops.expect("^incident 42 None for ali$")
        await ali.say("INC-1!")
        await ops.expect("^incident 2 ! for ali$")
        await ali.say("so lucky")
        await ops.expect("lucky so lucky")
        await ali.say("抢红包")
        await ops.expect("抢红包")
        await ali.say("@qqops-bot 在吗")
        await ops.expect("you called")
        bot.app.dispatcher.route(Joined(room=ops.room, sender=bot.network.user("bo"), at=bot.app.clock.now()))
        await ops.expect("welcome bo")


async def test_a_handled_message_leaves_nothing_for_the_garbage_collector(bots):
    plugin = make()

    @plugin.filter()
    async def outer(ctx: Ctx, call: Next) -> None:
        await call()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/add 1 2")
        await ali.expect("3")
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(10):
                await ali.say("/add 1 2")
                await ali.expect("3")
                await ali.say("chatter")
            gc.collect()
            cycles = [type(one).__qualname__ for one in gc.garbage]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert cycles == []


async def test_filters_are_an_onion_and_fail_closed(bots):
    plugin, calls = make(), []

    @plugin.filter(order=10)
    async def inner(ctx: Ctx, call: Next) -> None:
        calls.append("inner")
        if "refused" in ctx.text:
            raise Refuse("not on my watch")
        if "silent" not in ctx.text:
            await call()

    @plugin.filter(order=1)
    async def outer(ctx: Ctx, call: Next) -> None:
        calls.append("outer")
        if "broken" in ctx.text:
            raise RuntimeError
        await call()
        calls.append("after")

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/add 1 2")
        await ali.expect("3")
        assert calls == ["outer", "inner", "after"]
        await ali.say("/say on refused")
        await ali.expect("not on my watch")
        await ali.say("/say on broken")
        await ali.expect("went wrong")
        await ali.say("/say on silent")
        await ali.room.quiet()
        results = [r.result for r in bot.records if isinstance(r, Handled)]
        assert results == [Result.DONE, Result.REFUSED, Result.FAILED, Result.FILTERED]


async def test_duplicates_are_dropped_also_after_a_reconnect(bots):
    async with bots.run(make()) as bot:
        ali = bot.user("ali")
        message = bot.network.say("ali", ali.room.room, "/add 1 2")
        await ali.expect("3")
        bot.drop_connection()
        await trio.sleep(5)
        assert bot.app.dispatcher.route(message) == []
        await ali.room.quiet()


async def test_a_job_speaks_in_a_room(bots):
    plugin = Plugin("clock")

    @plugin.job(cron="0 9 * * 1-5", tz="UTC")
    async def morning(*, rooms: Rooms) -> None:
        await rooms.send("ops", "good morning")

    @plugin.job(every=1000)
    async def long() -> None:
        await trio.sleep(2500)

    async with bots.run(plugin, policy=AppPolicy(dispatch=DispatchPolicy(timeout=5000))) as bot:
        ops = bot.room("ops")
        await bot.advance(3599)
        await ops.quiet(0.5)
        await ops.expect("good morning", within=2)
        await bot.advance(3600)
        runs = [r for r in bot.records if isinstance(r, Handled) and r.handler == "long"]
        assert len(runs) == 2, "a run that is due while the last one runs is skipped"


async def test_a_result_that_cannot_be_said_is_an_error(bots):
    plugin = Plugin("odd")

    @plugin.command("odd")
    async def odd() -> Any:
        return 5

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/odd")
        await ali.expect("went wrong in odd:odd")


async def test_a_refused_send_is_never_silent(bots):
    plugin = Plugin("lost")

    @plugin.command("lost")
    async def lost(*, rooms: Rooms) -> str:
        outcome = await rooms.send("nowhere", "x")
        return f"{outcome.delivery.value}: {outcome.reason}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/lost")
        await ali.expect("refused: no account knows exactly one room 'nowhere'")
        assert [r.plugin for r in bot.records if isinstance(r, Sent)] == ["lost"]


def test_decorators_return_the_function_unchanged():
    plugin = Plugin("pure")

    @plugin.command("add")
    async def add(a: int, b: int) -> str:
        return str(a + b)

    assert trio.run(add, 2, 3) == "5"


class Strange:
    """A type that nothing can fill."""


def bad_service(plugin):
    @plugin.command("x")
    async def handler(*, thing: Strange) -> None: ...


def bad_untyped(plugin):
    @plugin.command("x")
    async def handler(thing) -> None: ...


def bad_rest(plugin):
    @plugin.command("x")
    async def handler(text: Rest, more: str) -> None: ...


def bad_group(plugin):
    @plugin.on(Message, regex=r"(?P<a>\d)")
    async def handler(b: int) -> None: ...


def bad_regex(plugin):
    @plugin.on(Message, regex=r"(")
    async def handler() -> None: ...


def bad_event(plugin):
    @plugin.on(Strange)
    async def handler() -> None: ...


def bad_cron(plugin):
    @plugin.job(cron="99 * * * *")
    async def handler() -> None: ...


def bad_both(plugin):
    @plugin.job(cron="@daily", every=3)
    async def handler() -> None: ...


def bad_inline(plugin):
    @plugin.command("x", inline=True)
    async def handler() -> None: ...


def bad_generator(plugin):
    @plugin.command("x")
    async def handler():
        yield "no"


def bad_filter(plugin):
    @plugin.filter()
    def handler(ctx, call): ...


def bad_option(plugin):
    @plugin.command("x")
    async def handler(*, env: Annotated[str, Opt("env")] = "") -> None: ...


def bad_answer(plugin):
    @plugin.command("x")
    async def handler() -> list[str] | None: ...


def bad_no_space(plugin):
    @plugin.command("add", no_space=True)
    async def handler() -> None: ...


def bad_converter(plugin):
    @plugin.converter(Strange)
    async def handler(word: str) -> Strange: ...


def bad_builtin_converter(plugin):
    @plugin.converter(int)
    def handler(word: str) -> int: ...


def bad_twice(plugin):
    @plugin.command("x")
    async def one() -> None: ...

    @plugin.command("y", aliases=("x",))
    async def two() -> None: ...


@pytest.mark.parametrize(
    ("declare", "reason"),
    [
        (bad_service, "nothing can fill the parameter 'thing' of type Strange"),
        (bad_untyped, "the parameter 'thing' needs a type annotation"),
        (bad_rest, "Rest must be the last"),
        (bad_group, r"the pattern has no group named 'b' \(it has: a\)"),
        (bad_regex, r"the pattern '\(' is wrong"),
        (bad_event, "is not an event class"),
        (bad_cron, "cron '99"),
        (bad_both, "not cron and every"),
        (bad_inline, "inline is for plain"),
        (bad_generator, "is a generator"),
        (bad_filter, "must be `async def`"),
        (bad_option, "is not an option name"),
        (bad_answer, r"handler\(\) returns list\[str\], which cannot be said; return str"),
        (bad_no_space, "no_space needs a name outside ASCII"),
        (bad_converter, "must be a plain `def`"),
        (bad_builtin_converter, "words are converted to int already"),
        (bad_twice, "the command 'x' is taken"),
    ],
)
async def test_first_mistakes_are_load_errors_with_file_and_line(bots, declare, reason):
    plugin = Plugin("wrong")
    declare(plugin)
    with pytest.raises(PluginError, match=reason) as caught:
        async with bots.run(plugin):
            pass
    assert caught.value.where.startswith(f"{__file__}:")


async def test_a_name_that_only_the_type_checker_sees_is_explained(bots):
    plugin = Plugin("wrong")

    @plugin.command("x")
    async def handler(a: "Nowhere") -> None: ...  # noqa: F821

    with pytest.raises(PluginError, match=r"'Nowhere' in an annotation cannot be resolved.*TYPE_CHECKING"):
        async with bots.run(plugin):
            pass


async def test_a_class_defined_in_a_function_is_found(bots):
    class Colour(enum.Enum):
        red = "red"

    plugin = Plugin("local")

    @plugin.command("paint")
    async def paint(colour: "Colour") -> str:
        return colour.name

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/paint RED")
        await ali.expect("red")


async def test_a_missed_expectation_shows_the_transcript(bots):
    async with bots.run(make()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/add 1 2")
        with pytest.raises(AssertionError) as caught:
            await ali.expect("^4$")
        assert "nearest answer: '3'" in str(caught.value)
        assert "ali in ops> /add 1 2\n  bot> 3" in str(caught.value)


# -- what a handler or a stranger may do without ending the bot -------------------------------------


async def test_nothing_a_handler_does_ends_the_bot(bots):
    import sys

    plugin = Plugin("wild")

    @plugin.command("exit")
    async def leave() -> None:
        sys.exit(3)

    @plugin.command("odd")
    async def odd() -> None:
        raise Refuse(ValueError("not a text"))

    @plugin.command("late", timeout=1)
    async def late() -> None:
        async def child():
            try:
                await trio.sleep_forever()
            finally:
                raise ValueError("in clean-up")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    @plugin.command("surrogate")
    async def surrogate() -> str:
        return "a\ud83d"

    @plugin.command("nothing")
    async def nothing() -> str:
        return ""

    @plugin.command("num")
    async def num(n: int) -> str:
        return str(n)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        for line, answer in [
            ("/exit", "went wrong in wild:exit"),
            ("/odd", "^not a text$"),
            ("/late", "went wrong in wild:late"),
            ("/surrogate", r"^a\?$"),
            ("/num \ud800", "is not a whole number"),
            ("/num 5", "^5$"),
        ]:
            await ali.say(line)
            await ali.expect(answer)
        await ali.say("/nothing")
        await ali.room.quiet()


async def test_corners_of_signatures(bots):
    plugin = Plugin("corners")

    @plugin.command("rest")
    async def rest(text: Rest | None = None) -> str:
        return repr(text)

    @plugin.command("opt")
    async def opt(text: str = "-", *, env: str = "none") -> str:
        return f"{text} {env}"

    @plugin.on(Message, regex=r"N(?P<a>\d)(?P<b>\d)?")
    async def groups(a: int, b: int) -> str:
        return f"{a} {b}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        for line, answer in [
            ("/rest a b  c", "^'a b  c'$"),
            ("/rest", "^None$"),
            ('/opt "--env=prod"', "^--env=prod none$"),
            ('/opt --env="a b"', "^- a b$"),
            ("N7", "^7 None$"),
        ]:
            await ali.say(line)
            await ali.expect(answer)


async def test_one_option_name_for_two_parameters_is_a_load_error(bots):
    plugin = Plugin("twice")

    @plugin.command("x")
    async def handler(*, a: Annotated[str, Opt("-e")] = "", b: Annotated[str, Opt("-e")] = "") -> None: ...

    with pytest.raises(PluginError, match="two parameters have the option -e"):
        async with bots.run(plugin):
            pass
