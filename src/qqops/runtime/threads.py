"""Threads of plain `def` handlers: a few for each plugin, known by name until they end."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

if TYPE_CHECKING:
    from qqops.runtime.hops import Hops
    from qqops.runtime.registry import Handler


class InThread(Protocol):
    """Runs a blocking call in a thread; `trio.to_thread.run_sync`, or what a test puts in its place."""

    async def __call__(
        self, call: Callable[[], Any], /, *, limiter: trio.CapacityLimiter, abandon_on_cancel: bool
    ) -> Any:
        """Return what *call* returns."""

    def waiting(self) -> AbstractContextManager[None]:
        """Entered while a thread does nothing, because it waits for something here."""


class WorkerThreads:
    """Trio's worker threads."""

    async def __call__(
        self, call: Callable[[], Any], /, *, limiter: trio.CapacityLimiter, abandon_on_cancel: bool
    ) -> Any:
        """Run *call* in one of them."""
        return await trio.to_thread.run_sync(call, limiter=limiter, abandon_on_cancel=abandon_on_cancel)

    def waiting(self) -> AbstractContextManager[None]:
        """Nothing is to be done."""
        return contextlib.nullcontext()


in_thread = WorkerThreads()


@attrs.define(eq=False)
class _Busy:
    """A thread that works for a handler.

    Attributes:
        thread: Its number; None until it has begun.
        left: Whether nobody waits for it any more.
    """

    handler: Handler
    thread: int | None = None
    left: bool = False

    def __str__(self) -> str:
        frame = sys._current_frames().get(self.thread) if self.thread is not None else None
        at = f", now at {frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""
        return f"a thread of {self.handler.key} ({self.handler.where}{at})"


class Threads:
    """The threads of one bot.

    A thread cannot be killed. On a deadline or at the end it is left to itself and keeps its place, so that a plugin that
    hangs starves only itself.

    Args:
        run: Runs a call in a thread.
        most: Threads of one plugin at the same time.
    """

    def __init__(self, run: InThread, most: int) -> None:
        self._run = run
        self._most = most
        self._limiters: dict[str, trio.CapacityLimiter] = {}
        self._busy: dict[int, _Busy] = {}
        self._numbers = itertools.count()
        self._ended = trio.Event()

    async def call(self, handler: Handler, call: Callable[[], Any], hops: Hops | None) -> Any:
        """Return what *call* returns.

        Args:
            hops: Where the thread calls back to.

        Cancellation: the thread goes on by itself.
        """
        number, busy = next(self._numbers), _Busy(handler)
        token = trio.lowlevel.current_trio_token()

        def work() -> Any:
            busy.thread = threading.get_ident()
            self._busy[number] = busy  # one operation: no lock is needed
            try:
                return call()
            finally:
                del self._busy[number]
                if busy.left:
                    with contextlib.suppress(trio.RunFinishedError):
                        token.run_sync_soon(self._tell)

        limiter = self._limiters.get(handler.plugin)
        if limiter is None:
            limiter = self._limiters[handler.plugin] = trio.CapacityLimiter(self._most)
        try:
            if hops is None:
                return await self._run(work, limiter=limiter, abandon_on_cancel=True)
            async with hops.open(self._run.waiting):
                return await self._run(work, limiter=limiter, abandon_on_cancel=True)
        finally:
            busy.left = True

    def _tell(self) -> None:
        """Let those look who wait for threads to end; which event they wait for is known here only, not in a thread."""
        self._ended.set()

    def begin_anew(self, plugin: str) -> None:
        """Give *plugin* all its places again: its code is reloaded, and what hangs is the old copy's."""
        self._limiters.pop(plugin, None)

    async def gone(self, plugin: str) -> None:
        """Wait until the threads of *plugin* that nobody waits for have ended."""
        while self.of(plugin):
            if self._ended.is_set():
                self._ended = trio.Event()
            await self._ended.wait()

    def of(self, plugin: str) -> list[str]:
        """Return the threads of *plugin* that nobody waits for and that have not ended, and where they stand."""
        return [str(one) for one in list(self._busy.values()) if one.left and one.handler.plugin == plugin]
