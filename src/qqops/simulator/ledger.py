"""What soak and torture have seen, and whether what must hold does. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import attrs

#: Most fruitless requests of one account in any ten seconds: what brought no message and sent none. A login takes
#: about ten requests, and the back-off lets at most a few of them begin in that time.
STORM = 150
#: How much more memory a process may hold at the end than at the start.
RSS_GROWTH = 1.05


@attrs.define
class Ledger:
    """Everything that was seen in one run.

    Attributes:
        injected: Number of a message → (kind, room) it was said in.
        confirmed: Messages of which the service knows that they have arrived.
        starts: Handlers that started, in order.
        ends: Handlers that came to their end.
        interrupted: Messages that a restart reported as started without an end.
        outcomes: Text of a reply → how the bot says it went.
        visible: Text of a reply → how often people saw it.
        unordered: Kinds of rooms in which the service told no order while it shuffled.
    """

    cap: float
    injected: dict[int, tuple[str, str]] = attrs.field(factory=dict)
    confirmed: Counter[int] = attrs.field(factory=Counter)
    starts: list[tuple[int, str, str]] = attrs.field(factory=list)
    ends: set[int] = attrs.field(factory=set)
    interrupted: set[int] = attrs.field(factory=set)
    outcomes: defaultdict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    visible: Counter[str] = attrs.field(factory=Counter)
    unordered: set[str] = attrs.field(factory=set)
    actions: Counter[str] = attrs.field(factory=Counter)
    ambiguous: set[int] = attrs.field(factory=set)
    online: int = 0
    longest_wait: float = 0.0
    most_live: int = 0
    most_requests: int = 0
    exits: Counter[int] = attrs.field(factory=Counter)
    usage: list[Mapping[str, int]] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)

    def line(self, kind: str, data: Mapping[str, Any]) -> None:
        """Take one line of the bot."""
        if kind == "S":
            self.starts.append((data["n"], data["kind"], data["room"]))
        elif kind == "E":
            self.ends.add(data["n"])
        elif kind == "I":
            self.interrupted.add(int(data["text"][1:]))
        elif kind == "O":
            self.outcomes[data["text"]].append(data["outcome"])
        elif kind == "L":
            self.online += data["phase"] == "online"
            self.longest_wait = max(self.longest_wait, data["retry_in"] or 0.0)
        elif kind == "U":
            self.usage.append(data)

    def check(self) -> list[str]:
        """Return what does not hold, in words; an empty list is a good run."""
        return [
            *self.problems,
            *self._handling(),
            *self._order(),
            *self._sends(),
            *self._connection(),
            *self._leaks(),
        ]

    def _handling(self) -> list[str]:
        found = []
        starts = Counter(n for n, _, _ in self.starts)
        if twice := sorted(n for n, count in starts.items() if count > 1):
            found.append(f"started more than once: {twice[:10]}")
        # Killed between "started" in the journal and the handler's first line: the restart says so.
        if lost := sorted(n for n in self.confirmed if not starts[n] and n not in self.interrupted):
            found.append(f"delivered and never handled: {lost[:10]} ({len(lost)} in all)")
        open_ = {n for n in starts if n not in self.ends}
        if unlisted := sorted(open_ - self.interrupted):
            found.append(f"started, not ended, and not reported by the restart: {unlisted[:10]}")
        if alien := sorted(n for n in starts if n not in self.injected):
            found.append(f"handled and never said: {alien[:10]}")
        return found

    def _order(self) -> list[str]:
        last: dict[tuple[str, str], int] = {}
        found = []
        for n, kind, room in self.starts:
            if kind not in self.unordered and n < last.get((kind, room), 0):
                found.append(f"t{n} started after t{last[kind, room]} in {kind} {room}")
            last[kind, room] = max(n, last.get((kind, room), 0))
        return found[:5]

    def _sends(self) -> list[str]:
        found = []
        if twice := [text for text, count in self.visible.items() if count > 1]:
            found.append(f"visible more than once: {twice[:10]}")
        for text, outcomes in self.outcomes.items():
            first, later = outcomes[0], outcomes[1:]
            # A process that was killed may have said more than it could write down: the next one says "unknown".
            if set(later) - {"unknown"}:
                found.append(f"{text}: more than one outcome: {outcomes}")
            elif first in ("accepted", "delivered") and self.visible[text] != 1:
                found.append(f"{text}: accepted and visible {self.visible[text]} times")
            elif first == "refused" and self.visible[text]:
                found.append(f"{text}: refused and visible all the same")
        return found[:10]

    def _connection(self) -> list[str]:
        found = []
        if self.most_live > 1:
            found.append(f"{self.most_live} live sessions of one account at the same time")
        if self.longest_wait > self.cap:
            found.append(f"a wait of {self.longest_wait:.1f} s, at most {self.cap:g} allowed")
        if self.most_requests > STORM:
            found.append(f"{self.most_requests} fruitless requests in 10 s, at most {STORM} allowed")
        if bad := {code: n for code, n in self.exits.items() if code not in (0, -9, -15)}:
            found.append(f"the bot ended with {bad}")
        return found

    def _leaks(self) -> list[str]:
        if len(self.usage) < 2:
            return ["the use of resources was not measured"]
        before, after = self.usage[0], self.usage[-1]
        found = [
            f"{what}: {before[what]} at the start, {after[what]} at the end"
            for what in ("fds", "sockets", "threads", "tasks")
            if after[what] > before[what]
        ]
        if after["rss_kb"] > before["rss_kb"] * RSS_GROWTH:
            found.append(f"memory: {before['rss_kb']} kB at the start, {after['rss_kb']} kB at the end")
        return found

    def summary(self) -> dict[str, object]:
        """Return the row of this run."""
        outcomes = Counter(one[-1] for one in self.outcomes.values())
        before, after = (self.usage[0], self.usage[-1]) if len(self.usage) > 1 else ({}, {})
        return {
            "said": len(self.injected), "delivered": len(self.confirmed), "handled": len(self.starts),
            "without end": len({n for n, _, _ in self.starts} - self.ends),
            "reported": len(self.interrupted), "ambiguous": len(self.ambiguous),
            "replies seen": sum(self.visible.values()), "accepted": outcomes["accepted"] + outcomes["delivered"],
            "unknown": outcomes["unknown"], "refused": outcomes["refused"], "online": self.online,
            "kill -9": self.actions["kill"] + self.actions["kill_early"], "SIGTERM": self.actions["stop"],
            "SIGSTOP": self.actions["suspend"], "faults": sum(self.actions.values()),
            "max live": self.most_live, "max wait s": round(self.longest_wait, 1),
            "max idle requests/10 s": self.most_requests,
            "fds": f"{before.get('fds')}→{after.get('fds')}", "tasks": f"{before.get('tasks')}→{after.get('tasks')}",
            "threads": f"{before.get('threads')}→{after.get('threads')}",
            "RSS MB": f"{before.get('rss_kb', 0) / 1024:.1f}→{after.get('rss_kb', 0) / 1024:.1f}",
        }  # fmt: skip
