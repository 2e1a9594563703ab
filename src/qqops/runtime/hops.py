"""From the thread of a plain `def` handler back to where the bot runs.

Nothing of the bot may be touched from another thread. What such a handler gets stands for the bot's own objects: each
call of a method runs in the run that the thread works for, and ends with it.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager
from typing import Any

import trio

from qqops.errors import RunEnded
from qqops.runtime.border import ANYTHING

_Reply = queue.SimpleQueue[tuple[bool, Any]]


class Hops:
    """Takes calls out of one thread into one run."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None
        self._open: set[_Reply] = set()

    @contextlib.asynccontextmanager
    async def open(self, waiting: Callable[[], AbstractContextManager[None]]) -> AsyncGenerator[None]:
        """Take calls until the block ends; then those that are under way, and all later ones, raise `RunEnded`.

        Args:
            waiting: Entered while a call is under way, as the thread does nothing then.
        """
        self._token = trio.lowlevel.current_trio_token()
        self._home = threading.get_ident()
        self._context = contextvars.copy_context()
        self._waiting = waiting
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                try:
                    yield
                finally:
                    self._nursery = (
                        None  # at once: a nursery that is being left takes nothing, and must not be asked
                    )
                nursery.cancel_scope.cancel(reason="the thread has ended")
        finally:
            for reply in self._open:
                reply.put((False, RunEnded()))

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return what *function* returns, or what comes of awaiting it; also from within the bot's own thread.

        Raises:
            RunEnded: The run has ended.
        """
        if threading.get_ident() == self._home:
            return function(*args, **kwargs)
        reply: _Reply = queue.SimpleQueue()
        try:
            self._token.run_sync_soon(self._take, functools.partial(function, *args, **kwargs), reply)
        except trio.RunFinishedError:
            raise RunEnded from None
        fine, value = reply.get()
        if fine:
            return value
        raise value

    def _take(self, call: Callable[[], Any], reply: _Reply) -> None:
        if self._nursery is None:
            reply.put((False, RunEnded()))
            return
        self._open.add(reply)
        self._context.run(self._nursery.start_soon, self._serve, call, reply)

    async def _serve(self, call: Callable[[], Any], reply: _Reply) -> None:
        try:
            with self._waiting():
                value = call()
                if inspect.isawaitable(value):
                    value = await value
        except trio.Cancelled:
            reply.put((False, RunEnded()))
            raise
        except ANYTHING as exc:  # it is raised in the thread that has called
            reply.put((False, exc))
        else:
            reply.put((True, value))
        finally:
            self._open.discard(reply)


class Hopping:
    """Stands for an object of the bot in a thread: its methods hop, what they return is awaited."""

    def __init__(self, of: object, hops: Hops) -> None:
        self._of = of
        self._hops = hops

    def __repr__(self) -> str:
        return f"<{self._of!r} in a thread>"

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        return functools.partial(self._hops.call, value) if callable(value) else value
