"""What a soak of the OneBot adapter has seen, and whether what must hold does. Pure.

An event is *certain* when the bot has read it: a ping behind it on the same connection was answered. It is *in doubt* when
its connection ended before that. What is certain must be handled exactly once; what is in doubt, at most once.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from tests.torture.onebot.crowd import Place

#: How much more memory a process may hold at the end than at the start: a part of it, or kB, whichever is more.
RSS_GROWTH, RSS_SLACK = 0.05, 2048
#: kB that it may take on top for a moment, while the other side does not read: 64 answers on the way, of 1.4 MB at most here,
#: as text and, with the journal, as rows; and four times what waits for such a connection (`_ws.MAX_WAITING`): queued, as
#: frames, joined, in the system.
PEAK = 2 * 64 * 1434 + 4 * 16 * 1024
#: Most that may wait in the bot, with its defaults: for a handler, and to be sent or on the wire.
BACKLOG, OUTBOX = 10_000, 1000 + 64

_MARK = re.compile(r"(\d+)\.([gp]\d+)\.(u\d+)")


@attrs.define
class Ledger:
    """Everything that was seen in one run.

    Attributes:
        said: What was said or happened, by kind.
        asked: Number of a command → who gave it and where.
        written: Commands that were put on a connection.
        certain: Commands that the bot has read.
        repeated: Commands that came once more on a later connection: if it was that copy which arrived, it came late.
        starts: Handlers that started, in order: number, and who and where as the bot sees it.
        outcomes: Number of a command → how the bot says its answer went.
        visible: Answers as people see them, in order: number and room.
        others: What the bot said that answers nothing.
        dropped: Events that the bot says it has dropped.
        rate: Events per second between the two measurements.
        deaf: Whether the other side stopped reading for a while.
        usage: What the process held: after the warm-up, after the traffic, at the end.
        most: The most that waited in the bot, by queue.
    """

    said: Counter[str] = attrs.field(factory=Counter)
    asked: dict[int, Place] = attrs.field(factory=dict)
    written: set[int] = attrs.field(factory=set)
    certain: set[int] = attrs.field(factory=set)
    repeated: set[int] = attrs.field(factory=set)
    starts: list[tuple[int, Place]] = attrs.field(factory=list)
    outcomes: defaultdict[int, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    visible: list[tuple[int, str]] = attrs.field(factory=list)
    others: list[str] = attrs.field(factory=list)
    dropped: int = 0
    deaf: bool = False
    actions: Counter[str] = attrs.field(factory=Counter)
    connections: int = 0
    rate: float = 0.0
    exits: list[int] = attrs.field(factory=list)
    usage: list[Mapping[str, int]] = attrs.field(factory=list)
    most: Counter[str] = attrs.field(factory=Counter)
    problems: list[str] = attrs.field(factory=list)

    # -- what is seen ---------------------------------------------------------------------------

    def line(self, kind: str, data: Mapping[str, Any]) -> int:
        """Take one line of the bot; return the number of the command whose answer it settles, or 0."""
        if kind == "S":
            self.starts.append((data["n"], Place(data["room"], data["person"])))
        elif kind == "O" and (found := _MARK.match(data["text"])):
            self.outcomes[int(found[1])].append(data["outcome"])
            return int(found[1])
        elif kind == "O":
            self.others.append(data["text"])
        elif kind == "D":
            self.dropped = max(self.dropped, data["dropped"])
        elif kind == "U":
            for queue in ("backlog", "outbox"):
                self.most[queue] = max(self.most[queue], data[queue])
        return 0

    def shown(self, room: str, text: str) -> None:
        """Take something that the bot said and people see."""
        found = _MARK.match(text)
        if found is None:
            self.others.append(text)
        elif self.asked.get(int(found[1])) != Place(found[2], found[3]):
            self.others.append(f"{text} (with another mark than the command)")
        else:
            self.visible.append((int(found[1]), room))

    # -- what does not hold ---------------------------------------------------------------------

    @property
    def doubtful(self) -> set[int]:
        """Commands of which nobody knows whether the bot has read them."""
        return self.written - self.certain

    @property
    def lost(self) -> list[int]:
        """Commands that the bot has read and not handled."""
        return sorted(self.certain - {n for n, _ in self.starts})

    @property
    def duplicated(self) -> list[int]:
        """Commands that were handled more than once, or whose answer is seen more than once."""
        starts, visible = Counter(n for n, _ in self.starts), Counter(n for n, _ in self.visible)
        return sorted(n for n in starts | visible if starts[n] > 1 or visible[n] > 1)

    @property
    def disordered(self) -> list[int]:
        """Commands that were handled, or answered, after a later one of the same person in the same room."""
        answers = [(n, self.asked[n]) for n, _ in self.visible if n in self.asked]
        return sorted({*_late(self.starts), *_late(answers)} - self.repeated)

    @property
    def misrouted(self) -> list[int]:
        """Commands that the bot ascribes to others than those who gave them, or answers elsewhere."""
        wrong = {n for n, place in self.starts if n in self.asked and self.asked[n] != place}
        return sorted(
            wrong | {n for n, room in self.visible if n in self.asked and self.asked[n].room != room}
        )

    def check(self) -> list[str]:
        """Return what does not hold, in words; an empty list is a good run."""
        found = list(self.problems)
        for words, numbers in (
            ("read and never handled", self.lost),
            ("handled or answered more than once", self.duplicated),
            ("after a later one of the same person in the same room", self.disordered),
            ("ascribed to or answered to somebody else", self.misrouted),
            ("handled and never said", sorted({n for n, _ in self.starts} - self.written)),
            (
                "answered and never handled",
                sorted({n for n, _ in self.visible} - {n for n, _ in self.starts}),
            ),
        ):
            if numbers:
                found.append(f"{words}: {numbers[:10]} ({len(numbers)} in all)")
        if self.others:
            found.append(f"said and not asked for: {self.others[:3]} ({len(self.others)} in all)")
        if self.dropped:
            found.append(f"{self.dropped} events were dropped, and there was no reason to")
        return [*found, *self._sends()[:10], *self._bounds(), *self._leaks()]

    def _sends(self) -> list[str]:
        found = []
        visible = Counter(n for n, _ in self.visible)
        for n in sorted({n for n, _ in self.starts}):
            outcomes = self.outcomes.get(n, [])
            if len(outcomes) != 1:
                found.append(f"{n}: handled, and its answer has {len(outcomes)} outcomes: {outcomes}")
            elif outcomes[0] in ("accepted", "delivered") and visible[n] != 1:
                found.append(f"{n}: {outcomes[0]} and seen {visible[n]} times")
            elif outcomes[0] == "refused" and visible[n]:
                found.append(f"{n}: refused and seen all the same")
        if self.deaf and not {"refused", "unknown"} & {o for each in self.outcomes.values() for o in each}:
            found.append("the other side did not read for a while, and no outcome says so")
        return found

    def _bounds(self) -> list[str]:
        found = [
            f"{self.most[queue]} waited in the {queue}, at most {most} may"
            for queue, most in (("backlog", BACKLOG), ("outbox", OUTBOX))
            if self.most[queue] > most
        ]
        if wrong := [code for code in self.exits if code]:
            found.append(f"the bot ended with {wrong}")
        return found

    def _leaks(self) -> list[str]:
        if len(self.usage) < 2:
            return ["the use of resources was not measured"]
        before, *later = self.usage
        rss, peak = before["rss_kb"], self.usage[-1]["peak_kb"]
        found = []
        for after in later:
            found += [
                f"{what}: {before[what]} at the start, {after[what]} later"
                for what in ("fds", "threads", "tasks")
                if after[what] > before[what]
            ]
            if after["rss_kb"] > rss + max(rss * RSS_GROWTH, RSS_SLACK):
                found.append(f"memory: {rss} kB at the start, {after['rss_kb']} kB later")
        if peak > rss + PEAK:
            found.append(f"memory: {peak} kB for a moment, at most {PEAK} kB more than {rss} kB may be")
        return found

    def summary(self) -> dict[str, object]:
        """Return the row of this run."""
        outcomes = Counter(one[0] for one in self.outcomes.values())
        held = {key: "→".join(str(one[key]) for one in self.usage) for key in ("fds", "threads", "tasks")}
        return {
            "events": sum(self.said.values()), "events/s": round(self.rate),
            "commands": len(self.asked), "certain": len(self.certain), "in doubt": len(self.doubtful),
            "handled": len(self.starts), "lost": len(self.lost), "duplicated": len(self.duplicated),
            "disordered": len(self.disordered), "misrouted": len(self.misrouted), "seen": len(self.visible),
            "delivered": outcomes["delivered"] + outcomes["accepted"], "unknown": outcomes["unknown"],
            "refused": outcomes["refused"], "dropped": self.dropped, "faults": sum(self.actions.values()),
            "connections": self.connections, "most backlog": self.most["backlog"], "most outbox": self.most["outbox"],
            "RSS MB": "→".join(f"{one['rss_kb'] / 1024:.1f}" for one in self.usage),
            "peak MB": round(max((one["peak_kb"] for one in self.usage), default=0) / 1024), **held,
        }  # fmt: skip


def _late(numbers: Iterable[tuple[int, Place]]) -> list[int]:
    """Return the numbers that come after a higher one of the same place."""
    last: dict[Place, int] = {}
    late = []
    for n, place in numbers:
        if n < last.get(place, 0):
            late.append(n)
        last[place] = max(n, last.get(place, 0))
    return late
