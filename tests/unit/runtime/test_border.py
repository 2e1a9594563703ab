"""What a plugin does ends nothing but what it was doing, and the one who did it is named."""

import asyncio

import pytest
import structlog
import trio

from qqops import Ctx, Limit, Message, Next, Plugin, Refuse
from qqops.model import Joined
from qqops.runtime.border import holds, sole, split
from qqops.runtime.observe import Handled, Result


class Own(BaseException):
    """What nobody expects."""


async def in_a_nursery(exc):
    async with trio.open_nursery():
        raise exc


async def cancelled_once():
    """Return a cancellation that is over."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as exc:
            kept = exc
            raise
    return kept


CAUSES = {
    "error": lambda: ValueError("oops"),
    "asyncio": lambda: asyncio.CancelledError(),
    "exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt(),
    "generator": lambda: GeneratorExit(),
    "own": lambda: Own(),
}


def results(bot, handler):
    return [one.result for one in bot.records if isinstance(one, Handled) and one.handler == handler]


def ping():
    plugin = Plugin("other")

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    return plugin


async def still_there(bot):
    bo = bot.user("bo")
    await bo.say("/ping")
    await bo.expect("^pong$")


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
@pytest.mark.parametrize("how", ["plain", "nursery", "thread", "inline"])
async def test_a_command_that_raises_whatever_ends_itself_and_says_so(bots, cause, how):
    plugin = Plugin("p")

    if how in ("plain", "nursery"):

        @plugin.command("boom")
        async def boom() -> None:
            if how == "nursery":
                await in_a_nursery(cause())
            raise cause()

    else:

        @plugin.command("boom", inline=how == "inline")
        def boom_in_a_thread() -> None:
            raise cause()

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali")
        await ali.say("/boom")
        await ali.expect(r"went wrong in p:boom")
        assert results(bot, "boom") == [Result.FAILED]
        await still_there(bot)


async def test_asyncio_run_in_a_plain_handler_that_is_cancelled_is_a_failure_of_the_handler(bots):
    plugin = Plugin("p")

    @plugin.command("boom")
    def boom() -> None:
        async def main() -> None:
            asyncio.current_task().cancel()
            await asyncio.sleep(1)

        asyncio.run(main())

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali")
        await ali.say("/boom")
        await ali.expect("went wrong in p:boom")
        await still_there(bot)


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
async def test_a_filter_that_raises_is_named_and_not_the_handler(bots, cause):
    plugin = Plugin("strict")
    before = True

    @plugin.filter()
    async def guard(ctx: Ctx, call: Next) -> None:
        if before:
            raise cause()
        await call()
        raise cause()

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali")
        with structlog.testing.capture_logs() as logs:
            await ali.say("/ping")
            await ali.expect(r"went wrong in the filter strict:guard")
            before = False
            await ali.say("/ping")
            await ali.expect("^pong$")
            await ali.expect(r"went wrong in the filter strict:guard")
        failed = [line for line in logs if line["log_level"] == "error"]
        assert {line["name"] for line in failed} == {"strict:guard"}
        assert all(__file__ in line["where"] for line in failed)
        assert [one.reason.key for one in bot.app.gate.why.of_id("0002")] == ["why.failed"]


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
async def test_what_a_handler_raises_through_a_filter_is_the_handlers(bots, cause):
    plugin = Plugin("p")

    @plugin.filter()
    async def around(ctx: Ctx, call: Next) -> None:
        async with trio.open_nursery():
            await call()

    @plugin.command("boom")
    async def boom() -> None:
        raise cause()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/boom")
        await ali.expect("went wrong in p:boom")


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
async def test_a_listener_that_raises_is_silent_in_the_chat(bots, cause):
    plugin = Plugin("p")

    @plugin.on(Message, keyword="cat")
    async def listen() -> None:
        raise cause()

    @plugin.on(Joined)
    async def welcome() -> None:
        raise cause()

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("a cat")
        bot.app.dispatcher.route(
            Joined(room=ali.room.room, sender=bot.network.user("ali"), at=bot.clock.now(), id="j")
        )
        await ali.room.quiet()
        assert results(bot, "listen") == results(bot, "welcome") == [Result.FAILED]
        await still_there(bot)
        bot.failures.clear()


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
async def test_whatever_else_of_a_plugin_raises_the_bot_goes_on(bots, cause):
    """Converters, answers to questions, permission hooks, outgoing functions, jobs, tasks, clean-up."""
    plugin = Plugin("p")

    class Thing:
        pass

    @plugin.converter(Thing)
    def thing(word: str) -> Thing:
        raise cause()

    @plugin.command("take")
    async def take(what: Thing) -> str:
        return "taken"

    @plugin.command("ask")
    async def ask(ctx: Ctx) -> str:
        return str(await ctx.ask("which?", Thing, retries=0))

    @plugin.command("late", timeout=5)
    async def late() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise cause()

    @plugin.job(every=60)
    async def nightly() -> None:
        raise cause()

    @plugin.task(restart="on-failure")
    async def background() -> None:
        await trio.sleep(30)
        raise cause()

    @plugin.outgoing()
    def out(draft):
        if "out" in draft.text:
            raise cause()
        return draft

    @plugin.command("out")
    async def say_out() -> str:
        return "out"

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali")
        for line in ("/take x", "/ask", "x", "/late", "/out"):
            await ali.say(line)
            await bot.advance(10)
        await bot.advance(120)
        await still_there(bot)
        assert results(bot, "nightly") == [Result.FAILED] * 2
        # A converter may say no with any error; what is not an error is not a no.
        assert results(bot, "take") == [Result.REFUSED if isinstance(cause(), Exception) else Result.FAILED]
        assert results(bot, "late") == [Result.FAILED]
        bot.failures.clear()


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
async def test_a_permission_hook_that_raises_says_no_and_is_named(bots, cause):
    from qqops.plugin.hooks import hookimpl

    plugin = Plugin("p")

    @hookimpl
    def qqops_permission(request):
        raise cause()

    plugin.qqops_permission = qqops_permission

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali")
        await ali.say("/ping")
        await ali.expect("so: no")
        (decision,) = bot.app.gate.why.of_id("0001")
        assert "p: qqops_permission failed" in decision.reason.args["error"]


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(bots):
    plugin = Plugin("p")

    @plugin.command("boom")
    async def boom() -> None:
        raise await cancelled_once()

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali")
        await ali.say("/boom")
        await ali.expect("went wrong in p:boom")
        await still_there(bot)


async def test_a_refusal_out_of_a_nursery_is_a_refusal(bots):
    plugin = Plugin("p")

    @plugin.command("no")
    async def no() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_a_nursery, Refuse("not like that"))
            await trio.sleep_forever()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/no")
        await ali.expect("^not like that$")
        assert results(bot, "no") == [Result.REFUSED]


async def test_call_works_once(bots):
    plugin, ran = Plugin("p"), []

    @plugin.filter()
    async def twice(ctx: Ctx, call: Next) -> None:
        await call()
        await call()

    @plugin.command("count")
    async def count() -> None:
        ran.append(1)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        with structlog.testing.capture_logs() as logs:
            await ali.say("/count")
            await ali.expect("the filter p:twice")
        assert ran == [1]
        assert "p:twice has called call() more than once" in str(logs[0]["exc_info"])


async def test_filters_wrap_messages_unless_they_say_more(bots):
    plugin, heard = Plugin("p"), []

    @plugin.filter()
    async def usual(ctx: Ctx, call: Next) -> None:
        heard.append(("usual", ctx.sender.name))  # would be refused in a job
        await call()

    @plugin.filter(wraps="all")
    async def everything(ctx: Ctx, call: Next) -> None:
        heard.append(("all", type(ctx.event).__name__))
        await call()

    @plugin.job(every=60)
    async def nightly() -> None:
        heard.append("job")

    @plugin.on(Message, keyword="cat")
    async def listen() -> None: ...

    @plugin.on(Joined)
    async def welcome() -> None: ...

    async with bots.run(plugin) as bot:
        await bot.advance(61)
        assert heard == [("all", "NoneType"), "job"]
        heard.clear()
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("a cat")
        assert heard == [("usual", "ali"), ("all", "Message")]
        heard.clear()
        bot.app.dispatcher.route(
            Joined(room=ali.room.room, sender=bot.network.user("ali"), at=bot.clock.now(), id="j")
        )
        await bot.settle()
        assert heard == [("all", "Joined")]


async def test_a_listener_that_fails_again_and_again_is_in_the_log_once_a_minute(bots):
    plugin = Plugin("p")

    @plugin.on(Message, keyword="cat")
    async def listen() -> None:
        raise ValueError("oops")

    @plugin.command("boom")
    async def boom() -> None:
        raise ValueError("oops")

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        with structlog.testing.capture_logs() as logs:
            for _ in range(5):
                await ali.say("a cat")
            await bot.advance(61)
            await ali.say("a cat")
            for _ in range(2):
                await ali.say("/boom")
        told = [(line["name"], line.get("left_out")) for line in logs if line["log_level"] == "error"]
        assert told == [("p:listen", None), ("p:listen", 4), ("p:boom", None), ("p:boom", None)]
        bot.failures.clear()


async def test_a_refused_job_is_in_the_log(bots):
    plugin = Plugin("p")

    @plugin.filter(wraps="all")
    async def closed(ctx: Ctx, call: Next) -> None:
        raise Refuse("closed on Mondays")

    @plugin.job(every=60)
    async def nightly() -> None: ...

    async with bots.run(plugin) as bot:
        with structlog.testing.capture_logs() as logs:
            await bot.advance(61)
        (line,) = [one for one in logs if one["log_level"] == "warning"]
        assert (line["job"], line["by"], line["reason"]) == ("nightly", "p:closed", "closed on Mondays")


async def test_what_speaks_to_the_bot_is_quiet_when_a_command_was_called(bots):
    plugin = Plugin("p")

    @plugin.on(Message, at_me=True)
    async def chat() -> str:
        return "you called?"

    @plugin.on(Message, at_me=True, also_commands=True)
    async def log() -> str:
        return "noted"

    async with bots.run(plugin, ping()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("qqops-bot, hello")
        await ali.expect("you called")
        await ali.expect("noted")
        await ali.say("qqops-bot, ping")
        await ali.expect("pong")
        await ali.expect("noted")
        await ali.room.quiet()


async def test_the_stages_are_recorded_in_their_order(bots):
    plugin = Plugin("p")

    @plugin.filter()
    async def passes(ctx: Ctx, call: Next) -> None:
        await call()

    @plugin.command("go", limit=Limit(1, 60))
    async def go(count: int) -> str:
        return "gone"

    def stages(bot, run):
        (decision,) = bot.app.gate.why.of_id(run)
        return [(one.stage.value, one.passed) for one in decision.verdicts]

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        for line in ("/go x", "cancel", "/go 1", "/go 2"):
            await ali.say(line)
        assert stages(bot, "0001") == [("filters", True), ("arguments", False)]
        assert stages(bot, "0002") == [("filters", True), ("call", True)]
        assert stages(bot, "0003") == [("filters", True), ("limits", False)]


# -- the pure part -------------------------------------------------------------------------------------


async def test_only_a_cancellation_that_is_under_way_goes_on():
    kept = await cancelled_once()
    assert split(kept) == (kept, None)
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled):
            await trio.lowlevel.checkpoint()
        assert split(kept) == (None, kept)
        theirs, ours = split(BaseExceptionGroup("", [kept, SystemExit(1), ValueError()]))
        assert [type(one) for one in theirs.exceptions] == [SystemExit, ValueError]
        assert ours.exceptions == (kept,)
        assert split(SystemExit(1))[1] is None


def test_what_a_group_comes_down_to():
    one, other = ValueError(), Refuse("a")
    assert sole(one) is one
    assert sole(ExceptionGroup("", [ExceptionGroup("", [one])])) is one
    both = ExceptionGroup("", [one, other])
    assert sole(both) is both
    assert sole(ExceptionGroup("", [other, ExceptionGroup("", [Refuse("b")])])) is other
    assert holds(ExceptionGroup("", [both]), other)
    assert not holds(both, None)


async def test_asyncio_in_a_handler_is_told_with_what_to_do(bots):
    plugin = Plugin("p")

    @plugin.command("wait")
    async def wait() -> None:
        await asyncio.sleep(1)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        with structlog.testing.capture_logs() as logs:
            await ali.say("/wait")
            await ali.expect("went wrong")
        (line,) = [one for one in logs if one["log_level"] == "error"]
        assert "use trio.sleep" in line["hint"]
