"""Tests of plugins answer their calls of the web themselves; what they have not thought of fails them, with the URL."""

import re

import pytest
import trio

from qqops import HTTP, Plugin, Refuse, Reply, Secret, TransientError
from qqops.testing import HttpCall

CI = "https://ci.example.org/build"


def caller(act):
    plugin = Plugin("web")

    @plugin.command("go")
    async def go(*, http: HTTP) -> str:
        return await act(http)

    return plugin


async def status(http):
    try:
        return str((await http.get(CI)).status)
    except TransientError as exc:
        raise Refuse(f"refused: {exc}") from None


async def test_an_answer_is_given_without_a_network(bots):
    async def act(http):
        reply = await http.post(f"{CI}?ref=main", json={"a": 1}, headers={"X-Token": Secret("t0p")})
        return f"{reply.status} {reply.json()['id']} {reply.headers['x-kind']}"

    async with bots.run(caller(act)) as bot:
        bot.http.answer("POST", CI, status=201, json={"id": 7}, headers={"x-kind": "build"})
        await bot.user("ali").say("/go")
        await bot.expect("^201 7 build$")
        [call] = bot.http.calls
        assert (call.method, call.url, call.json(), call.headers["x-token"]) == (
            "POST", f"{CI}?ref=main", {"a": 1}, "t0p",
        )  # fmt: skip


async def test_several_answers_are_given_one_after_the_other(bots):
    async with bots.run(caller(status)) as bot:
        bot.http.answer("GET", CI, Reply(status=503), Reply(status=503), Reply(status=200))
        await bot.user("ali").say("/go")
        await bot.expect("^200$")
        assert len(bot.http.calls) == 3


async def test_the_newest_answer_that_fits_is_given(bots):
    async with bots.run(caller(status)) as bot:
        bot.http.answer("GET", CI, status=200)
        bot.http.answer("GET", re.compile(r"example\.org/"), status=204)
        await bot.user("ali").say("/go")
        await bot.expect("^204$")
        bot.http.answer("GET", CI, status=202)
        await bot.user("ali").say("/go")
        await bot.expect("^202$")


async def test_a_function_may_answer_and_take_its_time(bots):
    async def slowly(call: HttpCall) -> Reply:
        await trio.sleep(30)
        return Reply()

    async with bots.run(caller(status)) as bot:
        bot.http.answer("GET", CI, slowly)
        await bot.user("ali").say("/go")
        await bot.expect("^refused: no answer within 20 s from https://ci.example.org$", within=60)
        bot.http.answer("GET", CI, lambda call: Reply(status=len(call.url)))
        await bot.user("ali").say("/go")
        await bot.expect(f"^{len(CI)}$")


async def test_a_call_may_end_in_an_error(bots):
    async with bots.run(caller(status)) as bot:
        bot.http.answer("GET", CI, TransientError("the connection broke"))
        await bot.user("ali").say("/go")
        await bot.expect("^refused: the connection broke$")
        assert len(bot.http.calls) == 3


async def test_a_call_that_nobody_answers_fails_the_test_with_its_url(bots):
    with pytest.raises(
        AssertionError, match=re.escape(f"nobody answers GET {CI}?x=1: bot.http.answer('GET'")
    ):
        async with bots.run(caller(lambda http: http.get(f"{CI}?x=1"))) as bot:
            await bot.user("ali").say("/go")


async def test_it_does_so_as_well_when_the_plugin_keeps_it_to_itself(bots):
    async def silent(http):
        try:
            await http.get(CI)
        except Exception:
            return "nothing happened"

    with pytest.raises(AssertionError, match=re.escape(f"nobody answers GET {CI}")):
        async with bots.run(caller(silent)) as bot:
            await bot.user("ali").say("/go")
            await bot.expect("nothing happened")
    async with bots.run(caller(silent)) as bot:
        await bot.user("ali").say("/go")
        await bot.expect("nothing happened")
        assert "nobody answers" in bot.http.unexpected.pop()


async def test_a_connection_that_is_open_at_the_end_is_a_leak(bots, monkeypatch):
    async def leave_open(http):
        async def nothing():
            await trio.lowlevel.checkpoint()

        monkeypatch.setattr(http, "aclose", nothing)
        return str((await http.get(CI)).status)

    with pytest.raises(AssertionError, match="web: 1 HTTP connections are open"):
        async with bots.run(caller(leave_open)) as bot:
            bot.http.answer("GET", CI)
            await bot.user("ali").say("/go")
            await bot.expect("200")


async def test_after_an_unload_and_a_reload_nothing_is_open(bots):
    async with bots.run(caller(status)) as bot:
        bot.http.answer("GET", CI)
        for end in (lambda: bot.reload(caller(status)), lambda: bot.unload("web")):
            await bot.user("ali").say("/go")
            await bot.expect("200")
            assert bot.app.shelves.connections() == {"web": 1}
            await end()
            assert bot.app.shelves.connections() == {}
