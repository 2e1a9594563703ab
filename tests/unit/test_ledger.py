"""What soak and torture take for broken: each thing alone."""

import pytest

from qqops.simulator.ledger import STORM, Ledger

GOOD = {"fds": 14, "sockets": 3, "threads": 1, "tasks": 13, "rss_kb": 70_000}


def good():
    """Return the ledger of a run in which all was well, a kill included."""
    ledger = Ledger(cap=2.0)
    for n in (1, 2, 3, 4):
        ledger.injected[n] = ("group", "ops")
        ledger.confirmed[n] += 1
    for n in (1, 2, 3):
        ledger.line("S", {"n": n, "kind": "group", "room": "1/2"})
    ledger.line("E", {"n": 1})
    ledger.line("E", {"n": 2})
    ledger.line("I", {"text": "t3", "again": False})
    ledger.line("I", {"text": "t4", "again": False})
    ledger.line("O", {"text": "r1", "outcome": "accepted"})
    ledger.line("O", {"text": "r2", "outcome": "unknown"})
    ledger.line("L", {"phase": "waiting", "retry_in": 1.5})
    ledger.visible.update(["r1", "r2"])
    ledger.most_live = 1
    ledger.exits.update({0: 1, -9: 2})
    ledger.usage = [GOOD, GOOD]
    return ledger


def test_a_good_run_has_nothing_to_complain_about():
    assert good().check() == []
    assert good().summary()["without end"] == 1


BREAK = {
    "started more than once": lambda x: x.starts.append((1, "group", "1/2")),
    "delivered and never handled": lambda x: x.confirmed.update([9]),
    "not reported by the restart": lambda x: x.interrupted.discard(3),
    "handled and never said": lambda x: x.starts.append((8, "group", "1/2")),
    "started after": lambda x: x.starts.reverse(),
    "visible more than once": lambda x: x.visible.update(["r1"]),
    "accepted and visible 0 times": lambda x: x.visible.clear(),
    "more than one outcome": lambda x: x.outcomes["r2"].append("accepted"),
    "refused and visible": lambda x: x.outcomes.update({"r2": ["refused"]}),
    "live sessions": lambda x: setattr(x, "most_live", 2),
    "a wait of": lambda x: setattr(x, "longest_wait", 2.5),
    "fruitless requests": lambda x: setattr(x, "most_requests", STORM + 1),
    "the bot ended with": lambda x: x.exits.update({1: 1}),
    "fds": lambda x: x.usage.append({**GOOD, "fds": 15}),
    "tasks": lambda x: x.usage.append({**GOOD, "tasks": 14}),
    "memory": lambda x: x.usage.append({**GOOD, "rss_kb": 74_000}),
    "was not measured": lambda x: x.usage.clear(),
}


@pytest.mark.parametrize("word", BREAK)
def test_each_thing_that_must_hold_is_seen_to_break(word):
    ledger = good()
    BREAK[word](ledger)
    assert any(word in problem for problem in ledger.check()), ledger.check()
