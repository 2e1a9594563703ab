"""What a plugin brings along: configuration, services, tasks, steps for its stored data."""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio

from qqops import HTTP, KV, Ctx, Logger, Plugin, PluginError, Secret, StoreError, Transaction
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.runtime.registry import Registry
from qqops.settings import load_settings, plugin_config


class Pool:
    def __init__(self, name=""):
        self.name = name
        self.open = True


class Cache:
    def __init__(self, pool):
        self.pool = pool


# -- configuration ---------------------------------------------------------------------------------------------


def configured():
    plugin = Plugin("deploy")

    @plugin.config
    @attrs.frozen(kw_only=True)
    class Config:
        script: str
        tries: int = 3
        token: Secret = attrs.field(factory=lambda: Secret(""))

    @plugin.command("show")
    async def show(*, cfg: Config) -> str:
        return f"{cfg.script} {cfg.tries} {cfg.token} {cfg.token.reveal()}"

    return plugin, Config


async def test_the_configuration_is_injected_by_type(bots):
    plugin, _ = configured()
    async with bots.run(plugin, config={"script": "ship", "token": "t0p"}) as bot:
        ali = bot.user("ali")
        await ali.say("/show")
        assert await ali.expect("ship") == "ship 3 *** t0p"


WRONG = [
    ('[plugins.deploy]\nscript = "x"\ntires = 3\n', "unknown key 'tires'.*did you mean 'tries'", ":3: "),
    ('[plugins.deploy]\nscript = "x"\ntries = "3"\n', "must be a whole number", ":3: "),
    ("[plugins.deploy]\n", "script is missing", ":1: plugins.deploy.script"),
    ("", "script is missing", "plugins.deploy"),
    ('[plugins.deploy]\nscript = "x"\ntoken = { env = "NOT_SET" }\n', "NOT_SET is not set", ":3: "),
]


@pytest.mark.parametrize(("text", "reason", "where"), WRONG)
async def test_a_mistake_in_its_table_takes_out_that_plugin_alone(tmp_path, text, reason, where):
    path = tmp_path / "qqops.toml"
    path.write_text(text)
    settings, file = load_settings(path, {})
    plugin, _ = configured()
    other = Plugin("other")

    def configure(name, cls):
        return plugin_config(settings, file, {}, name, cls)

    host = Host(Registry(), {}, version="0.1.0", configure=configure)
    host.load_all([Candidate(name=p.name, load=lambda p=p: p) for p in (plugin, other)])
    report = host.reports["deploy"]
    assert report.state is PluginState.SKIPPED
    assert re.search(reason, report.reason)
    assert f"qqops.toml{where}" in report.where or where in report.where
    assert host.reports["other"].state is PluginState.LOADED


