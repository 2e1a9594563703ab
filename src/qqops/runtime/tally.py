"""How sends went, room by room: "taken, and nobody sees it" has no error, only numbers that an operator can look at."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from qqops.model import Delivery, RoomRef

#: Rooms that are counted; beyond that the one that was new first goes.
MAX_ROOMS = 10_000
_PLACE = {delivery: place for place, delivery in enumerate(Delivery)}


@attrs.frozen
class Sends:
    """The sends to one room since the start, or since the room was counted anew."""

    room: RoomRef
    delivered: int
    accepted: int
    partial: int
    unknown: int
    refused: int


class Tally:
    """Counts the sends of one account."""

    def __init__(self) -> None:
        self._rooms: dict[RoomRef, list[int]] = {}

    def add(self, room: RoomRef, delivery: Delivery) -> None:
        """Count a send to *room*."""
        counts = self._rooms.get(room)
        if counts is None:
            if len(self._rooms) >= MAX_ROOMS:
                del self._rooms[next(iter(self._rooms))]
            counts = self._rooms[room] = [0] * len(_PLACE)
        counts[_PLACE[delivery]] += 1

    def rooms(self) -> Sequence[Sends]:
        """Return the counts of every room, those with the most trouble first."""
        found = [Sends(room, *counts) for room, counts in self._rooms.items()]
        return sorted(
            found, key=lambda one: (-one.refused - one.unknown - one.partial, -one.delivered - one.accepted)
        )
