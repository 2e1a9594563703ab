"""Whether each wait before a reconnect keeps the bounds of the back-off: window, cap, jitter, and really waited. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from qqops.runtime.backoff import BackoffPolicy

#: What the bot under torture is set to: short, so that a minute holds many attempts.
BACKOFF = BackoffPolicy(first=0.1, cap=2.0, stable=5.0)
#: Seconds that it stays away after another login has taken over; this is longer than the first windows.
KICK_PAUSE = 0.5
#: Waits from which on it is certain that full jitter shows: that all lie in one half has a chance of 2 in a million.
MANY = 20
#: Seconds by which clocks may differ.
BLUR = 0.002


@attrs.define
class Waits:
    """The waits of one account, over all processes.

    Attributes:
        shares: Each wait as a part of its window; what is longer by the wish of the service is left out.
        problems: What does not hold, in words.
    """

    policy: BackoffPolicy = BACKOFF
    kick_pause: float = KICK_PAUSE
    count: int = 0
    longest: float = 0.0
    shares: list[float] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    _attempt: int = 0
    _until: float | None = None

    def begin(self) -> None:
        """Note that a process begins: it knows of no attempt before."""
        self._attempt, self._until = 0, None

    def line(self, data: Mapping[str, Any]) -> None:
        """Take one change of the connection's state."""
        if data["phase"] == "waiting":
            self._wait(data)
        elif self._until is not None:
            if data["at"] < self._until - BLUR:
                self.problems.append(f"a try {self._until - data['at']:.2f} s before its time")
            self._until = None

    def _wait(self, data: Mapping[str, Any]) -> None:
        wait, attempt = data["retry_in"], data["attempt"]
        self.count += 1
        self.longest = max(self.longest, wait)
        self._until = data["at"] + wait
        if attempt not in (1, self._attempt + 1):
            self.problems.append(f"attempt {attempt} after attempt {self._attempt}")
        self._attempt = attempt
        window = min(self.policy.first * 2.0 ** min(attempt - 1, 30), self.policy.cap)
        # Who was kicked stays away for a while: what the service wishes wins when it is longer.
        wish = self.kick_pause if "kicked" in data["cause"] else 0.0
        if not 0 < wait <= max(window, wish) + 1e-9 or wait < wish:
            self.problems.append(
                f"a wait of {wait:.2f} s at attempt {attempt}, allowed are {wish:g} to {max(window, wish):g}"
            )
        if wait != wish:
            self.shares.append(wait / window)

    def check(self) -> list[str]:
        """Return what does not hold, in words."""
        found = list(self.problems[:5])
        if len(self.shares) >= MANY and not min(self.shares) < 0.5 < max(self.shares):
            found.append(
                f"no jitter: {len(self.shares)} waits between {min(self.shares):.2f} and {max(self.shares):.2f} of their windows"
            )
        return found
