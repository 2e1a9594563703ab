"""Runs jobs at their moments."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable

import structlog
import trio

from qqops.errors import StoreError
from qqops.model import Clock, RoomRef
from qqops.runtime.agenda import Every, Once, Overlap, due
from qqops.runtime.dispatch import Dispatcher, Ticket
from qqops.runtime.job_records import Skip, message_of, room_of
from qqops.runtime.jobs import Entry, Jobs
from qqops.runtime.observe import Observers, Skipped
from qqops.runtime.spawning import Spawn, spawning
from qqops.runtime.steady import Steady

log = structlog.get_logger("qqops.scheduler")

#: Longest sleep in seconds. The wall clock may be set forward or the machine suspended; looking up from
#: time to time bounds how late a job can be because of that.
MAX_SLEEP = 60.0
#: Seconds by which a run may be late and still counts as being on time.
PATIENCE = 60.0
#: Seconds by which the wall clock may be set back without a job being run again for moments that it has seen; further
#: back, what was seen was seen by a wrong clock.
SET_BACK = 26 * 3600.0
#: Runs of one job that may wait for each other.
MAX_QUEUED = 10


def _nothing(entry: Entry) -> None:
    """What becomes of jobs when nothing is started any more."""


class Scheduler:
    """One task for each job: sleep until it is due, note that, run it, again.

    That a moment is settled is on the disk before its run begins: a restart neither repeats nor forgets it.

    Cron texts and single moments go by the wall clock, intervals by trio's. When the wall clock is set, the grids of the
    intervals move with it: they go on as before, and what is kept of them is true after a restart, too.
    """

    def __init__(
        self,
        jobs: Jobs,
        dispatcher: Dispatcher,
        clock: Clock,
        observers: Observers,
        rng: random.Random,
        say: Callable[[RoomRef, str], object],
    ) -> None:
        self._jobs = jobs
        self._dispatcher = dispatcher
        self._clock = clock
        self._observers = observers
        self._rng = rng
        self._say = say
        self._steady: Steady

    async def run(self) -> None:
        """Run all jobs until cancelled."""
        self._steady = Steady(self._clock)
        if behind := max(map(self._behind, self._jobs.entries.values()), default=0.0):
            log.warning(
                "the clock stands before what the jobs have seen: they go by it", seconds=round(behind)
            )
        async with trio.open_nursery() as nursery:
            spawn = spawning(nursery)

            def start(entry: Entry) -> None:
                spawn(self._hold, entry, spawn, name=f"job {entry.id}")

            self._jobs.start, self._jobs.look = start, self._look
            self._jobs.begin = lambda entry: self._begin(entry, spawn, queue=True)
            for entry in list(self._jobs.entries.values()):
                start(entry)
            try:
                await trio.sleep_forever()  # the nursery must outlive the last job: people make new ones
            finally:
                self._jobs.start = self._jobs.begin = _nothing

    async def _hold(self, entry: Entry, spawn: Spawn) -> None:
        try:
            with entry.scope:
                await self._keep(entry, spawn)
        finally:
            entry.over.set()

    async def _keep(self, entry: Entry, spawn: Spawn) -> None:
        while not entry.gone():
            self._look()
            since, changed = self._settled(entry), entry.changed
            entry.next = entry.schedule.after(since)
            if entry.next is None:
                if entry.made is not None:
                    self._jobs.remove(entry.id)
                elif entry.never_came():
                    self._never_came(entry)
                return
            await self._sleep(entry, entry.next)
            self._look()
            now = self._now(entry)
            if changed.is_set() or now < entry.next:
                continue  # it was changed, the clock was set, or it was time to look at that
            todo = due(entry.schedule, since, now, entry.misfire, PATIENCE)
            if todo is None:
                continue
            if entry.state.paused:
                entry.state.settled = todo.last.timestamp()
                self._skip(entry, Skip.PAUSED)
                continue
            if entry.job is not None and entry.job.jitter:
                await trio.sleep(self._rng.uniform(0, entry.job.jitter))
                self._look()
                if changed.is_set():
                    continue
            entry.state.settled = todo.last.timestamp()
            if todo.missed:
                self._skip(entry, Skip.MISSED)
            for number, _ in enumerate(todo.runs):
                entry.state.ran = self._clock.now().timestamp()
                self._jobs.save(entry)
                # What cannot be written is reported by the store; that is no reason to do nothing.
                await self._jobs.states.safe()
                self._begin(entry, spawn, queue=number > 0)
            self._jobs.save(entry)

    def _settled(self, entry: Entry) -> datetime.datetime:
        """Return the moment up to which everything is settled, by a clock that may have been set back."""
        if self._behind(entry):
            entry.state.settled = self._now(entry).timestamp()
        return datetime.datetime.fromtimestamp(entry.state.settled, datetime.UTC)

    def _behind(self, entry: Entry) -> float:
        """Return by how many seconds the clock stands before what *entry* has seen, if that is more than it may; else 0."""
        seconds = entry.state.settled - self._now(entry).timestamp()
        most = entry.schedule.seconds if isinstance(entry.schedule, Every) else SET_BACK
        return seconds if seconds > most else 0.0

    def _now(self, entry: Entry) -> datetime.datetime:
        """Return this moment by the clock that *entry* goes by."""
        return self._steady.now() if isinstance(entry.schedule, Every) else self._clock.now()

    def _look(self) -> None:
        """Look whether the wall clock was set, and let everything go by the new time."""
        seconds = self._steady.jump()
        if not seconds:
            return
        log.warning(
            "the clock was set: cron goes by the new time, intervals go on", seconds=round(seconds, 1)
        )
        for entry in self._jobs.entries.values():
            if isinstance(entry.schedule, Every):
                entry.shift(seconds)
                self._jobs.save(entry)
            entry.change()

    async def _sleep(self, entry: Entry, moment: datetime.datetime) -> None:
        """Sleep until *moment*, until the job was changed, or until it is time to look at the clock again."""
        left = (moment - self._now(entry)).total_seconds()
        if left > 0:
            with trio.move_on_after(min(left, MAX_SLEEP)):
                await entry.changed.wait()

    # -- one run --------------------------------------------------------------------------------

    def _begin(self, entry: Entry, spawn: Spawn, *, queue: bool) -> Skip | None:
        """Start a run, or skip it while another one runs; return why it was skipped."""
        waits = queue or entry.overlap is Overlap.QUEUE
        if entry.active and entry.overlap is not Overlap.ALLOW and not (waits and entry.active < MAX_QUEUED):
            return self._skip(entry, Skip.RUNNING)
        ticket = self._submit(entry)
        if isinstance(ticket, Skip):
            return self._skip(entry, ticket)
        if ticket is None or ticket.done is None:
            return None
        entry.active += 1
        entry.state.running = True
        entry.state.ran = self._clock.now().timestamp()
        spawn(self._await, entry, ticket.done, name=f"run of {entry.id}")
        return None

    def _submit(self, entry: Entry) -> Ticket | Skip | None:
        if entry.job is not None:
            return self._dispatcher.submit(entry.job.handler, beside=entry.overlap is Overlap.ALLOW)
        assert entry.made is not None
        try:
            if entry.made.reminder:
                room, name = room_of(entry.made)
                if not self._say(room, f"{name}: {entry.made.line}" if name else entry.made.line):
                    log.error("a reminder goes nowhere: its account is gone", job=entry.id, room=str(room))
                return None
            message = message_of(entry.made, entry.id, self._clock.now())
            if not self._dispatcher.has(message.account):
                return Skip.GONE
            ticket = self._dispatcher.speak(message)
        except StoreError as exc:
            log.error("a job that somebody has made cannot be read", job=entry.id, reason=str(exc))  # noqa: TRY400
            return None
        return ticket or Skip.UNKNOWN

    async def _await(self, entry: Entry, done: trio.Event) -> None:
        await done.wait()
        entry.active -= 1
        if not entry.active:
            entry.state.running = False
            if not entry.removed:
                self._jobs.save(entry)

    def _never_came(self, entry: Entry) -> None:
        """Tell, once, of a single moment that had passed when its job was first seen."""
        assert isinstance(entry.schedule, Once)
        assert entry.job is not None
        moment = entry.schedule.moment
        self._skip(
            entry, Skip.PASSED, moment, moment=moment.isoformat(), where=entry.job.handler.where,
            hint=f"give once= a moment that lies ahead, or say /jobs run {entry.id}",
        )  # fmt: skip

    def _skip(self, entry: Entry, why: Skip, at: datetime.datetime | None = None, **more: str) -> Skip:
        entry.state.skipped, entry.state.skipped_at = why.value, (at or self._clock.now()).timestamp()
        self._jobs.save(entry)
        plugin, _, name = entry.id.partition(":")
        if why is not Skip.PAUSED:
            log.warning("job skipped", job=entry.id, reason=why.value, **more)
        self._observers.tell(Skipped(plugin=plugin if name else "", job=name or plugin, reason=why.value))
        return why
