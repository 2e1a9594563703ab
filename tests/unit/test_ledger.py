"""What soak and torture take for broken: each thing alone."""

import pytest

from tests.torture.ledger import LISTED, STORM, Ledger
from tests.torture.lives import ENOUGH, WARM
from tests.torture.waits import BACKOFF, KICK_PAUSE, MANY

GOOD = {"fds": 14, "sockets": 3, "threads": 1, "tasks": 13, "rss_kb": 70_000}
BORN = {"fds": 9, "sockets": 4, "threads": 1, "tasks": 5, "rss_kb": 58_000}


def wait(ledger, retry_in, attempt, *, at=100.0, cause="", tried=None):
    """Let the bot wait before an attempt, and try again when that is over."""
    ledger.line("L", {"phase": "waiting", "retry_in": retry_in, "attempt": attempt, "at": at, "cause": cause})
    ledger.line(
        "L", {"phase": "connecting", "retry_in": None, "at": at + retry_in if tried is None else tried}
    )


def quiet(ledger, count, **more):
    for _ in range(count):
        ledger.line("Q", {"up": WARM, "store": True, **GOOD, **more})


def good():
    """Return the ledger of a run in which all was well, a kill included."""
    ledger = Ledger()
    ledger.line("B", BORN)
    quiet(ledger, 2 * ENOUGH)
    ledger.line("D", {**BORN, "rss_kb": 72_000})
    ledger.line("B", BORN)
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
    wait(ledger, 0.1, 1)
    wait(ledger, 0.15, 2)
    wait(ledger, 0.05, 1)
    wait(ledger, KICK_PAUSE, 2, cause="kicked: elsewhere")
    ledger.visible.update(["r1", "r2"])
    ledger.most_live = 1
    ledger.exits.update({0: 1, -9: 2})
    ledger.usage = [GOOD, GOOD]
    return ledger


def test_a_good_run_has_nothing_to_complain_about():
    assert good().check() == []
    assert good().summary()["without end"] == 1


def test_what_is_uncertain_is_listed_by_name():
    ledger = good()
    ledger.ambiguous = {3}
    ledger.lost = set(range(50, 75))
    lines = "\n".join(ledger.listing())
    assert "ambiguous (delivered or not at a kill): 1: t3\n" in lines
    assert "unknown sends: 1: r2 (seen)\n" in lines
    assert "without end: 1: t3 (reported)\n" in lines
    assert "lost by the service: 25: t50, t51" in lines
    assert f" and {25 - LISTED} more\n" in lines
    assert f"at most {STORM} fruitless requests in any 10 s, {6 * STORM} a minute" in lines
    assert "windows from 0.1 s doubling to 2 s" in lines
    assert "processes 2 (1 to the end, 1 by halves)" in lines


BREAK = {
    "started more than once": lambda x: x.starts.append((1, "group", "1/2")),
    "delivered and never handled": lambda x: x.confirmed.update([9]),
    "not reported by the restart": lambda x: x.interrupted.discard(3),
    "no clock was moved": lambda x: x.line("X", {"text": "t4", "age": 900.0}),
    "handled and never said": lambda x: x.starts.append((8, "group", "1/2")),
    "started after": lambda x: x.starts.reverse(),
    "t2 started after t3": lambda x: x.starts.insert(0, x.starts.pop()),
    "neither delivered nor lost": lambda x: x.injected.update({9: ("group", "ops")}),
    "ambiguous at a kill, and handled": lambda x: (x.ambiguous.add(1), x.starts.append((1, "group", "1/2"))),
    "visible more than once": lambda x: x.visible.update(["r1"]),
    "accepted and visible 0 times": lambda x: x.visible.clear(),
    "more than one outcome": lambda x: x.outcomes["r2"].append("accepted"),
    "refused and visible": lambda x: x.outcomes.update({"r2": ["refused"]}),
    "live sessions": lambda x: setattr(x, "most_live", 2),
    "a wait of 2.50 s at attempt 9": lambda x: [wait(x, 0.01, n) for n in range(3, 9)] + [wait(x, 2.5, 9)],
    "a wait of 0.20 s at attempt 1": lambda x: wait(x, 0.2, 1),
    "a wait of 0.00 s": lambda x: wait(x, 0.0, 1),
    "a wait of 0.30 s at attempt 3, allowed are 0.5": lambda x: wait(x, 0.3, 3, cause="kicked: elsewhere"),
    "attempt 5 after attempt 2": lambda x: wait(x, 0.1, 5),
    "a try 0.50 s before its time": lambda x: wait(x, 0.1, 3, tried=99.6),
    "no jitter": lambda x: [wait(x, BACKOFF.first * 0.9, 1) for _ in range(MANY)],
    "fruitless requests": lambda x: setattr(x, "most_requests", STORM + 1),
    "the bot ended with": lambda x: x.exits.update({1: 1}),
    "fds": lambda x: x.usage.append({**GOOD, "fds": 15}),
    "tasks": lambda x: x.usage.append({**GOOD, "tasks": 14}),
    "memory": lambda x: x.usage.append({**GOOD, "rss_kb": 74_000}),
    "fds: 9 before": lambda x: x.line("D", {**BORN, "fds": 10}),
    "tasks: 5 before": lambda x: x.line("D", {**BORN, "tasks": 6}),
    "process 2: sockets in quiet moments: 3 in": lambda x: (quiet(x, ENOUGH), quiet(x, ENOUGH, sockets=6)),
    "process 2: memory": lambda x: (quiet(x, ENOUGH), quiet(x, ENOUGH, rss_kb=74_000)),
    "was not measured": lambda x: x.usage.clear(),
}


@pytest.mark.parametrize("word", BREAK)
def test_each_thing_that_must_hold_is_seen_to_break(word):
    ledger = good()
    BREAK[word](ledger)
    assert any(word in problem for problem in ledger.check()), ledger.check()


def test_only_what_came_shuffled_and_unnumbered_may_start_out_of_order():
    ledger = good()
    ledger.starts = [(1, "group", "1/2"), (3, "group", "1/2"), (2, "group", "1/2")]
    ledger.shuffled = [{2: 1000, 3: 1000}]
    assert ledger.check() == []
    ledger.shuffled = [{2: 1000, 3: 1001}, {2: 1000}, {3: 1000}]
    assert any("t2 started after t3" in problem for problem in ledger.check())
    ledger.starts = [(3, "group", "1/2"), (2, "group", "1/2"), (1, "group", "1/2")]
    ledger.shuffled = [{2: 1000, 3: 1000}, {1: 1000, 3: 1000}]
    assert any("t1 started after t2" in problem for problem in ledger.check())


def test_trouble_may_let_the_figures_jump():
    ledger = good()
    for _ in range(2):
        quiet(ledger, ENOUGH, sockets=9, fds=30, tasks=40)
        quiet(ledger, 1)
    assert ledger.check() == []


@pytest.mark.parametrize("store", [True, False])
def test_a_file_that_a_broken_disk_keeps_closed_is_no_measure_of_what_is_held_later(store):
    ledger = good()
    quiet(ledger, 1, fds=11, store=store)
    quiet(ledger, 2 * ENOUGH)
    told = ["process 2: fds in quiet moments: 11 in the first half, 14 in the second"]
    assert ledger.check() == (told if store else [])
