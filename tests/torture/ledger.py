"""What soak and torture have seen, and whether what must hold does. Pure."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from tests.torture.lives import RSS_GROWTH, Lives
from tests.torture.waits import Waits

#: Most fruitless requests of one account in any ten seconds: what brought no message and sent none. A login takes
#: about ten requests, and the back-off lets at most a few of them begin in that time.
STORM = 150
#: Messages that are listed by name below the table; the rest is counted.
LISTED = 20


@attrs.define
class Ledger:
    """Everything that was seen in one run.

    Attributes:
        measured: Whether the use of resources at the start and the end of the run is to be compared.
        injected: Number of a message → (kind, room) it was said in.
        confirmed: Messages of which the service knows that they have arrived.
        starts: Handlers that started, in order.
        ends: Handlers that came to their end.
        interrupted: Messages that a restart reported as started without an end.
        expired: Messages that a restart found too old; the wall clock had jumped meanwhile.
        outcomes: Text of a reply → how the bot says it went.
        visible: Text of a reply → how often people saw it.
        shuffled: Answers that the service shuffled: number → second, for messages of which it told no other order.
        lost: Messages that the service has lost on purpose.
        ambiguous: Messages in an answer of the service that was not followed by a poll when the bot was killed.
    """

    measured: bool = True
    injected: dict[int, tuple[str, str]] = attrs.field(factory=dict)
    confirmed: Counter[int] = attrs.field(factory=Counter)
    starts: list[tuple[int, str, str]] = attrs.field(factory=list)
    ends: set[int] = attrs.field(factory=set)
    interrupted: set[int] = attrs.field(factory=set)
    expired: set[int] = attrs.field(factory=set)
    outcomes: defaultdict[str, list[str]] = attrs.field(factory=lambda: defaultdict(list))
    visible: Counter[str] = attrs.field(factory=Counter)
    shuffled: list[Mapping[int, int]] = attrs.field(factory=list)
    lost: set[int] = attrs.field(factory=set)
    actions: Counter[str] = attrs.field(factory=Counter)
    ambiguous: set[int] = attrs.field(factory=set)
    online: int = 0
    waits: Waits = attrs.field(factory=Waits)
    lives: Lives = attrs.field(factory=Lives)
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
        elif kind == "X":
            self.expired.add(int(data["text"][1:]))
        elif kind == "O":
            self.outcomes[data["text"]].append(data["outcome"])
        elif kind == "L":
            self.online += data["phase"] == "online"
            self.waits.line(data)
        elif kind == "U":
            self.usage.append(data)
        elif kind in "BQD":
            if kind == "B":
                self.waits.begin()
            self.lives.line(kind, data)

    def check(self) -> list[str]:
        """Return what does not hold, in words; an empty list is a good run."""
        return [
            *self.problems,
            *self._handling(),
            *self._order(),
            *self._sends(),
            *self._connection(),
            *self.waits.check(),
            *self.lives.check(),
            *self._leaks(),
        ]

    def _handling(self) -> list[str]:
        found = []
        starts = Counter(n for n, _, _ in self.starts)
        if twice := sorted(n for n, count in starts.items() if count > 1):
            found.append(f"started more than once: {twice[:10]}")
        if twice := sorted(n for n in self.ambiguous if starts[n] > 1):
            found.append(f"ambiguous at a kill, and handled more than once: {twice[:10]}")
        if gone := sorted(set(self.injected) - set(self.confirmed) - self.ambiguous - self.lost):
            found.append(f"said, and neither delivered nor lost on purpose: {gone[:10]} ({len(gone)} in all)")
        # Killed between "started" in the journal and the handler's first line: the restart says so.
        listed = self.interrupted | self.expired
        if self.expired and not self.actions["move_clock"]:
            found.append(f"too old after a restart, and no clock was moved: {sorted(self.expired)[:10]}")
        if lost := sorted(n for n in self.confirmed if not starts[n] and n not in listed):
            found.append(f"delivered and never handled: {lost[:10]} ({len(lost)} in all)")
        open_ = {n for n in starts if n not in self.ends}
        if unlisted := sorted(open_ - self.interrupted):
            found.append(f"started, not ended, and not reported by the restart: {unlisted[:10]}")
        if alien := sorted(n for n in starts if n not in self.injected):
            found.append(f"handled and never said: {alien[:10]}")
        return found

    def _order(self) -> list[str]:
        """What one person says in one room is started in the order in which it was said (see reliability)."""
        before: dict[tuple[str, str], list[int]] = {}
        found = []
        for n, kind, room in self.starts:
            seen = before.setdefault((kind, room), [])
            later = [m for m in seen[bisect.bisect(seen, n) :] if not self._told_no_order(n, m)]
            found += [f"t{n} started after t{m} in {kind} {room}" for m in later[:1]]
            bisect.insort(seen, n)
        return found[:5]

    def _told_no_order(self, one: int, other: int) -> bool:
        """Whether both came in one shuffled answer, of the same second and without a number of their own."""
        return any(one in a and other in a and a[one] == a[other] for a in self.shuffled)

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
        if self.most_requests > STORM:
            found.append(f"{self.most_requests} fruitless requests in 10 s, at most {STORM} allowed")
        if bad := {code: n for code, n in self.exits.items() if code not in (0, -9, -15)}:
            found.append(f"the bot ended with {bad}")
        return found

    def _leaks(self) -> list[str]:
        if not self.measured:
            return []
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

    @property
    def open_ends(self) -> set[int]:
        """Messages whose handler started and never came to its end."""
        return {n for n, _, _ in self.starts} - self.ends

    @property
    def unknown(self) -> list[str]:
        """Replies of which nobody can know whether people saw them, as far as the bot is concerned."""
        return [text for text, outcomes in self.outcomes.items() if outcomes[-1] == "unknown"]

    def listing(self) -> list[str]:
        """Return the lines below the table: what is not certain, by name, and the bounds that were checked."""
        reported = self.interrupted
        shown = [f"r{n} (seen)" if self.visible[f"r{n}"] else f"r{n}" for n in _numbers(self.unknown)]
        policy = self.waits.policy
        return [
            _listed("ambiguous (delivered or not at a kill)", (f"t{n}" for n in sorted(self.ambiguous))),
            _listed("unknown sends", shown),
            _listed(
                "without end",
                (f"t{n} (reported)" if n in reported else f"t{n}" for n in sorted(self.open_ends)),
            ),
            _listed("lost by the service", (f"t{n}" for n in sorted(self.lost))),
            f"bound: at most {STORM} fruitless requests in any 10 s, {STORM * 6} a minute; most seen: {self.most_requests}",
            f"bound: each wait within (0, window], windows from {policy.first:g} s doubling to {policy.cap:g} s, spread over"
            f" them; waits seen: {self.waits.count}, the longest {self.waits.longest:.2f} s",
            f"resources: processes {self.lives.summary()}",
        ]

    def summary(self) -> dict[str, object]:
        """Return the row of this run."""
        outcomes = Counter(one[-1] for one in self.outcomes.values())
        before, after = (self.usage[0], self.usage[-1]) if len(self.usage) > 1 else ({}, {})
        return {
            "said": len(self.injected), "delivered": len(self.confirmed), "handled": len(self.starts),
            "without end": len(self.open_ends), "reported": len(self.interrupted),
            "ambiguous": len(self.ambiguous), "lost": len(self.lost),
            "replies seen": sum(self.visible.values()), "accepted": outcomes["accepted"] + outcomes["delivered"],
            "unknown": outcomes["unknown"], "refused": outcomes["refused"], "online": self.online,
            "kill -9": self.actions["kill"] + self.actions["kill_early"], "SIGTERM": self.actions["stop"],
            "SIGSTOP": self.actions["suspend"], "faults": sum(self.actions.values()),
            "max live": self.most_live, "max wait s": round(self.waits.longest, 1),
            "max idle requests/10 s": self.most_requests,
            "fds": f"{before.get('fds')}→{after.get('fds')}", "tasks": f"{before.get('tasks')}→{after.get('tasks')}",
            "threads": f"{before.get('threads')}→{after.get('threads')}",
            "RSS MB": f"{before.get('rss_kb', 0) / 1024:.1f}→{after.get('rss_kb', 0) / 1024:.1f}",
        }  # fmt: skip


def _numbers(texts: Iterable[str]) -> list[int]:
    return sorted(int(text[1:]) for text in texts if text[1:].isdecimal())


def _listed(title: str, names: Iterable[str]) -> str:
    """Return one line with the first names and the number of the others."""
    all_ = list(names)
    more = f" and {len(all_) - LISTED} more" if len(all_) > LISTED else ""
    return f"{title}: {len(all_)}{': ' if all_ else ''}{', '.join(all_[:LISTED])}{more}"
