"""What was begun and not ended, so that a restart knows: received messages, and messages to be sent.

The guarantee: a message is *started* at most once, whatever kills the process. Its row is on the disk before the
service is asked for more, and says "started" before the handler runs; what a restart finds

* accepted, is handled then, unless it has become too old;
* started without an end, is reported, and started again only for handlers that are declared `at_least_once`, unless it
  has become too old or was started often enough: a handler that kills the process must not do so for ever.

The same for sends: a row says "on the wire" before anything leaves. What a restart finds waiting is sent; what it
finds on the wire is reported as unknown and never sent again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import structlog
import trio

from qqops.errors import StoreError
from qqops.model import AccountRef, Clock, Draft, Event
from qqops.model.allowed import LONGEST, Between, Count, Pause
from qqops.runtime.seen import Key, key_of
from qqops.runtime.storage import statements as sql

if TYPE_CHECKING:
    from qqops.runtime.storage.database import Reader
    from qqops.runtime.storage.store import Store, Write

log = structlog.get_logger("qqops.journal")

#: Seconds for which nothing is polled or sent while the store cannot be read at the start.
LOAD_PATIENCE = 10.0
#: Rows after which what is long over is deleted.
PURGE_EVERY = 2000
#: Most rows that are read to recognise messages that are delivered again.
MAX_SEEN = 20_000


class RowState(enum.IntEnum):
    """How far a message has come."""

    ACCEPTED = 0
    STARTED = 1
    ENDED = 2
    #: Started, and the process was killed before its end.
    INTERRUPTED = 3
    #: Accepted, and too old when the process came back; or its handler is gone.
    DROPPED = 4


@attrs.frozen(kw_only=True)
class JournalPolicy:
    """Table ``[journal]``.

    Attributes:
        on: Whether messages survive a restart.
        max_age: Seconds after which a message that has no end is given up by a restart.
        max_starts: How often a message is started at most, where its handler is declared `at_least_once`.
        remember: Seconds for which handled messages are remembered, to recognise them when they come again.
    """

    on: bool = True
    max_age: Pause = 300.0
    max_starts: Count = 3
    remember: Annotated[float, Between(60, LONGEST)] = 86_400.0


@attrs.frozen(kw_only=True)
class Unfinished:
    """A received event that was not handled to the end.

    Attributes:
        handler: ``plugin:name``.
        started: Whether its handler had begun.
        start: Where the arguments of a command begin in the event's text, -1 for no command.
        given_up: Why it is not to be started again, whatever its handler declares; "" when it may be.
        age: Seconds since it was accepted.
    """

    row: int
    age: float
    event: Event
    handler: str
    started: bool
    start: int = -1
    given_up: str = ""


@attrs.frozen(kw_only=True)
class PendingSend:
    """A message that was not sent, or may have been.

    Attributes:
        age: Seconds since it was queued.
        done: Parts that had been sent.
        flying: Whether a part was on the wire.
    """

    row: int
    draft: Draft
    plugin: str
    message: str
    age: float
    done: int
    flying: bool


@attrs.define(kw_only=True)
class Recovered:
    """What a restart finds.

    Attributes:
        expired: Those that had not been begun and are too old by now.
        seen: (account, key) of events that were accepted before, oldest first; see `qqops.runtime.seen`.
        unreadable: Rows of received messages that cannot be read and are too old to be kept for a version that can.
    """

    unfinished: list[Unfinished] = attrs.field(factory=list)
    unsent: list[PendingSend] = attrs.field(factory=list)
    expired: list[Unfinished] = attrs.field(factory=list)
    seen: list[tuple[AccountRef, Key]] = attrs.field(factory=list)
    unreadable: list[int] = attrs.field(factory=list)


class Journal:
    """The journal of one bot, in its store.

    Attributes:
        loaded: Set once what the last run has left is known. No account is connected before.
    """

    def __init__(self, store: Store, clock: Clock, policy: JournalPolicy) -> None:
        from qqops.runtime.storage import codec  # here: only who keeps a journal pays for the converters

        self._codec = codec
        self.loaded = trio.Event()
        self._store = store
        self._clock = clock
        self._policy = policy
        # Unique whatever the file holds, also while it cannot be read: two million rows for each millisecond.
        self._first = int(clock.now().timestamp() * 1000) << 21
        self._next = self._first
        self._last: Write | None = None
        self._newest: Write | None = None
        self._fresh: dict[int, Write] = {}
        self._since_purge = 0

    def _row(self) -> int:
        self._next += 1
        return self._next - 1

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _new(
        self, row: int, statement: str, values: list[Any], first: Callable[[], bool] | None = None
    ) -> Write:
        """Write a new row, which may still be changed while it waits to be written."""
        if self._newest is not None and self._newest.done:
            self._fresh.clear()
        self._newest = self._fresh[row] = self._store.write(statement, values, first)
        return self._newest

    # -- received -------------------------------------------------------------------------------

    def accepted(self, event: Event, handlers: Sequence[tuple[str, int]]) -> list[int]:
        """Note that *event* will set off *handlers*; return a row for each, 0 for none.

        Args:
            handlers: ``plugin:name``, and where the arguments of a command begin in the text, -1 for no command.
        """
        now, (name, kind, room, number) = self._now(), key_of(event)
        try:
            text = self._codec.dump(event)
        except StoreError as exc:
            # It comes from outside: it must not end the session that brings it.
            log.warning("a restart would not know of an event", kind=name, id=number, reason=str(exc))
            return [0] * len(handlers)
        rows = [self._row() for _ in handlers]
        account = str(event.account)
        for row, (handler, start) in zip(rows, handlers, strict=True):
            values = [row, account, name, kind, room, number, handler, start, now, text, 0, 0]
            self._last = self._new(row, sql.ACCEPT, values)
        self._since_purge += len(rows)
        if self._since_purge >= PURGE_EVERY:
            self._purge()
        return rows

    async def safe(self) -> None:
        """Wait until all that was accepted is on the disk, or cannot be written."""
        if self._last is not None and not self._last.done:
            await self._last.wait()

    async def starting(self, row: int) -> None:
        """Note that a handler is about to start; returns when that is on the disk, or cannot be written.

        Cancellation: it has not started, and says so again.
        """
        write = self._fresh.pop(row, None)
        if write is not None and not write.taken:
            write.values[-2:] = (int(RowState.STARTED), 1)  # one statement says both
        else:
            write = self._store.write(sql.START, (row,))
        try:
            await write.wait()
        except trio.Cancelled:
            self._store.write(sql.UNSTART, (row,))
            raise

    def ended(self, row: int) -> None:
        """Note that a handler has come to its end, well or not."""
        self._store.write(sql.END, (int(RowState.ENDED), row))

    def settle(self, row: int, step: RowState) -> None:
        """Note what became of a row that an earlier run has left."""
        self._store.write(sql.END, (int(step), row))

    # -- to be sent -----------------------------------------------------------------------------

    def queued(
        self,
        account: AccountRef,
        draft: Draft,
        plugin: str,
        message: str,
        first: Callable[[], bool] | None = None,
    ) -> int:
        """Note that *draft* waits to be sent; return its row, 0 for none.

        Args:
            first: Writes what the draft refers to, in the store's thread.
        """
        try:
            text = self._codec.dump(draft)
        except StoreError as exc:
            log.warning("a restart would not know of a draft", room=str(draft.room), reason=str(exc))
            return 0
        row = self._row()
        self._new(row, sql.QUEUE, [row, str(account), plugin, message, self._now(), text, 0], first)
        return row

    async def flying(self, rows: Sequence[int]) -> None:
        """Note that a part of each is about to leave; returns when that is on the disk, or cannot be written."""
        writes = []
        for row in rows:
            write = self._fresh.pop(row, None)
            if write is not None and not write.taken:
                write.values[-1] = 1  # one statement says both
            else:
                write = self._store.write(sql.FLY, (row,))
            writes.append(write)
        for write in writes:
            await write.wait()

    def landed(self, row: int, done: int) -> None:
        """Note that *done* parts have been sent and none is on the wire."""
        self._store.write(sql.LAND, (done, row))

    def sent(self, row: int) -> None:
        """Note that there is an outcome."""
        self._store.write(sql.UNQUEUE, (row,))

    # -- after a restart ------------------------------------------------------------------------

    async def load(self) -> Recovered:
        """Return what the last run has left; sets `loaded`.

        A store that cannot be read is waited for: for `LOAD_PATIENCE` seconds nothing else happens, after that the
        bot works without knowing, and this goes on.
        """
        patience = trio.current_time() + LOAD_PATIENCE
        while True:
            try:
                left = await self._store.read(self._read)
                break
            except StoreError as exc:
                if trio.current_time() > patience and not self.loaded.is_set():
                    log.warning("what the last run has left is not known yet", reason=str(exc))
                    self.loaded.set()
            await trio.sleep(0.5)
        for one in list(left.unfinished):
            if not one.started and one.age > self._policy.max_age:
                left.unfinished.remove(one)
                left.expired.append(one)
                self.settle(one.row, RowState.DROPPED)
        for row in left.unreadable:
            self.settle(row, RowState.DROPPED)
        self._purge()
        self.loaded.set()
        return left

    def _read(self, connection: Reader) -> Recovered:
        left = Recovered()
        now = self._now()
        # Rows are in the order of their numbers, also across runs and whatever the wall clock did between them.
        others = {"first": self._first, "next": self._next}
        for row, at, text, handler, state, starts, start in connection.execute(
            sql.UNFINISHED, others
        ).fetchall():
            try:
                event = self._codec.load_event(text)
            except StoreError as exc:
                log.warning("a row of the journal is skipped", row=row, reason=str(exc))
                if now - at > self._policy.max_age:
                    left.unreadable.append(row)
                continue
            started, age = state == RowState.STARTED, now - at
            left.unfinished.append(
                Unfinished(
                    row=row, age=age, event=event, handler=handler, started=started, start=start,
                    given_up=self._given_up(age, starts) if started else "",
                )
            )  # fmt: skip
        for row, text, plugin, message, at, done, flying in connection.execute(sql.UNSENT, others).fetchall():
            try:
                draft = self._codec.load_draft(text)
            except StoreError as exc:
                log.warning("a row of the outbox is skipped", row=row, reason=str(exc))
                continue
            left.unsent.append(
                PendingSend(
                    row=row, draft=draft, plugin=plugin, message=message, age=now - at, done=done,
                    flying=bool(flying),
                )
            )  # fmt: skip
        recent = connection.execute(sql.RECENT, {"most": MAX_SEEN}).fetchall()
        for account, name, kind, room, number in reversed(recent):
            network, _, own = account.partition(":")
            left.seen.append((AccountRef(network, own), (name, kind, room, number)))
        highest = connection.execute(sql.HIGHEST).fetchone()
        self._next = max(self._next, *((number or 0) + 1 for number in highest))
        return left

    def _given_up(self, age: float, starts: int) -> str:
        """Return why a message that was started is not started again, or ""."""
        if age > self._policy.max_age:
            return f"it is {age:.0f} s old, and journal.max_age is {self._policy.max_age:g}"
        if starts >= self._policy.max_starts:
            return f"it was started {starts} times, and journal.max_starts is {self._policy.max_starts}"
        return ""

    def _purge(self) -> None:
        self._since_purge = 0
        self._store.write(sql.FORGET, {"before": self._now() - self._policy.remember})
