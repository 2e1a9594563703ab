"""What a run of the bench says: table, ratios, the targets T1–T9, and bars in text. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import attrs

#: Medians by target and column.
Rows: TypeAlias = Mapping[str, Mapping[str, float]]

SPEED, MIXED, ALONE, START, RSS = "commands/s", "mixed events/s", "p50 alone ms", "start s", "RSS MB"
FULL = "qqops 1000 commands"
PLOTTED = (SPEED, MIXED)


@attrs.frozen
class Goal:
    """One line of the targets: what counts, and how far it shall come.

    Attributes:
        needs: The targets that must have run.
        value: What was reached.
        least: Whether *must* and *stretch* are the least that is wanted; else they are the most.
        stretch: None where there is none.
    """

    number: str
    what: str
    needs: tuple[str, ...]
    value: Callable[[Rows], float]
    must: float
    stretch: float | None
    least: bool = True

    def line(self, rows: Rows) -> str:
        """Return the line of the table."""
        missing = [name for name in self.needs if name not in rows]
        if missing:
            reached = (
                "not run" if all("qqops" in name or name == "bare loop" for name in missing) else "no peer"
            )
            return f"| {self.number} | {self.what} | {reached} | {self.mark(self.must)} | {self.mark(self.stretch)} |"
        value = self.value(rows)
        wanted = " | ".join(
            f"{self.mark(limit)}{self.verdict(value, limit)}" for limit in (self.must, self.stretch)
        )
        return f"| {self.number} | {self.what} | {number(value)} | {wanted} |"

    def mark(self, limit: float | None) -> str:
        return "–" if limit is None else f"{'≥' if self.least else '≤'} {limit:g}"

    def verdict(self, value: float, limit: float | None) -> str:
        if limit is None:
            return ""
        return " yes" if (value >= limit if self.least else value <= limit) else " **no**"


def number(value: float) -> str:
    """Return a figure with as many digits as it deserves."""
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.2f}"


def times(column: str, other: str, mine: str = "qqops") -> Callable[[Rows], float]:
    """How many times *other*'s figure *mine* is."""
    return lambda rows: rows[mine][column] / (rows[other][column] or math.nan)


def more(column: str) -> Callable[[Rows], float]:
    """What 1,000 commands add."""
    return lambda rows: rows[FULL][column] - rows["qqops"][column]


def figure(column: str, name: str = "qqops") -> Callable[[Rows], float]:
    return lambda rows: rows[name][column]


def against(number: str, column: str, *wanted: tuple[str, float, float]) -> list[Goal]:
    """How many times a peer's throughput qqops must have."""
    return [
        Goal(number, f"{column}, × {name}", ("qqops", name), times(column, name), must, stretch)
        for name, must, stretch in wanted
    ]


def quicker(*wanted: tuple[str, float, float]) -> list[Goal]:
    """How many times a peer's median wait must be that of qqops."""
    return [
        Goal("T5", f"p50 alone, {name} ÷", (name, "qqops"), times(ALONE, "qqops", name), must, stretch)
        for name, must, stretch in wanted
    ]


