"""What one account has to send: in order within a room, at its pace, with an outcome for each message.

The queue outlives the session. A message is `refused` when the queue is full or it has waited too long, `partial` when
only some of its parts went, and `unknown` when the connection broke while it was on the wire; what is unknown is never
sent again. `qqops.runtime.sendqueue` decides what goes when, `qqops.runtime.carry` brings it to a session.
"""

from __future__ import annotations

import random

import attrs
import structlog
import trio

from qqops.adapters.base import Poster, Sender
from qqops.model import AccountRef, Delivery, Draft, Later, Limits, Outcome, combine
from qqops.runtime.alarms import Alarm, Alarms
from qqops.runtime.carry import Carrier, Session, Streamer
from qqops.runtime.entry import Entry
from qqops.runtime.journal import Journal, Unsent
from qqops.runtime.observe import Observers, Sent
from qqops.runtime.outgoing import Chain
from qqops.runtime.pacing import split_draft
from qqops.runtime.sendqueue import SendQueue
from qqops.runtime.tally import Tally

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


class Outbox:
    """The queue of one account. Owner of the order and the pace, not of the connection.

    Args:
        alarms: What wakes the outbox when a message has become too old, whether or not there is a session.

    Attributes:
        tally: How the sends to each room went.
        journal: Where what waits is noted, if anywhere.
        queue: What waits, and what is with the session.
        landing: Set when something is on the wire no longer.
    """

    def __init__(
        self,
        account: AccountRef,
        limits: Limits,
        policy: OutboxPolicy,
        observers: Observers,
        alarms: Alarms,
        journal: Journal | None = None,
        rng: random.Random | None = None,
        chain: Chain | None = None,
    ) -> None:
        self.account = account
        self.journal = journal
        self.tally = Tally()
        self._chain = chain if chain is not None else Chain()
        self._policy = policy
        self._observers = observers
        self._alarms = alarms
        self._alarm: Alarm | None = None
        self._alarm_at = float("inf")
        dice = (rng or random.Random()).uniform
        self.queue = SendQueue(limits, lambda: dice(1.0, 1.0 + limits.jitter))
        self.landing = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._session: Session | None = None
        self._closed = ""

    def __len__(self) -> int:
        return len(self.queue) + len(self.queue.out)

    # -- in -------------------------------------------------------------------------------------

    def put(self, draft: Draft, *, plugin: str = "", message: str = "") -> Entry:
        """Queue *draft* and return its entry; a full or closed outbox answers with `refused` at once."""
        draft, held = self._chain.through(draft)
        expires = trio.current_time() + self._policy.max_age
        entry = Entry(draft, split_draft(draft, self.queue.limits), expires, plugin, message)
        if self._closed or held:
            self.finish(entry, Outcome(delivery=Delivery.REFUSED, reason=held or self._closed))
        elif len(self.queue) >= self._policy.size:
            reason = f"{len(self.queue)} messages are waiting already"
            self.finish(entry, Outcome(delivery=Delivery.REFUSED, reason=reason))
        else:
            if self.journal is not None:
                entry.row = self.journal.queued(self.account, draft, plugin, message)
            self._append(entry)
        return entry

    def _append(self, entry: Entry) -> None:
        if self._idle.is_set():
            self._idle = trio.Event()
        self.queue.add(entry)
        if entry.expires < self._alarm_at:
            self._set_alarm(entry.expires)
        self.go_on()

    def go_on(self) -> None:
        """Let the session take what may go now."""
        if self._session is not None:
            self._session.go_on()

    def resume(self, one: Unsent) -> None:
        """Go on with a message that an earlier run has left; what was on the wire is reported, not repeated."""
        left = self._policy.max_age - max(one.age, 0.0)
        parts = split_draft(one.draft, self.queue.limits)
        entry = Entry(one.draft, parts, trio.current_time() + left, one.plugin, one.message)
        entry.row = one.row
        entry.outcomes = [Outcome(delivery=Delivery.ACCEPTED)] * min(one.done, len(parts))
        if one.flying:
            reason = "the bot was killed while it was on the wire"
            entry.outcomes.append(Outcome(delivery=Delivery.UNKNOWN, reason=reason))
            self.finish(entry, combine(entry.outcomes, len(parts)))
        elif len(entry.outcomes) == len(parts):
            self.finish(entry, combine(entry.outcomes, len(parts)))
        elif self._closed:
            self._refuse(entry, self._closed)
        else:
            self._append(entry)

    async def send(self, draft: Draft, *, plugin: str = "", message: str = "") -> Outcome:
        """Queue *draft* and wait for its outcome, at most the age a message may have and the time of one send.

        Cancellation: the message stays queued.
        """
        return await self.put(draft, plugin=plugin, message=message).wait()

    # -- age ------------------------------------------------------------------------------------

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.off()
        self._alarm_at = at
        self._alarm = self._alarms.after(at - trio.current_time(), self._expire)

    def _expire(self) -> None:
        """Refuse what has waited too long, also the rest of a message whose first parts have gone out."""
        self._alarm, self._alarm_at = None, float("inf")
        old, late = self.queue.expire(trio.current_time())
        for entry in old:
            self._refuse_old(entry)
        for entry in late:
            if self._session is not None:
                self._session.cut(entry)
        self._note_idle()
        if (at := self.queue.expires_at()) != float("inf"):
            self._set_alarm(at)

    def _refuse_old(self, entry: Entry) -> None:
        why = entry.held or "the account was not online"
        self._refuse(entry, f"waited longer than {self._policy.max_age:g} s: {why}")

    def _refuse(self, entry: Entry, reason: str) -> None:
        """Give up the rest of *entry*."""
        entry.outcomes.append(Outcome(delivery=Delivery.REFUSED, reason=reason))
        self.finish(entry, combine(entry.outcomes, len(entry.parts)))

    # -- to the session -------------------------------------------------------------------------

    async def carry(self, send: Sender) -> None:
        """Hand each waiting part to *send* until cancelled. One session calls it, or `stream`, at a time."""
        await self._hold(Carrier(self, send))

    async def stream(self, post: Poster) -> None:
        """Hand each waiting part to *post* until cancelled."""
        await self._hold(Streamer(self, post))

    async def _hold(self, session: Session) -> None:
        if self.journal is not None:
            await self.journal.loaded.wait()
        self.queue.pause_until = float("-inf")  # it was said of a connection that is over
        self._session = session
        try:
            await session.run()
        finally:
            self._session = None

    def settle(self, entry: Entry, result: Outcome | Later | None) -> None:
        """Note how one part of *entry* went; None when it has not left and the session is over."""
        now, queue = trio.current_time(), self.queue
        if isinstance(result, Outcome):
            entry.outcomes.append(result)
            entry.held = ""
        elif result is not None:
            entry.held = result.reason
        if isinstance(result, Outcome) and (not result.ok or len(entry.outcomes) == len(entry.parts)):
            queue.landed(entry, now, done=True)
            self.finish(entry, combine(entry.outcomes, len(entry.parts)))
        elif entry.expires <= now:
            queue.landed(entry, now, done=True)
            self._refuse_old(entry)
        else:
            if self.journal is not None and entry.row:
                self.journal.landed(entry.row, len(entry.outcomes))
            if isinstance(result, Outcome):
                queue.landed(entry, now, done=False)
            elif result is not None:
                queue.later(entry, now, result.seconds, result.scope)
            else:
                queue.put_back(entry)
        self.landing.set()
        self._note_idle()
        self.go_on()

    # -- the end --------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Wait until everything that was queued has an outcome."""
        await self._idle.wait()

    def close(self, reason: str, *, keep: bool = False) -> None:
        """Refuse what still waits and all that comes; each with *reason*.

        Args:
            keep: Leave what waits in the journal, so that the next start sends it.
        """
        self._closed = reason
        for entry in self.queue.clear():
            if keep and entry.row:
                # No outcome yet, so nobody is told one; who waits is told that there will be none here.
                later = f"{reason}; the next start sends it"
                entry.finish(Outcome(delivery=Delivery.UNKNOWN, reason=later))
                log.info("kept for the next start", account=str(self.account), room=str(entry.draft.room))
            else:
                self._refuse(entry, reason)
        self._note_idle()

    def _note_idle(self) -> None:
        if not len(self):
            self._idle.set()

    def finish(self, entry: Entry, outcome: Outcome) -> None:
        """Note the outcome of *entry* and tell everybody."""
        entry.finish(outcome)
        self.tally.add(entry.draft.room, outcome.delivery)
        if entry.row and self.journal is not None:
            self.journal.sent(entry.row)
        if not outcome.ok:
            log.warning(
                _WORDS[outcome.delivery],
                account=str(self.account), room=str(entry.draft.room), plugin=entry.plugin,
                message=entry.message, reason=outcome.reason,
            )  # fmt: skip
        if self._observers:
            self._observers.tell(
                Sent(draft=entry.draft, outcome=outcome, plugin=entry.plugin, message=entry.message)
            )


_WORDS = {
    Delivery.REFUSED: "not sent",
    Delivery.PARTIAL: "only a part was sent",
    Delivery.UNKNOWN: "unknown whether it was sent",
}
