"""What waits to be sent: in order within a room, rooms taking turns, each at its pace. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

E = TypeVar("E")


class Lanes(Generic[E]):
    """A queue per key. At most one entry of a key is out at any time; an entry that is out keeps its key busy.

    Args:
        gap: Seconds between two entries of one key.
        jitter: Returns a factor for each gap.
    """

    def __init__(self, gap: float = 0.0, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self._gap = gap
        self._jitter = jitter
        self._queues: dict[Hashable, deque[E]] = {}
        self._ready: deque[Hashable] = deque()
        self._busy: set[Hashable] = set()
        self._resting: list[tuple[float, int, Hashable]] = []
        self._at_rest: set[Hashable] = set()
        self._count = 0
        self._turns = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[E]:
        for queue in self._queues.values():
            yield from queue

    def add(self, key: Hashable, entry: E) -> None:
        """Queue *entry* behind the others of its key."""
        self._count += 1
        queue = self._queues.get(key)
        if queue is not None:
            queue.append(entry)
            return
        self._queues[key] = deque((entry,))
        self._offer(key)

    def _offer(self, key: Hashable) -> None:
        if key not in self._busy and key not in self._at_rest:
            self._ready.append(key)

    def next(self, now: float) -> tuple[Hashable, E] | None:
        """Take the next entry whose turn it is; None when nothing may go at this moment."""
        while self._resting and self._resting[0][0] <= now:
            _, _, key = heapq.heappop(self._resting)
            self._at_rest.discard(key)
            if key in self._queues:
                self._offer(key)
        if not self._ready:
            return None
        key = self._ready.popleft()
        queue = self._queues[key]
        entry = queue.popleft()
        if not queue:
            del self._queues[key]
        self._busy.add(key)
        self._count -= 1
        return key, entry

    def back(self, key: Hashable, entry: E | None, now: float, *, sent: bool) -> None:
        """Free *key* again; an *entry* that is not done goes to the front of its queue.

        Args:
            sent: Whether something was sent, so that the key rests for its gap.
        """
        self._busy.discard(key)
        if entry is not None:
            self._queues.setdefault(key, deque()).appendleft(entry)
            self._count += 1
        if sent and self._gap > 0:
            self._turns += 1
            until = now + self._gap * self._jitter()
            heapq.heappush(self._resting, (until, self._turns, key))
            self._at_rest.add(key)
        elif key in self._queues:
            self._ready.append(key)

    def remove(self, wanted: Callable[[E], bool]) -> list[E]:
        """Take out and return every waiting entry that is *wanted*."""
        found: list[E] = []
        for key, queue in list(self._queues.items()):
            out = [entry for entry in queue if wanted(entry)]
            if not out:
                continue
            found += out
            kept = deque(entry for entry in queue if not wanted(entry))
            if kept:
                self._queues[key] = kept
            else:
                del self._queues[key]
                if key in self._ready:
                    self._ready.remove(key)
        self._count -= len(found)
        return found

    def pause(self, now: float) -> float:
        """Return the seconds until a resting key may go again; infinity when none rests."""
        return max(self._resting[0][0] - now, 0.0) if self._resting else float("inf")
