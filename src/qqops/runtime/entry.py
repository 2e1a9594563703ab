"""A message in the outbox."""

from __future__ import annotations

import attrs
import trio

from qqops.model import Capabilities, Draft, Outcome


@attrs.define(eq=False)
class Entry:
    """One message in the outbox.

    Attributes:
        parts: What it is split into; never empty.
        expires: When it has waited too long, on trio's clock.
        queued: When it came.
        can: What its parts were made for.
        outcomes: How the parts went that were tried, in order.
        outcome: How the whole message went, once that is known.
        out: Whether it is with a session.
        flying: Whether a part of it is on the wire.
        held: What it waits for, if the adapter has said so.
        row: Where the journal keeps it; 0 for nowhere.
        done: Set with the outcome; only who waits makes it.
    """

    draft: Draft
    parts: list[Draft]
    expires: float
    plugin: str = ""
    message: str = ""
    outcomes: list[Outcome] = attrs.field(factory=list)
    outcome: Outcome | None = None
    out: bool = False
    flying: bool = False
    held: str = ""
    row: int = 0
    done: trio.Event | None = None
    can: Capabilities | None = None
    queued: float = 0.0

    @property
    def part(self) -> Draft:
        """The part that is next."""
        return self.parts[len(self.outcomes)]

    def finish(self, outcome: Outcome) -> None:
        """Note *outcome* and tell who waits."""
        self.outcome = outcome
        if self.done is not None:
            self.done.set()

    async def wait(self) -> Outcome:
        """Wait for the outcome."""
        while self.outcome is None:
            if self.done is None:
                self.done = trio.Event()
            await self.done.wait()
        return self.outcome
