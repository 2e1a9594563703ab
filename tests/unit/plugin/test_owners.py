"""Plugins of a running bot are unloaded and reloaded, and leave nothing behind."""

import contextlib
import functools
import pathlib
import sys
import textwrap
import threading
from collections.abc import AsyncGenerator

import attrs
import pytest
import structlog
import trio

from qqops import KV, Ctx, Message, Plugin, PluginError, Refuse, Rooms, StoreError
from qqops.app import AppPolicy
from qqops.plugin.host import Candidate, PluginState
from qqops.plugin.plugins import Plugins
from qqops.runtime.dispatch import DispatchPolicy
from qqops.runtime.observe import Handled, Result, Sent
from qqops.runtime.storage.keep import MemoryKeep


@attrs.frozen
class Pool:
    number: int


class Full:
    """A plugin with one of everything, made anew by each `plugin`."""

    def __init__(self, name="full", kind=Pool):
        self.kind = kind
        self.name, self.made, self.ended, self.ticks, self.beats = name, 0, [], 0, 0
        self.gate = trio.Event()

    def __call__(self):
        self.made += 1
        number, name = self.made, self.name
        Provided = self.kind
        plugin = Plugin(name)

        @plugin.service
        @contextlib.asynccontextmanager
        async def pool() -> AsyncGenerator[Provided]:
            yield Provided(number)
            self.ended.append(f"pool {number}")

        @plugin.command(f"{name}-slow")
        async def slow(ctx: Ctx, *, pool: Provided) -> str:
            try:
                await self.gate.wait()
            finally:
                self.ended.append(f"slow {number}")
            return f"slow {pool.number}"

        @plugin.command(f"{name}-which")
        async def which(*, pool: Provided, store: KV) -> str:
            count = await store.get("count", int, 0) + 1
            await store.put("count", count)
            return f"copy {number}, pool {pool.number}, count {count}"

        @plugin.command(f"{name}-ask")
        async def ask(ctx: Ctx) -> str:
            return str(await ctx.ask("well?", within=500))

        @plugin.on(Message, keyword=f"{name}-cat")
        async def listen() -> str:
            await self.gate.wait()
            return f"cat {number}"

        @plugin.job(every=60)
        async def tick() -> None:
            self.ticks += 1

        @plugin.job(every=30, name="tock")
        async def tock() -> None:
            await self.gate.wait()

        @plugin.task
        async def beat() -> None:
            while True:
                self.beats += 1
                await trio.sleep(10)

        return plugin


def load(bot, make):
    report = bot.app.host.load(Candidate(name=make.name, load=make))
    assert report.state is PluginState.LOADED, report.reason
    return report


async def begin(bot, make):
    load(bot, make)
    bot.app.refresh()
    await bot.app.owners.begin(make.name)


def results(bot, handler):
    return [one.result for one in bot.records if isinstance(one, Handled) and one.handler == handler]


def tasks():
    return trio.lowlevel.current_statistics().tasks_living


def traces(bot, name):
    """Return where the bot still knows of the plugin *name*."""
    app = bot.app
    found = {
        "registry": app.registry.handlers(name) + [f for f in app.registry.filters if f.plugin == name],
        "left": app.owners.left(name),
        "jobs": [key for key in app.jobs.entries if key.startswith(f"{name}:")],
        "services": app.services.of(name),
        "tasks": app.tasks.of(name),
        "talks": [one for one in app.talks.open.values() if one.plugin == name],
        "runs": [one for one in app.dispatcher._runs._tasks if one.plugin == name],
        "queued": app.dispatcher._runs.queued(name),
        "held": name in app.dispatcher._runs._held,
        "parked": name in app.dispatcher._runs._parked,
    }
    return {key: value for key, value in found.items() if value}


async def test_unloading_ends_everything_and_says_so(bots):
    full = Full()
    async with bots.run() as bot:
        before = tasks()
        await begin(bot, full)
        ops = bot.room("ops")
        ali, bo = bot.user("ali", room=ops), bot.user("bo", room=ops)
        await ali.say("/full-slow")
        await bo.say("/full-ask")
        await ops.expect("well")
        await bot.advance(31)
        change = await bot.app.plugins.unload("full")
        assert (change.done, change.left, change.report.state) == (True, [], PluginState.OFF)
        assert traces(bot, "full") == {}
        assert tasks() == before
        assert full.ended == ["slow 1", "pool 1"]
        await ops.expect("full:full-slow was cut off: its plugin was unloaded")
        await ops.expect("full:full-ask was cut off")
        assert results(bot, "full-slow") == [Result.UNLOADED]
        ticks, beats = full.ticks, full.beats
        await ali.say("/full-which")
        await bot.advance(300)
        await ops.quiet()
        assert (full.ticks, full.beats) == (ticks, beats)


