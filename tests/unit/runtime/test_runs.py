"""Runs as such: what is begun, and who hears of an end."""

import attrs
import pytest
import trio

from qqops.runtime.runs import Runs


@attrs.frozen
class Run:
    """A run that takes *takes* seconds to clean up."""

    plugin: str
    name: str
    takes: float = 0.0
    seconds: float = 1000.0


def runs_of(call, slots=1):
    return Runs(call, slots=slots, per_plugin=slots)


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])
async def test_what_waits_is_not_begun_when_everything_is_cancelled(grouped):
    began = []

    async def call(run):
        began.append(run.name)
        try:
            await trio.sleep_forever()
        except trio.Cancelled as exc:
            # What a plugin raises beside its cancellation is taken out of a group; what is left of it is one, too.
            if grouped:
                raise BaseExceptionGroup("of a nursery", [exc]) from None
            raise

    runs = runs_of(call)
    async with trio.open_nursery() as nursery:
        await nursery.start(runs.run)
        runs.add("one", Run("p", "first"))
        runs.add("two", Run("p", "second"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert began == ["first"]
    assert runs.waiting == 1


async def test_two_who_end_plugins_at_once_both_hear_of_it():
    async def call(run):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(run.takes)

    ended = []

    async def end(plugin):
        await runs.end(plugin)
        ended.append((plugin, trio.current_time() - began))

    runs = runs_of(call, slots=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(runs.run)
        runs.add("one", Run("quick", "one", 1))
        runs.add("two", Run("slow", "two", 3))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        nursery.start_soon(end, "quick")
        nursery.start_soon(end, "slow")
        with trio.move_on_after(10):
            while len(ended) < 2:
                await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert ended == [("quick", 1), ("slow", 3)]
