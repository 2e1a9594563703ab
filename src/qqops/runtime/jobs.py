"""What runs by the clock: jobs that plugins declare, and those that people make; what is known about each."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import structlog
import trio

from qqops.errors import ConfigError, Refuse, StoreError
from qqops.model import Clock, Message, Room
from qqops.runtime import agenda
from qqops.runtime.agenda import Every, Misfire, Once, Overlap, Schedule
from qqops.runtime.job_records import Made, Skip, State
from qqops.runtime.registry import Job
from qqops.runtime.storage.keep import Keep
from qqops.texts import Say

log = structlog.get_logger("qqops.jobs")

#: Jobs that one person may have.
MAX_OF_ONE = 20


@attrs.define(eq=False)
class Entry:
    """A job, and where it stands.

    Attributes:
        made: What a person wanted; None for a job that a plugin declares.
        next: When it is due.
        active: Runs that have not ended.
        changed: Set when it was paused, resumed or removed, or the clock was set.
        scope: Of its task.
        over: Set when its task has ended.
    """

    id: str
    schedule: Schedule
    state: State
    job: Job | None = None
    made: Made | None = None
    next: datetime.datetime | None = None
    active: int = 0
    removed: bool = False
    changed: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)

    def shift(self, seconds: float) -> None:
        """Move what is known by the clock that intervals go by, when that follows the wall clock by *seconds*."""
        self.state.first += seconds
        self.state.settled += seconds
        self.schedule = anchored(self.schedule, self.state.first)
        self.next = None

    @property
    def misfire(self) -> Misfire:
        """What becomes of moments that passed."""
        return self.job.misfire if self.job is not None else Misfire.ONCE

    @property
    def overlap(self) -> Overlap:
        """What becomes of runs that overlap."""
        return self.job.overlap if self.job is not None else Overlap.SKIP

    def never_came(self) -> bool:
        """Whether its single moment, which has passed, was neither run nor skipped, nor told of."""
        if not isinstance(self.schedule, Once):
            return False
        moment, state = self.schedule.moment.timestamp(), self.state
        if state.skipped == Skip.PASSED.value and state.skipped_at == moment:
            return False
        return moment < state.settled or not (state.ran or state.skipped)

    def gone(self) -> bool:
        """Whether it was removed."""
        return self.removed

    def wanted(self) -> bool:
        """Whether it is neither removed nor paused."""
        return not self.removed and not self.state.paused

    def change(self) -> None:
        """Let its task look again."""
        self.changed.set()
        self.changed = trio.Event()


@attrs.frozen(kw_only=True)
class JobInfo:
    """What `Jobs` tells about one.

    Attributes:
        id: ``plugin:name``, or the number of one that a person has made.
        next: When it is due, in UTC; None while it is paused.
        last: When it ran last, in UTC.
        what: Its command line or text; "" for a plugin's.
        creator: Name of the person; "" for a plugin's.
        when: Cron text, or "".
        skipped: Why it was skipped last, or "".
    """

    id: str
    what: str
    creator: str
    creator_id: str
    when: str
    next: datetime.datetime | None
    last: datetime.datetime | None
    running: bool
    paused: bool
    skipped: str
    skipped_at: datetime.datetime | None


class Jobs:
    """The jobs of one bot; injected into handlers that ask for it.

    Args:
        zone: Returns the time zone of a room; without one, that of the bot.
    """

    def __init__(
        self, clock: Clock, states: Keep, made: Keep, zone: Callable[[Room | None], datetime.tzinfo]
    ) -> None:
        self._zone = zone
        self.entries: dict[str, Entry] = {}
        self.states = states
        self._clock = clock
        self._made = made
        self._known: Mapping[str, Any] = {}
        #: Set by the scheduler while it runs.
        self.begin: Callable[[Entry], Skip | None] = lambda entry: None
        self.start: Callable[[Entry], None] = lambda entry: None
        self.look: Callable[[], None] = lambda: None

    def load(self, declared: Sequence[Job]) -> None:
        """Take up the jobs of plugins and of people, where the last run has left them."""
        made: Mapping[str, Any] = {}
        try:
            self._known, made = self.states.load(), self._made.load()
        except StoreError as exc:
            log.error("what is known about jobs cannot be read: they begin anew", reason=str(exc))  # noqa: TRY400
        self.take_up(declared)
        for key, value in made.items():
            try:
                int(key)
                one = Made(**value)
                self.entries[key] = self._entry(key, one.schedule(), made=one)
            except Exception:  # what somebody else or another version has written
                log.exception("a job that somebody has made cannot be taken up", job=key)

    def take_up(self, declared: Sequence[Job]) -> None:
        """Take up the jobs of a plugin; while the bot runs they are started as well."""
        for job in declared:
            key = f"{job.handler.plugin}:{job.name}"
            entry = self.entries[key] = self._entry(key, job.schedule, job=job)
            self.start(entry)

    def of(self, plugin: str) -> list[Entry]:
        """Return the jobs that *plugin* declares."""
        jobs = self.entries.values()
        return [one for one in jobs if one.job is not None and one.job.handler.plugin == plugin]

    def drop(self, plugin: str) -> list[Entry]:
        """Forget the jobs that *plugin* declares, and return them; what is known about them stays for the next time."""
        dropped = self.of(plugin)
        for entry in dropped:
            del self.entries[entry.id]
            entry.state.running = False
            self.save(entry)
            self._known = {**self._known, entry.id: attrs.asdict(entry.state)}
            entry.removed = True
            entry.scope.cancel(reason="the plugin is unloaded")
        return dropped

    def _entry(self, key: str, schedule: Schedule, job: Job | None = None, made: Made | None = None) -> Entry:
        now = self._clock.now().timestamp()
        state = self._state(key) or State(now, now)
        if state.running:
            state.running = False
            state.skipped, state.skipped_at = Skip.INTERRUPTED.value, state.ran
            log.warning("a job was cut off by the end of the bot", job=key)
        schedule = anchored(agenda.placed(schedule, self._zone(None)), state.first)
        entry = Entry(key, schedule, state, job, made)
        self.save(entry)
        return entry

    def _state(self, key: str) -> State | None:
        """Return what an earlier run has kept of the job *key*, if it can be used."""
        if key not in self._known:
            return None
        try:
            return State(**self._known[key])
        except (TypeError, ValueError) as exc:
            reason = str(exc.args[0])
            log.error("what is known about a job cannot be used: it begins anew", job=key, reason=reason)  # noqa: TRY400
            return None

    def save(self, entry: Entry) -> None:
        """Keep the state of *entry*."""
        self.states.save(entry.id, attrs.asdict(entry.state))

    # -- for handlers ---------------------------------------------------------------------------

    def list(self) -> Sequence[JobInfo]:
        """Return all jobs, those that are due next first."""
        far = datetime.datetime.max.replace(tzinfo=datetime.UTC)
        return [_info(one) for one in sorted(self.entries.values(), key=lambda e: (e.next or far, e.id))]

    def get(self, job: str) -> JobInfo:
        """Return the job with this id. Raises `Refuse` when there is none."""
        return _info(self._find(job))

    def run(self, job: str) -> str:
        """Run it now, besides its moments; return "", or why that cannot be. Raises `Refuse` when there is none."""
        why = self.begin(self._find(job))
        return why.value if why is not None else ""

    def pause(self, job: str) -> None:
        """Skip its moments until `resume`. Raises `Refuse` when there is none."""
        entry = self._find(job)
        entry.state.paused = True
        self.save(entry)
        entry.change()

    def resume(self, job: str) -> None:
        """Run it again at its moments; those that passed meanwhile are not made up for. Raises `Refuse`."""
        entry = self._find(job)
        self.look()  # a clock that was set just now must not count twice
        entry.state.paused = False
        if entry.next is not None:  # a single moment that is settled stays so
            entry.state.settled = max(entry.state.settled, self._clock.now().timestamp())
        self.save(entry)
        entry.change()

    def remove(self, job: str) -> None:
        """Remove a job that a person has made. Raises `Refuse` when there is none, or a plugin has made it."""
        entry = self._find(job)
        if entry.made is None:
            raise Refuse(f"{job} belongs to a plugin")
        entry.removed = True
        del self.entries[entry.id]
        self._made.delete(entry.id)
        self.states.delete(entry.id)
        entry.change()

    async def add(self, message: Message, line: str, cron: str, tz: str | None = None) -> JobInfo:
        """Run the command *line* at the moments of *cron* as if who said *message* said it there.

        It is stored when this returns, unless the store fails: then that is tried again.

        Args:
            tz: Time zone of *cron*; None for that of the room of *message*, else of the bot, as it is now.

        Raises:
            ConfigError: The line, the cron text or the time zone is wrong.
            Refuse: The person has too many jobs.
        """
        tz = str(self._zone(message.room)) if tz is None else tz
        agenda.cron(cron, tz)
        return await self._make(message, line=line, cron=cron, tz=tz)

    async def at(self, message: Message, line: str, moment: datetime.datetime, *, reminder: bool) -> JobInfo:
        """Run the command *line* once at *moment*, or, for a reminder, say *line* to who said *message*.

        Raises:
            ConfigError: The line is none, or the moment has no time zone.
            Refuse: It has passed, or the person has too many jobs.
        """
        if agenda.once(moment).after(self._clock.now()) is None:
            raise Refuse(Say("refuse.past", {"moment": f"{moment:%Y-%m-%d %H:%M %Z}"}))
        return await self._make(message, line=line, at=moment.timestamp(), reminder=reminder)

    async def _make(self, message: Message, **more: Any) -> JobInfo:
        from qqops.runtime.storage import codec

        creator = str(message.sender.proven)
        mine = [e for e in self.entries.values() if e.made is not None and e.made.creator == creator]
        if len(mine) >= MAX_OF_ONE:
            raise Refuse(Say("refuse.jobs", {"most": MAX_OF_ONE}))
        bare = attrs.evolve(message, segments=(), reply_to=None, id="")
        try:
            one = Made(message=codec.dump(bare), creator=creator, name=message.sender.name, **more)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"no job can be made of this: {exc.args[0]}") from None
        numbers = [int(e.id) for e in self.entries.values() if e.made is not None]
        key = str(max(numbers, default=0) + 1)
        entry = self.entries[key] = self._entry(key, one.schedule(), made=one)
        self._made.save(key, attrs.asdict(one))
        entry.next = entry.schedule.after(self._clock.now())
        self.start(entry)
        await self._made.safe()
        return _info(entry)

    def _find(self, job: str) -> Entry:
        entry = self.entries.get(job)
        if entry is None:
            named = [e for e in self.entries.values() if e.job is not None and e.job.name == job]
            if len(named) > 1:
                names = ", ".join(sorted(one.id for one in named))
                raise Refuse(Say("refuse.many_jobs", {"job": job, "names": names}))
            if not named:
                raise Refuse(Say("refuse.no_job", {"job": job}))
            entry = named[0]
        return entry


def anchored(schedule: Schedule, first: float) -> Schedule:
    """Return *schedule* with its grid, if it has one, beginning *first* seconds after the epoch."""
    if not isinstance(schedule, Every):
        return schedule
    return attrs.evolve(schedule, anchor=datetime.datetime.fromtimestamp(first, datetime.UTC))


def _info(entry: Entry) -> JobInfo:
    def moment(seconds: float) -> datetime.datetime | None:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds else None

    made, state = entry.made, entry.state
    return JobInfo(
        id=entry.id, what=made.line if made is not None else "", creator=made.name if made is not None else "",
        creator_id=made.creator if made is not None else "",
        when=made.cron if made is not None else getattr(entry.schedule, "expression", ""),
        next=None if state.paused else entry.next, last=moment(state.ran), running=entry.active > 0,
        paused=state.paused, skipped=state.skipped, skipped_at=moment(state.skipped_at),
    )  # fmt: skip
