"""A service of an old copy that will not end does not take the place of the new copy's."""

import contextlib
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio

from qqops import Plugin
from qqops.plugin.host import Candidate, PluginState


@attrs.frozen
class Pool:
    number: int


class Slow:
    """A plugin whose first copy has a service that takes its time."""

    def __init__(self, *, starting=0.0, leaving=0.0, listens=True, failing=False):
        self.starting, self.leaving, self.listens, self.failing = starting, leaving, listens, failing
        self.made = 0

    def __call__(self):
        self.made += 1
        number = self.made
        plugin = Plugin("slow")

        @plugin.service
        @contextlib.asynccontextmanager
        async def pool() -> AsyncGenerator[Pool]:
            if number == 1:
                with trio.CancelScope(shield=not self.listens):
                    await trio.sleep(self.starting)
                if self.failing:
                    raise OSError("no")
            yield Pool(number)
            if number == 1:
                await trio.sleep(self.leaving)

        @plugin.command("which")
        async def which(*, pool: Pool) -> str:
            return f"pool {pool.number}"

        return plugin


@pytest.mark.parametrize(
    ("slow", "left"),
    [
        (Slow(leaving=20), ["the service slow:pool"]),
        (Slow(starting=20), []),
        (Slow(starting=20, listens=False), ["the service slow:pool"]),
        (Slow(starting=11, listens=False, failing=True), []),
    ],
    ids=["leaving", "starting", "starting, deaf", "failing while it is told to end"],
)
async def test_the_new_service_stays_whatever_the_old_one_does(bots, slow, left):
    async with bots.run() as bot:
        assert bot.app.host.load(Candidate(name="slow", load=slow)).state is PluginState.LOADED
        bot.app.refresh()
        await bot.app.owners.begin("slow")
        change = await bot.app.plugins.reload("slow")
        assert change.done
        assert change.left == left
        ali = bot.user("ali")
        await ali.say("/which")
        await ali.expect("pool 2")
        await bot.advance(60)
        await ali.say("/which")
        await ali.expect("pool 2")
        assert bot.app.services.of("slow") == ["pool"]
        bot.failures.clear()  # that of the old copy, where it is failing


@attrs.frozen
class Lake:
    name: str


async def test_who_leans_on_a_service_that_is_another_class_now_is_refused_and_not_given_that(bots):
    kinds, leaning = iter((Pool(1), Lake("Garda"), Pool(3))), Plugin("leaning")

    def make():
        value, plugin = next(kinds), Plugin("water")
        Kind = type(value)

        @plugin.service
        @contextlib.asynccontextmanager
        async def water() -> AsyncGenerator[Kind]:
            yield value

        return plugin

    @leaning.command("swim")
    async def swim(*, pool: Pool) -> str:
        return f"in pool {pool.number}"

    async with bots.run() as bot:
        bot.app.host.load(Candidate(name="water", load=make))
        bot.app.host.load(Candidate(name="leaning", load=lambda: leaning))
        bot.app.refresh()
        await bot.app.owners.begin("water")
        ali = bot.user("ali")
        for answer in ("in pool 1", "water:water"):
            await ali.say("/swim")
            await ali.expect(answer)
            assert (await bot.app.plugins.reload("water")).done
        assert (await bot.app.plugins.reload("leaning")).done
        await ali.say("/swim")
        await ali.expect("in pool 3")


@attrs.frozen
class Sea:
    name: str


def providing(name, function="sea", *, failing=False):
    plugin = Plugin(name)

    @contextlib.asynccontextmanager
    async def sea() -> AsyncGenerator[Sea]:
        yield Sea(name)

    sea.__name__ = function
    plugin.service(sea)
    if failing:
        plugin.command("no_space", no_space=True)(sea)
    return plugin


async def begin(bot, *plugins):
    for plugin in plugins:
        report = bot.app.host.load(Candidate(name=plugin.name, load=lambda plugin=plugin: plugin))
        assert report.state is PluginState.LOADED, report.reason
        bot.app.refresh()
        await bot.app.owners.begin(plugin.name)


async def test_who_leans_on_a_service_has_it_from_whoever_provides_it(bots):
    leaning, seen = Plugin("leaning"), []

    @leaning.command("swim")
    async def swim(*, sea: Sea) -> str:
        return f"in {sea.name}"

    @leaning.task(restart="never")
    async def float_(*, sea: Sea) -> None:
        seen.append(sea.name)

    async with bots.run() as bot:
        await begin(bot, providing("north"), leaning)
        ali = bot.user("ali")

        async def swims(answer):
            await ali.say("/swim")
            await ali.expect(answer)

        await swims("^in north$")
        for other in ("south", "north", "east", "north"):
            before = next(one.name for one in bot.app.plugins.all() if bot.app.services.of(one.name))
            await bot.app.plugins.unload(before)
            await swims(f"{before}:(sea|gulf) is not available at the moment: it is unloaded")
            await begin(bot, providing(other, function="sea" if other != "east" else "gulf"))
            await swims(f"^in {other}$")
        assert (await bot.app.plugins.reload("leaning")).done
        await swims("^in north$")


async def test_who_cannot_be_loaded_takes_no_place(bots):
    leaning = Plugin("leaning")

    @leaning.command("swim")
    async def swim(*, sea: Sea) -> str:
        return f"in {sea.name}"

    async with bots.run() as bot:
        await begin(bot, providing("north"), leaning)
        await bot.app.plugins.unload("north")
        broken = Candidate(name="south", load=lambda: providing("south", failing=True))
        assert bot.app.host.load(broken).state is PluginState.SKIPPED
        ali = bot.user("ali")
        await ali.say("/swim")
        await ali.expect("^north:sea is not available")
        await begin(bot, providing("south"))
        await ali.say("/swim")
        await ali.expect("^in south$")


async def test_two_plugins_made_by_one_function_keep_their_places_apart(bots):
    def make(name):
        plugin = Plugin(name)

        @attrs.frozen
        class Tank:
            number: str

        @plugin.service
        @contextlib.asynccontextmanager
        async def tank() -> AsyncGenerator[Tank]:
            yield Tank(name)

        @plugin.command(name)
        async def tell(*, tank: Tank) -> str:
            return tank.number

        return plugin

    async with bots.run(make("one"), make("two")) as bot:
        ali = bot.user("ali")
        for _ in range(2):
            for name in ("one", "two"):
                await ali.say(f"/{name}")
                await ali.expect(f"^{name}$")
                await bot.reload(make(name))
        await bot.unload("one")
        await bot.reload(make("two"))
        await ali.say("/two")
        await ali.expect("^two$")
