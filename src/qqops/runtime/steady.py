"""A wall clock that nobody sets."""

from __future__ import annotations

import datetime

import trio

from qqops.model import Clock

#: Seconds by which the wall clock must be off before it counts as having been set; a time server moves it by less.
NOTICED = 10.0


class Steady:
    """Goes on with trio's clock from what the wall clock has shown, so that intervals are as long as they are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._follow()

    def now(self) -> datetime.datetime:
        """Return this moment as the wall clock would show it if nobody had set it since it was followed."""
        return self._shown + datetime.timedelta(seconds=trio.current_time() - self._began)

    def jump(self) -> float:
        """Follow the wall clock if it was set; return by how many seconds that was, negative for back, or 0.0."""
        seconds = (self._clock.now() - self.now()).total_seconds()
        if abs(seconds) < NOTICED:
            return 0.0
        self._follow()
        return seconds

    def _follow(self) -> None:
        self._shown, self._began = self._clock.now(), trio.current_time()
