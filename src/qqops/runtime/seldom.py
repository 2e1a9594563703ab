"""How often something may be told that happens again and again: at once, then now and then, with the number left out."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs

#: Seconds between two times that one key is told.
PAUSE = 60.0
#: Keys that are remembered; beyond that the one that was told longest ago is new again.
MOST = 1024


@attrs.define
class _Told:
    at: float
    left_out: int = 0


class Seldom:
    """Says of each occurrence whether it is to be told.

    Args:
        now: The clock, in seconds. When it is set back, the pause begins anew with the next one that is told.
        pause: Seconds between two times that one key is told.
        most: Keys that are remembered.
    """

    def __init__(self, now: Callable[[], float], *, pause: float = PAUSE, most: int = MOST) -> None:
        self._now = now
        self._pause = pause
        self._most = most
        self._told: dict[Hashable, _Told] = {}

    def due(self, key: Hashable) -> int | None:
        """Count an occurrence of *key*.

        Returns:
            How many were left out since it was told last, if it is to be told now; None if it is left out as well.
        """
        now = self._now()
        told = self._told.get(key)
        if told is not None and 0 <= now - told.at < self._pause:
            told.left_out += 1
            return None
        # Those that were told last stand last, so the first one is who waits longest.
        self._told.pop(key, None)
        if len(self._told) >= self._most:
            del self._told[next(iter(self._told))]
        self._told[key] = _Told(now)
        return told.left_out if told is not None else 0
