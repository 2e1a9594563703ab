"""Which part of which message goes next, and when. Pure: it knows no clock and does no I/O.

A queue per room, at most one part of a room out at a time, rooms in turn. A part that is *out* is with the session,
which may have to prepare it (upload a picture, look up a room); it is *on the wire* from `SendQueue.take_off` on. Only
what is on the wire counts for the account's own limits, so that a slow preparation holds up its own room and no other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator

from qqops.model import Pace, RoomRef, Scope
from qqops.runtime.entry import Entry

#: Least and most seconds for which a `Later` holds something up. The queue asks again in between: an adapter that says
#: "in ten years" is as likely to be wrong as one that says "at once" for ever.
MIN_PAUSE, MAX_PAUSE = 0.1, 300.0
_NEVER = float("inf")


class _Room:
    """The queue of one room.

    Attributes:
        out: What is with the session; it is no longer in `waiting`.
        until: When the room has rested, or its pause is over.
        resting: Whether it stands in the heap of those that rest.
    """

    __slots__ = ("out", "ref", "resting", "until", "waiting")

    def __init__(self, ref: RoomRef) -> None:
        self.ref = ref
        self.waiting: deque[Entry] = deque()
        self.out: Entry | None = None
        self.until = float("-inf")
        self.resting = False


class SendQueue:
    """What one account has to send.

    Args:
        jitter: Returns a factor for the gap of a room.

    Attributes:
        pace: How fast the account may send; may be replaced at any time.
        pause_until: Moment until which nothing of the account goes on the wire.
        out: How many entries are with the session.
        flying: How many of these are on the wire.
    """

    def __init__(self, pace: Pace, jitter: Callable[[], float] = lambda: 1.0) -> None:
        self.pace = pace
        self._jitter = jitter
        self._rooms: dict[RoomRef, _Room] = {}
        self._ready: list[
            _Room
        ] = []  # an empty deque is ten times as large, and thousands of accounts are idle
        self._resting: list[tuple[float, int, _Room]] = []
        self._ages: list[tuple[float, int, Entry]] = []
        self._turns = 0
        self._waiting = 0
        self._free_at = float("-inf")
        self.pause_until = float("-inf")
        self.out = self.flying = 0

    def __len__(self) -> int:
        """Return how many messages wait; those that are out do not count."""
        return self._waiting

    def entries(self) -> Iterator[Entry]:
        """Yield every message that waits or is out."""
        return (entry for _, _, entry in self._ages if entry.outcome is None)

    # -- in and out -----------------------------------------------------------------------------

    def add(self, entry: Entry) -> None:
        """Queue *entry* behind the others of its room."""
        room = self._rooms.get(entry.draft.room)
        if room is None:
            room = self._rooms[entry.draft.room] = _Room(entry.draft.room)
        room.waiting.append(entry)
        self._waiting += 1
        if len(room.waiting) == 1:
            self._offer(room)
        if len(self._ages) > 64 + 2 * (self._waiting + self.out):
            self._ages = [one for one in self._ages if one[2].outcome is None]
            heapq.heapify(self._ages)
        self._turns += 1
        heapq.heappush(self._ages, (entry.expires, self._turns, entry))

    def next_part(self, now: float, most: int) -> Entry | float | None:
        """Take the entry whose part is next.

        Args:
            most: How many may be out at the same time.

        Returns:
            The entry; or the moment at which one may be taken; or None when that depends on what comes in or back.
        """
        while self._resting and self._resting[0][0] <= now:
            room = heapq.heappop(self._resting)[2]
            room.resting = False
            if room.waiting:
                self._offer(room)
            else:
                self._forget(room)
        if not self._waiting or self.out >= most:
            return None
        if now < self.pause_until:
            return self.pause_until
        if not self._ready:
            return self._resting[0][0] if self._resting else None
        room = self._ready.pop(0)
        entry = room.out = room.waiting.popleft()
        self._waiting -= 1
        self.out += 1
        entry.out = True
        return entry

    def wire_at(self, now: float) -> float:
        """Return when the next part may go on the wire: at most *now* for at once, infinity when another must land."""
        if self.flying >= self.pace.in_flight:
            return _NEVER
        return max(now, self._free_at, self.pause_until)

    def take_off(self, entry: Entry, now: float) -> None:
        """Note that a part of *entry* goes on the wire."""
        self.flying += 1
        entry.flying = True
        self._free_at = now + self.pace.gap

    def landed(self, entry: Entry, now: float, *, done: bool) -> None:
        """Note that it is known how the part of *entry* went; unless it is *done* its next part is next in its room."""
        flew = entry.flying
        room = self._back(entry)
        if not done:
            room.waiting.appendleft(entry)
            self._waiting += 1
        if flew:
            self._free_at = max(self._free_at, now + self.pace.gap)
            if self.pace.room_gap > 0:
                room.until = max(room.until, now + self.pace.room_gap * self._jitter())
        self._go_on(room, now)

    def put_back(self, entry: Entry) -> None:
        """Note that the part of *entry* has not left: it is the next one of its room, and its room the next one."""
        room = self._back(entry)
        room.waiting.appendleft(entry)
        self._waiting += 1
        self._ready.insert(0, room)

    def later(self, entry: Entry, now: float, seconds: float, scope: Scope) -> None:
        """Note that the part of *entry* cannot go before *seconds* from now, and no other of its room or account."""
        until = now + min(max(seconds, MIN_PAUSE), MAX_PAUSE)
        room = self._back(entry)
        room.waiting.appendleft(entry)
        self._waiting += 1
        if scope is Scope.ACCOUNT:
            self.pause_until = max(self.pause_until, until)
        else:
            room.until = max(room.until, until)
        self._go_on(room, now)

    # -- age ------------------------------------------------------------------------------------

    def expires_at(self) -> float:
        """Return when the next entry may be too old; infinity when there is none."""
        while self._ages and self._ages[0][2].outcome is not None:
            heapq.heappop(self._ages)
        return self._ages[0][0] if self._ages else _NEVER

    def expire(self, now: float) -> tuple[list[Entry], list[Entry]]:
        """Take out what waits and is too old at *now*; also return what is too old and out, but not on the wire.

        What is on the wire stays: whether it went is worth more than its age.
        """
        old, late = [], []
        while self._ages and self._ages[0][0] <= now:
            entry = heapq.heappop(self._ages)[2]
            if entry.out:
                if not entry.flying:
                    late.append(entry)
            elif entry.outcome is None:
                old.append(entry)
        if old:
            self._remove(set(old))
        return old, late

    def clear(self) -> list[Entry]:
        """Take out and return everything that waits, in the order of each room."""
        every = [entry for room in self._rooms.values() for entry in room.waiting]
        self._remove(set(every))
        return every

    # -- rooms ----------------------------------------------------------------------------------

    def _offer(self, room: _Room) -> None:
        if room.out is None and not room.resting:
            self._ready.append(room)

    def _back(self, entry: Entry) -> _Room:
        self.out -= 1
        self.flying -= entry.flying
        entry.out = entry.flying = False
        room = self._rooms[entry.draft.room]
        room.out = None
        return room

    def _go_on(self, room: _Room, now: float) -> None:
        if room.until > now:
            self._rest(room)
        elif room.waiting:
            self._ready.append(room)
        else:
            self._forget(room)

    def _rest(self, room: _Room) -> None:
        self._turns += 1
        room.resting = True
        heapq.heappush(self._resting, (room.until, self._turns, room))

    def _forget(self, room: _Room) -> None:
        if room.out is None and not room.waiting and not room.resting:
            self._rooms.pop(room.ref, None)

    def _remove(self, gone: set[Entry]) -> None:
        self._waiting -= len(gone)
        for ref in {entry.draft.room for entry in gone}:
            room = self._rooms[ref]
            room.waiting = deque(entry for entry in room.waiting if entry not in gone)
            if not room.waiting and room in self._ready:
                self._ready.remove(room)
            self._forget(room)
