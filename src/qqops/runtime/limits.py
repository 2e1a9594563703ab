"""How often something was used: windows that outlive the process, and runs that are under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from qqops.runtime.declared import Limit
from qqops.runtime.storage.keep import Keep

#: Windows after which those that are over are forgotten.
SWEEP = 1000
#: What the keys of kept windows begin with.
PREFIX = "limit/"


@attrs.define
class _Window:
    start: float
    per: float
    used: int
    warned: bool = False


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
                self._windows[key] = _Window(float(start), float(per), int(used), bool(warned))

    def charge(self, limits: Sequence[Limit], keys: Sequence[str], now: float) -> Spent | tuple[str, ...]:
        """Count one use of all *limits*, or of none.

        Args:
            keys: Whose uses, one for each limit.
            now: Seconds since the epoch.

        Returns:
            The runs that `release` must give back, or the limit that is reached.
        """
        for limit, key in zip(limits, keys, strict=True):
            spent = self._spent(limit, key, now)
            if spent is not None:
                return spent
        held = []
        for limit, key in zip(limits, keys, strict=True):
            if limit.times:
                window = self._window(limit, key, now)
                window.used += 1
                self._save(key, window)
            if limit.running:
                self._running[key] = self._running.get(key, 0) + 1
                held.append(key)
        return tuple(held)

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

    def _spent(self, limit: Limit, key: str, now: float) -> Spent | None:
        if limit.times:
            window = self._window(limit, key, now)
            if window.used >= limit.times:
                tell, window.warned = not window.warned, True
                if tell:
                    self._save(key, window)
                return Spent(limit, max(window.start + limit.per - now, 0.0), tell)
        if limit.running and self._running.get(key, 0) >= limit.running:
            tell = key not in self._told
            self._told.add(key)
            return Spent(limit, 0.0, tell)
        return None

    def _window(self, limit: Limit, key: str, now: float) -> _Window:
        window = self._windows.get(key)
        if window is None or now >= window.start + limit.per:
            if len(self._windows) >= self._sweep_at:
                self._sweep(now)
            window = self._windows[key] = _Window(now, limit.per, 0)
        elif window.start > now:
            window.start = (
                now  # the clock was set back: the uses count, the wait is no longer than the window
            )
        return window

    def _sweep(self, now: float) -> None:
        for key in [key for key, one in self._windows.items() if now >= one.start + one.per]:
            del self._windows[key]
            self._keep.delete(key)
        self._sweep_at = max(SWEEP, 2 * len(self._windows))

    def _save(self, key: str, window: _Window) -> None:
        self._keep.save(key, [window.start, window.per, window.used, window.warned])
