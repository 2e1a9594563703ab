"""Who holds up the loop: what is noted, what follows from it, and whose code that is. No thread and no clock here."""

import pathlib
import sys

import attrs
import pytest

from qqops import Ctx, Message, Next, Plugin
from qqops.plugin.host import Candidate, Host, PluginState
from qqops.runtime.blame import HOME, Culprit, Place, culprit
from qqops.runtime.registry import Registry
from qqops.runtime.watchdog import Watch, debugged

#: Seconds between two looks here: what binary fractions add up to exactly.
PERIOD = 0.0625

# -- when -------------------------------------------------------------------------------------------


class Loop:
    """A loop and who looks at it, on a clock that is set by hand."""

    def __init__(self):
        self.now = 100.0
        self.computed = 7.0
        self.rung = 0
        self.watch = Watch(lambda: self.now, self.ring)
        self.watch.awake(self.now, self.computed)

    def ring(self):
        self.rung += 1

    def looks(self, times, gap=PERIOD, busy=0.0):
        """Look *times* times; return what was seen."""
        seen = []
        for _ in range(times):
            self.now += gap
            self.computed += busy
            held = self.watch.look(self.now, self.computed)
            if held is not None:
                seen.append((held.task, round(held.seconds, 6), held.over))
        return seen


@pytest.fixture
def loop():
    return Loop()


def test_a_step_that_takes_too_long_is_told_once_and_once_more_at_its_end(loop):
    loop.watch.before_task_step("a")
    assert loop.looks(3) == []
    assert loop.looks(3) == [("a", 0.25, False)]
    loop.watch.before_io_wait(1.0)
    assert loop.looks(3) == [("a", 0.375, True)]


def test_many_short_steps_are_no_long_one(loop):
    for _ in range(20):
        loop.watch.before_task_step("a")
        assert loop.looks(3) == []


def test_the_end_of_one_and_the_next_are_both_told(loop):
    loop.watch.before_task_step("a")
    assert loop.looks(5) == [("a", 0.25, False)]
    loop.watch.before_task_step("b")
    assert loop.looks(5) == [("a", 0.3125, True), ("b", 0.25, False)]


def test_waiting_for_the_world_is_not_holding_up(loop):
    loop.watch.before_task_step("a")
    loop.watch.before_io_wait(600.0)
    assert loop.looks(20) == []


def test_who_holds_the_interpreter_is_seen_afterwards(loop):
    """Nobody could look meanwhile, and the process has computed."""
    loop.watch.before_task_step("a")
    assert loop.looks(1, gap=3.0, busy=3.0) == [("a", 3.0, False)]


def test_a_process_that_was_stopped_is_nobodys_fault(loop):
    loop.watch.before_task_step("a")
    assert loop.looks(1) == []
    assert loop.looks(1, gap=3600.0) == []
    assert loop.looks(1) == []
    assert loop.looks(1) == [("a", 0.2375, False)]


def test_time_that_stood_still_is_forgiven_to_that_step_only(loop):
    loop.watch.before_task_step("a")
    assert loop.looks(1) == []
    assert loop.looks(1, gap=3600.0) == []
    loop.watch.before_task_step("b")
    assert loop.looks(4) == [("b", 0.25, False)]


def test_before_the_step_time_may_have_passed_without_a_look(loop):
    loop.now += 3600.0
    loop.watch.before_task_step("a")
    assert loop.looks(4) == [("a", 0.25, False)]


def test_it_rests_with_the_loop_and_is_woken_by_the_first_step_only(loop):
    loop.watch.before_io_wait(1.0)
    assert loop.watch.rest()
    loop.watch.before_task_step("a")
    loop.watch.before_task_step("b")
    assert loop.rung == 1
    assert not loop.watch.rest()


def test_it_does_not_rest_before_an_end_is_told(loop):
    loop.watch.before_task_step("a")
    loop.looks(5)
    loop.watch.before_io_wait(1.0)
    assert not loop.watch.rest()
    loop.looks(1)
    assert loop.watch.rest()


