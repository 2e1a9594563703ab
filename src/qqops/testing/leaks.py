"""What a plugin has left behind: tasks, threads, questions and routes that outlive what began them."""

from __future__ import annotations

import pathlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import FrameType

import attrs
import trio
from trio._core._thread_cache import THREAD_CACHE

from qqops.app import App
from qqops.model import Message
from qqops.runtime.blame import HOME, Place, culprit, places_of
from qqops.testing.virtual import HeldThreads
from qqops.testing.witness import system_tasks

#: Real seconds that a thread is given to end.
PATIENCE = 1.0

#: Tasks of ours in which plugins may have whatever they like: it ends with them.
_THEIR_OWN = frozenset({"Runs._work", "Services._keep", "Tasks._keep", "Listener.run"})
_TRIO = str(pathlib.Path(trio.__file__).parent)


@attrs.frozen
class Ground:
    """What there was before a bot began; the thread that began it is among the *threads*."""

    tasks: frozenset[trio.lowlevel.Task]
    threads: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> Ground:
        """Return what there is at this moment."""
        threads = {thread for thread, _ in _at_work()}
        return cls(frozenset(system_tasks()), frozenset({threading.current_thread(), *threads}))


def unanswered(app: App) -> list[str]:
    """Return the questions of handlers that wait for somebody."""
    return [
        f"{one.hit.handler.key} ({one.hit.handler.where}) still waits for an answer of {one.event.sender.name} in "
        f"{one.event.room.name}: let it be answered or cancelled, or `await bot.stop()`"
        for one in app.dispatcher.asking()
        if isinstance(one.event, Message) and app.talks.waits_for(one.event.room.ref, one.event.sender.ref)
    ]


def strays(app: App, root: trio.lowlevel.Task) -> list[str]:
    """Return the tasks that are not in a run, a service or a task of a plugin. *root* is the task that runs *app*."""
    return [_of_task(app, task) for task in _strays(root)]


async def at_the_end(app: App, ground: Ground, held: HeldThreads) -> list[str]:
    """Return what is left of a bot that has ended. Threads are given `PATIENCE` seconds of real time."""
    tasks = [_of_task(app, task) for task in system_tasks() - ground.tasks]
    routes = [
        f"{one.plugin or one.owner}: the route {one.path} at {address} was not closed"
        for address, one in app.listeners.routes()
    ]
    connections = [
        f"{plugin}: {count} HTTP connections are open" for plugin, count in app.shelves.connections().items()
    ]
    threads = []
    if _left(ground):
        limiter = trio.CapacityLimiter(1)
        left = await held(lambda: _wait(ground), limiter=limiter, abandon_on_cancel=True)
        threads = [
            f"{_whose(app, stack)}: the thread {name!r} still runs, {_where(app, stack)}"
            for name, stack in left
        ]
    return tasks + routes + connections + threads


def _wait(ground: Ground) -> list[tuple[str, list[Place]]]:
    """Return the threads that have not ended after `PATIENCE` seconds."""
    until = time.monotonic() + PATIENCE
    while (left := _left(ground)) and time.monotonic() < until:
        time.sleep(0.01)
    return [(thread.name, places_of(frame)) for thread, frame in left]


# -- tasks -------------------------------------------------------------------------------------------


def _strays(root: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    """Yield the tasks that run code of others in a nursery of ours."""
    for task in [task for nursery in root.child_nurseries for task in nursery.child_tasks]:
        code = getattr(task.coro, "cr_code", None)
        if code is None or not code.co_filename.startswith((HOME, _TRIO)):
            yield task
        elif code.co_qualname not in _THEIR_OWN:
            yield from _strays(task)


def _of_task(app: App, task: trio.lowlevel.Task) -> str:
    stack = [
        Place(frame.f_code.co_filename, line, frame.f_code.co_firstlineno, frame.f_code.co_name)
        for frame, line in task.iter_await_frames()
    ][::-1]
    return f"{_whose(app, stack)}: the task {task.name} belongs to no run of the plugin, {_where(app, stack)}"


# -- threads -----------------------------------------------------------------------------------------


def _left(ground: Ground) -> list[tuple[threading.Thread, FrameType]]:
    return [(thread, frame) for thread, frame in _at_work() if thread not in ground.threads]


def _at_work() -> Iterator[tuple[threading.Thread, FrameType]]:
    """Yield the threads but this one that have something to do, and where they are; trio keeps idle ones for later."""
    # Trio tells nobody which they are. Their stacks do not, either: one that has just been given work is not there yet.
    resting = {worker._thread for worker in list(THREAD_CACHE._idle_workers)}
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is not None and thread is not threading.current_thread() and thread not in resting:
            yield thread, frame


# -- whose it is -------------------------------------------------------------------------------------


def _whose(app: App, stack: Sequence[Place]) -> str:
    return culprit(stack, None, app.registry).plugin or "nobody that is known"


def _where(app: App, stack: Sequence[Place]) -> str:
    return f"at {culprit(stack, None, app.registry).at or 'a place that Python does not tell'}"
