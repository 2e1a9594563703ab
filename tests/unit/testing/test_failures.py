"""What fails in a plugin beside its handlers fails the test as well."""

import contextlib
import inspect
import re
from collections.abc import AsyncGenerator

import attrs
import pytest
import trio

from qqops import KV, Draft, HttpAnswer, HttpRequest, Listeners, Message, Plugin
from qqops.runtime.observe import Broke

HERE = __file__.rpartition("/")[2]


@attrs.frozen
class Pool: ...


def oops():
    raise ValueError("oops")


def failing(what):
    plugin = Plugin("p")
    match what:
        case "task":

            @plugin.task(restart="never")
            async def watch() -> None:
                oops()

        case "end of a task":

            @plugin.task
            async def watch() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    oops()

        case "service":

            @plugin.service
            @contextlib.asynccontextmanager
            async def pool() -> AsyncGenerator[Pool]:
                oops()
                yield Pool()

        case "end of a service":

            @plugin.service
            @contextlib.asynccontextmanager
            async def pool() -> AsyncGenerator[Pool]:
                yield Pool()
                oops()

        case "end of a handler":

            @plugin.command("go")
            async def go() -> None:
                try:
                    await trio.sleep(20)
                finally:
                    oops()

        case "outgoing":

            @plugin.outgoing
            def mask(draft: Draft) -> Draft:
                oops()

            @plugin.command("go")
            async def go() -> str:
                return "held back"

    return plugin


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("task", r"p: the task watch \(.*:\d+\) failed:\n"),
        ("end of a task", r"p: the task watch \(.*:\d+\) failed:\n"),
        ("service", r"p: the service pool \(.*:\d+\) failed:\n"),
        ("end of a service", r"p: the service pool \(.*:\d+\) failed:\n"),
        ("end of a handler", "p:go failed:\n"),
        ("outgoing", r"p: the outgoing function mask \(.*:\d+\) failed:\n"),
    ],
)
async def test_what_fails_beside_the_handlers_fails_the_test_with_its_own_traceback(bots, what, told):
    with pytest.raises(AssertionError) as caught:
        async with bots.run(failing(what)) as bot:
            await bot.user("ali").say("/go")
    said = str(caught.value)
    assert re.search(told, said)
    assert f'{HERE}", line' in said
    assert "ValueError: oops" in said
    assert "qqops/runtime" not in said


async def test_what_takes_too_long_fails_the_test_as_well(bots):
    plugin = Plugin("p")

    @plugin.job(every=60, timeout=5)
    async def slow() -> None:
        await trio.sleep(6)

    @plugin.command("slow", timeout=5)
    async def slow_command() -> None:
        await trio.sleep(6)

    with pytest.raises(
        AssertionError, match=rf"p:slow failed:\nTimeoutError: it took longer than 5 s \(\S*{HERE}:\d+\)"
    ):
        async with bots.run(plugin) as bot:
            await bot.run_job("slow")
    async with bots.run(plugin) as bot:
        await bot.user("ali").say("/slow")
        await bot.user("ali").expect("took longer than 5 s")


async def test_a_test_that_wants_it_takes_it_from_the_failures(bots):
    async with bots.run(failing("task")) as bot:
        failure = bot.failures.pop()
        assert isinstance(failure, Broke)
        assert (failure.plugin, failure.what, failure.name) == ("p", "task", "watch")
        assert HERE in failure.where
    async with bots.run(failing("end of a service")) as bot:
        await bot.stop()
        assert isinstance(bot.failures.pop().error, ValueError)


async def test_it_is_told_with_an_expectation_that_fails(bots):
    with pytest.raises(AssertionError, match=r"expected 'x'(?s:.)*the task watch .* failed"):
        async with bots.run(failing("task")) as bot:
            await bot.user("ali").expect("x")


@pytest.fixture
def no_port(monkeypatch):
    """Let every port be taken: a unit test may not open one."""

    async def taken(*args, **kwargs):
        await trio.lowlevel.checkpoint()
        raise OSError("taken")

    monkeypatch.setattr(trio, "open_tcp_listeners", taken)


