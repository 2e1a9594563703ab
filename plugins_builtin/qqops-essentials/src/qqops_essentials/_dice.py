"""Dice in the usual notation."""

from __future__ import annotations

import random
import re

from qqops import Refuse

_DICE = re.compile(r"(?P<count>\d{0,3})[dD](?P<sides>\d{1,6})(?P<plus>[+-]\d{1,6})?")

_WRONG = {
    "en": "{dice!r} is not dice; try 2d6+1 (at most 100 dice)",
    "zh": "{dice!r} 不是骰子；试试 2d6+1（最多 100 个）",
}


def roll(dice: str, rng: random.Random, language: str) -> str:
    """Return the result of *dice* as one line. Raises `Refuse` when it is not dice."""
    match = _DICE.fullmatch(dice)
    count = int(match["count"] or 1) if match else 0
    sides = int(match["sides"]) if match else 0
    if match is None or not 1 <= count <= 100 or not sides:
        raise Refuse(_WRONG.get(language, _WRONG["en"]).format(dice=dice[:40]))
    rolls = [rng.randint(1, sides) for _ in range(count)]
    plus = int(match["plus"] or 0)
    if count == 1 and not plus:
        return f"{dice}: {rolls[0]}"
    shown = " + ".join(map(str, rolls)) + (f" {match['plus'][0]} {abs(plus)}" if plus else "")
    return f"{dice}: {shown} = {sum(rolls) + plus}"
