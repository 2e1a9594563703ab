"""What the runtime makes for a plugin is whole for its next copy: the store is open, the HTTP client is closed in the end."""

import contextlib
from collections.abc import AsyncGenerator

import attrs
import trio

from qqops import HTTP, KV, Plugin


def counting(*steps):
    plugin = Plugin("count")

    @plugin.command("count")
    async def count(*, store: KV) -> str:
        number = await store.get("n", int, 0) + 1
        await store.put("n", number)
        return f"n={number}"

    for number, step in enumerate(steps, 1):
        plugin.migration(number)(step)
    return plugin


async def broken(values: object) -> None:
    raise ValueError("oops")


async def test_a_store_that_a_failed_migration_has_closed_is_open_for_a_copy_without_migrations(bots):
    async with bots.run(counting()) as bot:
        ali = bot.user("ali")
        await ali.say("/count")
        await ali.expect("n=1")
        await bot.reload(counting(broken))
        bot.failures.pop()
        await ali.say("/count")
        await ali.expect("cannot store or read its data")
        await bot.reload(counting())
        await ali.say("/count")
        await ali.expect("n=2")


async def test_it_is_open_also_where_the_old_copy_would_not_end(bots):
    @attrs.frozen
    class Pool: ...

    stubborn = counting(broken)

    @stubborn.service
    @contextlib.asynccontextmanager
    async def pool() -> AsyncGenerator[Pool]:
        yield Pool()
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    async with bots.run(counting()) as bot:
        ali = bot.user("ali")
        await ali.say("/count")
        await ali.expect("n=1")
        await bot.reload(stubborn)
        bot.failures.pop()
        assert (await bot.reload(counting())).left == ["the service count:pool"]
        await ali.say("/count")
        await ali.expect("n=2")
        await bot.advance(20)
        bot.leaks.clear()


async def test_the_http_client_that_a_new_copy_uses_is_closed_with_it(bots):
    class Client:
        open = True

        async def __aexit__(self, *args):
            self.open = False

    def connecting(client):
        plugin = Plugin("count")

        @plugin.task
        async def connect(*, http: HTTP) -> None:
            http._client = client

        return plugin

    first, second, third = Client(), Client(), Client()
    async with bots.run(connecting(first)) as bot:
        await bot.reload(connecting(second))
        assert (first.open, second.open) == (False, True)
        await bot.reload(connecting(third))
        assert (second.open, third.open) == (False, True)
    assert not third.open