async def test_reloading_puts_the_new_copy_in_its_place_with_its_data(bots):
    full = Full()
    async with bots.run() as bot:
        await begin(bot, full)
        before = tasks()
        ali = bot.user("ali")
        await ali.say("/full-which")
        await ali.expect("copy 1, pool 1, count 1")
        change = await bot.app.plugins.reload("full")
        assert (change.done, change.left) == (True, [])
        assert tasks() == before
        await ali.say("/full-which")
        await ali.expect("copy 2, pool 2, count 2")
        await bot.advance(61)
        assert full.ticks == 1


async def test_what_waits_for_its_turn_is_run_by_the_new_copy_and_refused_when_there_is_none(bots):
    full = Full()
    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=1))
    async with bots.run(policy=policy) as bot:
        await begin(bot, full)
        ali, bo = bot.user("ali"), bot.user("bo")
        await ali.say("/full-slow")
        await bo.say("/full-which")
        await bot.app.plugins.reload("full")
        await ali.expect("cut off")
        await bo.expect("copy 2, pool 2")
        await ali.say("/full-slow")
        await bo.say("/full-which")
        await bot.app.plugins.unload("full")
        await ali.expect("cut off")
        await bo.expect("full:full-which was cut off")
        assert traces(bot, "full") == {}


async def test_others_that_lean_on_its_service_find_the_new_one_in_its_place(bots):
    full, other = Full(), Plugin("other")

    @other.command("use")
    async def use(*, pool: Pool) -> str:
        return f"pool {pool.number}"

    async with bots.run() as bot:
        await begin(bot, full)
        assert bot.app.host.load(Candidate(name="other", load=lambda: other)).state is PluginState.LOADED
        bot.app.refresh()
        ali = bot.user("ali")
        await bot.app.plugins.reload("full")
        await ali.say("/use")
        await ali.expect("pool 2")
        await bot.app.plugins.unload("full")
        await ali.say("/use")
        await ali.expect("full:pool is not available")
        await bot.app.plugins.load("full")
        await ali.say("/use")
        await ali.expect("pool 3")


async def test_who_reloads_its_own_plugin_is_not_cut_off_by_that(bots):
    plugin = Plugin("self")

    @plugin.command("reload-me")
    async def reload_me(*, plugins: Plugins) -> str:
        change = await plugins.reload("self")
        return f"{change.done} {change.left}"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/reload-me")
        await ali.expect(r"True \[\]")
        await ali.say("/reload-me")
        await ali.expect(r"True \[\]")
        assert traces(bot, "self").keys() == {"registry"}


async def test_a_thread_that_does_not_end_is_named_with_its_line(bots):
    plugin, may_end, began = Plugin("stuck"), threading.Event(), threading.Event()

    @plugin.command("hang")
    def hang() -> None:
        began.set()
        may_end.wait(20)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/hang")
        assert began.wait(5)
        change = await bot.app.plugins.unload("stuck")
        may_end.set()
        (left,) = change.left
        assert left.startswith("a thread of stuck:hang (")
        assert f"now at {threading.__file__}" in left
        assert change.done
        await ali.expect("cut off")


async def test_a_handler_that_does_not_listen_is_named_and_the_rest_goes_on(bots):
    plugin, may_end = Plugin("deaf"), trio.Event()

    @plugin.command("deaf")
    async def deaf() -> None:
        with trio.CancelScope(shield=True):
            await may_end.wait()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/deaf")
        change = await bot.app.plugins.unload("deaf")
        assert [one.split(" (")[0] for one in change.left] == ["run #0001 of deaf:deaf"]
        may_end.set()
        await bot.settle()
        assert traces(bot, "deaf") == {}


async def test_fifty_plugins_come_and_go_and_leave_nothing(bots):
    fulls = [Full(f"p{number}", type(f"Pool{number}", (Pool,), {})) for number in range(50)]
    policy = AppPolicy(seed=1, dispatch=DispatchPolicy(slots=400, per_plugin=20))
    async with bots.run(policy=policy) as bot:
        before = tasks()
        for full in fulls:
            load(bot, full)
        bot.app.refresh()
        for full in fulls:
            await bot.app.owners.begin(full.name)
        ops = bot.room("ops")
        people = [bot.user(f"u{number}", room=ops) for number in range(4)]
        for full in fulls:
            for who, line in zip(people, ("slow", "slow", "cat", "ask"), strict=True):
                await who.say(f"{full.name}-cat" if line == "cat" else f"/{full.name}-{line}")
            await people[3].say("cancel") if full is not fulls[-1] else None
        for full in fulls:
            change = await bot.app.plugins.reload(full.name)
            assert (change.done, change.left) == (True, [])
        for full in fulls:
            change = await bot.app.plugins.unload(full.name)
            assert (change.done, change.left) == (True, [])
        assert {full.name: traces(bot, full.name) for full in fulls} == {full.name: {} for full in fulls}
        await bot.settle()
        assert tasks() == before
        assert not bot.app.dispatcher.busy


