"""At the debug level every message leaves one line that says what became of it."""

import structlog
import trio

from qqops import Ctx, Limit, Next, Plugin, Refuse


def tools():
    plugin = Plugin("tools")

    @plugin.filter()
    async def polite(ctx: Ctx, call: Next) -> None:
        if "please" not in ctx.text:
            raise Refuse("say please")
        await call()

    @plugin.command("go", limit=Limit(1, 60))
    async def go(word: str) -> str:
        return "gone"

    @plugin.command("ask")
    async def ask(ctx: Ctx, word: str) -> str:
        return str(await ctx.ask("why?"))

    @plugin.job(every=3600)
    async def nightly() -> None: ...

    return plugin


async def lines_of(bots, *texts):
    async with bots.run(tools()) as bot:
        bot.app.narrate()
        ali = bot.user("ali", room=bot.room("ops"))
        with structlog.testing.capture_logs() as logs:
            for text in texts:
                await ali.say(text)
        return [line for line in logs if line["log_level"] == "debug"]


async def test_each_message_leaves_one_line(bots):
    lines = await lines_of(
        bots, "hello", "/go x", "/go please", "/go please", "/nothing", "/ask please", "because"
    )
    assert [(line["text"], line["event"]) for line in lines] == [
        ("hello", "nothing matched"),
        ("/go x", "refused"),
        ("/go please", "done"),
        ("/go please", "refused"),
        ("/nothing", "nothing matched"),
        ("because", "an answer to an open question"),
        ("/ask please", "done"),
    ]
    assert [line.get("stages") for line in lines[1:4]] == [
        "switch ✓ → permission ✓ → filters ✗",
        "switch ✓ → permission ✓ → filters ✓ (tools:polite) → arguments ✓ → limits ✓ → lock ✓ → approval ✓"
        " → audit ✓ → call ✓",
        "switch ✓ → permission ✓ → filters ✓ (tools:polite) → arguments ✓ → limits ✗",
    ]
    assert lines[3]["reason"] == "the limit for each user: 1 in 60 s"
    assert {line["room"] for line in lines} == {"g-ops"}


async def test_what_comes_twice_is_told(bots):
    async with bots.run(tools()) as bot:
        bot.app.narrate()
        ops = bot.room("ops")
        with structlog.testing.capture_logs() as logs:
            message = bot.network.say("ali", ops.room, "hello")
            await bot.settle()
            bot.app.dispatcher.route(message)
        assert [line["event"] for line in logs] == ["nothing matched", "seen before"]


async def test_without_it_chatter_makes_no_event_and_no_line(bots):
    async with bots.run(tools()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        with structlog.testing.capture_logs() as logs:
            await ali.say("hello")
            await trio.sleep(1)
        assert logs == []
