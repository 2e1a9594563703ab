"""How long to wait before the next attempt: exponential growth with full jitter. Pure."""

from __future__ import annotations

import random

import attrs


@attrs.frozen(kw_only=True)
class BackoffPolicy:
    """The figures of a back-off.

    Attributes:
        first: Seconds of the first window.
        cap: Longest window in seconds.
        stable: Seconds a session must have lasted for the attempts to be forgotten.
    """

    first: float = 1.0
    cap: float = 60.0
    stable: float = 60.0


@attrs.define
class Backoff:
    """Counts failed attempts of one connection.

    Full jitter: the delay is uniform in (0, window], so that many accounts that failed together do not
    come back together.
    """

    policy: BackoffPolicy
    rng: random.Random
    attempt: int = 0

    def next_delay(self, hint: float | None = None) -> float:
        """Count one more failed attempt and return how long to wait, in seconds.

        Args:
            hint: Seconds the server asked for, or None. The server's wish wins when it is longer, also
                over *cap*.
        """
        # 2**30 seconds are far beyond any cap; the bound keeps a bot that failed for months from an overflow.
        window = min(self.policy.first * 2.0 ** min(self.attempt, 30), self.policy.cap)
        self.attempt += 1
        delay = window * (1.0 - self.rng.random())
        return max(delay, hint or 0.0)

    def ended(self, uptime: float) -> None:
        """Note that a session ended after *uptime* seconds online; a stable one resets the count."""
        if uptime >= self.policy.stable:
            self.attempt = 0