async def test_all_mistakes_in_its_table_stand_in_its_report(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text('[plugins.deploy]\ntires = 3\ntries = "3"\n' + "".join(f"x{i} = 1\n" for i in range(40)))
    settings, file = load_settings(path, {})
    plugin, _ = configured()
    host = Host(
        Registry(), {}, version="0.1.0", configure=functools.partial(plugin_config, settings, file, {})
    )
    report = host.load(Candidate(name="deploy", load=lambda: plugin))
    assert len(report.mistakes) == 43
    assert all(one.partition(": ")[2] in f"{report.where}: {report.reason}" for one in report.mistakes)


def test_lists_and_tables_stand_beside_each_other(tmp_path):
    path = tmp_path / "qqops.toml"
    path.write_text('[plugins]\noff = ["a"]\nonly = ["deploy"]\n[plugins.deploy]\nscript = "x"\n')
    settings, file = load_settings(path, {"QQOPS_PLUGINS__DEPLOY__TRIES": "5"})
    assert settings.plugins.off == ("a",)
    found = plugin_config(settings, file, {}, "deploy", configured()[1])
    assert (found.script, found.tries) == ("x", 5)


# -- services --------------------------------------------------------------------------------------------------


async def test_services_start_before_and_close_after_what_needs_them(bots):
    plugin, steps = Plugin("pool"), []

    @plugin.service
    @contextlib.asynccontextmanager
    async def cache(pool: Pool) -> AsyncGenerator[Cache]:
        assert pool.open
        steps.append("cache up")
        yield Cache(pool)
        assert pool.open
        steps.append("cache down")

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        await trio.sleep(2)
        steps.append("pool up")
        found = Pool("main")
        yield found
        await trio.sleep(1)
        found.open = False
        steps.append("pool down")

    @plugin.command("use")
    async def use(*, cache: Cache, pool: Pool) -> str:
        await trio.sleep(3)
        steps.append("used")
        return f"{cache.pool is pool} {pool.open}"

    async with bots.run(plugin) as bot:
        assert steps == ["pool up", "cache up"]
        ali = bot.user("ali")
        await ali.say("/use")
    assert steps == ["pool up", "cache up", "used", "cache down", "pool down"]
    assert bot.network.sent[-1].text == "True True"


async def test_a_service_of_a_plugin_that_is_loaded_later_is_found(bots):
    user, provider = Plugin("a-user"), Plugin("z-provider")

    @user.command("who")
    async def who(*, pool: Pool) -> str:
        return pool.name

    @provider.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        yield Pool("z")

    host = Host(Registry(), {}, version="0.1.0")
    host.load_all([Candidate(name=p.name, load=lambda p=p: p) for p in (user, provider)])
    assert {r.state for r in host.reports.values()} == {PluginState.LOADED}
    async with bots.run(provider, user) as bot:
        ali = bot.user("ali")
        await ali.say("/who")
        await ali.expect("z")


async def test_a_missing_provider_and_a_circle_are_named_with_file_and_line():
    lonely, round_ = Plugin("lonely"), Plugin("round")

    @lonely.command("x")
    async def handler(*, pool: Pool) -> None: ...

    @round_.service
    @contextlib.asynccontextmanager
    async def one(cache: Cache) -> AsyncGenerator[Pool]:
        yield Pool()

    @round_.service
    @contextlib.asynccontextmanager
    async def two(pool: Pool) -> AsyncGenerator[Cache]:
        yield Cache(pool)

    host = Host(Registry(), {}, version="0.1.0")
    host.load_all([Candidate(name=p.name, load=lambda p=p: p) for p in (lonely, round_)])
    assert "'pool' of type Pool" in host.reports["lonely"].reason
    circle = host.reports["round"]
    assert "round:one (" in circle.reason
    assert "round:two (" in circle.reason
    assert "test_providing.py:" in circle.where


@pytest.mark.parametrize("kind", [OSError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_a_service_that_fails_is_tried_again_and_its_handlers_refuse_meanwhile(bots, kind):
    plugin, tries = Plugin("flaky"), []

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        tries.append(trio.current_time())
        if len(tries) < 4:
            raise kind("no route")
        yield Pool("at last")

    @plugin.command("use")
    async def use(*, pool: Pool) -> str:
        return pool.name

    @plugin.command("free", inline=True)
    def free() -> str:
        return "free"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/use")
        await ali.expect(f"flaky:pool is not available at the moment: {kind.__name__}: no route")
        await ali.say("/free")
        await ali.expect("free")
        await bot.advance(60)
        await ali.say("/use")
        await ali.expect("at last")
        assert len(tries) == 4
        assert [type(one.error) for one in bot.failures] == [kind] * 3
        bot.failures.clear()


async def test_a_service_that_breaks_takes_along_what_leans_on_it_and_both_come_back(bots):
    plugin, steps = Plugin("broken"), []

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        async def fall():
            await trio.sleep(5)
            if len(steps) < 4:
                raise OSError("fell")

        steps.append("pool up")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fall)
            yield Pool()

    @plugin.service
    @contextlib.asynccontextmanager
    async def cache(pool: Pool) -> AsyncGenerator[Cache]:
        steps.append("cache up")
        yield Cache(pool)
        steps.append("cache down")

    async with bots.run(plugin) as bot:
        await bot.advance(4)
        await bot.advance(20)
        bot.failures.clear()
    assert steps == ["pool up", "cache up", "cache down", "pool up", "cache up", "cache down"]


async def test_a_service_that_never_comes_up_does_not_hold_up_the_bot(bots):
    plugin = Plugin("slow")

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        await trio.sleep_forever()
        yield Pool()

    @plugin.command("use")
    async def use(*, pool: Pool) -> str:
        return "never"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/use")
        await ali.expect("it has not started yet", within=30)
        await bot.advance(61)
        await ali.say("/use")
        await ali.expect("did not start within 60 s")
        assert isinstance(bot.failures.pop().error, TimeoutError)


def bad_untyped(plugin):
    @plugin.service
    @contextlib.asynccontextmanager
    async def pool():
        yield Pool()


def bad_bare(plugin):
    @plugin.service
    async def pool() -> AsyncGenerator[Pool]:
        yield Pool()


def bad_ctx(plugin):
    @plugin.service
    @contextlib.asynccontextmanager
    async def pool(ctx: Ctx) -> AsyncGenerator[Pool]:
        yield Pool()


def bad_task(plugin):
    @plugin.task()
    def task() -> None: ...


def bad_config(plugin):
    @plugin.config
    class Config: ...


def bad_migration(plugin):
    @plugin.migration(2)
    async def second(store: Transaction) -> None: ...


@pytest.mark.parametrize(
    ("declare", "reason"),
    [
        (bad_untyped, "must say what it provides"), (bad_bare, "needs @asynccontextmanager"),
        (bad_ctx, "'ctx' belongs to a message"), (bad_task, "must be `async def`"),
        (bad_config, "must be an attrs class"), (bad_migration, "1 is missing"),
    ],
)  # fmt: skip
async def test_first_mistakes_are_named_with_file_and_line(bots, declare, reason):
    plugin = Plugin("bad")
    declare(plugin)
    with pytest.raises(PluginError, match=reason) as caught:
        async with bots.run(plugin):
            pass
    assert "test_providing.py:" in caught.value.where


# -- tasks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("restart", "fails", "runs"), [
    ("always", False, 5), ("always", True, 5), ("on-failure", False, 1), ("on-failure", True, 5),
    ("never", True, 1), ("never", False, 1),
])  # fmt: skip
async def test_a_task_starts_again_by_its_rule(bots, restart, fails, runs):
    plugin, ran = Plugin("tasks"), []

    @plugin.task(restart=restart)
    async def watch(*, log: Logger) -> None:
        ran.append(trio.current_time())
        log.info("watching")
        if len(ran) == 5:
            await trio.sleep_forever()
        if fails:
            raise OSError("no")

    async with bots.run(plugin) as bot:
        await bot.advance(300)
        bot.failures.clear()
    assert len(ran) == runs


