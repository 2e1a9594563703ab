"""What one account has to send: in order within a room, at its pace, with an outcome for each message.

The queue outlives the session. A message is `refused` when the queue is full or it has waited too long,
and `unknown` when the connection broke while it was on the wire; an `unknown` is never sent again.
A session takes one part after the other (`Outbox.carry`), or many at once, one of each room (`Outbox.stream`).
"""

from __future__ import annotations

import random
from collections.abc import Hashable

import attrs
import structlog
import trio

from qqops.adapters.base import Poster, Sender
from qqops.errors import AdapterError, NotSent
from qqops.model import AccountRef, Delivery, Draft, Limits, Outcome, combine
from qqops.runtime.entry import Entry, Flight
from qqops.runtime.journal import Journal, Unsent
from qqops.runtime.lanes import Lanes
from qqops.runtime.observe import Observers, Sent
from qqops.runtime.outgoing import Chain
from qqops.runtime.pacing import Spacing, split_draft
from qqops.runtime.tally import Tally

log = structlog.get_logger("qqops.outbox")

#: Seconds for which nothing is posted after the wire would not take it.
BLOCKED = 1.0


@attrs.frozen(kw_only=True)
class OutboxPolicy:
    """Bounds of an outbox.

    Attributes:
        size: Most messages that wait.
        max_age: Seconds a message may wait before it is refused.
    """

    size: int = 1000
    max_age: float = 300.0


