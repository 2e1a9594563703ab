"""How long a text may be before the search for a pattern is bounded."""

import re

import pytest

from qqops.runtime.patterns import free_length


@pytest.mark.parametrize(
    "pattern",
    ["", "hello", r"(?i)\bhello\b|bye", r"^m(?P<n>\d+)$", r"(\d{4}-){2}\d\d", r"a{2,5}b?", r"(?<=ab)c", r"(?<!a)b(?!c)"],
)  # fmt: skip
def test_what_shares_nothing_out_is_free_in_any_message(pattern):
    assert free_length(re.compile(pattern)) == 65536


@pytest.mark.parametrize(
    "pattern",
    [r"INC-(?P<n>\d+)", r"^(?P<word>\w+ \d+)$", r"(a)?(?(1)b|c+)", r"(?>a+)b", r"(ab)\1c", r"(?=(a*))\1b", r"(?m)^a*$", r"(?:a|b)+c", r"a+?b"],
)  # fmt: skip
def test_one_repetition_is_free_in_a_long_message(pattern):
    assert 500 < free_length(re.compile(pattern)) < 5000


@pytest.mark.parametrize(
    "pattern", [r"(\d+)\s*x", r".*foo.*bar", r"(a++)+$", r"(?:please )?(?:stop|go)\s+(\S+)$"]
)
def test_two_repetitions_are_free_in_a_short_message(pattern):
    assert 20 < free_length(re.compile(pattern)) < 200


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+$", r"^(\w+\s?)*$", r"(a|aa)+$", r"(x+x+)+y", r"(?:a?){30}a{30}b", r"(?:(?:a|bb)*?)*?c", r"((a+)(a+))+\2$"],
)  # fmt: skip
def test_one_within_another_is_free_in_nothing_to_speak_of(pattern):
    assert free_length(re.compile(pattern)) < 20


@pytest.mark.parametrize("length", [5, 20, 80])
@pytest.mark.parametrize("tail", ["", "*", "+?", "{2,5}"])
def test_one_more_repetition_never_makes_it_longer(length, tail):
    """The bound is for what the pattern holds, whatever it is wrapped in."""
    inner = "a*" * (length // 20) + "b" * length
    assert free_length(re.compile(f"(?:{inner}){tail}")) <= free_length(re.compile(inner))