async def test_tasks_wait_for_their_services_and_end_before_them(bots):
    plugin, steps = Plugin("tasks"), []

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        await trio.sleep(20)
        yield Pool()
        steps.append("pool down")

    @plugin.task()
    async def watch(pool: Pool) -> None:
        steps.append("task up")
        try:
            await trio.sleep_forever()
        finally:
            steps.append("task down")

    async with bots.run(plugin) as bot:
        await bot.advance(15)
        assert steps == ["task up"]
    assert steps == ["task up", "task down", "pool down"]


# -- stored data -----------------------------------------------------------------------------------------------


def counter(*steps):
    plugin = Plugin("count")

    @plugin.command("count")
    async def count(*, store: KV, http: HTTP) -> str:
        async with store.transaction() as inside:
            n = await inside.get("n", int, 0) + 1
            inside.put("n", n)
        return f"n={n}"

    for number, step in enumerate(steps, 1):
        plugin.migration(number)(step)
    return plugin


async def doubled(store: Transaction) -> None:
    store.put("n", await store.get("n", int, 0) * 2)


async def negated(store: Transaction) -> None:
    store.put("n", -await store.get("n", int, 0))


async def broken(store: Transaction) -> None:
    store.put("n", 0)
    raise ValueError("no")


async def leaving(store: Transaction) -> None:
    store.put("n", 0)
    raise SystemExit(1)


async def counted(bots, plugin, folder=None):
    async with bots.run(plugin, folder=folder) as bot:
        ali = bot.user("ali")
        await ali.say("/count")
        answer = await ali.expect("n=|cannot store")
        if "cannot store" in answer:
            bot.failures.clear()
        return answer


async def test_values_survive_a_restart_where_there_is_a_folder(bots, tmp_path):
    assert [await counted(bots, counter(), tmp_path) for _ in range(2)] == ["n=1", "n=2"]
    assert [await counted(bots, counter()) for _ in range(2)] == ["n=1", "n=1"]


async def test_stored_data_is_brought_to_the_new_version_after_a_snapshot(bots, tmp_path):
    for _ in range(2):
        await counted(bots, counter(), tmp_path)
    assert await counted(bots, counter(doubled, negated), tmp_path) == "n=-3"
    assert await counted(bots, counter(doubled, negated), tmp_path) == "n=-2"
    assert [p.name for p in tmp_path.glob("*.count-*")] == ["qqops.db.count-0.1"]


async def test_a_new_plugin_begins_with_the_newest_version(bots, tmp_path):
    assert await counted(bots, counter(doubled), tmp_path) == "n=1"
    assert await counted(bots, counter(doubled), tmp_path) == "n=2"


@pytest.mark.parametrize("step", [broken, leaving])
async def test_a_failed_migration_changes_nothing_and_closes_that_store_alone(bots, tmp_path, step):
    for _ in range(2):
        await counted(bots, counter(), tmp_path)
    assert "cannot store" in await counted(bots, counter(step), tmp_path)
    assert await counted(bots, counter(), tmp_path) == "n=3"


async def test_data_of_a_later_version_is_refused(bots, tmp_path):
    await counted(bots, counter(doubled, negated), tmp_path)
    assert "cannot store" in await counted(bots, counter(doubled), tmp_path)


async def test_a_store_error_is_an_answer_and_no_traceback(bots):
    plugin = Plugin("sick")

    @plugin.command("sick")
    async def sick() -> str:
        raise StoreError("disk full")

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/sick")
        await ali.expect("cannot store or read its data")
