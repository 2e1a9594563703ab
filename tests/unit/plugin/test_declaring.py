"""How decorators are called: what is meant beyond doubt works; all else is a load error with the author's line."""

import contextlib
import math
import re

import attrs
import pytest
import trio

from qqops import Approval, Ctx, Draft, Event, Face, Joined, Limit, Message, Plugin, PluginError, Quote
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.runtime.registry import Registry, Trigger

HERE = __file__


@pytest.fixture
def plugin():
    return Plugin("demo")


def load(plugin):
    host = Host(Registry(), {}, version="0.1.0")
    report = host.load(Candidate(name="demo", load=lambda: plugin))
    assert report.state is PluginState.LOADED, report.reason
    return host.registry


def paths(plugin):
    return [c.path for c in load(plugin).commands]


# -- without parentheses ------------------------------------------------------------------------------


def test_a_command_without_a_name_is_called_like_its_function(plugin):
    @plugin.command
    async def ping() -> str:
        return "pong"

    @plugin.command()
    def deploy_all() -> str:
        return "done"

    @plugin.command(aliases="ls")
    def list_() -> str:
        return "all"

    @plugin.group("flag").command
    def set_to(word: str) -> str:
        return word

    assert [f.__name__ for f in (ping, deploy_all, list_, set_to)] == [
        "ping",
        "deploy_all",
        "list_",
        "set_to",
    ]
    assert paths(plugin) == [("ping",), ("deploy-all",), ("list",), ("flag", "set-to")]


async def test_a_command_without_parentheses_is_answered(bots, plugin):
    class Word(str):
        """A class that only this function knows."""

    @plugin.converter(Word)
    def word(text: str) -> Word:
        return Word(f"<{text}>")

    @plugin.command
    async def say(ctx: Ctx, what: Word) -> str:
        return what

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/say hi")
        await ali.expect("^<hi>$")


def test_what_needs_no_argument_needs_no_parentheses(plugin):
    @plugin.filter
    async def around(ctx: Ctx, call: object) -> None: ...

    @plugin.filter()
    async def again(ctx: Ctx, call: object) -> None: ...

    @plugin.outgoing
    def out(draft: Draft) -> Draft:
        return draft

    @plugin.outgoing()
    def out_again(draft: Draft) -> Draft:
        return draft

    @plugin.task
    async def beside() -> None: ...

    @plugin.task()
    async def beside_it() -> None: ...

    @plugin.config
    @attrs.frozen
    class One:
        x: int = 1

    @plugin.config()
    @attrs.frozen
    class Two:
        x: int = 1

    @plugin.service
    @contextlib.asynccontextmanager
    async def pool() -> "contextlib.AbstractAsyncContextManager[int]":
        yield 1

    @plugin.service()
    @contextlib.asynccontextmanager
    async def words() -> "contextlib.AbstractAsyncContextManager[str]":
        yield ""

    functions = (around, again, out, out_again, beside, beside_it, pool, words)
    assert all(callable(one) and one.__name__ for one in functions)
    assert [one.name for one in load(plugin).filters] == ["around", "again"]
    assert [one.name for one in plugin._outgoing] == ["out", "out_again"]
    assert [one.name for one in plugin._tasks] == ["beside", "beside_it"]
    assert [one.__name__ for one in plugin._configs] == ["One", "Two"]
    assert [one.name for one in plugin._services] == ["pool", "words"]


# -- what is meant beyond doubt -----------------------------------------------------------------------


def anything() -> None: ...


@pytest.mark.parametrize(
    ("name", "aliases", "path", "taken"),
    [
        (" foo ", (), ("foo",), ()),
        ("flag  set", "fs", ("flag", "set"), ("fs",)),
        ("foo", " bar ", ("foo",), ("bar",)),
        ("foo", ["a", "b"], ("foo",), ("a", "b")),
        ("部署", ("发布",), ("部署",), ("发布",)),
    ],
)
def test_names_may_have_blanks_around_them(plugin, name, aliases, path, taken):
    plugin.command(name, aliases=aliases)(anything)
    (command,) = load(plugin).commands
    assert (command.path, command.aliases) == (path, taken)