# -- copies that cannot be loaded ----------------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return what writes a plugin package that can be imported, and its candidate."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    folder = tmp_path / "reloaded_pkg"
    folder.mkdir()

    def write(init, inner="WORD = 'one'\n"):
        (folder / "__init__.py").write_text(textwrap.dedent(init))
        (folder / "inner.py").write_text(inner)

    from qqops.plugin._finding import reach

    yield write, Candidate(name="pkg", load=lambda: reach("reloaded_pkg"), target="reloaded_pkg")
    for name in [name for name in sys.modules if name.partition(".")[0] == "reloaded_pkg"]:
        del sys.modules[name]


GOOD = """
    from qqops import Plugin
    from reloaded_pkg.inner import WORD

    plugin = Plugin("pkg")

    @plugin.command("word")
    async def word() -> str:
        return WORD
"""


async def test_a_package_is_read_anew_with_its_inner_modules(bots, package):
    write, candidate = package
    write(GOOD)
    async with bots.run() as bot:
        bot.app.host.load(candidate)
        bot.app.refresh()
        ali = bot.user("ali")
        await ali.say("/word")
        await ali.expect("^one$")
        write(GOOD, "WORD = 'another'\n")
        assert (await bot.app.plugins.reload("pkg")).done
        await ali.say("/word")
        await ali.expect("^another$")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("import no_such_thing", "no_such_thing"),
        ("raise SystemExit(3)", "it tried to end the program"),
        ("plugin = 7", "plugin"),
        (GOOD.replace("-> str", "-> int"), "cannot be said"),
        ("def f(:", "SyntaxError"),
    ],
    ids=["import", "exit", "no plugin", "declaration", "syntax"],
)
async def test_the_old_copy_stays_when_the_new_one_cannot_be_loaded(bots, package, broken, reason):
    write, candidate = package
    write(GOOD)
    async with bots.run() as bot:
        bot.app.host.load(candidate)
        bot.app.refresh()
        module = sys.modules["reloaded_pkg.inner"]
        write(broken)
        change = await bot.app.plugins.reload("pkg")
        assert (change.done, change.kept) == (False, True)
        assert reason in change.reason
        assert "reloaded_pkg" in change.reason
        assert sys.modules["reloaded_pkg.inner"] is module
        assert bot.app.host.is_loaded("pkg")
        ali = bot.user("ali")
        await ali.say("/word")
        await ali.expect("^one$")
        write(GOOD, "WORD = 'mended'\n")
        assert (await bot.app.plugins.reload("pkg")).done
        await ali.say("/word")
        await ali.expect("^mended$")


async def test_plugins_that_share_a_package_are_reloaded_one_by_one_and_what_they_share_stays(bots, package):
    write, _ = package
    write("", "class Thing:\n    number = 0\n")
    from qqops.plugin._finding import reach

    folder = pathlib.Path(sys.path[0]) / "reloaded_pkg"
    giver = """
        import contextlib
        from collections.abc import AsyncGenerator
        from qqops import Plugin
        from reloaded_pkg.inner import Thing

        plugin = Plugin("giver")

        @plugin.service
        @contextlib.asynccontextmanager
        async def thing() -> AsyncGenerator[Thing]:
            made = Thing()
            made.number = {number}
            yield made
    """
    taker = """
        from qqops import Plugin
        from reloaded_pkg.inner import Thing

        plugin = Plugin("taker")

        @plugin.command("take")
        async def take(*, thing: Thing) -> str:
            return f"copy {number}: {{thing.number}}"
    """

    def copy(name, text, number):
        (folder / f"{name}.py").write_text(textwrap.dedent(text.format(number=number)))

    copy("giver", giver, 1)
    copy("taker", taker, 1)
    async with bots.run() as bot:
        for name in ("giver", "taker"):
            target = f"reloaded_pkg.{name}"
            bot.app.host.load(Candidate(name=name, load=functools.partial(reach, target), target=target))
        bot.app.refresh()
        await bot.app.owners.begin("giver")
        ali = bot.user("ali")
        for number in (2, 3):
            copy("giver", giver, number)
            copy("taker", taker, number)
            assert (await bot.app.plugins.reload("giver")).done
            change = await bot.app.plugins.reload("taker")
            assert change.done, change.reason
            await ali.say("/take")
            await ali.expect(f"copy {number}: {number}")


