"""What is injected into filters, outgoing functions, converters and migrations, and what is said where nothing can be."""

import contextlib
import sys
import types
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio

from qqops import KV, Context, Ctx, Draft, Logger, Next, Plugin, PluginError, Text, Transaction
from qqops.plugin.host import Candidate, Host
from qqops.runtime.registry import Registry


class Pool:
    def __init__(self, name="pool"):
        self.name = name


class Service:
    def __init__(self, name):
        self.name = name


@attrs.frozen(kw_only=True)
class Config:
    word: str = "plain"


def pooled(plugin):
    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        yield Pool()

    return plugin


def ping(plugin):
    @plugin.command("ping")
    async def pong(ctx: Ctx) -> str:
        return "pong"

    return plugin


async def test_a_filter_gets_its_configuration_its_store_and_a_service(bots):
    plugin = ping(pooled(Plugin("demo")))
    plugin.config(Config)

    @plugin.filter
    async def count(ctx: Ctx, call: Next, *, cfg: Config, store: KV, pool: Pool, log: Logger) -> None:
        n = await store.get("n", int, 0) + 1
        await store.put("n", n)
        await ctx.reply(f"{cfg.word} {pool.name} {n}")
        await call()

    async with bots.run(plugin, config={"word": "hey"}) as bot:
        ali = bot.user("ali")
        await ali.say("/ping")
        await ali.expect("^hey pool 1$")
        await ali.expect("^pong$")


async def test_a_filter_that_asks_for_nothing_is_called_as_it_is(bots):
    plugin = ping(Plugin("demo"))

    @plugin.filter
    async def plain(ctx: Ctx, call: Next) -> None:
        await call()

    async with bots.run(plugin) as bot:
        [found] = bot.app.registry.filters
        assert found.call is plain
        await bot.user("ali").say("/ping")
        await bot.expect("pong")


async def test_a_filter_whose_service_is_down_says_why(bots):
    plugin = ping(Plugin("demo"))

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        await trio.sleep(5)
        yield Pool()

    @plugin.filter
    async def leans(ctx: Ctx, call: Next, *, pool: Pool) -> None:
        await call()

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await bot.app.services.end("demo")
        await ali.say("/ping")
        await ali.expect("demo:pool")
        assert "pong" not in "".join(bot.transcript)


async def test_what_is_done_on_the_way_out_gets_its_configuration(bots):
    plugin = ping(pooled(Plugin("demo")))
    plugin.config(Config)

    @plugin.outgoing
    def sign(draft: Draft, *, cfg: Config, pool: Pool) -> Draft:
        return attrs.evolve(draft, segments=(Text(f"{draft.text} {cfg.word} {pool.name}"),))

    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/ping")
        await bot.expect("^pong plain pool$")


@pytest.mark.parametrize("takes_ctx", [False, True])
async def test_a_converter_gets_what_it_asks_for(bots, takes_ctx):
    plugin = pooled(Plugin("demo"))
    plugin.config(Config)

    if takes_ctx:

        @plugin.converter(Service)
        def with_ctx(word: str, ctx: Context, *, cfg: Config, pool: Pool) -> Service:
            return Service(f"{word} {cfg.word} {pool.name} {ctx.sender.name}")
    else:

        @plugin.converter(Service)
        def without(word: str, *, cfg: Config, pool: Pool) -> Service:
            return Service(f"{word} {cfg.word} {pool.name}")

    @plugin.command("show")
    async def show(service: Service) -> str:
        return service.name

    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/show api")
        await bot.expect("^api plain pool ali$" if takes_ctx else "^api plain pool$")


async def test_a_migration_gets_its_configuration_and_its_logger(bots, tmp_path):
    def version(*steps):
        plugin = Plugin("demo")
        plugin.config(Config)
        for number, step in enumerate(steps, 1):
            plugin.migration(number)(step)

        @plugin.command("show")
        async def show(*, store: KV) -> str:
            return await store.get("word", str, "nothing")

        @plugin.command("put")
        async def put(*, store: KV) -> str:
            await store.put("word", "old")
            return "done"

        return plugin

    async def add(inside: Transaction, *, cfg: Config, log: Logger) -> None:
        log.info("brought up", word=cfg.word)
        inside.put("word", cfg.word)

    async with bots.run(version(), folder=tmp_path) as bot:
        await bot.user("ali").say("/put")
        await bot.expect("done")
    async with bots.run(version(add), folder=tmp_path, config={"word": "new"}) as bot:
        await bot.user("ali").say("/show")
        await bot.expect("^new$")


