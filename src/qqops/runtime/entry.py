"""A message in the outbox, and one of its parts on its way."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs
import trio

from qqops.model import Draft, Outcome


@attrs.define(eq=False)
class Entry:
    """One message in the outbox.

    Attributes:
        row: Where the journal keeps it; 0 for nowhere.
        done: Set with the outcome, and when it comes back to the queue; only who waits makes it.
        out: Whether it is with the session at this moment.
    """

    draft: Draft
    parts: list[Draft]
    expires: float
    plugin: str = ""
    message: str = ""
    outcomes: list[Outcome] = attrs.field(factory=list)
    outcome: Outcome | None = None
    done: trio.Event | None = None
    row: int = 0
    out: bool = False

    def back(self) -> None:
        """Note that it waits in the queue again, where it can grow too old."""
        self.out = False
        if self.done is not None:
            self.done.set()
            self.done = None

    async def wait(self) -> None:
        """Wait for the outcome, or until it comes back to the queue."""
        if self.outcome is None:
            if self.done is None:
                self.done = trio.Event()
            await self.done.wait()


class Flight:
    """One part on its way, in a session that has many under way at once.

    Attributes:
        has_left: Tells whether it has left us; None while it is being posted.
        over: Whether it is known how it went, or the session has ended.
    """

    __slots__ = ("_landed", "entry", "has_left", "key", "over")

    def __init__(self, landed: Callable[[Flight, Outcome | None], None], key: Hashable, entry: Entry) -> None:
        self._landed = landed
        self.key = key
        self.entry = entry
        self.has_left: Callable[[], bool] | None = None
        self.over = False

    def settle(self, outcome: Outcome) -> None:
        """Note how it went. What comes after the session's end comes too late and changes nothing."""
        if not self.over:
            self._landed(self, outcome)
