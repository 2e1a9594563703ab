"""From the outbox to a session: as a task for each part (`Carrier`), or as calls that do not wait (`Streamer`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import structlog
import trio

from qqops.adapters.base import Poster, Sender
from qqops.errors import AdapterError, ContentLost, NotSent, StoreError
from qqops.model import Delivery, Draft, Later, Outcome, Scope
from qqops.runtime.border import ANYTHING, described, leaves, theirs
from qqops.runtime.entry import Entry
from qqops.runtime.storage.journal import Journal

if TYPE_CHECKING:
    from qqops.runtime.outbox import Outbox

log = structlog.get_logger("qqops.outbox")

#: Parts that a session may prepare at the same time, besides those on the wire: pictures to upload, rooms to look up.
PREPARED = 8
#: Seconds for which nothing is posted after the wire would not take it.
BLOCKED = 1.0
#: Seconds until content that cannot be read at the moment is looked for again.
UNREADABLE = 5.0
_NEVER = float("inf")
_CUT = "the connection broke while sending"


class Transport(Protocol):
    """What takes parts to one session of the account."""

    async def run(self) -> None:
        """Take parts until cancelled."""

    def go_on(self) -> None:
        """Look again: something has come in, or has landed."""

    def cut(self, entry: Entry) -> None:
        """Give up *entry*, which is out and has become too old, unless it is on the wire."""


def bug(outbox: Outbox, entry: Entry, what: str, *, left: bool) -> Outcome:
    """Return the outcome of a part on which the adapter failed: it costs this message and nothing else."""
    log.error(
        "error in the adapter",
        account=str(outbox.account),
        room=str(entry.draft.room),
        error=what,
        exc_info=True,
    )
    return Outcome(
        delivery=Delivery.UNKNOWN if left else Delivery.REFUSED, reason=f"error in the adapter: {what}"
    )


async def whole(outbox: Outbox, part: Draft) -> Draft | Outcome | Later:
    """Return *part* with its pictures and files, or what becomes of it without them."""
    try:
        return await outbox.blobs.whole(part) if outbox.blobs is not None else part
    except ContentLost as exc:
        return Outcome(delivery=Delivery.REFUSED, reason=str(exc))
    except StoreError as exc:
        return Later(UNREADABLE, Scope.ROOM, str(exc))


# -- a task for each part ---------------------------------------------------------------------------


class _Flight:
    """One part on its way.

    Attributes:
        left: Whether it may have left us.
        reason: Why nobody knows how it went, if the adapter has said so.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.scope = trio.CancelScope()
        self.left = False
        self.reason = _CUT


class Carrier:
    """Runs the adapter's `Sender` for one part of each room at a time."""

    def __init__(self, outbox: Outbox, send: Sender) -> None:
        self._outbox = outbox
        self._send = send
        self._work = trio.Event()
        self._turn: trio.Lock | None = None
        self._flights: dict[Entry, _Flight] = {}

    async def run(self) -> None:
        """Take parts until cancelled.

        Raises:
            AdapterError: The session is over, as the sender says.
        """
        queue = self._outbox.queue
        while True:
            self._work = trio.Event()
            if not len(queue):
                await self._work.wait()
            # Only while there is something to do: thousands of accounts are idle.
            async with trio.open_nursery() as nursery:
                await self._hand_out(nursery)

    async def _hand_out(self, nursery: trio.Nursery) -> None:
        """Begin to send whatever may go, until nothing waits and nothing is under way."""
        queue = self._outbox.queue
        while len(queue) or queue.out:
            self._work = trio.Event()
            now = trio.current_time()
            most = queue.pace.in_flight + PREPARED
            while isinstance(found := self._outbox.take(now, most), Entry):
                nursery.start_soon(self._carry, found, name="send")
            with trio.move_on_at(_NEVER if found is None else found):
                await self._work.wait()

    def go_on(self) -> None:
        """See `Transport.go_on`."""
        self._work.set()

    def cut(self, entry: Entry) -> None:
        """See `Transport.cut`."""
        self._flights[entry].scope.cancel(reason="it has waited too long")

    async def _carry(self, entry: Entry) -> None:
        flight = self._flights[entry] = _Flight(entry)
        result: Outcome | Later | None = None
        try:
            with flight.scope:
                result = await self._ask(flight)
        finally:
            # Also when cancelled: what was on the wire has an outcome before the session is gone, and what was not
            # is the first thing that the next session sends.
            del self._flights[entry]
            if result is None and flight.left:
                result = Outcome(delivery=Delivery.UNKNOWN, reason=flight.reason)
            self._outbox.settle(entry, result)

    async def _ask(self, flight: _Flight) -> Outcome | Later:
        async def on_wire() -> None:
            await self._take_off(flight)

        part = await whole(self._outbox, flight.entry.part)
        if not isinstance(part, Draft):
            return part
        try:
            answer: object = await self._send(part, on_wire)
        except ANYTHING as exc:
            ends = [one for one in leaves(theirs(exc)) if isinstance(one, AdapterError)]
            if not ends:
                return bug(self._outbox, flight.entry, described(exc), left=flight.left)
            if all(isinstance(one, NotSent) for one in ends):
                flight.left = False
            flight.reason = str(ends[0])
            raise
        if isinstance(answer, Outcome | Later):
            return answer
        return bug(
            self._outbox, flight.entry, f"it gave {answer!r}, not an Outcome or Later", left=flight.left
        )

    async def _take_off(self, flight: _Flight) -> None:
        """Wait until it is this part's turn on the wire: first come, first served, at the account's pace."""
        if flight.left:
            return
        await trio.lowlevel.checkpoint_if_cancelled()  # nothing more goes when the session is ending
        outbox, entry = self._outbox, flight.entry
        now = trio.current_time()
        alone = self._turn is None or not self._turn.locked()
        if alone and outbox.queue.wire_at(now) <= now:
            outbox.queue.take_off(entry, now)
        else:
            await self._wait_for_turn(entry)
        if outbox.journal is not None and entry.row:
            await outbox.journal.flying([entry.row])
        flight.left = True

    async def _wait_for_turn(self, entry: Entry) -> None:
        outbox = self._outbox
        if self._turn is None:
            self._turn = trio.Lock()
        async with self._turn:
            while (at := outbox.queue.wire_at(now := trio.current_time())) > now:
                if at < _NEVER:
                    await trio.sleep_until(at)
                else:
                    outbox.landing = trio.Event()
                    await outbox.landing.wait()
            outbox.queue.take_off(entry, now)


