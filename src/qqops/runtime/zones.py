"""Time zones: their names, and what their clocks show. Pure."""

from __future__ import annotations

import bisect
import datetime
import difflib
import zoneinfo
from collections.abc import Sequence

from qqops.errors import ConfigError

#: Files of the zone database that are no place: what they hold differs from computer to computer.
_NO_PLACES = frozenset({"posixrules", "localtime", "Factory"})
#: Second copies of the database, with and without leap seconds.
_COPIES = ("posix/", "right/")
#: How alike a name must be to be what was meant.
_NEAR = 0.75


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """Return the time zone *name*. Raises `ConfigError`, with the nearest name, when there is none."""
    if not isinstance(name, str):
        raise ConfigError(
            f"a time zone is named by a text, got {name!r}", hint="names look like Asia/Shanghai"
        )
    try:
        if name in _NO_PLACES or name.startswith(_COPIES):
            raise zoneinfo.ZoneInfoNotFoundError(name)
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # OSError: it is a folder, as Asia
        raise ConfigError(f"unknown time zone {name!r}", hint=_hint(name)) from None


def _hint(name: str) -> str:
    places = {place.lower(): place for place in zoneinfo.available_timezones() - _NO_PLACES}
    cities = {place.rpartition("/")[2]: place for place in sorted(places)}
    wanted = name.strip().lower().replace(" ", "_")
    inside = [place for low, place in sorted(places.items()) if low.startswith(f"{wanted.rstrip('/')}/")]
    if inside:
        return f"that is a folder; names in it look like {inside[len(inside) // 2]}"
    if near := difflib.get_close_matches(wanted, places, 1, cutoff=_NEAR):
        return f"did you mean {places[near[0]]}?"
    if near := difflib.get_close_matches(wanted, cities, 1, cutoff=_NEAR):
        return f"did you mean {places[cities[near[0]]]}?"
    return "names look like Asia/Shanghai"


def shown(wall: datetime.datetime, zone: datetime.tzinfo) -> Sequence[datetime.datetime]:
    """Return when a clock in *zone* shows *wall*, in UTC: once; twice where it is set back; never where it skips that.

    Args:
        wall: What the clock shows, without a time zone.
    """
    first, second = _readings(wall, zone)
    return () if first > second else (first,) if first == second else (first, second)


def skipped_at(wall: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """Return when a clock in *zone* that never shows *wall* goes forward over it, in UTC."""
    after, before = _readings(wall, zone)
    offset = after.astimezone(zone).utcoffset()
    seconds = range(int((after - before).total_seconds()) + 1)
    passed = bisect.bisect_left(
        seconds,
        True,
        key=lambda s: (before + datetime.timedelta(seconds=s)).astimezone(zone).utcoffset() == offset,
    )
    return before + datetime.timedelta(seconds=passed)


def _readings(wall: datetime.datetime, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime]:
    """Return *wall* by the offset before a change of the clock and by that after it; the same where there is none."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
    return first, second
