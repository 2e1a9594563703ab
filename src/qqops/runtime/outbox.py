"""What one account has to send: in order within a room, at its pace, with an outcome for each message.

The queue outlives the session. A message is `refused` when the queue is full or it has waited too long, `partial` when
only some of its parts went, and `unknown` when the connection broke while it was on the wire; what is unknown is never
sent again. `qqops.runtime.sendqueue` decides what goes when, `qqops.runtime.carry` brings it to a session.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator

import attrs
import structlog
import trio

from qqops.adapters.base import Poster, Sender
from qqops.errors import Refuse
from qqops.model import (
    AccountRef,
    Capabilities,
    Delivery,
    Draft,
    Later,
    Outcome,
    Pace,
    RoomKind,
    RoomRef,
    combine,
    fit,
)
from qqops.model.allowed import Count, Pause
from qqops.runtime.alarms import Alarm, Alarms
from qqops.runtime.carry import Carrier, Streamer, Transport
from qqops.runtime.entry import Entry
from qqops.runtime.observe import Observers, Sent
from qqops.runtime.outgoing import Chain
from qqops.runtime.sendqueue import SendQueue
from qqops.runtime.storage.blobs import Blobs
from qqops.runtime.storage.journal import Journal, PendingSend
from qqops.runtime.tally import Tally

log = structlog.get_logger("qqops.outbox")


#: Why a message without anything to see is refused.
NOTHING = "there is nothing in it that can be sent: it is empty, or all blanks"


@attrs.frozen(kw_only=True)
class OutboxPolicy:
    """Bounds of an outbox.

    Attributes:
        size: Most messages that wait.
        max_age: Seconds a message may wait before it is refused.
    """

    size: Count = 1000
    max_age: Pause = 300.0


class Outbox:
    """The queue of one account. Owner of the order and the pace, not of the connection.

    Args:
        can: Returns what the account can do in rooms of a kind at this moment.
        alarms: What wakes the outbox when a message has become too old, whether or not there is a session.
        left_out: Returns the last line of a text that was cut: in what room, and how many characters are missing.
        blobs: Keeps content of pictures and files for as long as it waits; None to hold it in the queue.

    Attributes:
        tally: How the sends to each room went.
        journal: Where what waits is noted, if anywhere.
        queue: What waits, and what is with the session.
        landing: Set when something is on the wire no longer; only who waits makes it.
    """

    def __init__(
        self,
        account: AccountRef,
        pace: Pace,
        can: Callable[[RoomKind], Capabilities],
        policy: OutboxPolicy,
        observers: Observers,
        alarms: Alarms,
        journal: Journal | None = None,
        rng: random.Random | None = None,
        chain: Chain | None = None,
        left_out: Callable[[RoomRef, int], str] | None = None,
        blobs: Blobs | None = None,
    ) -> None:
        self.account = account
        self.blobs = blobs
        self.journal = journal
        self.tally = Tally()
        self._can = can
        self._left_out = left_out
        self._chain = chain if chain is not None else Chain()
        self._policy = policy
        self._observers = observers
        self._alarms = alarms
        self._alarm: Alarm | None = None
        self._alarm_at = float("inf")
        dice = (rng or random.Random()).uniform
        self.queue = SendQueue(pace, lambda: dice(1.0, 1.0 + pace.jitter))
        self.landing: trio.Event | None = None
        self._idle = trio.Event()
        self._idle.set()
        self._transport: Transport | None = None
        self._closed = ""

    def __len__(self) -> int:
        return len(self.queue) + self.queue.out

    # -- in -------------------------------------------------------------------------------------

    def put(self, draft: Draft, *, plugin: str = "", message: str = "") -> Entry:
        """Queue *draft* and return its entry; a full or closed outbox answers with `refused` at once."""
        draft, held = self._chain.through(draft)
        write: Callable[[], bool] | None = None
        refused = self._closed or held
        if not refused and len(self.queue) >= self._policy.size:
            refused = f"{len(self.queue)} messages are waiting already"
        if not refused and self.blobs is not None:  # nothing is kept of what is refused
            try:
                draft, write = self.blobs.put_away(draft)
            except Refuse as exc:
                refused = str(exc)
        can = self._can(draft.room.kind)
        age = self._policy.max_age
        if draft.reply_to is not None and can.reply_window is not None:
            age = min(age, can.reply_window)
        now = trio.current_time()
        entry = Entry(draft, self._fit(draft, can), now + age, plugin, message, can=can, queued=now)
        if refused := refused or ("" if entry.parts else NOTHING):
            self.finish(entry, Outcome(delivery=Delivery.REFUSED, reason=refused))
        else:
            if self.journal is not None:
                entry.row = self.journal.queued(self.account, draft, plugin, message, write)
            self._append(entry)
        return entry

    def _fit(self, draft: Draft, can: Capabilities) -> list[Draft]:
        if self._left_out is None:
            return fit(draft, can)
        return fit(draft, can, functools.partial(self._left_out, draft.room))

    def _append(self, entry: Entry) -> None:
        if self._idle.is_set():
            self._idle = trio.Event()
        self.queue.add(entry)
        if entry.expires < self._alarm_at:
            self._set_alarm(entry.expires)
        self.go_on()

    def go_on(self) -> None:
        """Let the session take what may go now."""
        if self._transport is not None:
            self._transport.go_on()

    def resume(self, one: PendingSend) -> None:
        """Go on with a message that an earlier run has left; what was on the wire is reported, not repeated."""
        left = self._policy.max_age - max(one.age, 0.0)
        can = self._can(one.draft.room.kind)
        parts = self._fit(one.draft, can)
        entry = Entry(one.draft, parts, trio.current_time() + left, one.plugin, one.message)
        entry.row, entry.can, entry.queued = one.row, can, entry.expires - self._policy.max_age
        entry.outcomes = [Outcome(delivery=Delivery.ACCEPTED)] * min(one.done, len(parts))
        if one.flying:
            reason = "the bot was killed while it was on the wire"
            entry.outcomes.append(Outcome(delivery=Delivery.UNKNOWN, reason=reason))
            self.finish(entry, combine(entry.outcomes, max(len(parts), len(entry.outcomes))))
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

    def drafts(self) -> Iterator[Draft]:
        """Yield what waits, and what is with the session."""
        return (entry.draft for entry in self.queue.entries())

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
            if self._transport is not None:
                self._transport.cut(entry)
        self._note_idle()
        if (at := self.queue.expires_at()) != float("inf"):
            self._set_alarm(at)

    def _refuse_old(self, entry: Entry) -> None:
        why = entry.held or "the account was not online"
        self._refuse(entry, f"waited longer than {entry.expires - entry.queued:g} s: {why}")

    def _refuse(self, entry: Entry, reason: str) -> None:
        """Give up the rest of *entry*."""
        entry.outcomes.append(Outcome(delivery=Delivery.REFUSED, reason=reason))
        self.finish(entry, combine(entry.outcomes, len(entry.parts)))

    # -- to the session -------------------------------------------------------------------------

    def take(self, now: float, most: int) -> Entry | float | None:
        """Take the next entry; see `SendQueue.next_part`. What the account can do no longer is said otherwise.

        An entry with nothing left to send is refused, and the one after it is taken.
        """
        while isinstance(entry := self.queue.next_part(now, most), Entry):
            can = self._can(entry.draft.room.kind)
            if entry.can is not can and entry.can != can and not entry.outcomes:
                entry.can, entry.parts = can, self._fit(entry.draft, can)
            if entry.parts:
                return entry
            self.queue.landed(entry, now, done=True)
            self.finish(entry, Outcome(delivery=Delivery.REFUSED, reason=NOTHING))
        return entry

    async def carry(self, send: Sender) -> None:
        """Hand each waiting part to *send* until cancelled. One session calls it, or `stream`, at a time."""
        await self._hold(Carrier(self, send))

    async def stream(self, post: Poster) -> None:
        """Hand each waiting part to *post* until cancelled."""
        await self._hold(Streamer(self, post))

    async def _hold(self, transport: Transport) -> None:
        self.queue.pause_until = float("-inf")  # it was said of a connection that is over
        self._transport = transport
        try:
            await transport.run()
        finally:
            self._transport = None

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
        if self.landing is not None:
            self.landing.set()
        self._note_idle()
        self.go_on()

    # -- the end --------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Wait until everything that was queued has an outcome."""
        await self._idle.wait()

    def renew(self, pace: Pace, can: Callable[[RoomKind], Capabilities]) -> None:
        """Go by what another adapter of the same account can do, while nobody carries."""
        self.queue.pace, self._can = pace, can

    def open(self) -> None:
        """Take messages again after a `close`."""
        self._closed = ""

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