# -- calls that do not wait -------------------------------------------------------------------------


class _Posted:
    """One part that was posted.

    Attributes:
        has_left: Tells whether it has left us; None while it is being posted.
        over: Whether it is known how it went, or the session has ended.
    """

    __slots__ = ("_landed", "entry", "has_left", "over")

    def __init__(self, landed: Callable[[_Posted, Outcome | Later], None], entry: Entry) -> None:
        self._landed = landed
        self.entry = entry
        self.has_left: Callable[[], bool] | None = None
        self.over = False

    def settle(self, result: Outcome | Later) -> None:
        """Note how it went. What comes after the session's end comes too late and changes nothing."""
        if not self.over:
            self._landed(self, result)


class Streamer:
    """Calls the adapter's `Poster`, for one part of each room at a time.

    Without a journal a part is posted on the spot, without a task; with one it is noted first that it goes, for as many
    parts at once as may go.
    """

    def __init__(self, outbox: Outbox, post: Poster) -> None:
        self._outbox = outbox
        self._post = post
        self._work = trio.Event()
        self._posted: dict[Entry, _Posted] = {}
        self._pumping = False

    async def run(self) -> None:
        """Take parts until cancelled. What is under way then was sent or not, as the poster has said."""
        journal = self._outbox.journal
        try:
            while True:
                self._work = trio.Event()
                at = self._pump() if journal is None else await self._pump_noted(journal)
                if self._work.is_set() and journal is not None:
                    continue  # something was to be done, and has waited for the disk
                with trio.move_on_at(at):
                    await self._work.wait()
        finally:
            self._pumping = True  # what comes back now waits for the next session
            for posted in list(self._posted.values()):
                left = posted.has_left is not None and posted.has_left()
                self._landed(posted, Outcome(delivery=Delivery.UNKNOWN, reason=_CUT) if left else None)

    def go_on(self) -> None:
        """See `Transport.go_on`."""
        if self._outbox.journal is not None or self._pump() < _NEVER:
            self._work.set()

    def cut(self, entry: Entry) -> None:
        """See `Transport.cut`: what is posted is on the wire."""

    def _next(self, now: float) -> Entry | float:
        """Take the next entry, or say when to look again."""
        queue = self._outbox.queue
        at = queue.wire_at(now)
        if at > now:
            return at if len(queue) else _NEVER
        found = self._outbox.take(now, queue.pace.in_flight)
        return _NEVER if found is None else found

    def _pump(self) -> float:
        """Post what may go at this moment; return when to look again."""
        if self._pumping:
            return _NEVER  # the loop below is at it
        self._pumping = True
        try:
            now = trio.current_time()
            while isinstance(found := self._next(now), Entry):
                self._outbox.queue.take_off(found, now)
                self._post_now(found)
            return found
        finally:
            self._pumping = False

    async def _pump_noted(self, journal: Journal) -> float:
        """Post what may go at this moment, once it is on the disk that it goes; return when to look again."""
        now = trio.current_time()
        batch: list[Entry] = []
        while isinstance(found := self._next(now), Entry):
            self._outbox.queue.take_off(found, now)
            batch.append(found)
        if not batch:
            return found
        parts: dict[Entry, Draft] = {}
        noted = False
        try:
            for entry in list(batch):
                part = await whole(self._outbox, entry.part)
                if isinstance(part, Draft):
                    parts[entry] = part
                else:
                    self._outbox.settle(entry, part)
                    batch.remove(entry)
            await journal.flying([entry.row for entry in batch if entry.row])
            noted = True
        finally:
            for entry in batch:
                if noted:
                    self._post_one(entry, parts[entry])
                else:
                    self._outbox.settle(entry, None)
        return found

    def _post_now(self, entry: Entry) -> None:
        """Post a part without a journal: what it is made of is in memory."""
        part, blobs = entry.part, self._outbox.blobs
        if blobs is not None:
            try:
                part = blobs.whole_now(part)
            except ContentLost as exc:
                self._outbox.settle(entry, Outcome(delivery=Delivery.REFUSED, reason=str(exc)))
                return
        self._post_one(entry, part)

    def _post_one(self, entry: Entry, part: Draft) -> None:
        posted = self._posted[entry] = _Posted(self._landed, entry)
        try:
            posted.has_left = self._post(part, posted.settle)
        except NotSent as exc:
            # It is closing, or does not read. Whoever waits next in line would hear the same.
            self._landed(posted, Later(BLOCKED, Scope.ACCOUNT, str(exc)))
        except ANYTHING as exc:  # `bug` logs it; nothing in it waits
            reason = bug(self._outbox, entry, described(exc), left=False)
            self._landed(posted, reason)

    def _landed(self, posted: _Posted, result: Outcome | Later | None) -> None:
        posted.over = True
        self._posted.pop(posted.entry, None)
        self._outbox.settle(posted.entry, result)
