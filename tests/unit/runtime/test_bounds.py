"""Patterns of plugins: what explodes is stopped, named and switched off, and the bot goes on.

A search cannot be put on virtual time: what explodes here computes for a tenth of a second, or less where the test says so.
"""

import re
import signal
import threading

import pytest
import structlog

from qqops import Message, Plugin
from qqops.model import AccountRef
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.runtime.bounds import Bounds
from qqops.runtime.clock import WallClock
from qqops.runtime.compiling import compile_routes
from qqops.runtime.halted import Halted
from qqops.runtime.registry import Registry
from qqops.texts import Say
from qqops_essentials import plugin as essentials

EXPLODES = "a" * 40 + "b"


def explosive():
    plugin = Plugin("p")

    @plugin.on(Message, regex=r"(a+)+(?P<end>[$])")
    async def boom(end: str) -> str:
        return f"boom {end}"

    @plugin.on(Message, regex=r"(?P<n>\d+) times (?P<word>\w+)")
    async def times(n: int, word: str) -> str:
        return f"{word} {n}"

    return plugin


def bounded(pattern, seconds):
    """Return bounds of *seconds*, and a listener with *pattern*."""
    plugin = Plugin("p")

    @plugin.on(Message, regex=pattern)
    async def react() -> None: ...

    registry = Registry()
    host = Host(registry, {}, version="0.1.0")
    assert host.load(Candidate(name="p", load=lambda: plugin)).state is PluginState.LOADED
    return Bounds(Halted(WallClock()), seconds), registry.listeners[0]