def test_one_of_several_may_stand_alone(plugin):
    @plugin.command("a", redact="token", limit=[Limit(1, per=1)], permission=" deploy.run ", lock=" ops ")
    def a(token: str) -> None: ...

    plugin.on(Message, keyword="Hello")(anything)
    (command,), (listener,) = load(plugin).commands, load(plugin).listeners
    guards = command.handler.guards
    assert (guards.redact, guards.permission, guards.lock) == (("token",), "deploy.run", "ops")
    assert guards.limits == (Limit(1, per=1),)
    assert (listener.trigger, listener.keywords) == (Trigger.KEYWORD, ("hello",))


def test_a_pattern_may_be_compiled(plugin):
    plugin.on(Message, regex=re.compile("x", re.IGNORECASE))(anything)
    (listener,) = load(plugin).listeners
    assert (listener.trigger, listener.pattern.flags & re.IGNORECASE) == (Trigger.REGEX, re.IGNORECASE)


async def test_a_handler_without_end_is_never_cut_off(bots, plugin):
    @plugin.command("wait", timeout=math.inf)
    async def wait() -> str:
        await trio.sleep(80_000)
        return "there"

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/wait")
        await bot.advance(80_000)
        await ali.expect("^there$")


# -- what is refused ----------------------------------------------------------------------------------

COMMANDS = [
    ({"name": "/foo"}, "name: '/foo' begins with a prefix, which the settings choose; write 'foo'"),
    ({"name": "／foo bar"}, "write 'foo'"),
    ({"name": ""}, "a command needs a name, got ''"),
    ({"name": "  "}, "a command needs a name, got '  '"),
    ({"name": 5}, "the name of a command is a string, got 5"),
    ({"aliases": ("a", 5)}, "aliases: 5 is not a word; write it in quotes"),
    ({"aliases": 5}, 'aliases is a word or a tuple of them, as aliases=("x",); got 5'),
    ({"aliases": b"ab"}, "aliases is a word or a tuple of them"),
    ({"aliases": ("",)}, "aliases: there is nothing in ''"),
    ({"aliases": "a b"}, "an alias must be one word, got 'a b'"),
    ({"aliases": "/a"}, "aliases: '/a' begins with a prefix"),
    ({"timeout": "3s"}, "timeout is a number of seconds > 0, as timeout=3.0; got '3s'"),
    ({"timeout": True}, "got True"),
    ({"timeout": math.nan}, "got nan"),
    ({"timeout": 0}, "got 0"),
    ({"timeout": -math.inf}, "got -inf"),
    ({"inline": "yes"}, "inline is True or False, got 'yes'"),
    ({"at_least_once": 1}, "at_least_once is True or False, got 1"),
    ({"no_space": "yes"}, "no_space is True or False, got 'yes'"),
    ({"effects": "yes"}, "effects is True or False"),
    ({"dry": None}, "dry is True or False, got None"),
    ({"permission": 3}, "permission is a name as 'deploy.run', got 3"),
    ({"permission": ["deploy.run"]}, "permission is a name as 'deploy.run', got ['deploy.run']"),
    ({"permission": "deploy run"}, "got 'deploy run'"),
    ({"permission": "deploy.*"}, "got 'deploy.*'"),
    ({"limit": "3/m"}, "limit is a Limit or a tuple of them, as limit=Limit(3, per=60); got '3/m'"),
    ({"limit": (Limit(1, per=1), 3)}, "limit is a Limit or a tuple of them"),
    ({"limit": None}, "got None"),
    ({"approval": "role:sre"}, 'approval is an Approval, as approval=Approval(by="role:sre"); got \'role:sre\''),
    ({"lock": 3}, "lock is the name of a lock, got 3"),
    ({"redact": ("a", 3)}, "redact: 3 is not the name of a parameter"),
    ({"converse": "wait"}, "converse is one of 'refuse', 'replace', got 'wait'"),
]  # fmt: skip
LISTENERS = [
    ({"keyword": ()}, "keyword: there is none in (); leave it out for every message"),
    ({"keyword": ""}, "keyword: there is nothing in ''"),
    ({"keyword": ("a", 5)}, "keyword: 5 is not a string; write it in quotes"),
    ({"regex": ""}, "regex is a pattern that is not empty, got ''; leave it out for every message"),
    ({"regex": b"x"}, "regex is a pattern that is not empty"),
    ({"regex": re.compile(b"x")}, "regex is a pattern that is not empty"),
    ({"at_me": "yes"}, "at_me is True or False, got 'yes'"),
    ({"stop": 1}, "stop is True or False, got 1"),
    ({"priority": "high"}, "priority is a whole number, got 'high'"),
    ({"priority": True}, "priority is a whole number, got True"),
    ({"timeout": "3s"}, "timeout is a number of seconds"),
    ({"limit": 3}, "limit is a Limit"),
    ({"permission": True}, "permission is a name"),
]


