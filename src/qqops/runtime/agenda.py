"""When a job is due: cron text, intervals and single moments → next moment. Pure."""

from __future__ import annotations

import datetime
import enum
import itertools
import math
import re
from typing import Any, TypeAlias

import attrs
from cronsim import CronSim, CronSimError

from qqops.errors import ConfigError
from qqops.runtime.zones import shown, skipped_at
from qqops.runtime.zones import time_zone as time_zone

#: The usual names; cronsim itself knows only the five fields.
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Misfire(enum.Enum):
    """What becomes of moments that passed while the bot could not run."""

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(enum.Enum):
    """What becomes of a run that is due while the last one has not ended."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"


#: Seconds of the longest interval and jitter: ten years. What never comes is not a job.
LONGEST = 10 * 366 * 86400.0
#: Seconds of the shortest interval. What is to be done more often is a task.
SHORTEST = 0.001

_HOURS_OF_A_DAY = 24


@attrs.frozen
class Cron:
    """A cron expression in a time zone, or in the bot's when *zone* is None. Build it with `cron`, which checks both.

    An expression for every hour (``*/15 * * * *``) goes by the time that passes: it runs in both of the hours that a
    clock shows twice when it is set back, and makes nothing up for an hour that the clock leaves out. One for certain
    hours (``30 2 * * *``, ``0 */2 * * *``) goes by what the clock shows: a time that it shows twice is due the first
    time, and one that it leaves out is due when it goes forward, at the first minute that there is.
    """

    expression: str
    zone: datetime.tzinfo | None

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first due moment after *moment*, in UTC; None when there is none.

        UTC because moments of one zone are compared and subtracted by what its clock shows, which goes back in autumn.
        """
        zone = self.zone or datetime.UTC
        moment = moment.astimezone(datetime.UTC)
        here = moment.astimezone(zone)
        wall, again = (
            here.replace(tzinfo=None, fold=0),
            here.replace(fold=1).astimezone(datetime.UTC) - moment,
        )
        # Where the clock will show this time once more, what it shows again from then on may come before what is next.
        walls = CronSim(self.expression, wall - again)
        hourly = len(walls.hours) == _HOURS_OF_A_DAY
        found: list[datetime.datetime] = []
        for due_wall in walls:
            moments = shown(due_wall, zone)
            if not hourly:
                moments = moments[:1] or (skipped_at(due_wall, zone),)
            found += (one for one in moments if one > moment)
            if found and due_wall > wall:
                break
        return min(found, default=None)


@attrs.frozen
class Every:
    """Each *seconds* seconds: a fixed grid from *anchor* on, so that a late run does not shift the next ones."""

    seconds: float
    anchor: datetime.datetime | None = None

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first moment of the grid after *moment*; without an anchor, *moment* begins the grid."""
        anchor = self.anchor if self.anchor is not None else moment
        passed = math.floor((moment - anchor).total_seconds() / self.seconds)
        found = anchor + datetime.timedelta(seconds=(passed + 1) * self.seconds)
        # Fractions that no float holds may land on the moment itself.
        return found if found > moment else anchor + datetime.timedelta(seconds=(passed + 2) * self.seconds)


@attrs.frozen
class Once:
    """A single moment."""

    moment: datetime.datetime

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the moment while it lies ahead."""
        return self.moment if self.moment > moment else None


Schedule: TypeAlias = Cron | Every | Once


def placed(schedule: Schedule, zone: datetime.tzinfo) -> Schedule:
    """Return *schedule* in *zone* if it has none of its own."""
    if isinstance(schedule, Cron) and schedule.zone is None:
        return attrs.evolve(schedule, zone=zone)
    return schedule


#: Most moments that are looked at, and that are made up for one by one.
MAX_PASSED = 100


@attrs.frozen
class Due:
    """What is to be done at a moment.

    Attributes:
        runs: Moments to run for, oldest first.
        missed: Moments that are not made up for.
        last: The last moment that is settled by this.
    """

    runs: tuple[datetime.datetime, ...]
    missed: int
    last: datetime.datetime


def due(
    schedule: Schedule, last: datetime.datetime, now: datetime.datetime, misfire: Misfire, patience: float
) -> Due | None:
    """Return what is to be done at *now* when everything up to *last* is settled; None when nothing is due.

    Args:
        patience: Seconds by which a run may be late and still counts as being on time.
    """
    passed: list[datetime.datetime] = []
    moment, missed = schedule.after(last), 0
    while moment is not None and moment <= now:
        passed.append(moment)
        if len(passed) > MAX_PASSED:
            passed.pop(0)
            missed += 1
            if missed == 20 * MAX_PASSED:
                # A bot that was away for a year: nobody counts its minutes.
                passed = [now]
                break
        moment = schedule.after(moment)
    if not passed:
        return None
    newest = passed[-1]
    on_time = (now - newest).total_seconds() <= patience
    if misfire is Misfire.ALL:
        return Due(tuple(passed), missed, newest)
    if misfire is Misfire.ONCE or on_time:
        dropped = 0 if misfire is Misfire.ONCE else missed + len(passed) - 1
        return Due((newest,), dropped, newest)
    return Due((), missed + len(passed), newest)


