"""The computer's clock. The only place that reads it."""

from __future__ import annotations

import datetime


class WallClock:
    """The computer's own clock, in UTC; the real `qqops.model.Clock`."""

    def now(self) -> datetime.datetime:
        """Return this moment in UTC."""
        return datetime.datetime.now(datetime.UTC)
