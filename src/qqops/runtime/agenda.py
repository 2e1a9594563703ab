"""When a job is due: cron text, intervals and single moments → next moment. Pure."""

from __future__ import annotations

import datetime
import enum
import math
import re
import zoneinfo
from typing import TypeAlias

import attrs
from cronsim import CronSim, CronSimError

from qqops.errors import ConfigError

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


@attrs.frozen
class Cron:
    """A cron expression in a time zone. Build it with `cron`, which checks both."""

    expression: str
    zone: datetime.tzinfo

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first due moment after *moment*; None when there is none."""
        try:
            found: datetime.datetime = next(CronSim(self.expression, moment.astimezone(self.zone)))
        except StopIteration:
            return None
        return found


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


def cron(expression: str, tz: str = "UTC") -> Cron:
    """Return the schedule for a cron text of five fields or a name like ``@daily``.

    Raises:
        ConfigError: The text or the time zone is wrong.
    """
    text = _NAMED.get(expression.strip().lower(), expression.strip())
    if len(text.split()) != 5:
        raise ConfigError(f"cron {expression!r} must have five fields: minute hour day month weekday")
    zone = time_zone(tz)
    try:
        CronSim(text, datetime.datetime(2000, 1, 1, tzinfo=zone))
    except CronSimError as exc:
        raise ConfigError(f"cron {expression!r} is wrong: {exc}") from exc
    return Cron(text, zone)


def every(seconds: float) -> Every:
    """Return the schedule for an interval in seconds. Raises `ConfigError` unless it is positive."""
    if not seconds > 0:
        raise ConfigError(f"the interval must be > 0 seconds, got {seconds:g}")
    return Every(float(seconds))


def once(moment: datetime.datetime) -> Once:
    """Return the schedule for one moment. Raises `ConfigError` when it has no time zone."""
    if moment.tzinfo is None:
        raise ConfigError(f"the moment {moment.isoformat()} needs a time zone")
    return Once(moment)


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone *name*. Raises `ConfigError` when it is unknown."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as exc:
        raise ConfigError(f"unknown time zone {name!r}", hint="names look like Asia/Shanghai") from exc
