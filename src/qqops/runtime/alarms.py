"""What shall happen when a moment has come: one task and one timer for all of it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

import trio


class Alarm:
    """Something that happens at a moment, unless it is switched off before."""

    __slots__ = ("ring",)

    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring: Callable[[], None] | None = ring

    def off(self) -> None:
        """Let nothing happen."""
        self.ring = None


class Alarms:
    """All alarms of a bot. What rings must be quick, and must not raise."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._scope = trio.CancelScope()

    def after(self, seconds: float, ring: Callable[[], None]) -> Alarm:
        """Call *ring* in *seconds*."""
        alarm = Alarm(ring)
        when = trio.current_time() + seconds
        heapq.heappush(self._heap, (when, next(self._numbers), alarm))
        if when < self._scope.deadline:
            self._scope.deadline = when
        return alarm

    async def run(self) -> None:
        """Ring until cancelled."""
        while True:
            with trio.CancelScope() as self._scope:
                self._scope.deadline = self._heap[0][0] if self._heap else math.inf
                await trio.sleep_forever()
            now = trio.current_time()
            while self._heap and (self._heap[0][0] <= now or self._heap[0][2].ring is None):
                ring = heapq.heappop(self._heap)[2].ring
                if ring is not None:
                    ring()
