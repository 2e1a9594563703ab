"""What a soak of the OneBot adapter is to be."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Plan:
    """One run.

    Attributes:
        events: How many events; ignored when *minutes* are given.
        minutes: How long; 0 for as long as *events* take.
        rate: Events per second; 0 for as fast as the bot takes them.
        trouble: Whether there is any.
        deaf: Seconds for which the implementation reads nothing, once.
        deaf_rate: Commands per second in that time.
        big: How many answers of more than a MB there are in that time.
        warm_up: Events before any trouble.
        idle: Seconds without traffic before what is held is measured: after ten, spare threads are gone.
    """

    seed: int = 1
    events: int = 100_000
    minutes: float = 0.0
    rate: float = 0.0
    trouble: bool = True
    flavor: str = "napcat"
    reverse: bool = True
    journal: bool = False
    deaf: float = 8.0
    deaf_rate: float = 250.0
    big: int = 80
    warm_up: int = 5000
    idle: float = 12.0