class Outbox:
    """The queue of one account. Owner of the order and the pace, not of the connection.

    Attributes:
        tally: How the sends to each room went.
    """

    def __init__(
        self,
        account: AccountRef,
        limits: Limits,
        policy: OutboxPolicy,
        observers: Observers,
        journal: Journal | None = None,
        rng: random.Random | None = None,
        chain: Chain | None = None,
    ) -> None:
        self._chain = chain if chain is not None else Chain()
        self._journal = journal
        self.account = account
        self.tally = Tally()
        self._limits = limits
        self._policy = policy
        self._observers = observers
        dice = (rng or random.Random()).uniform
        self._lanes: Lanes[Entry] = Lanes(limits.room_gap, lambda: dice(1.0, 1.0 + limits.jitter))
        self._spacing = Spacing(limits.gap)
        self._paced = limits.gap > 0 or limits.room_gap > 0
        self._work = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._out = 0
        self._flights: set[Flight] = set()
        self._post: Poster | None = None
        self._blocked_until = float("-inf")
        self._most = 0
        self._closed = ""

    def __len__(self) -> int:
        return len(self._lanes) + self._out

    def put(self, draft: Draft, *, plugin: str = "", message: str = "") -> Entry:
        """Queue *draft* and return its entry; a full or closed outbox answers with `refused` at once."""
        now = trio.current_time()
        draft, held = self._chain.through(draft)
        parts = split_draft(draft, self._limits)
        entry = Entry(draft, parts, now + self._policy.max_age, plugin, message)
        if len(self._lanes) >= self._policy.size:
            self.expire(now)
        if self._closed or held:
            self._finish(entry, Outcome(delivery=Delivery.REFUSED, reason=held or self._closed))
        elif len(self._lanes) >= self._policy.size:
            reason = f"{len(self._lanes)} messages are waiting already"
            self._finish(entry, Outcome(delivery=Delivery.REFUSED, reason=reason))
        else:
            if self._journal is not None:
                entry.row = self._journal.queued(self.account, draft, plugin, message)
            self._append(entry, now)
        return entry

    def _append(self, entry: Entry, now: float) -> None:
        self._lanes.add(entry.draft.room, entry)
        if self._idle.is_set():
            self._idle = trio.Event()
        self._go_on(now)

    def _go_on(self, now: float) -> None:
        """Post what may go now, at once where nothing must be noted first; the session's task sees to the rest."""
        if self._post is None or self._journal is not None:
            self._work.set()
            return
        self._pump(now)
        if self._lanes and (self._paced or self._blocked_until > now):
            self._work.set()

    def resume(self, one: Unsent) -> None:
        """Go on with a message that an earlier run has left; what was on the wire is reported, not repeated."""
        left = self._policy.max_age - max(one.age, 0.0)
        entry = Entry(
            one.draft,
            split_draft(one.draft, self._limits),
            trio.current_time() + left,
            one.plugin,
            one.message,
        )
        entry.row = one.row
        entry.outcomes = [Outcome(delivery=Delivery.ACCEPTED)] * min(one.done, len(entry.parts))
        if one.flying:
            reason = "the bot was killed while it was on the wire"
            entry.outcomes.append(Outcome(delivery=Delivery.UNKNOWN, reason=reason))
            self._finish(entry, combine(entry.outcomes))
        elif len(entry.outcomes) == len(entry.parts):
            self._finish(entry, combine(entry.outcomes))
        else:
            self._append(entry, trio.current_time())

    async def send(self, draft: Draft, *, plugin: str = "", message: str = "") -> Outcome:
        """Queue *draft* and wait for its outcome, at most the age a message may have.

        Cancellation: the message stays queued.
        """
        entry = self.put(draft, plugin=plugin, message=message)
        while entry.outcome is None:
            if entry.out:  # the adapter's deadline holds
                await entry.wait()
                continue
            with trio.move_on_at(entry.expires):
                await entry.wait()
            self.expire(trio.current_time())
        return entry.outcome

    def expire(self, now: float) -> None:
        """Refuse what has waited too long, also the rest of a message whose first parts have gone out."""
        for entry in self._lanes.remove(lambda entry: entry.expires <= now):
            self._finish_late(entry)
        self._note_idle()

    def _finish_late(self, entry: Entry) -> None:
        reason = f"waited longer than {self._policy.max_age:g} s for the connection"
        gone = f"; {len(entry.outcomes)} of {len(entry.parts)} parts were sent" if entry.outcomes else ""
        refused = Outcome(delivery=Delivery.REFUSED, reason=reason + gone)
        self._finish(entry, combine([*entry.outcomes, refused]))

    def _next(self, now: float) -> tuple[Hashable, Entry] | None:
        """Take the next entry whose turn it is; those that have waited too long are refused."""
        while (found := self._lanes.next(now)) is not None:
            key, entry = found
            if entry.expires > now:
                entry.out = True
                return key, entry
            self._lanes.back(key, None, now, sent=False)
            self._finish_late(entry)
            self._note_idle()
        return None

    # -- one after the other --------------------------------------------------------------------

    async def carry(self, send: Sender) -> None:
        """Hand each waiting part to *send* until cancelled. One session calls it at a time."""
        if self._journal is not None:
            await self._journal.loaded.wait()
        while True:
            if not self._lanes:
                self._work = trio.Event()
                await self._work.wait()
            await trio.sleep(self._spacing.delay(trio.current_time()))
            now = trio.current_time()
            found = self._next(now)
            if found is not None:
                await self._carry_one(*found, send)
            elif self._lanes:
                self._work = trio.Event()
                with trio.move_on_after(self._lanes.pause(now)):
                    await self._work.wait()

    async def _carry_one(self, key: Hashable, entry: Entry, send: Sender) -> None:
        part = entry.parts[len(entry.outcomes)]
        outcome: Outcome | None = None
        on_wire = False

        def started() -> None:
            nonlocal on_wire
            on_wire = True

        self._out += 1
        try:
            if self._journal is not None and entry.row:
                await self._journal.flying([entry.row])
            outcome = await send(part, started)
        except NotSent:
            on_wire = False
            raise
        except AdapterError as exc:
            outcome = Outcome(delivery=Delivery.UNKNOWN, reason=str(exc))
            raise
        finally:
            # Also when cancelled: what was on the wire has an outcome before the session is gone, and what
            # was not is the first thing that the next session sends.
            if outcome is None and on_wire:
                outcome = Outcome(delivery=Delivery.UNKNOWN, reason="the connection broke while sending")
            self._settle(key, entry, outcome)

    # -- many at once ---------------------------------------------------------------------------

    async def stream(self, post: Poster, *, most: int) -> None:
        """Hand waiting parts to *post* until cancelled, at most *most* at once and one of each room.

        What is under way when it ends was sent or not, as *post* says: the next session sends what has not left.
        """
        if self._journal is not None:
            await self._journal.loaded.wait()
        self._post, self._most, self._blocked_until = post, most, float("-inf")
        try:
            while True:
                self._work = trio.Event()
                if self._journal is not None:
                    await self._pump_noted(self._journal, post)
                else:
                    self._pump(trio.current_time())
                now = trio.current_time()
                with trio.move_on_after(min(self._lanes.pause(now), self._delay(now) or float("inf"))):
                    await self._work.wait()
        finally:
            self._post = None
            for flight in list(self._flights):
                left = flight.has_left is not None and flight.has_left()
                reason = "the connection broke while sending"
                self._landed(flight, Outcome(delivery=Delivery.UNKNOWN, reason=reason) if left else None)

    def _delay(self, now: float) -> float:
        return max(self._spacing.delay(now), self._blocked_until - now)

    def _pump(self, now: float) -> None:
        """Post what may go at this moment."""
        post = self._post
        while self._lanes and post is not None and self._out < self._most and self._delay(now) <= 0:
            found = self._next(now)
            if found is None or not self._take_off(*found, post):
                return

    async def _pump_noted(self, journal: Journal, post: Poster) -> None:
        """Post what may go at this moment, once it is on the disk that it goes."""
        now = trio.current_time()
        batch: list[tuple[Hashable, Entry]] = []
        while self._out + len(batch) < self._most and not (batch and self._limits.gap):
            if self._delay(now) or (found := self._next(now)) is None:
                break
            batch.append(found)
        if not batch:
            return
        self._out += len(batch)
        noted = False
        try:
            await journal.flying([entry.row for _, entry in batch if entry.row])
            noted = True
        finally:
            self._out -= len(batch)
            for key, entry in batch:
                if noted:
                    self._take_off(key, entry, post)
                else:
                    self._out += 1
                    self._settle(key, entry, None)
        self._work.set()

    def _take_off(self, key: Hashable, entry: Entry, post: Poster) -> bool:
        """Post one part; return whether that was possible. One that cannot go is back in the queue."""
        flight = Flight(self._landed, key, entry)
        self._out += 1
        self._flights.add(flight)
        try:
            flight.has_left = post(entry.parts[len(entry.outcomes)], flight.settle)
        except NotSent:
            # It is closing, or does not read. Whoever waits next in line would hear the same.
            self._blocked_until = trio.current_time() + BLOCKED
            self._landed(flight, None)
            return False
        except Exception as exc:
            log.exception("a message cannot be put on the wire", account=str(self.account))
            reason = f"it cannot be put on the wire: {exc}"
            self._landed(flight, Outcome(delivery=Delivery.REFUSED, reason=reason))
            return False
        if self._paced:
            self._spacing.sent(trio.current_time())
        return True

    def _landed(self, flight: Flight, outcome: Outcome | None) -> None:
        flight.over = True
        self._flights.discard(flight)
        self._settle(flight.key, flight.entry, outcome)
        if self._post is not None and self._lanes:
            self._go_on(trio.current_time())

    # -- what follows ---------------------------------------------------------------------------

    def _settle(self, key: Hashable, entry: Entry, outcome: Outcome | None) -> None:
        """Note how one part went; None when it has not left."""
        self._out -= 1
        now = trio.current_time() if self._paced else 0.0
        if outcome is None:
            self._note_landed(entry)
            self._lanes.back(key, entry, now, sent=False)
            entry.back()
            return
        if self._paced:
            self._spacing.sent(now)
        entry.outcomes.append(outcome)
        if not outcome.ok or len(entry.outcomes) == len(entry.parts):
            self._lanes.back(key, None, now, sent=True)
            self._finish(entry, outcome if len(entry.outcomes) == 1 else combine(entry.outcomes))
        else:
            self._note_landed(entry)
            self._lanes.back(key, entry, now, sent=True)
            entry.back()
        self._note_idle()

    def _note_landed(self, entry: Entry) -> None:
        if self._journal is not None and entry.row:
            self._journal.landed(entry.row, len(entry.outcomes))

    async def drain(self) -> None:
        """Wait until everything that was queued has an outcome."""
        await self._idle.wait()

    def close(self, reason: str, *, keep: bool = False) -> None:
        """Refuse what still waits and all that comes; each with *reason*.

        Args:
            keep: Leave what waits in the journal, so that the next start sends it.
        """
        self._closed = reason
        for entry in self._lanes.remove(lambda entry: True):
            if keep and entry.row:
                # No outcome yet, so nobody is told one; who waits is told that there will be none here.
                later = f"{reason}; the next start sends it"
                entry.outcome = Outcome(delivery=Delivery.UNKNOWN, reason=later)
                if entry.done is not None:
                    entry.done.set()
                log.info("kept for the next start", account=str(self.account), room=str(entry.draft.room))
            else:
                self._finish(entry, Outcome(delivery=Delivery.REFUSED, reason=reason))
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._lanes and not self._out:
            self._idle.set()

    def _finish(self, entry: Entry, outcome: Outcome) -> None:
        entry.outcome = outcome
        self.tally.add(entry.draft.room, outcome.delivery)
        if entry.row and self._journal is not None:
            self._journal.sent(entry.row)
        if entry.done is not None:
            entry.done.set()
        if not outcome.ok:
            log.warning(
                "not sent" if outcome.delivery is Delivery.REFUSED else "unknown whether it was sent",
                account=str(self.account), room=str(entry.draft.room), plugin=entry.plugin,
                message=entry.message, reason=outcome.reason,
            )  # fmt: skip
        if self._observers:
            self._observers.tell(
                Sent(draft=entry.draft, outcome=outcome, plugin=entry.plugin, message=entry.message)
            )
