"""Back-off, pacing and agenda: tables, no clock."""

import datetime
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qqops.errors import ConfigError
from qqops.runtime.agenda import cron, every, once
from qqops.runtime.backoff import Backoff, BackoffPolicy

UTC = datetime.UTC


class Most(random.Random):
    """Always draws the longest delay."""

    def random(self):
        return 0.0


def test_backoff_doubles_up_to_the_cap():
    backoff = Backoff(BackoffPolicy(first=1, cap=60), Most())
    assert [backoff.next_delay() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_backoff_never_overflows():
    backoff = Backoff(BackoffPolicy(), Most(), attempt=10_000)
    assert backoff.next_delay() == 60


def test_backoff_obeys_a_longer_wish_of_the_server():
    backoff = Backoff(BackoffPolicy(first=1, cap=60), Most())
    assert backoff.next_delay(hint=300) == 300
    assert backoff.next_delay(hint=0.5) == 2


def test_backoff_forgets_after_a_stable_session_only():
    backoff = Backoff(BackoffPolicy(stable=60), Most(), attempt=5)
    backoff.ended(59.9)
    assert backoff.attempt == 5
    backoff.ended(60)
    assert backoff.attempt == 0


@given(st.integers(0, 50), st.integers())
def test_backoff_stays_within_its_window(attempt, seed):
    delay = Backoff(BackoffPolicy(first=1, cap=60), random.Random(seed), attempt=attempt).next_delay()
    assert 0 < delay <= min(2**attempt, 60)


def test_cron_in_its_time_zone():
    schedule = cron("0 9 * * 1-5", "Asia/Shanghai")
    friday = datetime.datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    assert schedule.after(friday) == datetime.datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["@daily", "@hourly", "*/5 * * * *", "0 9 * * MON#2"])
def test_cron_forms(text):
    assert cron(text).after(datetime.datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize("text", ["", "* * * *", "0 0 0 * * *", "61 * * * *", "@never"])
def test_wrong_cron_is_named(text):
    with pytest.raises(ConfigError, match="cron"):
        cron(text)


def test_unknown_zone_is_named():
    with pytest.raises(ConfigError, match="Mars/Base"):
        cron("@daily", "Mars/Base")


def test_intervals_and_moments():
    now = datetime.datetime(2026, 1, 1, tzinfo=UTC)
    assert every(90).after(now) == now + datetime.timedelta(seconds=90)
    assert once(now).after(now) is None
    with pytest.raises(ConfigError, match="> 0"):
        every(-3)
    with pytest.raises(ConfigError, match="time zone"):
        once(datetime.datetime(2026, 1, 1))
