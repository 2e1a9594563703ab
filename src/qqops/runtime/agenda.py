"""When a job is due: cron text, intervals and single moments → next moment. Pure."""

from __future__ import annotations

import datetime
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
    """Each *seconds* seconds, counted from the start of the bot."""

    seconds: float

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return *moment* plus the interval."""
        return moment + datetime.timedelta(seconds=self.seconds)


@attrs.frozen
class Once:
    """A single moment."""

    moment: datetime.datetime

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the moment while it lies ahead."""
        return self.moment if self.moment > moment else None


Schedule: TypeAlias = Cron | Every | Once


def cron(expression: str, tz: str = "UTC") -> Cron:
    """Return the schedule for a cron text of five fields or a name like ``@daily``.

    Raises:
        ConfigError: The text or the time zone is wrong.
    """
    text = _NAMED.get(expression.strip(), expression.strip())
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
