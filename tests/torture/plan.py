"""What a run of soak or torture is to be."""

from __future__ import annotations

import attrs

#: Seconds without traffic after which spare connections and threads are gone.
IDLE = 14.0


@attrs.frozen(kw_only=True)
class Plan:
    """One run.

    Attributes:
        minutes: How long there is trouble.
        rate: Messages per second.
        hold: Seconds the simulator holds a poll; all deadlines follow from it.
        rough: Whether the process itself is killed, stopped and suspended.
        idle: Seconds without traffic before each measurement; 0 for a run that is too short to be measured at its start
            and end. Each process is measured by itself all the same.
    """

    seed: int
    minutes: float
    profile: str
    rate: float = 10.0
    hold: float = 2.0
    rough: bool = True
    idle: float = IDLE