def test_who_steps_through_the_program_takes_time():
    frame = sys._getframe()
    assert not debugged(frame)
    frame.f_trace = lambda *_: None
    try:
        assert debugged(frame)
    finally:
        frame.f_trace = None


# -- who --------------------------------------------------------------------------------------------


def demo():
    plugin = Plugin("demo")

    @plugin.command("use")
    async def use(ctx: Ctx) -> None: ...

    @plugin.on(Message)
    async def hear(message: Message) -> None: ...

    @plugin.filter()
    async def around(ctx: Ctx, call: Next) -> None: ...

    return plugin


@pytest.fixture
def registry():
    registry = Registry()
    host = Host(registry, {}, version="0.1.0")
    assert host.load(Candidate(name="demo", load=demo)).state is PluginState.LOADED
    return registry


def inside(where, line=999):
    """Return a place in the function that begins at *where*."""
    file, _, begins = where.rpartition(":")
    return Place(file, line, int(begins), "f")


TRIO, RUNNER = Place("/lib/trio/_run.py", 9, 1, "run"), Place(f"{HOME}/runtime/runner.py", 12, 3, "run")
SLEEP = Place("/lib/time.py", 5, 1, "sleep")


def test_a_handler_is_named_with_its_own_innermost_line(registry):
    handler = registry.commands[0].handler
    nested = Place(__file__, 5, 4, "of_mine")
    found = culprit([SLEEP, nested, inside(handler.where), RUNNER, TRIO], handler, registry)
    assert found == Culprit("demo", "use", f"{__file__}:5", handler)


def test_a_filter_around_it_is_not_the_handler(registry):
    around, handler = registry.filters[0], registry.commands[0].handler
    found = culprit([SLEEP, inside(around.where, 77), RUNNER, TRIO], handler, registry)
    assert found == Culprit("demo", "around", f"{__file__}:77", None)
    found = culprit([inside(handler.where), RUNNER, inside(around.where), TRIO], handler, registry)
    assert found.handler is handler


def test_a_task_that_a_handler_has_started_counts_as_the_handler(registry):
    handler = registry.listeners[0].handler
    found = culprit([SLEEP, Place(__file__, 5, 4, "child"), TRIO], handler, registry)
    assert found == Culprit("demo", "hear", f"{__file__}:5", handler)


def test_what_is_declared_nowhere_is_the_plugins_and_cannot_be_switched_off(registry):
    found = culprit([SLEEP, Place(__file__, 5, 4, "service"), TRIO], None, registry)
    assert found == Culprit("demo", "service", f"{__file__}:5", None)


def test_a_module_of_the_same_package_is_the_plugins(registry, tmp_path):
    package = tmp_path / "far"
    for folder in (package, package / "deep"):
        folder.mkdir()
        (folder / "__init__.py").touch()
    handler = attrs.evolve(registry.commands[0].handler, where=f"{package}/deep/a.py:3")
    registry.commands[0] = attrs.evolve(registry.commands[0], handler=handler)
    found = culprit([SLEEP, Place(f"{package}/data.py", 8, 2, "read"), TRIO], handler, registry)
    assert (found.handler, found.at) == (handler, f"{package}/data.py:8")
    beside = culprit([Place(f"{tmp_path}/other.py", 8, 2, "read"), TRIO], handler, registry)
    assert beside.plugin == ""


def test_the_bots_own_code_is_named_as_such(registry):
    own = attrs.evolve(registry.commands[0].handler, where=f"{pathlib.Path(HOME)}/core_plugin.py:3")
    registry.commands[0] = attrs.evolve(registry.commands[0], handler=own)
    found = culprit([SLEEP, inside(own.where, 4), RUNNER, TRIO], own, registry)
    assert found == Culprit("", "f", f"{HOME}/core_plugin.py:4")
    assert culprit([TRIO], None, registry) == Culprit("", "run", "/lib/trio/_run.py:9")
    assert culprit([], None, registry) == Culprit("", "", "")
