"""How a test ends: what its bot has left behind, what has failed, and what the author sees of it."""

import threading
import time

import pytest
import trio

from qqops import Ctx, HttpAnswer, Listeners, Message, Plugin, Refuse
from qqops.testing.failures import MOST, in_words

HERE = __file__.rpartition("/")[2]


def failing():
    plugin = Plugin("p")

    @plugin.command("boom")
    async def boom() -> None:
        raise ValueError("oops")

    @plugin.on(Message, keyword="cat")
    async def silent() -> None:
        raise KeyError("cat")

    @plugin.command("no")
    async def no() -> None:
        raise Refuse("no")

    return plugin


async def test_a_failed_handler_fails_the_test_with_its_own_traceback(bots):
    with pytest.raises(AssertionError) as caught:
        async with bots.run(failing()) as bot:
            await bot.user("ali").say("/boom")
    told = str(caught.value)
    assert "p:boom failed:\nTraceback" in told
    assert f'{HERE}", line' in told
    assert told.endswith("ValueError: oops")
    assert "qqops/runtime" not in told
    assert "site-packages" not in told


async def test_who_expects_what_is_said_about_it_has_expected_the_failure(bots):
    async with bots.run(failing()) as bot:
        ali = bot.user("ali")
        await ali.say("/boom")
        await ali.expect("went wrong")
        await ali.say("/no")
        await ali.expect("^no$")


async def test_the_failure_of_one_run_is_not_expected_by_the_line_about_another(bots):
    with pytest.raises(AssertionError, match="p:boom failed"):
        async with bots.run(failing()) as bot:
            ali = bot.user("ali")
            await ali.say("/boom")
            await ali.say("/boom")
            await ali.expect("went wrong")


async def test_a_silent_failure_is_taken_from_the_failures(bots):
    async with bots.run(failing()) as bot:
        await bot.user("ali", room=bot.room("ops")).say("a cat")
        assert isinstance(bot.failures.pop().error, KeyError)
    with pytest.raises(AssertionError, match="p:silent failed"):
        async with bots.run(failing()) as bot:
            await bot.user("ali", room=bot.room("ops")).say("a cat")


async def test_what_failed_is_told_once_with_whatever_the_test_itself_fails_with(bots):
    with pytest.raises(AssertionError) as expected:
        async with bots.run(failing()) as bot:
            await bot.user("ali").say("/boom")
            await bot.user("ali").expect("fine")
    assert str(expected.value).count("ValueError: oops") == 1
    assert not hasattr(expected.value, "__notes__")
    with pytest.raises(ZeroDivisionError) as own:
        async with bots.run(failing()) as bot:
            await bot.user("ali").say("/boom")
            1 / 0  # noqa: B018
    assert "ValueError: oops" in own.value.__notes__[0]


@pytest.mark.parametrize(
    "error", [AssertionError("x"), pytest.fail.Exception("x"), pytest.skip.Exception("x")]
)
async def test_what_the_test_raises_comes_out_as_it_is(bots, error):
    with pytest.raises(type(error)) as caught:
        async with bots.run(failing()):
            raise error
    assert caught.value is error
    assert error.__context__ is None


async def test_a_test_that_is_cut_off_is_cut_off(bots):
    with trio.move_on_after(5) as scope:
        async with bots.run(failing()):
            await trio.sleep_forever()
    assert scope.cancelled_caught


def test_what_a_test_raises_reaches_pytest_without_a_group():
    from qqops.testing.virtual import run_test

    async def in_a_nursery():
        async with trio.open_nursery():
            raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        run_test(in_a_nursery)
    assert caught.value.__context__ is None


def test_a_long_traceback_is_cut_in_the_middle():
    def one(n):
        return two(n - 1) if n else 1 / 0

    def two(n):
        return one(n - 1) if n else 1 / 0

    with pytest.raises(ZeroDivisionError) as caught:
        one(30)
    lines = in_words(caught.value).splitlines()
    assert len(lines) == MOST
    assert lines[0].startswith("Traceback")
    assert lines[4] == "  …"
    assert lines[-1] == "ZeroDivisionError: division by zero"


