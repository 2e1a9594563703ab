"""What happens again and again is told at once, then once a minute with the number of those left out."""

import random

import pytest

from qqops.runtime.seldom import Seldom


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def seldom(clock):
    return Seldom(clock)


def test_the_first_is_told_at_once(seldom):
    assert seldom.due("a") == 0


def test_those_of_the_same_minute_are_left_out_and_counted(seldom, clock):
    seldom.due("a")
    for _ in range(5):
        clock.now += 11.9
        assert seldom.due("a") is None
    clock.now = 1060.0
    assert seldom.due("a") == 5
    assert seldom.due("a") is None


def test_the_minute_begins_with_what_was_told_and_not_with_what_was_left_out(seldom, clock):
    told = []
    for second in range(300):
        clock.now = 1000.0 + second
        if (left := seldom.due("a")) is not None:
            told.append((second, left))
    assert told == [(0, 0), (60, 59), (120, 59), (180, 59), (240, 59)]


def test_one_that_is_rare_is_always_told(seldom, clock):
    for _ in range(3):
        assert seldom.due("a") == 0
        clock.now += 60.0


def test_keys_do_not_touch_each_other(seldom):
    assert [seldom.due(key) for key in ("a", "b", "a", ("b", 1), "b")] == [0, 0, None, 0, None]


def test_a_clock_that_is_set_back_does_not_silence_anything(seldom, clock):
    seldom.due("a")
    assert seldom.due("a") is None
    clock.now -= 5000.0
    assert seldom.due("a") == 1
    assert seldom.due("a") is None


def test_beyond_the_bound_the_one_told_longest_ago_is_forgotten(clock):
    seldom = Seldom(clock, most=2)
    for key in ("a", "b"):
        seldom.due(key)
    clock.now += 60.0
    seldom.due("a")  # now "b" is the older one
    seldom.due("c")
    assert seldom.due("a") is None
    assert seldom.due("b") == 0


def test_one_that_is_told_again_pushes_nobody_out(clock):
    seldom = Seldom(clock, most=2)
    for key in ("a", "b", "a"):
        seldom.due(key)
    clock.now += 60.0
    assert [seldom.due(key) for key in ("b", "a")] == [0, 1]


def test_memory_is_bounded_whatever_comes(clock):
    seldom, draw = Seldom(clock, pause=10.0, most=50), random.Random(1)
    for _ in range(5000):
        clock.now += draw.random()
        seldom.due(draw.randrange(500))
        assert len(seldom._told) <= 50
