"""Cron texts where clocks are set forward and back: against a count of every minute that there is."""

import datetime
import itertools
import zoneinfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from qqops.errors import ConfigError
from qqops.runtime.agenda import Cron, cron
from qqops.runtime.zones import shown, skipped_at, time_zone

UTC = datetime.UTC
#: Zone and, where its clock changes in 2026, the days of that.
ZONES = {
    "America/New_York": [(3, 8), (11, 1)],
    "Europe/Berlin": [(3, 29), (10, 25)],
    "Australia/Lord_Howe": [(4, 5), (10, 4)],  # by half an hour
    "America/Havana": [(3, 8), (11, 1)],  # at midnight
    "America/Santiago": [(4, 5), (9, 6)],  # to the day before
    "Asia/Kathmandu": [(6, 1)],
    "Asia/Shanghai": [(6, 1)],
}
DAYS = [(zone, datetime.datetime(2026, *day, tzinfo=UTC)) for zone, days in ZONES.items() for day in days]
HOURLY = ["* * * * *", "*/20 * * * *", "0 * * * *", "45 * * * *", "15 0-23 * * 0"]
CERTAIN = [
    "30 1 * * *",
    "30 2 * * *",
    "15,45 1-3 * * *",
    "0 0 * * *",
    "10 */2 * * *",
    "* 2 * * *",
    "45 23 * * 6,0",
]
#: A cron text is due every minute at most, and no clock goes back by more than an hour here.
MOST_STEPS = 200


