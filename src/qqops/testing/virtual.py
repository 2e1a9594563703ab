"""Virtual time: sleeping costs nothing, and the wall clock moves with trio's own."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")

#: When virtual time begins: a Monday morning.
EPOCH = datetime.datetime(2026, 1, 5, 8, 0, tzinfo=datetime.UTC)


class VirtualClock:
    """A wall clock that shows `EPOCH` plus the seconds that trio's clock has run. It can be set, too."""

    def __init__(self, start: datetime.datetime = EPOCH) -> None:
        self._start = start
        self._origin: float | None = None

    def now(self) -> datetime.datetime:
        """Return the virtual moment; also in a thread."""
        try:
            now = trio.current_time()
        except RuntimeError:
            now = trio.from_thread.run_sync(trio.current_time)
        if self._origin is None:
            self._origin = now
        return self._start + datetime.timedelta(seconds=now - self._origin)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator or a suspended laptop does."""
        self._start += datetime.timedelta(seconds=seconds)


class HeldThreads:
    """Runs blocking calls in real threads and holds virtual time meanwhile.

    A thread knows nothing of virtual time; without this the clock would run past every deadline while it works.
    """

    def __init__(self) -> None:
        self._running = 0

    async def __call__(
        self, call: Callable[[], Any], /, *, limiter: trio.CapacityLimiter, abandon_on_cancel: bool
    ) -> Any:
        """Return what *call* returns."""
        self._hold(1)
        try:
            return await trio.to_thread.run_sync(call, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
        finally:
            self._hold(-1)

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Let virtual time run while a thread does nothing."""
        self._hold(-1)
        try:
            yield
        finally:
            self._hold(1)

    def _hold(self, more: int) -> None:
        self._running += more
        clock = trio.lowlevel.current_clock()
        if isinstance(clock, MockClock):
            clock.autojump_threshold = float("inf") if self._running else 0


def run_virtual(
    function: Callable[..., Awaitable[T]], *args: Any, clock: object = None, instruments: Sequence[Any] = ()
) -> T:
    """Run *function* on virtual time: when every task waits, the clock jumps to the next deadline."""
    return trio.run(function, *args, clock=MockClock(autojump_threshold=0), instruments=tuple(instruments))


def run_test(function: Callable[..., Awaitable[T]], *args: Any, **more: Any) -> T:
    """Do the same for pytest-trio, which runs a test in a nursery: what the test raises comes out as it was raised."""
    __tracebackhide__ = True
    try:
        return run_virtual(function, *args, **more)
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        failure = group.exceptions[0]
    raise failure  # out here, where it gets no context that it did not have