#: Section 6 of the speed sheet, as far as one run can tell.
GOALS: Sequence[Goal] = (
    *against(
        "T1", SPEED, ("NoneBot2", 80, 160), ("NoneBot2 best", 30, 60), ("Koishi", 50, 100), ("melobot", 20, 40),
        ("aiocqhttp", 6, 12), ("bare loop", 0.40, 0.7),
    ),
    Goal(
        "T2", f"{SPEED} inline, × bare loop", ("qqops inline", "bare loop"),
        times(SPEED, "bare loop", "qqops inline"), 0.65, 0.85,
    ),
    *against(
        "T3", MIXED, ("NoneBot2", 200, 400), ("Koishi", 90, 150), ("aiocqhttp", 8, 14), ("bare loop", 0.50, 0.75),
    ),
    Goal("T4", f"{SPEED}, 1,000 commands × 1", ("qqops", FULL), times(SPEED, "qqops", FULL), 0.95, 0.98),
    Goal("T4", "start, 1,000 commands, + s", ("qqops", FULL), more(START), 0.15, 0.05, least=False),
    Goal("T4", "RSS, 1,000 commands, + MB", ("qqops", FULL), more(RSS), 3, 1.5, least=False),
    *quicker(("aiocqhttp", 2, 3.5), ("Koishi", 10, 20), ("NoneBot2", 15, 30)),
    Goal("T6", "p99 at 100/s, ms", ("qqops",), figure("p99 at 100/s ms"), 1.5, 1.0, least=False),
    Goal("T6", "p99 at 1000/s, ms", ("qqops",), figure("p99 at 1000/s ms"), 2, 1.2, least=False),
    Goal("T7", "start to first answer, s", ("qqops",), figure(START), 0.40, 0.28, least=False),
    Goal("T7", "start, × NoneBot2", ("qqops", "NoneBot2"), times(START, "NoneBot2"), 0.6, None, least=False),
    Goal("T8", "idle RSS, MB", ("qqops",), figure(RSS), 40, 34, least=False),
    Goal("T8", "idle RSS, × NoneBot2", ("qqops", "NoneBot2"), times(RSS, "NoneBot2"), 0.7, None, least=False),
    Goal(
        "T9", "faults of all set-ups of qqops, all phases", ("qqops",),
        lambda rows: sum(row["faults"] for name, row in rows.items() if name.startswith("qqops")),
        0, 0, least=False,
    ),
)  # fmt: skip


def show(rows: Rows) -> str:
    """Return the table of medians."""
    columns = list(next(iter(rows.values())))
    lines = ["| target | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | " + " | ".join(number(row[c]) for c in columns) + " |" for name, row in rows.items()
    ]
    return "\n".join(lines)


def ratios(rows: Rows) -> str:
    """Return how qqops stands to the others."""
    columns = {
        "commands": SPEED, "mixed": MIXED, "CPU of a command": "µs/command", "CPU of an event": "µs/event",
        "p50 alone": ALONE, "start": START, "RSS": RSS,
    }  # fmt: skip
    return "\n".join(
        f"qqops / {name}: "
        + ", ".join(f"{short} {times(column, name)(rows):.2f}" for short, column in columns.items())
        for name in rows
        if name != "qqops"
    )


def goals(rows: Rows) -> str:
    """Return what was reached of the targets."""
    head = "| id | measure | reached | must | stretch |\n|---|---|---|---|---|"
    return "\n".join([head, *(goal.line(rows) for goal in GOALS)])


def faults(found: Mapping[str, Counter[str]]) -> str:
    """Return where answers were lost, came twice, out of order or in the wrong room."""
    lines = [
        f"faults of {name}: " + ", ".join(f"{where} {count}" for where, count in counts.items())
        for name, counts in found.items()
        if counts
    ]
    return "\n".join(lines or ["faults: none"])


def bars(rows: Rows, column: str, width: int = 60) -> str:
    """Return a plot in text, on a logarithmic scale."""
    values = {name: row[column] for name, row in rows.items() if row[column] > 0}
    lines = [f"{column} (logarithmic)"]
    for name, value in values.items():
        low, top = min(values.values()) / 2, max(values.values())
        part = math.log(value / low) / math.log(top / low)
        lines.append(f"{name:>20} {'█' * max(int(part * width), 1)} {value:,.0f}")
    return "\n".join(lines)


def full(rows: Rows, found: Mapping[str, Counter[str]]) -> str:
    """Return all that a run has to say."""
    parts = [show(rows), faults(found)]
    if "qqops" in rows:
        parts += [ratios(rows), goals(rows)]
    return "\n\n".join(parts + [bars(rows, column) for column in PLOTTED])