@pytest.fixture
def after_it():
    """The handlers of the signals are as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGVTALRM, signal.SIGALRM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_a_pattern_that_explodes_is_stopped_named_and_switched_off(bots):
    async with bots.run(explosive()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        with structlog.testing.capture_logs() as lines:
            await ali.say(EXPLODES)
            await ali.say(EXPLODES)
        stopped, off = [line for line in lines if line["log_level"] == "error"]
        assert (stopped["plugin"], stopped["handler"], stopped["characters"]) == ("p", "boom", 41)
        assert re.fullmatch(r".*test_bounds\.py:\d+", stopped["where"])
        assert off["on"] == "/command on p:boom"
        await ali.say("aaa$")
        await bot.room("ops").quiet()
        await ali.say("9 times go")
        await ali.expect("go 9")


async def test_what_was_switched_off_comes_back_by_command(bots):
    async with bots.run(explosive(), essentials) as bot:
        ali = bot.user("ali", room=bot.room("ops"), roles=["owner"])
        await ali.say(EXPLODES)
        await ali.say("/plugin list")
        await ali.expect("p:boom")
        await ali.say("/command on p:boom")
        await ali.expect("is on")
        await ali.say("aaa$")
        await ali.expect(r"boom \$")
        await ali.say("/rule history")
        await ali.expect("halt p:boom: off → on")


async def test_why_tells_of_a_listener_that_was_not_asked(bots):
    async with bots.run(explosive(), essentials) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        before = await ali.say("9 times go")
        await ali.expect("go 9")
        await ali.say("/why")
        assert "not asked" not in await ali.expect("p:")
        await bot.advance(1)
        await ali.say(EXPLODES)
        late = await ali.say("aaa$")
        await ali.say("/why")
        await ali.expect(
            r"p:boom was not asked: boom is switched off everywhere: the search for its pattern took too long"
        )
        await ali.say("/why", reply_to=late)
        assert (await ali.expect("")).startswith("p:boom was not asked")
        await ali.say("/why", reply_to=before)
        assert "not asked" not in await ali.expect("p:times")


async def test_it_outlives_a_refresh_and_not_an_unload(bots):
    async with bots.run(explosive()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        await ali.say(EXPLODES)
        bot.app.refresh()
        await ali.say("aaa$")
        await bot.room("ops").quiet()
        await bot.app.dispatcher.handlers.end("p")
        await ali.say("aaa$")
        await ali.expect(r"boom \$")


async def test_in_a_text_of_any_length_the_same_is_found(bots):
    async with bots.run(explosive()) as bot:
        ali = bot.user("ali", room=bot.room("ops"))
        for length in (1, 200, 3000):
            await ali.say(f"{'文 ' * length}12 times 去👍️")
            await ali.expect("去 12")


def test_who_is_switched_off_is_not_searched_for():
    bounds, listener = bounded(r"(a+)+$", 0.01)
    with bounds.installed():
        assert bounds.search(listener, EXPLODES) is None
        assert bounds.search(listener, "aaa") is None
    assert list(bounds.halted) == ["p:react"]


def test_without_its_timer_it_searches_all_the_same():
    bounds, listener = bounded(r"(a+)+$", 0.01)
    assert bounds.search(listener, "aaa") is not None
    # Without a handler it would end the process.
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_routes_leave_out_who_is_switched_off():
    bounds, listener = bounded(r"(a+)+$", 0.01)
    registry = Registry()
    registry.add(listeners=[listener])
    assert compile_routes(registry, bounds=bounds).regexes == (listener,)
    bounds.halted.halt(listener.handler, Say("why.halted_pattern"))
    assert compile_routes(registry, bounds=bounds).regexes == ()


async def test_the_first_look_at_a_message_is_bounded_too(bots):
    async with bots.run(explosive()) as bot:
        assert bot.app.dispatcher.chatter(AccountRef("memory", "test"), EXPLODES)
        assert list(bot.app.gate.halted) == ["p:boom"]


def test_in_another_thread_there_is_no_timer_and_that_is_said():
    bounds, listener = bounded(r"(a+)+$", 0.01)
    found = []

    def elsewhere():
        with bounds.installed():
            found.append(bounds.search(listener, "aaa"))

    with structlog.testing.capture_logs() as lines:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert found[0] is not None
    assert "without a bound" in lines[0]["event"]


def test_a_timer_that_rings_between_two_searches_hurts_nobody_and_is_handed_on(after_it):
    rung = []
    signal.signal(signal.SIGVTALRM, lambda number, frame: rung.append(number))
    bounds, listener = bounded(r"(a+)+$", 60.0)
    with bounds.installed():
        bounds.search(listener, "aaab")
        signal.raise_signal(signal.SIGVTALRM)
        signal.raise_signal(signal.SIGVTALRM)
        assert rung == [signal.SIGVTALRM] * 2
    assert signal.getsignal(signal.SIGVTALRM)(1, None) is None  # it is the old one
    assert rung == [*[signal.SIGVTALRM] * 3, 1]


def test_a_timer_of_an_earlier_search_does_not_stop_this_one(after_it):
    bounds, listener = bounded(r"(a|aa)+$", 60.0)
    rung = []

    def early(number, frame):
        rung.append(number)
        signal.raise_signal(signal.SIGVTALRM)

    signal.signal(signal.SIGALRM, early)
    with bounds.installed():
        signal.setitimer(signal.ITIMER_REAL, 0.005)
        found = bounds.search(listener, "a" * 27 + "b")  # some 50 ms; it does end
    assert rung
    assert found is None
    assert not bounds.halted


@pytest.mark.parametrize("last", [0, 1])
def test_of_two_bots_in_one_process_the_other_one_stays_bounded(last):
    both = [bounded(r"(a+)+$", 0.01) for _ in range(2)]
    entered = [bounds.installed() for bounds, _ in both]
    for one in entered:
        one.__enter__()
    for bounds, listener in both:
        bounds.search(listener, "aaab")  # sets the timer, and goes on before it rings
    entered[1 - last].__exit__(None, None, None)
    bounds, listener = both[last]
    assert bounds.search(listener, EXPLODES) is None
    assert bounds.halted
    entered[last].__exit__(None, None, None)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