def raised_at(call):
    """Return the line of this file that *call* stands in."""
    return f"{HERE}:{call.__code__.co_firstlineno + 1}"


@pytest.mark.parametrize(("given", "reason"), COMMANDS)
@pytest.mark.parametrize("group", [False, True])
def test_a_wrong_argument_of_a_command_names_the_line_of_the_author(plugin, given, reason, group):
    def call():
        (plugin.group("g") if group else plugin).command(**{"name": "x", **given})(anything)

    with pytest.raises(PluginError, match=re.escape(reason)) as caught:
        call()
    assert caught.value.where == raised_at(call)
    assert plugin._commands == []


@pytest.mark.parametrize(("given", "reason"), LISTENERS)
def test_a_wrong_argument_of_a_listener_names_the_line_of_the_author(plugin, given, reason):
    def call():
        plugin.on(Message, **given)(anything)

    with pytest.raises(PluginError, match=re.escape(reason)) as caught:
        call()
    assert caught.value.where == raised_at(call)


async def handler() -> None: ...


CALLS = [
    (lambda p: p.on(handler), "@plugin.on needs the class of an event: write @plugin.on(Message)"),
    (lambda p: p.job(handler), '@plugin.job needs a time by its name: @plugin.job(every=60) or (cron="0 9 * * *")'),
    (lambda p: p.converter(handler), "@plugin.converter needs the class that words become: @plugin.converter(Service)"),
    (lambda p: p.migration(handler), "@plugin.migration needs the version that it leads to: @plugin.migration(1)"),
    (lambda p: p.migration("1"), "the number of a migration is a whole number, got '1'"),
    (lambda p: p.group(""), "a group needs a name, got ''"),
    (lambda p: p.group("/flag"), "begins with a prefix"),
    (lambda p: p.group(handler), "the name of a group is a string, got handler()"),
    (lambda p: p.filter(order="first"), "order is a whole number, got 'first'"),
    (lambda p: p.outgoing(order=None), "order is a whole number, got None"),
    (lambda p: p.task(restart="sometimes"), "restart is one of 'always', 'on-failure', 'never', got 'sometimes'"),
    (lambda p: p.job(every=60, timeout="3s")(handler), "timeout is a number of seconds"),
    (lambda p: p.filter(5), "@plugin.filter belongs above a function, not 5"),
    (lambda p: p.command("x")(Plugin), "@plugin.command belongs above a function, not the class Plugin"),
    (lambda p: p.job(every=60)(5), "@plugin.job belongs above a function, not 5"),
    (lambda p: p.job(every=60)(Plugin), "@plugin.job belongs above a function, not the class Plugin"),
    (lambda p: p.on(Message)(None), "@plugin.on belongs above a function, not None"),
    (lambda p: p.config(handler), "@plugin.config belongs above an attrs class, not handler()"),
    (lambda p: Plugin("Bad Name"), "'Bad Name' is not a plugin name"),
    (lambda p: Plugin(None), "None is not a plugin name"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "reason"), CALLS)
