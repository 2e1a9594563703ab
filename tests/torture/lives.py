"""What each process of the bot held, from its start to its end, and whether anything of it grew. Pure.

Trouble lets the figures jump, so two things are compared that trouble does not touch: what a process holds before and
after the bot has run in it, and the least that it held in quiet moments of the first and of the second half of its life.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

#: Seconds online after which what is made once, at the first message and the first fault, is made.
WARM = 5.0
#: Quiet moments in each half from which on the halves are compared.
ENOUGH = 10
#: What a quiet moment of the second half may hold beyond the first: a kept connection for calls and one for pictures,
#: and the tasks that wait on them.
SLACK = {"fds": 2, "sockets": 2, "threads": 0, "tasks": 2}
#: How much more memory a process may hold in the second half of its life than in the first.
RSS_GROWTH = 1.05

Usage = Mapping[str, Any]


@attrs.define
class Life:
    """One process.

    Attributes:
        born: What it held before the bot ran.
        quiet: What it held in quiet moments, once warm.
        done: What it held after the bot had ended in good order; None when the process was killed.
    """

    born: Usage
    quiet: list[Usage] = attrs.field(factory=list)
    done: Usage | None = None

    @property
    def halves(self) -> tuple[Sequence[Usage], Sequence[Usage]] | None:
        """The quiet moments of both halves, or None when there are too few."""
        middle = len(self.quiet) // 2
        return (self.quiet[:middle], self.quiet[middle:]) if middle >= ENOUGH else None

    def check(self) -> list[str]:
        """Return what has grown, in words."""
        found = []
        if self.done is not None:
            found += [
                f"{what}: {self.born[what]} before the bot ran, {self.done[what]} after it had ended"
                for what in SLACK
                if self.done[what] > self.born[what]
            ]
        if self.halves is not None:
            first, second = ({key: min(u[key] for u in half) for key in half[0]} for half in self.halves)
            found += [
                f"{what} in quiet moments: {first[what]} in the first half, {second[what]} in the second"
                for what in SLACK
                if second[what] > first[what] + SLACK[what]
            ]
            if second["rss_kb"] > first["rss_kb"] * RSS_GROWTH:
                found.append(
                    f"memory: {first['rss_kb']} kB in the first half, {second['rss_kb']} kB in the second"
                )
        return found


@attrs.define
class Lives:
    """All processes of one run."""

    all: list[Life] = attrs.field(factory=list)

    def line(self, kind: str, data: Usage) -> None:
        """Take a line: B before the bot runs, Q in a quiet moment, D after the bot has ended.

        A moment is not quiet while a broken disk keeps the file of the store closed: that is less than the bot holds.
        """
        if kind == "B":
            self.all.append(Life(born=data))
        elif self.all and kind == "Q" and data["up"] >= WARM and data["store"]:
            self.all[-1].quiet.append(data)
        elif self.all and kind == "D":
            self.all[-1].done = data

    def check(self) -> list[str]:
        """Return what has grown, in words; the process is named by its number."""
        return [f"process {n}: {what}" for n, life in enumerate(self.all, 1) for what in life.check()][:10]

    def summary(self) -> str:
        """Return how many processes there were, and how many of them were compared in which way."""
        ended = sum(life.done is not None for life in self.all)
        halves = sum(life.halves is not None for life in self.all)
        return f"{len(self.all)} ({ended} to the end, {halves} by halves)"