def moment(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def chain(schedule, start, end):
    """What is due in (start, end], each from the one before."""
    found, last = [], start
    while (last := schedule.after(last)) is not None and last <= end:
        assert not found or last > found[-1]
        found.append(last)
    return found


def matching(expression, zone, start, end, every_showing):
    """The same by counting: which minutes show a time that *expression* means."""
    wall = start.astimezone(zone).replace(tzinfo=None) - datetime.timedelta(days=1)
    last = end.astimezone(zone).replace(tzinfo=None) + datetime.timedelta(days=1)
    due = set(itertools.takewhile(lambda one: one <= last, CronSim(expression, wall)))
    minutes = [
        start + datetime.timedelta(minutes=n) for n in range(1, int((end - start).total_seconds()) // 60 + 1)
    ]
    found = [
        m
        for m in minutes
        if (s := m.astimezone(zone)).replace(tzinfo=None, fold=0) in due and (every_showing or not s.fold)
    ]
    if not every_showing:
        walls = {m.astimezone(zone).replace(tzinfo=None, fold=0): m for m in minutes}
        steps = itertools.pairwise(minutes)
        for a, b in steps:
            left, right = (one.astimezone(zone).replace(tzinfo=None) for one in (a, b))
            missing = (
                left + datetime.timedelta(minutes=n)
                for n in range(1, int((right - left).total_seconds()) // 60)
            )
            if b not in found and any(one in due and one not in walls for one in missing):
                found.append(b)
    return sorted(found)


@pytest.mark.parametrize("expression", [*HOURLY, *CERTAIN])
@pytest.mark.parametrize(("name", "day"), DAYS, ids=lambda v: v if isinstance(v, str) else f"{v:%m-%d}")
def test_all_that_is_due_around_a_change_of_the_clock(expression, name, day):
    zone = zoneinfo.ZoneInfo(name)
    start, end = day - datetime.timedelta(days=1, minutes=7), day + datetime.timedelta(days=2)
    expected = matching(expression, zone, start, end, expression in HOURLY)
    assert chain(cron(expression, name), start, end) == expected


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    expression=st.sampled_from([*HOURLY, *CERTAIN]),
    around=st.sampled_from(DAYS),
    seconds=st.floats(-90_000, 90_000, allow_nan=False),
    foreign=st.booleans(),
)
def test_the_next_moment_is_later_in_any_zone_and_found_in_few_steps(expression, around, seconds, foreign):
    """Also when it is asked with a moment that is written in the zone itself."""
    name, day = around
    zone = Counting(name)
    at = day + datetime.timedelta(seconds=seconds)
    schedule = Cron(expression, zone)
    last = at if foreign else at.astimezone(zoneinfo.ZoneInfo(name))
    for _ in range(5):
        zone.asked = 0
        found = schedule.after(last)
        assert found.timestamp() > last.timestamp()
        assert zone.asked < 4 * MOST_STEPS
        last = found if foreign else found.astimezone(zoneinfo.ZoneInfo(name))


class Counting(datetime.tzinfo):
    """A zone that counts how often it is asked."""

    def __init__(self, name):
        self.zone, self.asked = zoneinfo.ZoneInfo(name), 0

    def utcoffset(self, when):
        self.asked += 1
        return self.zone.utcoffset(when)

    def dst(self, when):
        return self.zone.dst(when)

    def tzname(self, when):
        return self.zone.tzname(when)

    def fromutc(self, when):
        self.asked += 1
        return self.zone.fromutc(when.replace(tzinfo=self.zone)).replace(tzinfo=self)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "due"),
    [
        ("30 1 * * *", "America/New_York", "2026-11-01 04:00", ["2026-11-01 05:30", "2026-11-02 06:30"]),
        ("30 1 * * *", "America/New_York", "2026-11-01 06:15", ["2026-11-02 06:30"]),
        ("30 * * * *", "America/New_York", "2026-11-01 05:15", ["2026-11-01 05:30", "2026-11-01 06:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", ["2026-03-29 01:00", "2026-03-30 00:30"]),
        ("30 * * * *", "Europe/Berlin", "2026-03-29 00:15", ["2026-03-29 00:30", "2026-03-29 01:30"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00", ["2026-04-04 14:45", "2026-04-05 15:15"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00", ["2026-10-03 15:30", "2026-10-04 15:15"]),
        ("0 0 * * *", "America/Santiago", "2026-09-05 12:00", ["2026-09-06 04:00", "2026-09-07 03:00"]),
        ("15 6 * * *", "Asia/Kathmandu", "2026-06-01 00:29", ["2026-06-01 00:30", "2026-06-02 00:30"]),
    ],
)  # fmt: skip
def test_examples(expression, zone, after, due):
    schedule, last, found = cron(expression, zone), moment(after), []
    for _ in due:
        last = schedule.after(last)
        found.append(f"{last:%Y-%m-%d %H:%M}")
    assert found == due


def test_what_a_clock_shows():
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    assert shown(datetime.datetime(2026, 6, 1, 12), berlin) == (moment("2026-06-01 10:00"),)
    doubled = shown(datetime.datetime(2026, 10, 25, 2, 30), berlin)
    assert doubled == (moment("2026-10-25 00:30"), moment("2026-10-25 01:30"))
    left_out = datetime.datetime(2026, 3, 29, 2, 30)
    assert shown(left_out, berlin) == ()
    assert skipped_at(left_out, berlin) == moment("2026-03-29 01:00")
    # A day that an island has never had: it went over the date line.
    apia = zoneinfo.ZoneInfo("Pacific/Apia")
    assert skipped_at(datetime.datetime(2011, 12, 30, 12), apia) == moment("2011-12-30 10:00")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Asia", "a folder"), ("Asia/", "a folder"), ("America/Argentina", "Argentina/"), ("", "Asia/Shanghai"),
        ("../etc", "Asia/Shanghai"), ("/etc/passwd", "Asia/Shanghai"), ("posixrules", "Asia/Shanghai"),
        ("localtime", "Asia/Shanghai"), ("right/UTC", "Asia/Shanghai"), (".", "Asia/Shanghai"), ("Asia/\0", "Asia/Shanghai"),
        ("Asia/Shangai", "did you mean Asia/Shanghai"), ("asia/shanghai", "did you mean Asia/Shanghai"),
        ("New York", "did you mean America/New_York"), ("beijing", "Asia/Shanghai"), (8, "Asia/Shanghai"),
        (None, "Asia/Shanghai"), (zoneinfo.ZoneInfo("UTC"), "Asia/Shanghai"),
    ],
)  # fmt: skip
def test_what_is_no_zone_is_refused_with_a_name_that_is_one(name, hint):
    with pytest.raises(ConfigError) as caught:
        time_zone(name)
    assert repr(name) in caught.value.message
    assert hint in caught.value.hint
