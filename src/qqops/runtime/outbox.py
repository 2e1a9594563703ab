"""What one account has to send: in order, at its pace, with an outcome for each message.

The queue outlives the session. A message is `refused` when the queue is full or it has waited too long,
and `unknown` when the connection broke while it was on the wire; an `unknown` is never sent again.
"""

from __future__ import annotations

from collections import deque

import attrs
import structlog
import trio

from qqops.adapters.base import Sender
from qqops.errors import AdapterError, NotSent
from qqops.model import AccountRef, Delivery, Draft, Limits, Outcome, combine
from qqops.runtime.journal import Journal, Unsent
from qqops.runtime.observe import Observers, Sent
from qqops.runtime.pacing import Spacing, split_draft

log = structlog.get_logger("qqops.outbox")


@attrs.frozen(kw_only=True)
class OutboxPolicy:
    """Bounds of an outbox.

    Attributes:
        size: Most messages that wait.
        max_age: Seconds a message may wait before it is refused.
    """

    size: int = 1000
    max_age: float = 300.0


@attrs.define(eq=False)
class Entry:
    """One message in the outbox.

    Attributes:
        row: Where the journal keeps it; 0 for nowhere.
    """

    draft: Draft
    parts: list[Draft]
    expires: float
    plugin: str = ""
    message: str = ""
    outcomes: list[Outcome] = attrs.field(factory=list)
    outcome: Outcome | None = None
    done: trio.Event = attrs.field(factory=trio.Event)
    row: int = 0


class Outbox:
    """The queue of one account. Owner of the order and the pace, not of the connection."""

    def __init__(
        self,
        account: AccountRef,
        limits: Limits,
        policy: OutboxPolicy,
        observers: Observers,
        journal: Journal | None = None,
    ) -> None:
        self._journal = journal
        self.account = account
        self._limits = limits
        self._policy = policy
        self._observers = observers
        self._queue: deque[Entry] = deque()
        self._spacing = Spacing(limits.gap)
        self._work = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._flying = False
        self._closed = ""

    def __len__(self) -> int:
        return len(self._queue) + self._flying

    def put(self, draft: Draft, *, plugin: str = "", message: str = "") -> Entry:
        """Queue *draft* and return its entry; a full or closed outbox answers with `refused` at once."""
        now = trio.current_time()
        self.expire(now)
        parts = split_draft(draft, self._limits)
        entry = Entry(draft, parts, now + self._policy.max_age, plugin, message)
        if self._closed:
            self._finish(entry, Outcome(delivery=Delivery.REFUSED, reason=self._closed))
        elif len(self._queue) >= self._policy.size:
            reason = f"{len(self._queue)} messages are waiting already"
            self._finish(entry, Outcome(delivery=Delivery.REFUSED, reason=reason))
        else:
            if self._journal is not None:
                entry.row = self._journal.queued(self.account, draft, plugin, message)
            self._append(entry)
        return entry

    def _append(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._work.set()
        self._idle = self._idle if not self._idle.is_set() else trio.Event()

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
            self._append(entry)

    async def send(self, draft: Draft, *, plugin: str = "", message: str = "") -> Outcome:
        """Queue *draft* and wait for its outcome, at most the age a message may have.

        Cancellation: the message stays queued.
        """
        entry = self.put(draft, plugin=plugin, message=message)
        while entry.outcome is None:
            with trio.move_on_at(entry.expires):
                await entry.done.wait()
            if entry.outcome is None:
                self.expire(trio.current_time())
                if entry.outcome is None:  # on the wire at this very moment: the adapter's deadline holds
                    await entry.done.wait()
        return entry.outcome

    def expire(self, now: float) -> None:
        """Refuse what has waited too long, also the rest of a message whose first parts have gone out."""
        reason = f"waited longer than {self._policy.max_age:g} s for the connection"
        for entry in [entry for entry in self._queue if entry.expires <= now]:
            self._queue.remove(entry)
            gone = f"; {len(entry.outcomes)} of {len(entry.parts)} parts were sent" if entry.outcomes else ""
            refused = Outcome(delivery=Delivery.REFUSED, reason=reason + gone)
            self._finish(entry, combine([*entry.outcomes, refused]))
        self._note_idle()

    async def carry(self, send: Sender) -> None:
        """Hand each waiting part to *send* until cancelled. One session calls it at a time."""
        if self._journal is not None:
            await self._journal.loaded.wait()
        while True:
            if not self._queue:
                self._work = trio.Event()
                await self._work.wait()
            await trio.sleep(self._spacing.delay(trio.current_time()))
            self.expire(trio.current_time())
            if self._queue:
                await self._carry_one(self._queue.popleft(), send)

    async def _carry_one(self, entry: Entry, send: Sender) -> None:
        part = entry.parts[len(entry.outcomes)]
        outcome: Outcome | None = None
        on_wire = False

        def started() -> None:
            nonlocal on_wire
            on_wire = True

        self._flying = True
        try:
            if self._journal is not None and entry.row:
                await self._journal.flying(entry.row)
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
            self._flying = False
            if outcome is None and on_wire:
                outcome = Outcome(delivery=Delivery.UNKNOWN, reason="the connection broke while sending")
            self._settle(entry, outcome)

    def _settle(self, entry: Entry, outcome: Outcome | None) -> None:
        """Note how one part went; None when it has not left."""
        if outcome is None:
            self._note_landed(entry)
            self._queue.appendleft(entry)
            return
        self._spacing.sent(trio.current_time())
        entry.outcomes.append(outcome)
        if not outcome.ok or len(entry.outcomes) == len(entry.parts):
            self._finish(entry, combine(entry.outcomes))
        else:
            self._note_landed(entry)
            self._queue.appendleft(entry)
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
        while self._queue:
            entry = self._queue.popleft()
            if keep and entry.row:
                # No outcome yet, so nobody is told one; who waits is told that there will be none here.
                later = f"{reason}; the next start sends it"
                entry.outcome = Outcome(delivery=Delivery.UNKNOWN, reason=later)
                entry.done.set()
                log.info("kept for the next start", account=str(self.account), room=str(entry.draft.room))
            else:
                self._finish(entry, Outcome(delivery=Delivery.REFUSED, reason=reason))
        self._note_idle()

    def _note_idle(self) -> None:
        if not self._queue and not self._flying:
            self._idle.set()

    def _finish(self, entry: Entry, outcome: Outcome) -> None:
        entry.outcome = outcome
        if entry.row and self._journal is not None:
            self._journal.sent(entry.row)
        entry.done.set()
        if not outcome.ok:
            log.warning(
                "not sent" if outcome.delivery is Delivery.REFUSED else "unknown whether it was sent",
                account=str(self.account), room=str(entry.draft.room), plugin=entry.plugin,
                message=entry.message, reason=outcome.reason,
            )  # fmt: skip
        self._observers.tell(
            Sent(draft=entry.draft, outcome=outcome, plugin=entry.plugin, message=entry.message)
        )
