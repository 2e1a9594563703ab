"""How often something was used: windows that outlive the process, and runs that are under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import attrs

from qqops.runtime.declared import Limit
from qqops.runtime.storage.keep import Keep

#: Windows after which those that are over are forgotten.
SWEEP = 1000
#: What the keys of kept windows begin with.
PREFIX = "limit/"


#: Start in seconds since the epoch, length in seconds, uses, and whether the first refusal has been told. A plain tuple:
#: each use makes a new one, and it is kept as it is.
_Window: TypeAlias = tuple[float, float, int, bool]


@attrs.frozen
class Spent:
    """No use is left.

    Attributes:
        limit: The limit that was reached.
        wait: Seconds until the window is over; 0 when it is a run that must end.
        tell: Whether this is the first refusal of the window.
    """

    limit: Limit
    wait: float
    tell: bool


class Limits:
    """Counts uses. A window begins with the first use and is over *per* seconds later."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._windows: dict[str, _Window] = {}
        self._running: dict[str, int] = {}
        self._told: set[str] = set()
        self._sweep_at = SWEEP

    def load(self, kept: Mapping[str, Any]) -> None:
        """Take over the windows of an earlier run. Raises `ValueError` or `TypeError` for what is not a window."""
        for key, value in kept.items():
            if key.startswith(PREFIX):
                start, per, used, warned = value
                self._windows[key] = float(start), float(per), int(used), bool(warned)

    def charge(self, limits: Sequence[Limit], keys: Sequence[str], now: float) -> Spent | list[str]:
        """Count one use of all *limits*, or of none.

        Args:
            keys: Whose uses, one for each limit.
            now: Seconds since the epoch.

        Returns:
            The runs that `release` must give back, or the limit that is reached.
        """
        turned: list[tuple[str, _Window]] = []
        held: list[str] = []
        for limit, key in zip(limits, keys, strict=True):
            if limit.times:
                window = self._windows.get(key)
                if window is None or not window[0] <= now < window[0] + limit.per:
                    window = self._turned(window, limit, now)
                start, per, used, warned = window
                if used >= limit.times:
                    return self._used_up(limit, key, window, now)
                turned.append((key, (start, per, used + 1, warned)))
            if limit.running:
                if self._running.get(key, 0) >= limit.running:
                    tell = key not in self._told
                    self._told.add(key)
                    return Spent(limit, 0.0, tell)
                held.append(key)
        for key, window in turned:
            self._windows[key] = window
            self._keep.save(key, window)
        for key in held:
            self._running[key] = self._running.get(key, 0) + 1
        return held

    def release(self, held: Sequence[str]) -> None:
        """Runs that `charge` had counted have ended."""
        for key in held:
            left = self._running[key] - 1
            if left:
                self._running[key] = left
            else:
                del self._running[key]
                self._told.discard(key)

    def running(self, key: str) -> int:
        """Return how many runs are under way."""
        return self._running.get(key, 0)

    def _used_up(self, limit: Limit, key: str, window: _Window, now: float) -> Spent:
        start, per, used, warned = window
        self._windows[key] = told = start, per, used, True
        if not warned:
            self._keep.save(key, told)
        return Spent(limit, max(start + limit.per - now, 0.0), not warned)

    def _turned(self, window: _Window | None, limit: Limit, now: float) -> _Window:
        """Return the window that takes the place of *window*, which is none, over, or of the future."""
        if window is None or now >= window[0]:
            if len(self._windows) >= self._sweep_at:
                self._sweep(now)
            return now, limit.per, 0, False
        # The clock was set back: the uses count, and the wait is no longer than the window.
        return now, *window[1:]

    def _sweep(self, now: float) -> None:
        for key in [key for key, (start, per, *_) in self._windows.items() if now >= start + per]:
            del self._windows[key]
            self._keep.delete(key)
        self._sweep_at = max(SWEEP, 2 * len(self._windows))