async def test_frames_of_the_bot_are_left_out_also_of_causes_and_groups(bots):
    plugin = Plugin("p")

    @plugin.command("deep")
    async def deep() -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 5)
                raise KeyError("inner")
        except* KeyError as group:
            raise ValueError("outer") from group

    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/deep")
        told = in_words(bot.failures.pop().error, most=200)
    assert "KeyError: 'inner'" in told
    assert "outer" in told
    assert "site-packages/trio" not in told
    assert "qqops/runtime" not in told


# -- what is left behind ---------------------------------------------------------------------------


def leaking():
    plugin = Plugin("leaky")
    plugin.release = threading.Event()

    async def later() -> None:
        await trio.sleep(3600)

    @plugin.command("system")
    async def system() -> None:
        trio.lowlevel.spawn_system_task(later)

    @plugin.command("stolen")
    async def stolen() -> None:
        trio.lowlevel.current_task().parent_nursery.start_soon(later)

    @plugin.command("own")
    async def own() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(later)

    @plugin.command("thread")
    async def thread() -> None:
        threading.Thread(target=nap, daemon=True).start()

    def nap() -> None:
        plugin.release.wait(30)

    @plugin.command("worker")
    async def worker() -> None:
        with trio.move_on_after(0.1):
            await trio.to_thread.run_sync(plugin.release.wait, 30, abandon_on_cancel=True)

    @plugin.command("short")
    async def short() -> None:
        threading.Thread(target=time.sleep, args=(0.1,)).start()

    @plugin.command("ask")
    async def ask(ctx: Ctx) -> None:
        await ctx.ask("name?", within=600)

    @plugin.command("missing")
    async def missing(word: str) -> None: ...

    @plugin.command("route")
    async def route(*, listeners: Listeners) -> None:
        async def answer(request: object) -> HttpAnswer:
            return HttpAnswer(status=204)

        listeners.at("127.0.0.1:1").route("/hook", answer, owner="leaky")

    return plugin


@pytest.fixture
def no_port(monkeypatch):
    """Let every port be taken: a unit test may not open one."""

    async def taken(*args, **kwargs):
        await trio.lowlevel.checkpoint()
        raise OSError("taken")

    monkeypatch.setattr(trio, "open_tcp_listeners", taken)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/system", rf"leaky: the task \S*later belongs to no run of the plugin, at \S*{HERE}:\d+"),
        ("/stolen", rf"leaky: the task \S*later belongs to no run of the plugin, at \S*{HERE}:\d+"),
        ("/thread", rf"leaky: the thread 'Thread-\d+ \(nap\)' still runs, at \S*{HERE}:\d+"),
        ("/worker", r"the thread '\S*wait from leaky:worker' still runs"),
        ("/ask", rf"leaky:ask \(\S*{HERE}:\d+\) still waits for an answer of ali in ops"),
        ("/route", "leaky: the route /hook at 127.0.0.1:1 was not closed"),
    ],
)
async def test_what_a_plugin_leaves_behind_fails_the_test(bots, no_port, line, told):
    plugin = leaking()
    with pytest.raises(AssertionError, match=told):
        async with bots.run(plugin) as bot:
            await bot.user("ali", room=bot.room("ops")).say(line)
            await bot.advance(1)
    plugin.release.set()


@pytest.mark.parametrize("line", ["/own", "/short", "/missing", "/missing x"])
async def test_what_ends_with_the_bot_or_soon_after_is_no_leak(bots, line):
    async with bots.run(leaking()) as bot:
        await bot.user("ali").say(line)
        await bot.advance(1)


async def test_a_bot_that_the_test_has_stopped_may_have_been_asking(bots):
    async with bots.run(leaking()) as bot:
        ali = bot.user("ali")
        await ali.say("/ask")
        await bot.stop()
        await ali.expect("being stopped")
