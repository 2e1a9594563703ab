"""Threads that nobody waits for any more: who waits for their end hears of it."""

import contextlib
import threading

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from qqops.runtime.threads import Threads


@attrs.frozen
class Handler:
    plugin: str


class Loose:
    """Runs calls in threads that can be joined."""

    def __init__(self):
        self.started = []

    async def __call__(self, call, /, *, limiter, abandon_on_cancel):
        self.started.append(threading.Thread(target=call))
        self.started[-1].start()
        await trio.sleep_forever()

    def waiting(self):
        return contextlib.nullcontext()


class Rig(Threads):
    """Its threads work until they are told, and what they run for is cut off long before."""

    def __init__(self):
        self.loose = Loose()
        self.may_end = {}
        self.hasty = []
        super().__init__(self.loose, 10)

    async def leave(self, plugin):
        """Leave a thread of *plugin* to itself."""
        began, self.may_end[plugin] = threading.Event(), (end := threading.Event())

        def work():
            began.set()
            assert end.wait(20)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.call, Handler(plugin), work, None)
            await wait_all_tasks_blocked()
            assert began.wait(20)
            nursery.cancel_scope.cancel()

    def end(self, plugin):
        """Return when the thread of *plugin* has ended."""
        thread = self.loose.started[list(self.may_end).index(plugin)]
        self.may_end[plugin].set()
        thread.join(20)

    def of(self, plugin):
        """Return its threads; one of the *hasty* ends right after that."""
        found = [one.handler.plugin for one in self._busy.values() if one.handler.plugin == plugin]
        if found and plugin in self.hasty:
            self.hasty.remove(plugin)
            self.end(plugin)
        return found


async def heard(threads, *plugins):
    """Return of which ends those have heard who wait for the threads of *plugins*, after each end."""
    ended, seen = [], []

    async def gone(plugin):
        await threads.gone(plugin)
        ended.append(plugin)

    async with trio.open_nursery() as nursery:
        for plugin in plugins:
            nursery.start_soon(gone, plugin)
            await wait_all_tasks_blocked()
        for plugin in plugins:
            threads.end(plugin)
            await wait_all_tasks_blocked(0.01)
            seen.append(tuple(ended))
        nursery.cancel_scope.cancel()
    return seen


async def test_two_who_wait_for_threads_both_hear_of_their_end():
    threads = Rig()
    await threads.leave("one")
    await threads.leave("two")
    assert await heard(threads, "one", "two") == [("one",), ("one", "two")]


async def test_a_thread_that_ends_while_somebody_begins_to_wait_for_it_is_heard_of():
    threads = Rig()
    await threads.leave("one")
    assert await heard(threads, "one") == [("one",)]
    await threads.leave("two")
    threads.hasty.append("two")
    assert await heard(threads, "two") == [("two",)]