async def test_what_belongs_to_the_bot_is_not_reloaded_and_what_is_unknown_is_told(bots):
    own = Candidate(name="own", load=lambda: Plugin("own"), target="qqops.somewhere")
    async with bots.run() as bot:
        assert bot.app.host.load(own).state is PluginState.LOADED
        for change, name, reason in (
            (bot.app.plugins.reload, "nope", "plugins.unknown"),
            (bot.app.plugins.load, "nope", "plugins.unknown"),
            (bot.app.plugins.load, "own", "plugins.loaded"),
            (bot.app.plugins.unload, "own", "plugins.own"),
            (bot.app.plugins.reload, "own", "plugins.own"),
        ):
            with pytest.raises(Refuse) as told:
                await change(name)
            assert told.value.say.key == reason


async def test_a_plugin_of_the_bot_itself_that_fails_takes_no_module_of_it_along(bots):
    def broken():
        raise ImportError("no")

    own = Candidate(name="own", load=broken, target="qqops.somewhere")
    async with bots.run() as bot:
        bot.app.host.load(own)
        before = {name for name in sys.modules if name.partition(".")[0] == "qqops"}
        assert not (await bot.app.plugins.load("own")).done
        assert {name for name in sys.modules if name.partition(".")[0] == "qqops"} >= before


async def test_what_was_unloaded_stays_so_after_a_restart(bots, tmp_path):
    def make():
        plugin = Plugin("p")

        @plugin.command("hi")
        async def hi() -> str:
            return "hi"

        return plugin

    async def life(*, loaded, then):
        async with bots.run(make(), folder=tmp_path) as bot:
            assert bot.app.host.is_loaded("p") is loaded
            ali = bot.user("ali")
            await ali.say("/hi")
            if loaded:
                await ali.expect("hi")
            else:
                await ali.room.quiet()
            await then(bot.app.plugins)("p")

    await life(loaded=True, then=lambda plugins: plugins.unload)
    await life(loaded=False, then=lambda plugins: plugins.load)
    await life(loaded=True, then=lambda plugins: plugins.reload)
    await life(loaded=True, then=lambda plugins: plugins.unload)


# -- in tests of plugins -------------------------------------------------------------------------------


def greeter(word, returns=str):
    plugin = Plugin("greeter")

    @plugin.command("greet")
    async def greet():
        return word

    greet.__annotations__["return"] = returns
    return plugin


async def test_a_test_reloads_its_plugin_and_unloads_it(bots):
    async with bots.run(greeter("hello")) as bot:
        ali = bot.user("ali")
        await bot.reload(greeter("goodbye"))
        await ali.say("/greet")
        await ali.expect("goodbye")
        with pytest.raises(PluginError, match="cannot be said"):
            await bot.reload(greeter("never", returns=dict))
        await bot.unload("greeter")
        await ali.say("/greet")
        await ali.room.quiet()


async def test_what_the_old_copy_leaves_is_a_leak(bots):
    plugin, may_end = greeter("x"), trio.Event()

    @plugin.command("deaf")
    async def deaf() -> None:
        with trio.CancelScope(shield=True):
            await may_end.wait()

    with pytest.raises(AssertionError, match="greeter: after a reload, run #0001 of greeter:deaf"):
        async with bots.run(plugin) as bot:
            await bot.user("ali").say("/deaf")
            await bot.reload(greeter("y"))
            may_end.set()


async def test_every_message_names_who_sent_it(bots):
    plugin = Plugin("speaker")

    @plugin.command("say")
    async def say(ctx: Ctx, *, rooms: Rooms) -> str:
        await rooms.send(ctx.room.ref, "by the command")
        return "its answer"

    @plugin.task
    async def shout(*, rooms: Rooms) -> None:
        await trio.sleep(5)
        await rooms.send("ops", "by the task")
        await trio.sleep_forever()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say("/say")
        await bot.advance(6)
        for text in ("by the command", "its answer", "by the task"):
            await ali.expect(text)
        await ali.say("/remind")
        assert {one.plugin for one in bot.records if isinstance(one, Sent)} == {"speaker"}


class Unreadable(MemoryKeep):
    """A store that cannot be read."""

    def load(self):
        raise StoreError("the disk is broken")


async def test_a_store_that_cannot_be_read_leaves_all_plugins_loaded(bots):
    async with bots.run(greeter("hello")) as bot:
        bot.app.plugins._kept = Unreadable()
        with structlog.testing.capture_logs() as logs:
            bot.app.plugins.restore()
        assert [line["reason"] for line in logs] == ["the disk is broken"]
        assert bot.app.host.is_loaded("greeter")
