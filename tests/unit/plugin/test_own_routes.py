"""A path that a plugin has asked for goes with the plugin, whatever it calls the owner."""

import contextlib
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio

from qqops import HttpAnswer, HttpRequest, Listeners, Plugin

ADDRESS = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_port(monkeypatch):
    """Let every port be taken: a unit test may not open one."""

    async def taken(*args, **kwargs):
        await trio.lowlevel.checkpoint()
        raise OSError("taken")

    monkeypatch.setattr(trio, "open_tcp_listeners", taken)


@attrs.frozen
class Hooks: ...


async def answer(request: HttpRequest) -> HttpAnswer:
    return HttpAnswer(status=204)


def calling(owner, *, late=False):
    plugin = Plugin("calling")

    @plugin.service
    @contextlib.asynccontextmanager
    async def hooks(listeners: Listeners) -> AsyncGenerator[Hooks]:
        if not late:
            listeners.at(ADDRESS).route("/hook", answer, owner=owner)
        yield Hooks()
        if late:
            listeners.at(ADDRESS).route("/hook", answer, owner=owner)

    return plugin


def paths(bot):
    return [route.path for _, route in bot.app.listeners.routes()]


@pytest.mark.parametrize("owner", ["calling", "Calling", "the build server", ""])
async def test_a_route_goes_with_its_plugin(bots, owner):
    async with bots.run(calling(owner)) as bot:
        assert paths(bot) == ["/hook"]
        assert "the route /hook" in bot.app.plugins.info("calling").running
        await bot.reload(calling(owner))
        assert paths(bot) == ["/hook"]
        await bot.unload("calling")
        assert paths(bot) == []


async def test_a_plugin_that_goes_takes_no_route_of_another_along(bots):
    async with bots.run(calling("other"), Plugin("other")) as bot:
        await bot.unload("other")
        assert paths(bot) == ["/hook"]
        await bot.unload("calling")
        assert paths(bot) == []


async def test_a_route_that_is_asked_for_at_the_end_is_named_and_does_not_stay(bots):
    async with bots.run(calling("x", late=True)) as bot:
        change = await bot.unload("calling")
        assert change.left == ["the route /hook"]
        assert paths(bot) == []
        bot.leaks.clear()
