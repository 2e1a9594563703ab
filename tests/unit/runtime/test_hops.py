"""What plain `def` handlers can do from their threads."""

import inspect
import threading

import pytest
import trio

from qqops import KV, Ctx, NoAnswer, Plugin, PluginError, Refuse, Rooms, RunEnded, SyncCtx
from qqops.app import AppPolicy
from qqops.runtime.context import Context
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.hops import Hops
from qqops.runtime.observe import Handled, Result
from qqops.runtime.sync_context import SyncContext

#: What of `Context` is the runtime's own business.
PLUMBING = {
    "fill",
    "approved",
    "decided",
    "in_thread",
    "hops",
    "verdicts",
    "failed",
    "error",
    "draft",
    "complete",
    "catalogue",
}


def results(bot, name):
    return [one.result for one in bot.records if isinstance(one, Handled) and one.handler == name]


def test_it_offers_what_a_context_offers():
    def names(cls):
        return {name for name in dir(cls) if not name.startswith("_")} | {
            field.name for field in getattr(cls, "__attrs_attrs__", ()) if not field.name.startswith("_")
        }

    assert names(SyncContext) == (names(Context) - PLUMBING) | {"wait"}
    for name, method in inspect.getmembers(SyncContext, inspect.isfunction):
        if not name.startswith("_") and name != "wait":
            assert (
                inspect.signature(method).parameters == inspect.signature(getattr(Context, name)).parameters
            )


async def test_a_plain_function_answers_asks_and_uses_what_is_injected(bots):
    plugin, threads = Plugin("p"), []

    @plugin.command("order")
    def order(ctx: SyncCtx, *, rooms: Rooms, store: KV) -> str:
        threads.append(threading.current_thread())
        ctx.answer("one moment")
        outcome = ctx.reply("really")
        count = ctx.ask("how many?", int, within=30)
        taste = ctx.choose("which?", ["sweet", "sour"])
        sure = ctx.confirm("sure?")
        ctx.wait(store.put, "count", count)
        told = ctx.wait(rooms.send, ctx.room.ref, "an order")
        stored = ctx.wait(store.get, "count", int, 0)
        return (
            f"{outcome.ok} {stored} {taste} {sure} {told.ok} {ctx.may('x')} {len(ctx.people())} {ctx.roles}"
        )

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/order")
        for answer in ("one moment", "really", "how many"):
            await ali.expect(answer)
        await bot.advance(20)  # it waits: time may pass
        for text, answer in (("3", "which"), ("sour", "sure"), ("yes", "an order")):
            await ali.say(text)
            await ali.expect(answer)
        await ali.expect(r"True 3 sour True True False 1 frozenset")
        assert threads[0] is not threading.main_thread()
        assert results(bot, "order") == [Result.DONE]


async def test_a_context_that_is_called_ctx_works_just_so(bots):
    plugin = Plugin("p")

    @plugin.command("hi")
    def hi(ctx: Ctx) -> None:
        ctx.answer(f"hi {ctx.sender.name}")

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/hi")
        await ali.expect("hi ali")


async def test_expiry_and_refusal_come_out_in_the_thread(bots):
    plugin, seen = Plugin("p"), []

    @plugin.command("ask")
    def ask(ctx: SyncCtx) -> str:
        try:
            ctx.ask("well?", within=5)
        except NoAnswer as exc:
            seen.append(type(exc).__name__)
            raise Refuse("too late") from exc
        return "never"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/ask")
        await ali.expect("well")
        await bot.advance(6)
        await ali.expect("too late")
        assert seen == ["AnswerExpired"]
        assert results(bot, "ask") == [Result.REFUSED]


async def test_when_the_run_ends_the_thread_is_told_and_can_do_nothing_more(bots):
    plugin, seen, may_go = Plugin("p"), [], threading.Event()

    @plugin.command("slow", timeout=5)
    def slow(ctx: SyncCtx) -> None:
        for _ in range(2):
            try:
                with_question = not seen
                ctx.ask("well?", within=60) if with_question else ctx.answer("too late")
            except RunEnded:
                seen.append("ended")
        may_go.set()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/slow")
        await ali.expect("well")
        await bot.app.dispatcher.handlers.end("p")
        await ali.expect("was unloaded")
        assert not bot.app.talks.open
        assert await trio.to_thread.run_sync(may_go.wait, 10)
        assert seen == ["ended", "ended"]


async def test_a_deadline_ends_the_calls_of_a_thread(bots):
    plugin, seen, told = Plugin("p"), [], threading.Event()

    @plugin.command("slow", timeout=5)
    def slow(ctx: SyncCtx) -> None:
        try:
            ctx.wait(trio.sleep, 60)
        except RunEnded:
            seen.append("ended")
        try:
            ctx.answer("too late")
        except RunEnded:
            seen.append("still")
        told.set()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/slow")
        await bot.advance(6)
        await ali.expect("took longer")
        assert await trio.to_thread.run_sync(told.wait, 10)
        assert seen == ["ended", "still"]
        assert results(bot, "slow") == [Result.TIMEOUT]


async def test_while_its_thread_asks_a_run_holds_no_slot(bots):
    plugin = Plugin("p")

    @plugin.command("ask")
    def ask(ctx: SyncCtx) -> str:
        return ctx.ask("well?")

    @plugin.command("ping")
    async def ping() -> str:
        return "pong"

    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=1, per_plugin=1))
    async with bots.run(plugin, policy=policy) as bot:
        ali, bo = bot.user("ali"), bot.user("bo")
        await ali.say("/ask")
        await ali.expect("well")
        await bo.say("/ping")
        await bo.expect("pong")
        await ali.say("fine")
        await ali.expect("fine")


async def test_a_context_for_threads_is_refused_where_there_is_none(bots):
    for inline in (False, True):
        plugin = Plugin("p")

        if inline:

            @plugin.command("hi", inline=True)
            def quick(ctx: SyncCtx) -> None: ...

        else:

            @plugin.command("hi")
            async def waits(ctx: SyncCtx) -> None: ...

        with pytest.raises(PluginError, match="SyncCtx is for plain `def`") as told:
            async with bots.run(plugin):
                pass
        assert __file__ in told.value.where


async def test_calls_from_the_bots_own_thread_go_straight_through():
    hops = Hops()
    async with hops.open(lambda: trio.CancelScope()):
        assert hops.call(lambda: 7) == 7