_SPAN = re.compile(r"(\d{1,9})(w|d|h|min|m|s|周|天|小时|分钟|分|秒)")
_SECONDS = {
    "w": 604800, "d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1,
    "周": 604800, "天": 86400, "小时": 3600, "分钟": 60, "分": 60, "秒": 1,
}  # fmt: skip


def span(text: str) -> datetime.timedelta | None:
    """Return the time that *text* means, as ``10m``, ``1h30m`` or ``2天``; None when it means none."""
    text = text.strip().lower()
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    try:
        return datetime.timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))
    except OverflowError:
        return None


def cron(expression: str, tz: str | None = None) -> Cron:
    """Return the schedule for a cron text of five fields or a name like ``@daily``.

    Args:
        tz: Its time zone; None for the bot's.

    Raises:
        ConfigError: The text or the time zone is wrong, or it never comes.
    """
    if not isinstance(expression, str):
        raise ConfigError(f"cron must be a text of five fields, as '0 9 * * 1-5', got {expression!r}")
    text = _NAMED.get(expression.strip().lower(), expression.strip())
    if len(text.split()) != _FIELDS:
        hint = f"or be one of {', '.join(_NAMED)}" if text.startswith("@") else "as '0 9 * * 1-5'"
        raise ConfigError(
            f"cron {expression!r} must have five fields: minute hour day month weekday", hint=hint
        )
    zone = None if tz is None else time_zone(tz)
    try:
        moments = CronSim(text, _SOME_DAY)
    except CronSimError as exc:
        if _is_good_in_other_months(text):
            raise _never(expression) from exc
        raise ConfigError(f"cron {expression!r} is wrong: {exc}") from exc
    if next(moments, None) is None:
        raise _never(expression)
    return Cron(text, zone)


#: Minute, hour, day, month, weekday.
_FIELDS = 5
_SOME_DAY = datetime.datetime(2000, 1, 1)


def _never(expression: str) -> ConfigError:
    return ConfigError(
        f"cron {expression!r} never comes: there is no such day in that month",
        hint="change the day or the month",
    )


def _is_good_in_other_months(text: str) -> bool:
    minute, hour, day, _, weekday = text.split()
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", _SOME_DAY)
    except CronSimError:
        return False
    return True


def every(interval: float | datetime.timedelta) -> Every:
    """Return the schedule for an interval, in seconds. Raises `ConfigError` for what is none."""
    seconds = _seconds("every", interval)
    if not seconds >= SHORTEST:
        raise ConfigError(f"every must be > 0 seconds (at least {SHORTEST:g}), got {seconds:g}")
    if seconds > LONGEST:
        raise ConfigError(
            f"every must be at most ten years, got {seconds:g} seconds", hint="give once= a moment"
        )
    return Every(seconds)


def once(moment: datetime.datetime) -> Once:
    """Return the schedule for one moment. Raises `ConfigError` when it has no time zone."""
    if not isinstance(moment, datetime.datetime):
        raise ConfigError(f"once must be a datetime with a time zone, got {moment!r}")
    if moment.utcoffset() is None:
        raise ConfigError(
            f"the moment {moment.isoformat()} needs a time zone",
            hint="tzinfo=ZoneInfo('Asia/Shanghai'), or datetime.UTC",
        )
    return Once(moment)


def jitter(most: float | datetime.timedelta, schedule: Schedule) -> float:
    """Return how many seconds runs of *schedule* may be late by chance. Raises `ConfigError` unless runs stay apart."""
    seconds = _seconds("jitter", most)
    if not 0 <= seconds <= LONGEST:
        raise ConfigError(f"jitter must be 0 or more seconds, at most ten years, got {seconds:g}")
    apart = _apart(schedule)
    if seconds > apart:
        raise ConfigError(
            f"jitter must not be longer than the {apart:g} seconds between two runs, got {seconds:g}"
        )
    return seconds


#: Moments of a cron text that are looked at for how close they come.
_LOOKED_AT = 100


def _apart(schedule: Schedule) -> float:
    """Return the least seconds between two runs."""
    if isinstance(schedule, Every):
        return schedule.seconds
    if isinstance(schedule, Once):
        return LONGEST
    moments = itertools.islice(CronSim(schedule.expression, _SOME_DAY), _LOOKED_AT)
    return min(((b - a).total_seconds() for a, b in itertools.pairwise(moments)), default=LONGEST)


def _seconds(what: str, value: Any) -> float:
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{what} must be a number of seconds or a timedelta, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        return math.inf