# -- what cannot be filled -------------------------------------------------------------------------------------


class Fiels:
    """A slip."""


def bad_filter(plugin):
    @plugin.filter
    async def handler(ctx: Ctx, call: Next, *, store: Fiels) -> None: ...


def bad_option(plugin):
    @plugin.filter
    async def handler(ctx: Ctx, call: Next, *, limit: int = 3) -> None: ...


def bad_untyped(plugin):
    @plugin.filter
    async def handler(ctx: Ctx, call: Next, *, store) -> None: ...


def bad_positional(plugin):
    @plugin.filter
    async def handler(ctx: Ctx, call: Next, store: KV) -> None: ...


def bad_outgoing(plugin):
    @plugin.outgoing
    def handler(draft: Draft, *, http: Fiels) -> Draft: ...


def bad_converter(plugin):
    @plugin.converter(Service)
    def handler(word: str, *, log: Fiels) -> Service: ...


def bad_migration(plugin):
    @plugin.migration(1)
    async def handler(inside: Transaction, *, store: KV) -> None: ...


def bad_command(plugin):
    @plugin.command("x")
    async def handler(*, thing: Fiels) -> None: ...


@pytest.mark.parametrize(
    ("declare", "reason"),
    [
        (bad_filter, "nothing can fill the parameter 'store' of type Fiels; did you mean Files?"),
        (bad_option, "nothing can fill the parameter 'limit' of type int; injected are: "),
        (bad_untyped, "the parameter 'store' needs a type annotation"),
        (bad_positional, "takes two parameters: ctx and call; what is injected stands behind a *"),
        (bad_outgoing, "nothing can fill the parameter 'http' of type Fiels; did you mean Files?"),
        (bad_converter, "nothing can fill the parameter 'log' of type Fiels; did you mean Files?"),
        (bad_migration, "nothing can fill the parameter 'store' of type KV; "),
        (bad_command, "nothing can fill the parameter 'thing' of type Fiels; did you mean Files?"),
    ],
)
async def test_what_nothing_can_fill_is_a_load_error_at_its_line(bots, declare, reason):
    plugin = Plugin("demo")
    declare(plugin)
    with pytest.raises(PluginError) as caught:
        async with bots.run(plugin):
            pass
    assert reason in caught.value.reason
    assert f"{__file__}:{declare.__code__.co_firstlineno + 1}" in caught.value.where


@pytest.fixture
def provider(monkeypatch):
    """Return the class of a service in a package of its own, and its plugin."""
    module = types.ModuleType("qqops_pool")
    made = type("Pool", (), {"__module__": "qqops_pool.service"})
    module.plugin = plugin = Plugin("pool")
    monkeypatch.setitem(sys.modules, "qqops_pool", module)

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool():
        yield made()

    pool.__wrapped__.__annotations__["return"] = AsyncGenerator[made]
    return made, plugin


@pytest.mark.parametrize(
    ("off", "broken", "hint"),
    [
        (["pool"], False, "; it is of the plugin 'pool', which is off (plugins.only, plugins.off)"),
        ([], True, "; it is of the plugin 'pool', which is skipped: ZeroDivisionError: division by zero"),
        ([], False, None),
    ],
    ids=["off", "skipped", "loaded"],
)
def test_who_could_bring_a_missing_service_is_named(provider, off, broken, hint):
    kind, pool = provider
    user = Plugin("user")

    @user.command("use")
    async def use(*, pool: kind) -> str: ...

    use.__annotations__["pool"] = kind
    host = Host(Registry(), {}, version="0.1.0")
    candidates = [
        Candidate(name="user", load=lambda: user, target="qqops_user:plugin"),
        # It comes after the one that asks.
        Candidate(name="z-pool", load=lambda: 1 / 0, target="qqops_pool_two"),
        Candidate(
            name="pool", load=(lambda: 1 / 0) if broken else (lambda: pool), target="qqops_pool:plugin"
        ),
    ]
    host.load_all(candidates, off=off)
    reason = host.reports["user"].reason
    if hint is None:
        assert reason == ""
    else:
        assert "nothing can fill the parameter 'pool' of type Pool" in reason
        assert reason.endswith(hint)
