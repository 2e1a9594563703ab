"""How long a text may be that a regular expression is searched in without a bound on its time. Pure.

The engine tries every way in which repetitions can share out a text. How many there are at most follows from the pattern
alone: one repetition in a search takes the square of the text's length, each further one multiplies by the length, and one
inside of another makes it exponential. What is counted here is never less than what the engine does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

#: Steps of the engine that nobody notices: 8 ns each where it was measured, 16 ms in all.
STEPS = 2_000_000
#: Lengths that are tried, the longest first: characters.
_LENGTHS = tuple(int(2 ** (i / 2)) for i in range(32, -1, -1))

#: What matches one character, or a place.
_SINGLE = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "RANGE", "CATEGORY", "FAILURE"})
#: What is left as it has matched: nothing is shared out anew in it when the rest fails.
_CLOSED = frozenset({"ATOMIC_GROUP", "POSSESSIVE_REPEAT", "ASSERT", "ASSERT_NOT"})
#: Places that only the first of all tries can match.
_ONCE = frozenset({"AT_BEGINNING", "AT_BEGINNING_STRING"})


def free_length(pattern: re.Pattern[str]) -> int:
    """Return the length up to which no text costs more than `STEPS`; -1 when that cannot be told."""
    try:
        from re import _parser  # type: ignore[attr-defined] # there is no other way to its parse tree

        tree = list(_parser.parse(pattern.pattern, pattern.flags))
        return next((n for n in _LENGTHS if _whole(tree, n, pattern.flags) <= STEPS), -1)
    except Exception:  # noqa: BLE001 - another Python may parse into something else: then nothing is sure
        return -1


def _whole(tree: list[Any], n: int, flags: int) -> float:
    steps, _ = _sequence(tree, n)
    anchored = bool(tree) and str(tree[0][1]) in _ONCE and not flags & re.MULTILINE
    return n + steps if anchored else (n + 1) * steps


def _sequence(items: Iterable[Any], n: int) -> tuple[float, float]:
    """Return at most how many steps *items* take in *n* characters, and in how many ways they can match."""
    steps, ways = 1.0, 1.0
    for op, argument in items:
        more, by = _one(str(op), argument, n)
        steps += ways * more
        ways *= by
    return steps, ways


def _one(op: str, argument: Any, n: int) -> tuple[float, float]:
    if op in _SINGLE:
        return 1.0, 1.0
    if op in _CLOSED:
        repeated = op == "POSSESSIVE_REPEAT"
        steps, _ = _repeat(argument, n) if repeated else _sequence(_body(argument), n)
        return steps, 1.0
    if op in ("MAX_REPEAT", "MIN_REPEAT"):
        return _repeat(argument, n)
    if op == "SUBPATTERN":
        return _sequence(argument[3], n)
    if op == "BRANCH":
        branches = [_sequence(one, n) for one in argument[1]]
        return sum(steps for steps, _ in branches), sum(ways for _, ways in branches)
    if op == "GROUPREF":
        return float(n), 1.0
    if op == "GROUPREF_EXISTS":
        branches = [_sequence(one or (), n) for one in argument[1:]]
        return sum(steps for steps, _ in branches), max(ways for _, ways in branches)
    return math.inf, math.inf


def _body(argument: Any) -> Any:
    """Return what stands inside: look-around has a direction in front of it."""
    return argument[1] if isinstance(argument, tuple) else argument


def _repeat(argument: Any, n: int) -> tuple[float, float]:
    least, most, body = int(argument[0]), min(int(argument[1]), n), argument[2]
    steps, ways = _sequence(body, n)
    if ways == 1.0:
        return max(most, 1) * steps, max(most - least, 0) + 1.0
    if most * math.log(ways) > 100.0:
        return math.inf, math.inf
    total = (most + 1) * ways**most
    return total * steps, total