def test_a_wrong_call_names_the_line_of_the_author(plugin, call, reason):
    with pytest.raises(PluginError, match=re.escape(reason)) as caught:
        call(plugin)
    assert caught.value.where == f"{HERE}:{call.__code__.co_firstlineno}"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Limit("3", per=60), "Limit needs numbers for times, per and running"),
        (lambda: Limit(3, per=True), "Limit needs numbers"),
        (lambda: Limit(3, per=60, key="usr"), "and a key of 'user', 'room', 'account', 'global'; got Limit("),
        (lambda: Limit(3, per=math.nan), "per > 0 seconds"),
        (lambda: Approval(by=5), "Approval.by must begin with role: or user:, got 5"),
        (lambda: Approval(by="role:x", within="10m"), "within > 0 seconds"),
        (lambda: Approval(by="role:x", count="2"), "count >= 1"),
    ],
)
def test_limits_and_approvals_that_cannot_be_kept_are_refused(make, reason):
    with pytest.raises(PluginError, match=re.escape(reason)):
        make()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda p: p.job(every=60, zone="UTC"), "job() has no argument 'zone'; it has name, cron, tz, every, once, jitter,"),
        (lambda p: p.job(every=60, jiter=3), "job() has no argument 'jiter'; did you mean jitter?"),
        (lambda p: p.command("x", alias="y"), "command() has no argument 'alias'; did you mean aliases?"),
        (lambda p: p.group("x").command("y", premission="z"), "did you mean permission?"),
        (lambda p: p.on(Message, keywords="y"), "on() has no argument 'keywords'; did you mean keyword?"),
        (lambda p: p.filter(wrap="all"), "filter() has no argument 'wrap'; did you mean wraps?"),
        (lambda p: p.outgoing(before=1), "outgoing() has no argument 'before'; it has order"),
        (lambda p: p.task(restarts="never"), "task() has no argument 'restarts'; did you mean restart?"),
        (lambda p: p.service(name="x"), "service() has no argument 'name'; it has none"),
    ],
)  # fmt: skip
def test_a_word_that_a_decorator_does_not_have_is_a_load_error_with_those_that_it_has(plugin, call, reason):
    host = Host(Registry(), {}, version="0.1.0")
    report = host.load(Candidate(name="demo", load=lambda: call(plugin)))
    assert reason in report.reason
    assert report.where == f"{HERE}:{call.__code__.co_firstlineno}"


def test_a_word_that_something_of_the_author_does_not_have_is_told_as_python_tells_it(plugin):
    class Clockwork:
        def job(self): ...

    host = Host(Registry(), {}, version="0.1.0")
    report = host.load(Candidate(name="demo", load=lambda: Clockwork().job(zone=3)))
    assert "job() got an unexpected keyword argument 'zone'" in report.reason


def of_a_message(message: Message) -> None: ...
def of_a_quote(quote: Quote | None) -> None: ...
def of_one_who_came(event: Joined) -> None: ...
def of_any_event(event: Event) -> None: ...


@pytest.mark.parametrize(
    ("declare", "function", "reason"),
    [
        (
            lambda p: p.job(every=60),
            of_a_message,
            "of_a_message(): 'message' belongs to a message, and there is none",
        ),
        (lambda p: p.job(every=60), of_a_quote, "'quote' belongs to a message, and there is none"),
        (lambda p: p.job(every=60), of_any_event, "'event' belongs to a message, and there is none"),
        (
            lambda p: p.on(Joined),
            of_a_message,
            "'message' is to be a Message, and what sets it off is a Joined",
        ),
        (
            lambda p: p.on(Message),
            of_one_who_came,
            "'event' is to be a Joined, and what sets it off is a Message",
        ),
        (
            lambda p: p.on(Event),
            of_a_message,
            "'message' is to be a Message, and what sets it off is a Event",
        ),
        (
            lambda p: p.command("x"),
            of_one_who_came,
            "'event' is to be a Joined, and what sets it off is a Message",
        ),
        (lambda p: p.on(Joined), of_any_event, ""),
        (lambda p: p.on(Message), of_any_event, ""),
        (lambda p: p.command("x"), of_a_message, ""),
    ],
)
def test_an_event_that_never_comes_is_a_load_error(plugin, declare, function, reason):
    declare(plugin)(function)
    report = Host(Registry(), {}, version="0.1.0").load(Candidate(name="demo", load=lambda: plugin))
    assert reason in report.reason
    assert bool(reason) is (report.where == f"{HERE}:{function.__code__.co_firstlineno}")


def test_what_breaks_while_a_function_is_read_has_the_line_of_the_function(plugin):
    @plugin.command("x")
    def strange() -> None: ...

    strange.__signature__ = 5
    host = Host(Registry(), {}, version="0.1.0")
    report = host.load(Candidate(name="demo", load=lambda: plugin))
    assert report.reason.startswith("x(): TypeError: ")
    assert report.where == f"{HERE}:{strange.__code__.co_firstlineno}"


async def test_a_handler_may_return_strings_among_segments(bots, plugin):
    @plugin.command
    async def mixed() -> object:
        return ("look: ", Face(14), " there")

    @plugin.command
    async def strange() -> object:
        return ("look: ", 5)

    async with bots.run(plugin) as bot:
        ali = bot.user("ali")
        await ali.say("/mixed")
        assert re.fullmatch(r"look: .+ there", await ali.expect("look"))
        await ali.say("/strange")
        assert "look" not in await ali.expect("")
