"""What the bot itself has switched off: refused everywhere, told by /why, lifted by who may."""

import contextlib
import datetime
from collections.abc import AsyncGenerator

import pytest
import trio

from qqops import Ctx, Limit, Plugin
from qqops.app import AppPolicy
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.runtime.granted import AccessPolicy
from qqops.runtime.halted import STRIKES, Halted
from qqops.runtime.registry import Registry
from qqops.testing.virtual import VirtualClock
from qqops.texts import Say
from qqops_essentials import plugin as essentials

REASON = Say("why.halted_blocking", {"name": "use", "times": 3, "seconds": 0.5, "at": "tools.py:7"})


def tools():
    plugin = Plugin("tools")
    plugin.ran = []

    @plugin.command("use")
    async def use(ctx: Ctx) -> str:
        return "used"

    @plugin.command("free", permission="access.free", limit=Limit(9, 1))
    async def free() -> str:
        return "free"

    @plugin.job(every=60)
    async def tick() -> None:
        plugin.ran.append(trio.current_time())

    return plugin


@pytest.fixture
def handlers():
    registry = Registry()
    host = Host(registry, {}, version="0.1.0")
    assert host.load(Candidate(name="tools", load=tools)).state is PluginState.LOADED
    return {c.handler.name: c.handler for c in registry.commands}


def handler_of(bot, name):
    made = bot.app.registry
    found = [c.handler for c in made.commands] + [job.handler for job in made.jobs]
    return next(one for one in found if one.name == name)


async def test_only_the_third_time_switches_off(handlers):
    halted = Halted(VirtualClock())
    told = []
    halted.changed.append(lambda: told.append(list(halted)))
    for _ in range(STRIKES - 1):
        halted.strike(handlers["use"], REASON)
    assert not halted
    halted.strike(handlers["use"], REASON)
    halted.strike(handlers["use"], REASON)
    assert told == [["tools:use"]]
    assert halted.get("tools:use").reason == REASON
    assert halted.get("tools:use").since.tzinfo is datetime.UTC


@pytest.mark.parametrize(
    ("name", "lifted"), [("tools", True), ("tools:use", True), ("use", False), ("tool", False)]
)
async def test_it_is_lifted_by_the_name_of_the_plugin_or_of_the_handler(handlers, name, lifted):
    halted = Halted(VirtualClock())
    halted.halt(handlers["use"], REASON)
    assert list(halted.lift(name)) == (["tools:use"] if lifted else [])
    assert bool(halted) is not lifted


async def test_who_was_lifted_has_three_times_again(handlers):
    halted = Halted(VirtualClock())
    for _ in range(STRIKES):
        halted.strike(handlers["use"], REASON)
    halted.lift("tools:use")
    halted.strike(handlers["use"], REASON)
    assert not halted


def test_what_switches_on_is_never_switched_off(handlers):
    halted = Halted(VirtualClock())
    halted.halt(handlers["free"], REASON)
    assert not halted


async def test_it_is_refused_with_a_reason_and_comes_back_by_command(bots):
    async with bots.run(tools(), essentials) as bot:
        ali = bot.user("ali", room=bot.room("ops"), roles=["owner"])
        bot.app.gate.halted.halt(handler_of(bot, "use"), REASON)
        await ali.say("/use")
        await ali.expect("use is switched off: it held everything up")
        await ali.say("/why")
        await ali.expect(r"held everything up 3 times, last for 0\.5 s at tools\.py:7(.|\n)*\nswitch ✗$")
        await ali.say("/command on use")
        await ali.expect("is on")
        await ali.say("/use")
        await ali.expect("used")


async def test_what_the_old_copy_did_while_it_ended_is_not_the_new_ones(bots):
    def copy():
        plugin = tools()

        class Line: ...

        @plugin.service()
        @contextlib.asynccontextmanager
        async def line() -> AsyncGenerator[Line]:
            yield Line()
            await trio.sleep(3)

        return plugin

    async with bots.run(copy()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        old = handler_of(bot, "use")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bot.reload, copy())
            await trio.sleep(1)
            bot.app.gate.halted.halt(old, REASON)
        await ali.say("/use")
        await ali.expect("used")


@pytest.mark.parametrize("room", ["ops", "lab"])
async def test_it_is_off_in_every_room_and_a_plugin_is_switched_on_as_a_whole(bots, room):
    async with bots.run(tools(), essentials) as bot:
        ali = bot.user("ali", room=bot.room(room), roles=["owner"])
        bot.app.gate.halted.halt(handler_of(bot, "use"), REASON)
        await ali.say("/use")
        await ali.expect("is switched off")
        await ali.say("/plugin on tools", room=bot.room("ops"))
        await bot.room("ops").expect("is on")
        await ali.say("/use")
        await ali.expect("used")


@pytest.mark.parametrize("line", ["/command on use", "/command on tools:use", "/plugin on tools"])
async def test_only_an_owner_switches_it_on(bots, line):
    granted = AccessPolicy(permissions={"room.admin": ("access.switches",)})
    async with bots.run(tools(), essentials, policy=AppPolicy(seed=1, access=granted)) as bot:
        ali = bot.user("ali", room=bot.room("ops"), roles=["room.admin"])
        bot.app.gate.halted.halt(handler_of(bot, "use"), REASON)
        await ali.say(line)
        await ali.expect("only an owner switches it on")
        assert bot.app.gate.halted


async def test_a_job_is_switched_off_too(bots):
    plugin = tools()
    async with bots.run(plugin) as bot:
        await bot.advance(61)
        bot.app.gate.halted.halt(handler_of(bot, "tick"), REASON)
        await bot.advance(600)
    assert len(plugin.ran) == 1
