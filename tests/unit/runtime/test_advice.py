"""Each state of a store that the pages name is told with something a person can do."""

import pathlib
import re

import pytest

from qqops.runtime.storage.advice import advice

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "en" / "how-to" / "run-a-bot.md"
#: These say themselves what to do.
TOLD = ("update qqops", "a bot runs in", "another bot works in it")


def reasons():
    table = PAGE.read_text("utf-8").split("| the log says |")[1]
    first = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [reason for cell in first for reason in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("reason", reasons())
def test_what_the_page_names_comes_with_advice(reason):
    assert bool(advice(f"cannot open x: {reason.upper()}")) is not any(word in reason for word in TOLD)


def test_there_is_no_advice_for_what_nobody_knows():
    assert len(reasons()) >= 12
    assert advice("something else") == ""