@pytest.mark.parametrize("accepts", [None, lambda request: oops()], ids=["answer", "accepts"])
async def test_a_route_that_fails_fails_the_test(bots, no_port, accepts):
    plugin = Plugin("p")

    async def hook(request: HttpRequest) -> HttpAnswer:
        oops()

    @plugin.task
    async def hooks(*, listeners: Listeners) -> None:
        with listeners.at("127.0.0.1:1").route("/hook", hook, owner="somebody", accepts=accepts):
            await trio.sleep_forever()

    with pytest.raises(AssertionError, match=r"p: the route /hook failed:\n(?s:.)*ValueError: oops"):
        async with bots.run(plugin) as bot:
            request = HttpRequest(method="GET", target="/hook", headers=(), body=b"")
            await bot.app.listeners.at("127.0.0.1:1").handle(request)


async def test_a_migration_that_fails_fails_the_test(bots, tmp_path):
    def make(*, steps):
        plugin = Plugin("p")

        async def put(*, store: KV) -> None:
            await store.put("n", 1)

        async def step(values: object) -> None:
            oops()

        plugin.migration(1)(step) if steps else plugin.task(put)
        return plugin

    async with bots.run(make(steps=False), folder=tmp_path) as bot:
        await bot.advance(1)
    with pytest.raises(AssertionError, match=r"p: the migration 1 .* failed:\n(?s:.)*ValueError: oops"):
        async with bots.run(make(steps=True), folder=tmp_path) as bot:
            await bot.advance(1)


async def test_a_task_that_fails_again_and_again_is_told_once_with_how_often(bots):
    plugin = Plugin("p")

    @plugin.task
    async def watch() -> None:
        oops()

    with pytest.raises(AssertionError) as caught:
        async with bots.run(plugin) as bot:
            await bot.advance(30)
    said = str(caught.value)
    assert re.search(r"\(\d+ times\) p: the task watch", said)
    assert said.count("ValueError: oops") == 1


async def test_a_failure_without_a_line_of_the_author_names_the_function(bots):
    plugin = Plugin("p")

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        return
        yield Pool()

    line = pool.__wrapped__.__code__.co_firstlineno
    with pytest.raises(
        AssertionError,
        match=rf"the service pool \(\S*{HERE}:{line}\) failed:\nRuntimeError: generator didn't yield",
    ):
        async with bots.run(plugin):
            pass


# -- tests that ask for what there is not ------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda bot: bot.room("ops", accounts=("three",)),
            "there is no account 'three'; there are: one, webqq:two",
        ),
        (lambda bot: bot.user("ali", account="two"), "there is no account 'two'; there are: one, webqq:two"),
        (lambda bot: bot.at("two"), "there is no account 'two'"),
        (lambda bot: bot.drop_connection("two"), "there is no account 'two'"),
        (
            lambda bot: bot.user("ali", roles="room.king"),
            "there is no role 'room.king' in a room; there are: owner, admin",
        ),
        (lambda bot: bot.unload("q"), "there is no plugin 'q'; there are: p"),
        (lambda bot: bot.reload(Plugin("q")), "there is no plugin 'q'; there are: p"),
        (lambda bot: bot.expect(5), "a pattern or a class of segments or actions, not 5"),
        (lambda bot: bot.expect(Message), "no bot says or does a Message"),
    ],
)
async def test_what_there_is_not_is_said_with_what_there_is(bots, call, said):
    async with bots.run(Plugin("p"), accounts=("one", "webqq:two")) as bot:
        with pytest.raises(AssertionError, match=re.escape(said)):
            found = call(bot)
            if inspect.isawaitable(found):
                await found


async def test_one_account_need_be_no_tuple_for_a_room(bots):
    async with bots.run(accounts=("one", "webqq:two")) as bot:
        room = bot.room("ops", accounts="webqq:two")
        assert [network.account.id for network, _ in room.rooms] == ["two"]


async def test_a_pattern_that_is_none_is_refused_at_once(bots):
    async with bots.run() as bot:
        with pytest.raises(re.error):
            await bot.expect("(")


@pytest.mark.parametrize(
    ("plugins", "accounts", "said"),
    [
        ((), "one", "accounts are several names, as ('one',)"),
        ((), (), "at least one account"),
        ((), ("one", "one"), "an account stands there twice: one, one"),
        ((re,), ("one",), "bots.run takes plugins, not <module 're'"),
    ],
)
async def test_what_no_bot_can_be_made_of_is_refused(bots, plugins, accounts, said):
    with pytest.raises(AssertionError, match=re.escape(said)):
        async with bots.run(*plugins, accounts=accounts):
            pass
