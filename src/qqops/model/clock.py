"""The wall clock as a value that is passed in, so that tests can move it."""

from __future__ import annotations

import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time of day."""

    def now(self) -> datetime.datetime:
        """Return this moment, aware."""
